"""Upkeep of what is derived from the log: proving it, and making it anew."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import func, select

from resolvers.errors import BadInput
from resolvers.store.database import Database, rows
from resolvers.store.events import EVENT
from resolvers.store.folding import BATCH, fold
from resolvers.store.presence_folding import fold_presence, rebuild_presence, verify_presence
from resolvers.store.refolding import MonthChecked, check, refold
from resolvers.store.rollups import ROLLUP, RollupRepository
from resolvers.store.segments import Manifest, SegmentRepository

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found on a day (UTC): how many rollups and sets it has, and how many were not as the log says."""

    day: date
    rollups: int
    wrong: int
    sets: int
    wrong_sets: int


async def extent(database: Database, tenant_id: int) -> tuple[date, date] | None:
    """The first and the last day (UTC) on which a tenant has events or rollups; None where it has none."""
    async with database.tenant(tenant_id) as session:
        found = [
            await rows(session, select(func.min(at), func.max(at)).where(of == tenant_id))
            for at, of in ((EVENT.occurred_at, EVENT.tenant_id), (ROLLUP.at, ROLLUP.tenant_id))
        ]
    months = (await _manifest(database, tenant_id)).months()
    cuts = [cut.astimezone(UTC).date() for ((first, last),) in found for cut in (first, last) if cut is not None]
    # Segments are of whole months, whose other days have nothing to be looked at.
    known = {cut.replace(day=1) for cut in cuts}
    cuts += [month for month in months if not known or not min(known) <= month <= max(known)]
    return (min(cuts), max(cuts)) if cuts else None


def days(first: date, last: date) -> list[datetime]:
    """The days from ``first`` to ``last``, both included, as instants; raises BadInput where there are none."""
    if last < first:
        raise BadInput("The last day lies before the first.", field="to")
    return [datetime.combine(first + n * _DAY, time(), UTC) for n in range((last - first).days + 1)]


def months(span: Sequence[datetime]) -> list[date]:
    """The months that days lie in, by their first day."""
    return sorted({day.date().replace(day=1) for day in span})


async def rebuild(database: Database, tenant_id: int, span: Sequence[datetime]) -> AsyncIterator[Checked]:
    """Make the rollups of each day anew, each day in a transaction of its own that holds up the tenant's writers.

    So are the sets of the day, in a transaction that holds up folding only; what was not folded yet is folded before.
    """
    folded_to = await fold_presence(database, tenant_id, batch=BATCH)
    for day in span:
        async with database.tenant(tenant_id) as session:
            rollups = await RollupRepository(session).rebuild(tenant_id, day)
        yield Checked(day.date(), rollups, 0, await rebuild_presence(database, tenant_id, day, folded_to), 0)


async def verify(database: Database, tenant_id: int, span: Sequence[datetime]) -> AsyncIterator[Checked]:
    """Hold the rollups and the sets of each day against the log."""
    for day in span:
        async with database.tenant(tenant_id) as session:
            rollups = await RollupRepository(session).verify(tenant_id, day)
        yield Checked(day.date(), *rollups, *await verify_presence(database, tenant_id, day))


async def rebuild_journeys(database: Database, tenant_id: int, span: Sequence[date]) -> AsyncIterator[MonthChecked]:
    """Make the journey segments of each month anew, each in one transaction, which holds up folding only.

    Before that what was not folded yet is folded, unless that is being done already.
    """
    before = await _manifest(database, tenant_id)
    await fold(database, tenant_id)
    for month in span:
        if before.folded_to:
            await refold(database, tenant_id, month)
        runs = (await _manifest(database, tenant_id)).months().get(month, [])
        yield MonthChecked(month, len(runs), sum(run.rows for run in runs), ())


async def _manifest(database: Database, tenant_id: int) -> Manifest:
    async with database.tenant(tenant_id) as session:
        return (await SegmentRepository(session).state(tenant_id)).manifest


async def verify_journeys(database: Database, tenant_id: int, span: Sequence[date]) -> AsyncIterator[MonthChecked]:
    """Hold the journey segments of each month, and what is read from the log beside them, against the log."""
    for month in span:
        yield await check(database, tenant_id, month)
