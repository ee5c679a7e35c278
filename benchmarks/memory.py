"""What a gateway process takes of the machine's memory while it is asked everything, written to and watched."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import orjson

from benchmarks.analyses import COHORTS, MONTH, PROVIDERS, ROI
from benchmarks.attribution import ATTRIBUTION
from benchmarks.bench import Bench, Log, gateway_within, new_log
from benchmarks.company import DAYS, FIRST_DAY, STEPS, Company
from benchmarks.dashboard import MOST_METRICS, PERIOD
from benchmarks.funnels import FUNNEL
from benchmarks.loopback import CONNECTIONS, ask, graphql, post, rate
from benchmarks.processes import Served, Worker, gateway, most_memory, process, settled
from benchmarks.ratios import Line, Ratio, Reach
from resolvers.catalogue import METRICS
from resolvers.events import ingest

_WATCHED = 20_000
"""Events that are stored while all else goes on, of a tenant of its own that is watched."""
_READY_SECONDS = 300.0
_QUESTION = (
    'subscription Watch { metric(slug: "revenue", period: {last: "30d"}, granularity: DAY, every: "100ms")'
    " { estimate { value n } series { at value n } } }"
)
_METRICS = """query Metrics($slugs: [String!]!, $period: PeriodInput!, $zone: String!, $by: [Dimension!]!) {
  metrics(slugs: $slugs, period: $period, timezone: $zone, granularity: DAY, by: $by, top: 5) {
    estimate { value n } series { at value n } groups { keys { value } estimate { value } }
  }
}"""
_CHURN = """query Churn($cutoff: DateTime!) {
  churnRisk(cutoff: $cutoff, by: [PERSONA]) { subjects probability { value } groups { keys { value } subjects } }
}"""
_LIFETIME = """query Lifetime($cutoff: DateTime!) {
  lifetimeValue(cutoff: $cutoff, by: [CHANNEL]) { customers groups { keys { value } customers } }
}"""


async def memory(bench: Bench) -> list[Line]:
    """The most that a process took: every sort of question of the large log, batches, and subscribers, all at once."""
    log = await bench.log(bench.events)
    apart = await new_log(log.url, "watched")
    async with gateway_within(log.url) as filling:
        await ingest(filling.context(apart.principal), list(Company(1_000).items()))
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(gateway(log.url))
        await settled(log)
        await stack.enter_async_context(_watched(served, apart, bench.subscribers))
        questions = list(_questions(log))
        tick = bench.ticks("Memory", bench.rounds * (len(questions) + 1))
        taken = [most_memory(served)]
        for _ in range(bench.rounds):
            writing = asyncio.ensure_future(_written(served, apart, bench))
            for question in questions:
                await ask(served, question)
                taken.append(most_memory(served))
                tick()
            # The same ones by several at a time.
            await rate(served, iter(questions * 2), 120, CONNECTIONS)
            await writing
            taken.append(most_memory(served))
            tick()
    detail = f"{len(questions)} questions of {bench.events:,} events, {bench.subscribers:,} subscribers, and writing"
    return [
        Ratio("memory", (taken[-1],), Reach(512, at_least=False), detail, unit="MiB"),
        Ratio("memory, subscribers", (taken[0],), None, "the same before any question of the large log", unit="MiB"),
    ]


def _questions(log: Log) -> Iterator[bytes]:
    last = (FIRST_DAY + timedelta(days=DAYS)).isoformat()
    slugs = [metric.slug for metric in METRICS[:MOST_METRICS]]
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        yield graphql(log.key, _METRICS, slugs=slugs, period=PERIOD, zone=zone, by=[])
    for dimension in ("CHANNEL", "PERSONA"):
        yield graphql(log.key, _METRICS, slugs=slugs, period=PERIOD, zone="UTC", by=[dimension])
    steps = [{"event": name} for name in STEPS]
    for period in (MONTH, PERIOD):
        yield graphql(log.key, FUNNEL, steps=steps, top=20, **period)
        yield graphql(log.key, ATTRIBUTION, top=20, **period)
        yield graphql(log.key, ROI, period=period, top=20)
        yield graphql(log.key, PROVIDERS, period=period, top=20)
    for basis in ("ACTIVITY", "REVENUE"):
        yield graphql(log.key, COHORTS, of=basis, period=PERIOD)
    for query in (_CHURN, _LIFETIME):
        yield graphql(log.key, query, cutoff=last)


@asynccontextmanager
async def _watched(served: Served, log: Log, count: int) -> AsyncIterator[None]:
    """Subscribers that each have had their first answer, and receive what comes until the block ends."""
    arguments = ("-m", "benchmarks.watchers", served.host, str(served.port), log.key, str(count), _QUESTION, "alike")
    async with process(*arguments) as running:
        watchers = Worker(running)
        assert await watchers.hear(_READY_SECONDS) == {"ready": count}
        hearing = asyncio.ensure_future(_heard(watchers))
        try:
            yield
        finally:
            hearing.cancel()


async def _heard(watchers: Worker) -> None:
    while True:
        await watchers.hear(_READY_SECONDS)


async def _written(served: Served, log: Log, bench: Bench) -> None:
    """Batches of a watched tenant, one after the other."""
    items = list(Company(_WATCHED if bench.events > _WATCHED else bench.batch).items())
    for start in range(0, len(items), bench.batch):
        batch = items[start : start + bench.batch]
        # Without an id each is a new event, and without a time one of the present.
        told = ({key: value for key, value in item.items() if key not in ("id", "occurredAt")} for item in batch)
        await ask(served, post("/ingest", log.key, b"\n".join(map(orjson.dumps, told)), "application/x-ndjson"))
