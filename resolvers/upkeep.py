"""Upkeep of what is derived from the log: proving it, and making it anew."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import func, select

from resolvers.errors import BadInput
from resolvers.store.database import Database, rows
from resolvers.store.events import EVENT
from resolvers.store.rollups import ROLLUP, RollupRepository

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found on a day (UTC): how many rollups it has, and how many were not as the log says."""

    day: date
    rollups: int
    wrong: int


async def extent(database: Database, tenant_id: int) -> tuple[date, date] | None:
    """The first and the last day (UTC) on which a tenant has events or rollups; None where it has none."""
    async with database.tenant(tenant_id) as session:
        found = [
            await rows(session, select(func.min(at), func.max(at)).where(of == tenant_id))
            for at, of in ((EVENT.occurred_at, EVENT.tenant_id), (ROLLUP.at, ROLLUP.tenant_id))
        ]
    cuts = [cut.astimezone(UTC).date() for ((first, last),) in found for cut in (first, last) if cut is not None]
    return (min(cuts), max(cuts)) if cuts else None


def days(first: date, last: date) -> list[datetime]:
    """The days from ``first`` to ``last``, both included, as instants; raises BadInput where there are none."""
    if last < first:
        raise BadInput("The last day lies before the first.", field="to")
    return [datetime.combine(first + n * _DAY, time(), UTC) for n in range((last - first).days + 1)]


async def rebuild(database: Database, tenant_id: int, span: list[datetime]) -> AsyncIterator[Checked]:
    """Make the rollups of each day anew, each day in a transaction of its own that holds up the tenant's writers."""
    for day in span:
        async with database.tenant(tenant_id) as session:
            yield Checked(day.date(), await RollupRepository(session).rebuild(tenant_id, day), 0)


async def verify(database: Database, tenant_id: int, span: list[datetime]) -> AsyncIterator[Checked]:
    """Hold the rollups of each day against the log."""
    for day in span:
        async with database.tenant(tenant_id) as session:
            yield Checked(day.date(), *await RollupRepository(session).verify(tenant_id, day))
