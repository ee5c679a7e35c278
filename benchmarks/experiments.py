"""How long the results of an experiment take to tell."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import asyncpg

from benchmarks.analyses import computed, equal, in_milliseconds
from benchmarks.bench import Bench, Log, gateway_within, new_log
from benchmarks.loopback import ask, graphql
from benchmarks.processes import Served, gateway
from benchmarks.ratios import Line, Ratio, Reach, in_turns, milliseconds
from resolvers.context import Context
from resolvers.errors import Overloaded, Unavailable
from resolvers.events import ingest
from resolvers.store.database import Database
from resolvers.store.folding import fold

_KEY = "checkout"
_METRICS = 20
_FOLD_SECONDS = 600.0
_CREATE = """mutation Create($metrics: [ExperimentMetricInput!]!) {
  createExperiment(input: {key: "checkout", variants: [{key: "plain", weight: "0.5", control: true},
    {key: "bold", weight: "0.5"}], metrics: $metrics}) {
    __typename ... on ExperimentPayload { experiment { id } } ... on Error { message }
  }
}"""
_START = """mutation Start($id: ID!) {
  startExperiment(input: {id: $id, reason: "Measured."}) { __typename ... on Error { message } }
}"""
_RESULTS = """query Results($top: Int!) {
  experimentResults(experiment: "checkout", top: $top) {
    decision units { variant units } sampleRatio { pValue }
    explain { source }
    metrics { slug arms { variant estimate { value n } } effects { variant lift pValue chanceToWin } }
  }
}"""


async def experiment(bench: Bench) -> list[Line]:
    """Twenty metrics of an experiment that a tenth as many subjects were shown as the log has events."""
    exposures = max(bench.events // 10, 100)
    small = max(exposures // 10, 10)
    answers: tuple[list[Any], list[Any]] = [], []
    async with AsyncExitStack() as stack:
        logs = [await _shown(bench, count) for count in (exposures, small)]
        served = [await stack.enter_async_context(gateway(log.url)) for log in logs]
        tick = bench.ticks("Experiment", bench.rounds + 1)
        sides = [computed(by, _questions(log), to) for by, log, to in zip(served, logs, answers, strict=True)]
        large, little = await in_turns(bench.rounds, tick, *sides)
    for log, told in zip(logs, answers, strict=True):
        assert equal(told), "results differ"
        found = told[0]["experimentResults"]
        assert sum(int(arm["units"]) for arm in found["units"]) == log.events, found["units"]
        assert len(found["metrics"]) == _METRICS
        assert found["explain"]["source"] == "UNITS"
    detail = f"{exposures:,} exposures, {_METRICS} metrics, over HTTP"
    against = f"{milliseconds(large)} at {exposures:,} exposures against {milliseconds(little)} at {small:,}"
    return [
        Ratio("experiment results", in_milliseconds(large), Reach(20, at_least=False), detail, unit="ms"),
        Ratio.of("experiment results, large log", large, little, Reach(1.2, at_least=False), against),
    ]


async def _shown(bench: Bench, exposures: int) -> Log:
    """A log of so many exposures and who bought then, whose experiment is folded up to its end."""
    log = await new_log(await bench.fresh(f"experiment_{exposures}"), "experiment", exposures)
    async with gateway(log.url) as served:
        await _begin(served, log)
        await _store(bench, log)
        await _folded(bench, log)
    await _tidied(log)
    return log


def _questions(log: Log) -> Iterator[bytes]:
    # Nothing is broken down, so that each number of groups is another question with the same answer.
    return (graphql(log.key, _RESULTS, top=1 + number % 100) for number in count())


async def _begin(served: Served, log: Log) -> None:
    windows = [f"{days}d" for days in range(1, _METRICS // 2 + 1)]
    metrics = [{"slug": f"{slug}-{window}", "metric": slug, "window": window, "role": "SECONDARY"}
               for window in windows for slug in ("conversion_rate", "revenue")]  # fmt: skip
    metrics[0]["role"] = "GOAL"
    made = (await ask(served, graphql(log.key, _CREATE, metrics=metrics)))["data"]["createExperiment"]
    assert made["__typename"] == "ExperimentPayload", made
    begun = await ask(served, graphql(log.key, _START, id=made["experiment"]["id"]))
    assert begun["data"]["startExperiment"]["__typename"] == "ExperimentPayload", begun


async def _folded(bench: Bench, log: Log) -> None:
    """Return once the sums of the experiment are those of the whole log."""
    connection = await asyncpg.connect(log.url)
    last = await connection.fetchval(
        "SELECT version FROM data_version WHERE tenant_id = $1 AND kind = 0", log.principal.tenant_id
    )
    task = bench.progress.add_task("Folding", total=last)
    reached = "SELECT coalesce(min(folded_to), 0) FROM experiment_state WHERE tenant_id = $1"
    try:
        async with asyncio.timeout(_FOLD_SECONDS):
            while (at := await connection.fetchval(reached, log.principal.tenant_id)) < last:
                bench.progress.update(task, completed=at)
                await asyncio.sleep(0.2)
        bench.progress.update(task, completed=last)
    finally:
        await connection.close()


async def _tidied(log: Log) -> None:
    """What upkeep and autovacuum would get to by and by, so that it is not measured."""
    database = await Database.open(log.url, pool_size=1, statement_seconds=0, lock_seconds=0)
    try:
        await fold(database, log.principal.tenant_id)
    finally:
        await database.close()
    connection = await asyncpg.connect(log.url)
    try:
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def _store(bench: Bench, log: Log) -> None:
    """Everybody is shown a variant, and one in five buys, through the writer."""
    tick = bench.ticks("Exposures", -(-log.events // bench.batch))
    async with gateway_within(log.url) as within:
        for start in range(0, log.events, bench.batch):
            await _stored(
                within.context(log.principal), list(_items(range(start, min(start + bench.batch, log.events))))
            )
            tick()


async def _stored(context: Context, items: list[dict[str, Any]]) -> None:
    """Sent again where the database was too busy: what is stored already is a duplicate."""
    for last in (False, False, True):
        try:
            receipt = await ingest(context, items)
        except (Overloaded, Unavailable) as error:
            if last:
                raise
            await asyncio.sleep(error.retry_after or 1)
        else:
            assert not receipt.rejected, receipt.rejected[:3]
            return


def _items(people: range) -> Iterator[dict[str, Any]]:
    for person in people:
        subject, variant = f"user-{person}", ("plain", "bold")[person % 2]
        dimensions = {"experiment": _KEY, "variant": variant}
        shown = {"kind": "EXPOSURE", "name": "exposure", "id": f"x{person}", "subject": subject}
        yield shown | {"dimensions": dimensions}
        if not person % 5:
            sale = {"kind": "CONVERSION", "name": "purchase", "id": f"p{person}", "subject": subject}
            yield sale | {"amount": str(5 + person % 90), "currency": "USD"}
