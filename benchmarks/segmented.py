"""How long a dashboard of the members of a segment takes, in a large log and in a small one."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.analyses import computed, equal, in_milliseconds
from benchmarks.bench import Bench, Log
from benchmarks.dashboard import MOST_METRICS, PERIOD
from benchmarks.loopback import ask, graphql
from benchmarks.processes import Served, gateway, settled
from benchmarks.ratios import Line, Ratio, Reach, in_turns, milliseconds
from resolvers.catalogue import METRICS
from resolvers.metrics import MOST_METRICS as MOST_AT_ONCE

_NAME = "Regulars"
_ORDERS = "average_order_value"
"""Sets of orders do not say whose they are: this metric goes over what was sold."""
_KEPT = {"ROLLUPS", "PRESENCE"}
_FOUND_SECONDS = 120.0
_SAVE = """mutation Save($name: String!) {
  saveSegment(input: {name: $name, rules: {did: {where: {name: "purchase"}, times: {atLeast: 2}}}}) {
    __typename ... on Error { message }
  }
}"""
_SEGMENTS = "{ segments { edges { node { name size current } } } }"
_DASHBOARD = """query Dashboard($slugs: [String!]!, $period: PeriodInput!, $segment: ID!, $top: Int!) {
  metrics(
    slugs: $slugs, period: $period, timezone: "UTC", granularity: DAY, where: {segment: {in: [$segment]}}, top: $top
  ) {
    metric { slug } estimate { value n } series { at value n }
  }
}"""
_EXPLAINED = _DASHBOARD.replace("estimate { value n } series { at value n }", "explain { source }")


async def segmented(bench: Bench) -> list[Line]:
    """Metrics of those who bought twice over ninety days, by day, computed each time."""
    logs = await bench.log(bench.events), await bench.log(bench.small)
    answers: tuple[list[Any], list[Any]] = [], []
    orders: tuple[list[Any], list[Any]] = [], []
    async with AsyncExitStack() as stack:
        slugs: list[str] = []
        sides, counted = [], []
        for log, heard, of_orders in zip(logs, answers, orders, strict=True):
            served = await stack.enter_async_context(gateway(log.url))
            await settled(log)
            size = await _found(served, log)
            assert size > 0, "nobody is in the segment"
            slugs = await _kept(served, log)
            sides.append(computed(served, _questions(log, slugs), heard))
            counted.append(computed(served, _questions(log, [_ORDERS]), of_orders))
        tick = bench.ticks("Dashboard of a segment", bench.rounds + 1)
        large, small, many, few = await in_turns(bench.rounds, tick, *sides, *counted)
    assert all(map(equal, [*answers, *orders])), "dashboards differ"
    against = f"{milliseconds(large)} at {bench.events:,} events against {milliseconds(small)} at {bench.small:,}"
    fewer = f"{milliseconds(many)} at {bench.events:,} events against {milliseconds(few)} at {bench.small:,}"
    of = f"{len(slugs)} metrics over HTTP"
    return [
        Ratio("segment", in_milliseconds(large), Reach(1_000, at_least=False), of, unit="ms"),
        Ratio.of("segment, large log", large, small, None, against),
        Ratio.of("segment, order value", many, few, None, fewer),
    ]


def _questions(log: Log, slugs: list[str], query: str = _DASHBOARD) -> Iterator[bytes]:
    for top in itertools.cycle(range(20, 101)):
        yield graphql(log.key, query, slugs=slugs, period=PERIOD, segment=_NAME, top=top)


async def _kept(served: Served, log: Log) -> list[str]:
    """The metrics that are answered from what is kept of the segment, as soon as sums are kept of it."""
    every = [metric.slug for metric in METRICS[:MOST_AT_ONCE]]
    questions = _questions(log, every, _EXPLAINED)
    async with asyncio.timeout(_FOUND_SECONDS):
        while True:
            told = (await ask(served, next(questions)))["data"]["metrics"]
            slugs = [one["metric"]["slug"] for one in told if one["explain"]["source"] in _KEPT]
            if every[0] in slugs:
                return slugs[:MOST_METRICS]
            await asyncio.sleep(0.2)


async def _found(served: Served, log: Log) -> int:
    """Keep the segment, and return how many are in it as soon as that is known."""
    await ask(served, graphql(log.key, _SAVE, name=_NAME))
    async with asyncio.timeout(_FOUND_SECONDS):
        while True:
            found = await ask(served, graphql(log.key, _SEGMENTS))
            for edge in found["data"]["segments"]["edges"]:
                segment = edge["node"]
                if segment["name"] == _NAME and segment["current"] and segment["size"] is not None:
                    return int(segment["size"])
            await asyncio.sleep(0.2)
