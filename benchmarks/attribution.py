"""How fast a month's attribution is computed, against two of its models in SQL over the same log."""

from contextlib import AsyncExitStack
from datetime import timedelta
from time import perf_counter
from typing import Any

import asyncpg

from benchmarks.bench import Bench, Log
from benchmarks.company import FIRST_DAY
from benchmarks.loopback import ask, graphql
from benchmarks.processes import gateway, settled
from benchmarks.ratios import Line, Ratio, Reach, in_turns, milliseconds
from resolvers.analysis.events import Kind

_START, _END = FIRST_DAY + timedelta(days=30), FIRST_DAY + timedelta(days=60)
_LOOKBACK = timedelta(days=30)
ATTRIBUTION = """query Attribution($from: DateTime!, $to: DateTime!, $top: Int!) {
  attribution(period: {from: $from, to: $to}, lookback: "30d", top: $top) {
    values { value cost spread } models { model credit revenue } paths { top { values conversions } lengths medianLag }
    explain { milliseconds }
  }
}"""
_CONVERSION, _TOUCH = int(Kind.CONVERSION), int(Kind.TOUCHPOINT)
_BARE = f"""
WITH told AS (
    SELECT subject, occurred_at AS at, position, kind, channel, amount, count(*) FILTER (WHERE kind = {_CONVERSION})
        OVER (PARTITION BY subject ORDER BY occurred_at DESC, position DESC) AS journey
    FROM event
    WHERE tenant_id = $1 AND kind IN ({_CONVERSION}, {_TOUCH}) AND occurred_at >= $2::timestamptz - $4::interval
        AND occurred_at < $3
), closed AS (
    SELECT *, max(at) FILTER (WHERE kind = {_CONVERSION}) OVER journey AS closing, max(amount) OVER journey AS paid
    FROM told WHERE journey > 0 WINDOW journey AS (PARTITION BY subject, journey)
), shared AS (
    SELECT channel, paid, 1.0 / count(*) OVER (PARTITION BY subject, journey) AS share,
        row_number() OVER (PARTITION BY subject, journey ORDER BY at DESC, position DESC) = 1 AS last
    FROM closed WHERE kind = {_TOUCH} AND closing >= $2 AND at >= closing - $4::interval
)
SELECT (SELECT value FROM term WHERE tenant_id = $1 AND space = 0 AND code = channel), sum(share),
    sum(share * paid), count(*) FILTER (WHERE last), sum(paid) FILTER (WHERE last)
FROM shared GROUP BY channel
"""  # constants only


async def attribution(bench: Bench) -> list[Line]:
    """All models over thirty of ninety days with their lookback, computed each time."""
    log = await bench.log(bench.events)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(gateway(log.url))
        bare = await asyncpg.connect(log.url, statement_cache_size=0)
        stack.push_async_callback(bare.close)
        await bare.execute("SET jit = off")
        await settled(log)
        answers: list[dict[str, list[float]]] = []
        # More values than there are channels: each number is another question with the same answer.
        tops = iter(range(20, 101))

        async def by_gateway() -> float:
            request = _question(log, next(tops))
            started = perf_counter()
            answer = await ask(ours, request)
            seconds = perf_counter() - started
            answers.append(_credits(answer))
            return seconds

        async def by_sql() -> float:
            started = perf_counter()
            rows = await bare.fetch(_BARE, log.principal.tenant_id, _START, _END, _LOOKBACK)
            seconds = perf_counter() - started
            answers.append({row[0]: [float(number or 0) for number in row[1:]] for row in rows})
            return seconds

        tick = bench.ticks("Attribution", bench.rounds + 1)
        own, sql = await in_turns(bench.rounds, tick, by_gateway, by_sql)
    assert answers[0], "nobody is credited"
    assert all(_close(answer, answers[0]) for answer in answers), "the credits differ"
    detail = f"{milliseconds(own)} for all models over HTTP against {milliseconds(sql)} for two in SQL"
    times = tuple(seconds * 1e3 for seconds in own)
    return [
        Ratio.of("attribution", own, sql, Reach(1, at_least=False), detail),
        Ratio("attribution, a month", times, Reach(1_000, at_least=False), "all models over HTTP", unit="ms"),
    ]


def _question(log: Log, top: int) -> bytes:
    return graphql(log.key, ATTRIBUTION, **{"from": _START.isoformat(), "to": _END.isoformat(), "top": top})


def _credits(answer: dict[str, Any]) -> dict[str, list[float]]:
    """Linear and last credit and revenue of each channel that has any."""
    found = answer["data"]["attribution"]
    models = {one["model"]: one for one in found["models"]}
    columns = [models[model][column] for model in ("LINEAR", "LAST_TOUCH") for column in ("credit", "revenue")]
    rows = zip(found["values"]["value"], *(map(float, column) for column in columns), strict=True)
    return {value: numbers for value, *numbers in rows if value is not None and any(numbers)}


def _close(one: dict[str, list[float]], other: dict[str, list[float]]) -> bool:
    return one.keys() == other.keys() and all(
        abs(a - b) <= 1e-6 * max(1.0, abs(a)) for value in one for a, b in zip(one[value], other[value], strict=True)
    )
