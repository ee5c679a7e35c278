"""What a push to many subscribers of one question costs, and how soon it arrives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Any

import asyncpg
import orjson

from benchmarks.bench import Bench, Log, gateway_within, new_log
from benchmarks.company import Company
from benchmarks.loopback import ask, post
from benchmarks.processes import Served, Worker, cpu_seconds, gateway, process, settled
from benchmarks.ratios import Line, Ratio, Reach, in_turns
from resolvers.events import ingest
from resolvers.live.bus import CHANNEL

_APART = 200
"""Subscribers that each re-execute: what one of them costs does not depend on how many there are."""
_PUSHES = 5
"""Pushes that one measurement takes."""
_PAUSE = 0.3
"""Seconds between pushes, more than the least that a subscription asks for."""
_KNOWN = 2_000
"""Events in the log before the first push, at most."""
_READY_SECONDS = 300.0
_QUESTION = (
    'subscription Watch { metric(slug: "revenue", period: {last: "30d"}, granularity: DAY, every: "100ms")'
    " { metric { slug } estimate { value n quality } series { at value n } } }"
)


@dataclass(frozen=True, slots=True)
class _Crowd:
    """A gateway process, those who watch a tenant through it, and what an event costs it when nobody does."""

    served: Served
    log: Log
    watchers: Worker
    count: int
    quiet: float
    """CPU seconds an event."""


@dataclass(slots=True)
class _Commits:
    """When the last commit was announced, on the machine's monotonic clock."""

    at: float = 0.0

    def heard(self, *_: Any) -> None:
        self.at = monotonic()


async def subscribers(bench: Bench) -> list[Line]:
    """CPU of the gateway a push and subscriber: one question for all, against an execution for each."""
    url = await bench.fresh("watching")
    many, few = bench.subscribers, min(bench.subscribers, _APART)
    commits = _Commits()
    waits: list[float] = []
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        await connection.add_listener(CHANNEL, commits.heard)
        shared = await stack.enter_async_context(_crowd(url, "shared", many, "alike"))
        apart = await stack.enter_async_context(_crowd(url, "apart", few, "different"))

        async def one_for_all() -> float:
            cost, delays = await _pushes(shared, commits)
            waits.append(median(delays))
            return cost

        async def one_each() -> float:
            return (await _pushes(apart, commits))[0]

        tick = bench.ticks("Subscribers", bench.rounds + 1)
        ours, theirs = await in_turns(bench.rounds, tick, one_for_all, one_each)
    micro = [f"{median(side) * 1e6:,.0f} µs" for side in (ours, theirs)]
    detail = f"CPU a push: {micro[0]} for each of {many:,} against {micro[1]} for each of {few:,} that re-execute"
    late = tuple(seconds * 1e3 for seconds in waits[1:])
    return [
        Ratio.of("subscribers", ours, theirs, Reach(1 / 30, at_least=False), detail),
        Ratio("subscribers, commit to client", late, Reach(50, at_least=False), f"median of {many:,}", unit="ms"),
    ]


@asynccontextmanager
async def _crowd(url: str, slug: str, count: int, alike: str) -> AsyncIterator[_Crowd]:
    log = await new_log(url, slug)
    async with gateway_within(url) as filling:
        await ingest(filling.context(log.principal), list(Company(_KNOWN).items()))
    async with gateway(url) as served:
        await settled(log)
        await _push(served, log)
        started = cpu_seconds(served.pid)
        for _ in range(_PUSHES):
            await _push(served, log)
        quiet = (cpu_seconds(served.pid) - started) / _PUSHES
        arguments = ("-m", "benchmarks.watchers", served.host, str(served.port), log.key, str(count), _QUESTION, alike)
        async with process(*arguments) as running:
            watchers = Worker(running)
            assert await watchers.hear(_READY_SECONDS) == {"ready": count}
            yield _Crowd(served, log, watchers, count, quiet)


async def _pushes(crowd: _Crowd, commits: _Commits) -> tuple[float, list[float]]:
    """CPU seconds a push and subscriber, and the seconds from each commit to when half of them had the answer."""
    delays = []
    spent = 0.0
    for _ in range(_PUSHES):
        await asyncio.sleep(_PAUSE)
        started = cpu_seconds(crowd.served.pid)
        await _push(crowd.served, crowd.log)
        told = await crowd.watchers.hear()
        delays.append(told["half"] - commits.at)
        # What the gateway still does after the last write belongs to the push.
        await asyncio.sleep(_PAUSE / 10)
        spent += cpu_seconds(crowd.served.pid) - started - crowd.quiet
    return max(spent, 1e-9) / _PUSHES / crowd.count, delays


async def _push(served: Served, log: Log) -> None:
    """Store an event that changes the answer; returns after its commit."""
    event = {"kind": "CONVERSION", "name": "purchase", "subject": "ann", "amount": "10", "currency": "USD"}
    answer = await ask(served, post("/ingest", log.key, orjson.dumps(event), "application/x-ndjson"))
    assert answer["accepted"] == 1
