"""Upkeep: folding, in the background, every tenant whose log has run ahead of its segments."""

import asyncio
from datetime import timedelta
from time import perf_counter
from typing import NoReturn

import structlog

from resolvers.errors import GatewayError
from resolvers.store.database import Database, driver
from resolvers.store.folding import FoldingFigures, Kept, fold
from resolvers.store.refolding import refold
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import SegmentRepository

_AGE = timedelta(minutes=10)
_LOOK = (
    "SELECT coalesce(sum(tail), 0)::bigint, pg_total_relation_size('journey_segment')"
    " FROM journeys_behind(1, interval '0')"
)
_KEPT = "SELECT segments, personas, runs FROM kept_in_all()"

log = structlog.get_logger(__name__)


async def keep_folded(
    database: Database,
    cache: SegmentCache,
    figures: FoldingFigures,
    *,
    events: int = 20_000,
    age: timedelta = _AGE,
    every: float = 10.0,
) -> NoReturn:
    """Fold, for as long as it is not cancelled, every tenant whose log has run ahead of its segments.

    That is by ``events``, or by any for ``age``; looks for them ``every`` so many seconds.
    """
    while True:
        try:
            await fold_due(database, cache, figures, events=events, age=age)
        except GatewayError as error:
            log.warning("journeys.upkeep_delayed", reason=error.message)
        except Exception:
            log.exception("journeys.upkeep_failed")
        await asyncio.sleep(every)


async def fold_due(
    database: Database, cache: SegmentCache, figures: FoldingFigures, *, events: int, age: timedelta
) -> int:
    """Fold the tenants that are due now, or of which ``cache`` found a run missing; return the events folded.

    One tenant's failure does not keep the others waiting; raises the last one's when all had their turn.
    """
    async with database.shared() as session:
        connection = await driver(session)
        rows = await connection.fetch("SELECT tenant_id FROM journeys_behind($1, $2)", events, age)
        figures.unfolded, figures.segment_bytes = await connection.fetchrow(_LOOK)
        figures.kept = Kept(*await connection.fetchrow(_KEPT))
    due = dict.fromkeys([*cache.lost, *(row[0] for row in rows)])
    total, failure = 0, None
    for tenant_id in due:
        began = perf_counter()
        figures.runs += 1
        try:
            total += await fold(database, tenant_id, figures=figures)
            await _complete(database, tenant_id)
            cache.lost.discard(tenant_id)
        except Exception as error:
            figures.failures += 1
            failure = error
        figures.seconds += perf_counter() - began
    if failure is not None:
        raise failure
    return total


async def _complete(database: Database, tenant_id: int) -> None:
    """Make the months anew whose runs are from before they had all that runs have."""
    async with database.tenant(tenant_id) as session:
        months = await SegmentRepository(session).incomplete(tenant_id)
    for month in months:
        await refold(database, tenant_id, month)
