"""Upkeep of segments: finding, in the background, the members of those that are due."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import structlog

from resolvers.errors import GatewayError, NotFound, TimedOut
from resolvers.store.database import Database, driver, take_time
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segment_definitions import SegmentDefinitions
from resolvers.store.segment_finding import refresh
from resolvers.store.segment_rollups import SegmentRollups
from resolvers.store.terms import TermMemory

_AGAIN = timedelta(minutes=2)
"""After which a segment is tried again whose members could not be found."""
_CLAIM = """
UPDATE segment SET due_at = now() + $3::interval WHERE (tenant_id, segment_id) IN (
    SELECT tenant_id, segment_id FROM segment
    WHERE tenant_id = $1 AND segment_id = $2 AND due_at <= now() FOR UPDATE SKIP LOCKED)
RETURNING segment_id
"""

log = structlog.get_logger(__name__)


async def keep_refreshed(
    database: Database, memory: TermMemory, cache: SegmentCache, *, every: float = 5.0
) -> NoReturn:
    """Find, for as long as it is not cancelled, the members of every segment that is due.

    Looks for them ``every`` so many seconds.
    """
    while True:
        try:
            await refresh_due(database, memory, cache)
        except GatewayError as error:
            log.warning("segments.upkeep_delayed", reason=error.message)
        except Exception:
            log.exception("segments.upkeep_failed")
        await asyncio.sleep(every)


async def refresh_due(database: Database, memory: TermMemory, cache: SegmentCache) -> int:
    """Find the members of the segments that are due now; return of how many.

    Of several processes one takes a segment; if it breaks off, the segment is due again after a while. One segment's
    failure, which is noted with it, does not keep the others waiting.
    """
    async with database.shared() as session:
        due = await (await driver(session)).fetch("SELECT tenant_id, segment_id, due FROM segments_due()")
    refreshed = 0
    for tenant_id, segment_id, stale in due:
        if stale:
            refreshed += await _refreshed(database, memory, cache, tenant_id, segment_id)
        await _roll(database, tenant_id, segment_id)
    return refreshed


async def _refreshed(
    database: Database, memory: TermMemory, cache: SegmentCache, tenant_id: int, segment_id: int
) -> bool:
    """Whether the members of a segment that is due were found; why not is noted with it."""
    async with database.tenant(tenant_id) as session:
        claimed = await (await driver(session)).fetchval(_CLAIM, tenant_id, segment_id, _AGAIN)
    if claimed is None:
        return False
    try:
        return await refresh(database, memory, cache, tenant_id, segment_id, datetime.now(UTC), patient=True)
    except NotFound:
        return False
    except Exception as error:
        problem = "It failed; the log of the gateway says why."
        if isinstance(error, GatewayError):
            problem = error.message
        else:
            log.exception("segments.refresh_failed", tenant=tenant_id, segment=segment_id)
        async with database.tenant(tenant_id) as session:
            await SegmentDefinitions(session, tenant_id).delay(segment_id, problem, datetime.now(UTC) + _AGAIN)
        return False


async def _roll(database: Database, tenant_id: int, segment_id: int) -> None:
    """Bring the rollups of a segment up to its members; where that is too much, do without."""
    try:
        async with database.tenant(tenant_id) as session:
            await take_time(session)
            await SegmentRollups(session, tenant_id).roll(segment_id)
    except TimedOut as error:
        log.warning("segments.not_rolled", tenant=tenant_id, segment=segment_id, reason=error.message)
        async with database.tenant(tenant_id) as session:
            await SegmentRollups(session, tenant_id).give_up(segment_id)
