"""What becomes of three times the load that a gateway can hold: who is refused, how soon the others are served."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from benchmarks.bench import UNRATED, Bench, Log, new_log
from benchmarks.company import Company
from benchmarks.dashboard import question, questions
from benchmarks.flood import Outcome, flood
from benchmarks.loading import derive, load
from benchmarks.loopback import CONNECTIONS, ask, get, graphql, rate
from benchmarks.processes import Served, gateway
from benchmarks.ratios import Line, Ratio, Reach

TIMES = 3
_SLUGS = ("events", "conversions", "revenue", "ai_requests", "ai_cost", "ai_success_rate")
_TRACK = (
    "mutation Track($input: TrackConversionInput!)"
    " { trackConversion(input: $input) { ... on TrackPayload { accepted } ... on Error { code } } }"
)
_ENOUGH = 64
"""Connections that are enough to find out what a gateway can hold, where it does not refuse as many."""
_EVENTS = 20_000
_PROBE_SECONDS = 0.05
_SOON = 0.25
_RECOVERY = 5.0
_MAY = frozenset({"200", "429 RATE_LIMITED", "503 OVERLOADED", "503 UNAVAILABLE"})


def _singles(log: Log) -> Iterator[bytes]:
    for number in itertools.count():
        given = {"name": "purchase", "subject": f"person {number % 1_000}", "amount": "1"}
        yield graphql(log.key, _TRACK, input=given)


async def overload(bench: Bench) -> list[Line]:
    """Single events, questions to be computed, repeated ones, and a third of all, each at three times its capacity."""
    log = await _log(bench)
    lines: list[Line] = []
    async with gateway(log.url, UNRATED) as served:
        kinds = {
            "events": _singles(log),
            "computed": questions(log, _SLUGS),
            "repeated": itertools.repeat(question(log, _SLUGS)),
        }
        tick = bench.ticks("Overload", len(kinds) + 1)
        holds = {}
        for kind, requests in kinds.items():
            await ask(served, next(requests))
            connections = CONNECTIONS if kind == "computed" else _ENOUGH
            holds[kind] = await rate(served, requests, bench.seconds, connections)
            load = {kind: (requests, TIMES * holds[kind])}
            lines += await _overloaded(bench, served, f"overload, {kind}", load)
            tick()
        mixed = {kind: (requests, holds[kind]) for kind, requests in kinds.items()}
        lines += await _overloaded(bench, served, "overload, mixed", mixed)
        tick()
    return lines


async def _log(bench: Bench) -> Log:
    """A log of its own, as events are added to it."""
    company = Company(min(bench.small, _EVENTS))
    log = await new_log(await bench.fresh("overload"), "overload", company.events)
    await load(log.url, log.principal.tenant_id, company, lambda done: None)
    await derive(log.url, log.principal.tenant_id, lambda done: None)
    return log


async def _overloaded(
    bench: Bench, served: Served, name: str, load: dict[str, tuple[Iterator[bytes], float]]
) -> list[Line]:
    before = _memory(served.pid)
    async with _health(served) as health:
        outcome = await flood(served, load, max(bench.seconds * 2, 0.2))
    recovered = await _recovery(served, {kind: requests for kind, (requests, _) in load.items()})
    _check(name, outcome)
    asked = " + ".join(f"{at:,.0f}/s" for _, at in load.values())
    told = ", ".join(f"{count:,} {what}" for what, count in outcome.answers.most_common())
    shares = ", ".join(f"{kind} {_ms(_quantile(sorted(times), 0.99))}" for kind, times in outcome.seconds.items())
    detail = (
        f"of those served, asked {asked}: {told}; p99 of {shares or 'nothing'}; health {_ms(max(health, default=0))} at"
        f" most, this client up to {_ms(outcome.lag)} late; memory {before:.0f} to {_memory(served.pid):.0f} MiB;"
        f" {outcome.held_back:,} not sent"
    )
    return [
        Ratio(name, (_quantile(outcome.served, 0.99) * 1e3,), Reach(1_000, at_least=False), f"p99 {detail}", "ms"),
        Ratio(
            f"{name}, recovery",
            (recovered,),
            Reach(_RECOVERY, at_least=False),
            f"until every answer takes less than {_ms(_SOON)} again",
            "s",
        ),
    ]


def _check(name: str, outcome: Outcome) -> None:
    """Raises AssertionError where anything but an answer or a refusal that says when to come back was given."""
    assert set(outcome.answers) <= _MAY, f"{name}: {outcome.answers}"
    assert not outcome.unexplained, f"{name}: {outcome.unexplained} refusals without Retry-After"


@asynccontextmanager
async def _health(served: Served) -> AsyncIterator[list[float]]:
    """How long the gateway takes meanwhile to say that it lives."""
    times: list[float] = []

    async def probe() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await ask(served, get("/health/live"))
            times.append(loop.time() - began)
            await asyncio.sleep(_PROBE_SECONDS)

    probing = asyncio.create_task(probe())
    try:
        yield times
    finally:
        probing.cancel()
        with suppress(asyncio.CancelledError):
            await probing


async def _recovery(served: Served, kinds: dict[str, Iterator[bytes]]) -> float:
    """Seconds after which requests of each kind, one after the other, are all served soon."""
    loop = asyncio.get_running_loop()
    began = last = loop.time()
    well = 0
    while well < 20 and loop.time() - began < 2 * _RECOVERY:
        for requests in kinds.values():
            asked = loop.time()
            try:
                await ask(served, next(requests))
                soon = loop.time() - asked < _SOON
            except RuntimeError:
                soon = False
            if soon:
                well += 1
            else:
                well, last = 0, loop.time()
        await asyncio.sleep(_PROBE_SECONDS)
    return last - began


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))] if ordered else 0.0


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms"


def _memory(pid: int) -> float:
    """MiB that a process holds."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(row.split()[1]) for row in text.splitlines() if row.startswith("VmRSS")) / 1024
