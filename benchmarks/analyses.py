"""How long single analyses of a month or a quarter take over a large log, computed each time, over HTTP."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import count
from time import perf_counter
from typing import Any

from benchmarks.bench import Bench, Log
from benchmarks.company import DAYS, FIRST_DAY
from benchmarks.dashboard import PERIOD
from benchmarks.loopback import ask, graphql
from benchmarks.processes import Served, gateway, most_memory, settled
from benchmarks.ratios import Line, Ratio, Reach, Side, in_turns, milliseconds

SECOND = Reach(1_000, at_least=False)
MONTH = {"from": (FIRST_DAY + timedelta(days=30)).isoformat(), "to": (FIRST_DAY + timedelta(days=60)).isoformat()}
COHORTS = """query Cohorts($of: CohortBasis!, $period: PeriodInput!) {
  cohorts(of: $of, period: $period, timezone: "UTC", granularity: MONTH) {
    cohorts { at size retained rate revenue perMember } subjects repeat { value n }
  }
}"""
ROI = """query Roi($period: PeriodInput!, $top: Int!) {
  aiRoi(period: $period, timezone: "UTC", granularity: DAY, by: [MODEL], top: $top) {
    calls cost { value } value { value interval { low high } } roi { value interval { low high } } paybackAt
    series { at cost value balance } groups { keys { value } cost { value } value { value } roi { value } }
  }
}"""

PROVIDERS = """query Providers($period: PeriodInput!, $top: Int!) {
  aiProviders(period: $period, timezone: "UTC", by: [PROVIDER, MODEL], top: $top) {
    calls cost { value } latencyP95 { value } success { value } conversionRate { value } value { value }
    groups {
      keys { value } costPerCall { value interval { low high } } latencyP50 { value } latencyP95 { value }
      latencyP99 { value } success { value } calibration { observed brier } conversionRate { value } value { value }
    }
  }
}"""


def computed(served: Served, questions: Iterator[bytes], answers: list[Any]) -> Side:
    """Asks the next question, each another one with the same answer, which is kept; measures seconds."""

    async def seconds() -> float:
        question = next(questions)
        started = perf_counter()
        answer = await ask(served, question)
        taken = perf_counter() - started
        answers.append(answer["data"])
        return taken

    return seconds


def in_milliseconds(seconds: list[float]) -> tuple[float, ...]:
    """Times as a line tells them."""
    return tuple(1e3 * one for one in seconds)


def equal(answers: list[Any]) -> bool:
    """Whether there are answers, and all are the same."""
    return bool(answers) and all(one == answers[0] for one in answers)


async def cohorts(bench: Bench) -> list[Line]:
    """Monthly cohorts of the quarter, by activity and by what was paid, in a large log and in a small one."""
    log, small = await bench.log(bench.events), await bench.log(bench.small)
    lines: list[Line] = []
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(gateway(one.url)) for one in (log, small)]
        for one in (log, small):
            await settled(one)
        for basis in ("ACTIVITY", "REVENUE"):
            answers: tuple[list[Any], list[Any]] = [], []
            sides = [
                computed(by, _cohorts(of, basis), to) for by, of, to in zip(served, (log, small), answers, strict=True)
            ]
            tick = bench.ticks(f"Cohorts of {basis.lower()}", bench.rounds + 1)
            large, little = await in_turns(bench.rounds, tick, *sides)
            assert all(map(equal, answers)), "cohorts differ"
            assert answers[0][0]["cohorts"]["subjects"] > 0
            name = f"cohorts, {basis.lower()}"
            against = (
                f"{milliseconds(large)} at {bench.events:,} events against {milliseconds(little)} at {bench.small:,}"
            )
            lines.append(Ratio(name, in_milliseconds(large), SECOND, "a quarter by month, over HTTP", unit="ms"))
            lines.append(Ratio.of(f"{name}, large log", large, little, None, against))
    return lines


def _cohorts(log: Log, basis: str) -> Iterator[bytes]:
    # Nothing happens after the last day, so that hours more make another question with the same answer.
    for hours in count(1):
        end = FIRST_DAY + timedelta(days=DAYS, hours=hours % 600)
        yield graphql(log.key, COHORTS, of=basis, period={"from": FIRST_DAY.isoformat(), "to": end.isoformat()})


async def ai_roi(bench: Bench) -> list[Line]:
    """What AI costs and brings in by model, thirty of ninety days, with its intervals."""
    log = await bench.log(bench.events)
    answers: list[Any] = []
    # More groups than there are models: each number is another question with the same answer.
    questions = (graphql(log.key, ROI, period=MONTH, top=top) for top in range(20, 101))
    times = await _alone(bench, log, "AI ROI", lambda served: computed(served, questions, answers))
    assert equal(answers), "returns differ"
    calls = answers[0]["aiRoi"]["calls"]
    return [Ratio("AI ROI, a month", in_milliseconds(times), SECOND, f"{int(calls):,} calls, over HTTP", unit="ms")]


async def ai_providers(bench: Bench) -> list[Line]:
    """Providers and models side by side, a quarter and thirty days of it, and what the process takes of memory."""
    log = await bench.log(bench.events)
    lines: list[Line] = []
    for name, period in ("a month", MONTH), ("a quarter", PERIOD):
        answers: list[Any] = []
        questions = (graphql(log.key, PROVIDERS, period=period, top=top) for top in range(20, 101))
        async with gateway(log.url) as served:
            await settled(log)
            before = most_memory(served)
            side = computed(served, questions, answers)
            (times,) = await in_turns(bench.rounds, bench.ticks(f"AI providers, {name}", bench.rounds + 1), side)
            taken = most_memory(served) - before
        assert equal(answers), "comparisons differ"
        detail = f"{int(answers[0]['aiProviders']['calls']):,} calls, over HTTP; {taken:,.0f} MiB of memory more"
        lines.append(Ratio(f"AI providers, {name}", in_milliseconds(times), SECOND, detail, unit="ms"))
    return lines


async def _alone(bench: Bench, log: Log, label: str, side: Callable[[Served], Side]) -> list[float]:
    async with gateway(log.url) as served:
        await settled(log)
        (times,) = await in_turns(bench.rounds, bench.ticks(label, bench.rounds + 1), side(served))
    return times
