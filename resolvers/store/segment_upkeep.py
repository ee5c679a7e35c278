"""Upkeep of segments: finding, in the background, the members of those that are due."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import structlog

from resolvers.errors import GatewayError, NotFound
from resolvers.store.database import Database, driver
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segment_definitions import SegmentDefinitions
from resolvers.store.segment_finding import refresh
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
        due = await (await driver(session)).fetch("SELECT tenant_id, segment_id FROM segments_due()")
    refreshed = 0
    for tenant_id, segment_id in due:
        async with database.tenant(tenant_id) as session:
            claimed = await (await driver(session)).fetchval(_CLAIM, tenant_id, segment_id, _AGAIN)
        if claimed is None:
            continue
        try:
            now = datetime.now(UTC)
            refreshed += await refresh(database, memory, cache, tenant_id, segment_id, now, patient=True)
        except NotFound:
            continue
        except Exception as error:
            problem = (
                error.message if isinstance(error, GatewayError) else "It failed; the log of the gateway says why."
            )
            if not isinstance(error, GatewayError):
                log.exception("segments.refresh_failed", segment=segment_id)
            async with database.tenant(tenant_id) as session:
                until = datetime.now(UTC) + _AGAIN
                await SegmentDefinitions(session, tenant_id).delay(segment_id, problem, until)
    return refreshed
