"""How fast a funnel is computed, against ClickHouse on the same machine and the same events."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.util import find_spec
from statistics import fmean
from time import perf_counter
from typing import Any

from benchmarks.bench import Bench, Log
from benchmarks.company import FIRST_DAY, PERSONAS, STEPS
from benchmarks.loopback import ask, graphql
from benchmarks.processes import Worker, gateway, process, settled
from benchmarks.ratios import Line, Ratio, Reach, Skipped, in_turns, milliseconds

_WINDOW = timedelta(days=7)
_START, _END = FIRST_DAY + timedelta(days=30), FIRST_DAY + timedelta(days=60)
_LOAD_SECONDS = 1_800.0
_TIMES = 3
"""How often either side is asked in a round."""
FUNNEL = """query Funnel($steps: [FunnelStepInput!]!, $from: DateTime!, $to: DateTime!, $top: Int!) {
  funnel(steps: $steps, window: "7d", entry: ANY, period: {from: $from, to: $to}, by: [PERSONA], top: $top) {
    groups { keys { value } steps { count } }
  }
}"""


async def funnel(bench: Bench) -> list[Line]:
    """Four steps within seven days, by persona, thirty of ninety days, computed each time."""
    if find_spec("chdb") is None:
        return [Skipped("funnel", "chdb is not installed: pip install -e '.[benchmarks]'")]
    log = await bench.log(bench.events)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(gateway(log.url))
        arguments = ("-m", "benchmarks.clickhouse", str(bench.folder), str(bench.events))
        theirs = Worker(await stack.enter_async_context(process(*arguments)))
        assert await theirs.hear(_LOAD_SECONDS) == log.events
        await settled(log)
        answers: list[dict[str, list[int]]] = []
        # More groups than there are personas: each number is another question with the same answer.
        tops = iter(range(len(PERSONAS) + 1, 101))

        async def by_gateway() -> float:
            request = _question(log, next(tops))
            started = perf_counter()
            answer = await ask(ours, request)
            seconds = perf_counter() - started
            answers.append(_counts(answer))
            return seconds

        async def by_clickhouse() -> float:
            times = [int(at.timestamp() * 1000) for at in (_START, _END)]
            seconds, rows = await theirs.ask([*times, _WINDOW // timedelta(milliseconds=1)])
            answers.append({PERSONAS[persona]: counts for persona, *counts in rows})
            return float(seconds)

        def some(ask_once: Callable[[], Awaitable[float]]) -> Callable[[], Awaitable[float]]:
            async def asked() -> float:
                return fmean([await ask_once() for _ in range(_TIMES)])

            return asked

        tick = bench.ticks("Funnel", bench.rounds + 1)
        own, yardstick = await in_turns(bench.rounds, tick, some(by_gateway), some(by_clickhouse))
    assert all(answer == answers[0] and answer for answer in answers), "the funnels differ"
    detail = f"{milliseconds(own)} over HTTP against {milliseconds(yardstick)} in ClickHouse"
    return [Ratio.of("funnel", own, yardstick, Reach(0.7, at_least=False), detail)]


def _question(log: Log, top: int) -> bytes:
    steps = [{"event": name} for name in STEPS]
    variables = {"from": _START.isoformat(), "to": _END.isoformat(), "steps": steps, "top": top}
    return graphql(log.key, FUNNEL, **variables)


def _counts(answer: dict[str, Any]) -> dict[str, list[int]]:
    return {
        group["keys"][0]["value"]: [int(step["count"]) for step in group["steps"]]
        for group in answer["data"]["funnel"]["groups"]
    }
