"""How fast a dashboard is answered over HTTP, computed and repeated, against a bare select; and as the log grows."""

import itertools
import math
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import asyncpg

from benchmarks.bench import Bench, Log
from benchmarks.company import DAYS, FIRST_DAY
from benchmarks.loopback import ask, get, graphql, rate
from benchmarks.processes import Served, bare_server, gateway, settled
from benchmarks.ratios import Line, Ratio, Reach, in_turns, milliseconds
from resolvers.catalogue import METRICS

MOST_METRICS = 12
PERIOD = {"from": FIRST_DAY.isoformat(), "to": (FIRST_DAY + timedelta(days=DAYS)).isoformat()}
_DASHBOARD = """query Dashboard($slugs: [String!]!, $period: PeriodInput!, $top: Int!) {
  metrics(slugs: $slugs, period: $period, timezone: "UTC", granularity: DAY, top: $top) {
    metric { slug } estimate { value n } series { at value n }
  }
}"""
_EXPLAINED = """query Explained($slugs: [String!]!, $period: PeriodInput!, $top: Int!) {
  metrics(slugs: $slugs, period: $period, timezone: "UTC", granularity: DAY, top: $top) {
    metric { slug } explain { source milliseconds }
  }
}"""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS benchmark_numbers"
    " (slug text, at timestamptz, value double precision, n bigint, PRIMARY KEY (slug, at))"
)


def question(log: Log, slugs: tuple[str, ...], top: int = 20, query: str = _DASHBOARD) -> bytes:
    """A dashboard asked for."""
    return graphql(log.key, query, slugs=slugs, period=PERIOD, top=top)


def questions(log: Log, slugs: tuple[str, ...], query: str = _DASHBOARD) -> Iterator[bytes]:
    """Questions with the same numbers as answers, no two of them the same, so that no answer was kept."""
    # How many groups are shown of a breakdown that is not asked for changes nothing, nor does the order of metrics.
    for top in range(100, 0, -1):
        for order in itertools.islice(itertools.permutations(slugs), 720):
            yield question(log, order, top, query)


async def dashboard(bench: Bench) -> list[Line]:
    """Metrics over ninety days, by day: computed each time, and repeated; in a large log and in a small one."""
    log, small = await bench.log(bench.events), await bench.log(bench.small)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(gateway(log.url))
        little = await stack.enter_async_context(gateway(small.url))
        bare = await stack.enter_async_context(bare_server(log.url, log))
        await settled(log)
        await settled(small)
        slugs = await _kept(little, small)
        await _keep_numbers(log, await ask(ours, question(log, slugs)))
        await _check(ours, bare, log, slugs)
        fresh, fresh_small = questions(log, slugs), questions(small, slugs)
        same = itertools.repeat(question(log, slugs))
        figures = await in_turns(
            bench.rounds,
            bench.ticks("Dashboard", bench.rounds + 1),
            lambda: rate(ours, fresh, bench.seconds),
            lambda: rate(bare, itertools.repeat(get("/numbers")), bench.seconds),
            lambda: rate(ours, same, bench.seconds),
            lambda: rate(bare, itertools.repeat(get("/rollups")), bench.seconds),
            lambda: rate(little, fresh_small, bench.seconds),
        )
    return _lines(bench, slugs, *figures)


def _lines(
    bench: Bench,
    slugs: tuple[str, ...],
    computed: list[float],
    numbers: list[float],
    repeated: list[float],
    rollups: list[float],
    small: list[float],
) -> list[Line]:
    def told(rates: list[float]) -> str:
        return f"{sorted(rates)[len(rates) // 2]:,.0f}/s"

    times = [1 / one for one in computed], [1 / one for one in small]
    of = f"{len(slugs)} of {len(METRICS)} metrics"
    return [
        Ratio.of("dashboard", computed, numbers, Reach(0.8), f"{told(computed)} against {told(numbers)}; {of}"),
        Ratio.of(
            "dashboard, same rows", computed, rollups, None, f"against a bare select of its rollups, {told(rollups)}"
        ),
        Ratio.of(
            "dashboard, large log",
            *times,
            Reach(1.2, at_least=False),
            f"time at {bench.events:,} events, {milliseconds(times[0])}, to that at {bench.small:,}",
        ),
        Ratio.of("dashboard, repeated", repeated, numbers, Reach(3), f"{told(repeated)} against {told(numbers)}"),
    ]


async def _kept(served: Served, log: Log) -> tuple[str, ...]:
    """The metrics that are answered from what is kept of the log, as the gateway says itself."""
    answer = await ask(served, question(log, tuple(metric.slug for metric in METRICS), query=_EXPLAINED))
    slugs = [one["metric"]["slug"] for one in answer["data"]["metrics"] if one["explain"]["source"] != "LOG"]
    return tuple(slugs[:MOST_METRICS])


async def _keep_numbers(log: Log, answer: dict[str, Any]) -> None:
    """Put the dashboard's numbers where a bare select finds them."""
    connection = await asyncpg.connect(log.url)
    await connection.execute(_TABLE)
    await connection.execute("TRUNCATE benchmark_numbers")
    for one in answer["data"]["metrics"]:
        series = one["series"]
        await connection.execute(
            "INSERT INTO benchmark_numbers SELECT $1, at::timestamptz, value, n"
            " FROM unnest($2::text[], $3::double precision[], $4::bigint[]) AS given(at, value, n)",
            *(one["metric"]["slug"], series["at"], series["value"], series["n"]),
        )
    await connection.execute("VACUUM (ANALYZE) benchmark_numbers")
    await connection.close()


async def _check(ours: Served, bare: Served, log: Log, slugs: tuple[str, ...]) -> None:
    """Raises AssertionError unless both tell the same, and questions that must be computed are."""
    fresh = questions(log, slugs)
    answers = [await ask(ours, next(fresh)) for _ in range(3)]
    numbers = {(slug, at[:10]): (value, n) for slug, at, value, n in await ask(bare, get("/numbers"))}
    for answer in answers:
        told = {
            (one["metric"]["slug"], at[:10]): (value, n)
            for one in answer["data"]["metrics"]
            for at, value, n in zip(*(one["series"][name] for name in ("at", "value", "n")), strict=True)
        }
        assert told == numbers, "the gateway and the bare select tell different numbers"
    rollups = await ask(bare, get("/rollups"))
    totals = {one["metric"]["slug"]: float(one["estimate"]["value"]) for one in answers[0]["data"]["metrics"]}
    assert totals["events"] == sum(row[5] for row in rollups) == log.events
    assert math.isclose(totals["revenue"], sum(row[7] for row in rollups), rel_tol=1e-9)
    explained = questions(log, slugs, _EXPLAINED)
    times = [
        tuple(one["explain"]["milliseconds"] for one in (await ask(ours, next(explained)))["data"]["metrics"])
        for _ in range(5)
    ]
    assert len(set(times)) == len(times), "an answer that should have been computed was kept"
