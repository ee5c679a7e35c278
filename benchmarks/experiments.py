"""How long the results of an experiment take to tell."""

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg

from benchmarks.analyses import computed, equal, in_milliseconds
from benchmarks.bench import Bench, Log, gateway_within, new_log
from benchmarks.loopback import ask, graphql
from benchmarks.processes import Served, gateway, settled
from benchmarks.ratios import Line, Ratio, Reach, in_turns
from resolvers.events import ingest

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
    metrics { slug arms { variant estimate { value n } } effects { variant lift pValue chanceToWin } }
  }
}"""


async def experiment(bench: Bench) -> list[Line]:
    """Twenty metrics of an experiment that a tenth as many subjects were shown as the log has events."""
    log = await new_log(await bench.fresh("experiment"), "experiment", max(bench.events // 10, 100))
    answers: list[Any] = []
    # Nothing is broken down, so that each number of groups is another question with the same answer.
    questions = (graphql(log.key, _RESULTS, top=top) for top in range(1, 101))
    async with gateway(log.url) as served:
        await _begin(served, log)
        await _store(bench, log)
        await settled(log)
        await _folded(log)
        tick = bench.ticks("Experiment", bench.rounds + 1)
        (times,) = await in_turns(bench.rounds, tick, computed(served, questions, answers))
    assert equal(answers), "results differ"
    found = answers[0]["experimentResults"]
    assert sum(int(arm["units"]) for arm in found["units"]) == log.events, found["units"]
    assert len(found["metrics"]) == _METRICS
    detail = f"{log.events:,} exposures, {_METRICS} metrics, over HTTP"
    return [Ratio("experiment results", in_milliseconds(times), Reach(20, at_least=False), detail, unit="ms")]


async def _begin(served: Served, log: Log) -> None:
    windows = [f"{days}d" for days in range(1, _METRICS // 2 + 1)]
    metrics = [{"slug": f"{slug}-{window}", "metric": slug, "window": window, "role": "SECONDARY"}
               for window in windows for slug in ("conversion_rate", "revenue")]  # fmt: skip
    metrics[0]["role"] = "GOAL"
    made = (await ask(served, graphql(log.key, _CREATE, metrics=metrics)))["data"]["createExperiment"]
    assert made["__typename"] == "ExperimentPayload", made
    begun = await ask(served, graphql(log.key, _START, id=made["experiment"]["id"]))
    assert begun["data"]["startExperiment"]["__typename"] == "ExperimentPayload", begun


async def _folded(log: Log) -> None:
    """Return once the sums of the experiment are those of the whole log."""
    connection = await asyncpg.connect(log.url)
    behind = (
        "SELECT coalesce((SELECT min(folded_to) FROM experiment_state WHERE tenant_id = $1), 0) < version"
        " FROM data_version WHERE tenant_id = $1 AND kind = 0"
    )
    try:
        async with asyncio.timeout(_FOLD_SECONDS):
            while await connection.fetchval(behind, log.principal.tenant_id):  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def _store(bench: Bench, log: Log) -> None:
    """Everybody is shown a variant, and one in five buys, through the writer."""
    tick = bench.ticks("Exposures", -(-log.events // bench.batch))
    async with gateway_within(log.url) as within:
        for start in range(0, log.events, bench.batch):
            items = list(_items(range(start, min(start + bench.batch, log.events))))
            receipt = await ingest(within.context(log.principal), items)
            assert not receipt.rejected, receipt.rejected[:3]
            tick()


def _items(people: range) -> Iterator[dict[str, Any]]:
    for person in people:
        subject, variant = f"user-{person}", ("plain", "bold")[person % 2]
        dimensions = {"experiment": _KEY, "variant": variant}
        shown = {"kind": "EXPOSURE", "name": "exposure", "id": f"x{person}", "subject": subject}
        yield shown | {"dimensions": dimensions}
        if not person % 5:
            sale = {"kind": "CONVERSION", "name": "purchase", "id": f"p{person}", "subject": subject}
            yield sale | {"amount": str(5 + person % 90), "currency": "USD"}
