"""``gateway rebuild`` and ``verify``: what is derived from the log made anew from it, and held against it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.commands.common import (
    CommandError,
    DataDirOption,
    TenantOption,
    console,
    database,
    errors,
    owner,
    quiet_settings,
    tenant_named,
)
from gateway.settings import Settings
from resolvers import upkeep
from resolvers.store.database import Database
from resolvers.store.refolding import MonthChecked

FromOption = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC).")]
ToOption = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day (UTC), included.")]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Work:
    """What a command does with each day's rollups and each month's segments."""

    verb: str
    rollups: Callable[[Database, int, Sequence[datetime]], AsyncIterator[upkeep.Checked]]
    journeys: Callable[[Database, int, Sequence[date]], AsyncIterator[MonthChecked]]


@dataclass(frozen=True, slots=True)
class _Done:
    days: Sequence[upkeep.Checked] = ()
    months: Sequence[MonthChecked] = ()

    def __str__(self) -> str:
        rollups, sets = sum(day.rollups for day in self.days), sum(day.sets for day in self.days)
        segments = sum(month.segments for month in self.months)
        events = sum(month.events for month in self.months)
        return (
            f"{rollups:,} rollups of {len(self.days):,} days, {sets:,} sets of subjects and orders; "
            f"{segments:,} journey segments of {len(self.months):,} months, {events:,} events"
        )


_REBUILD = _Work("Rebuilding", upkeep.rebuild, upkeep.rebuild_journeys)
_VERIFY = _Work("Verifying", upkeep.verify, upkeep.verify_journeys)


def rebuild_command(
    tenant: TenantOption = "default", first: FromOption = None, last: ToOption = None, data_dir: DataDirOption = None
) -> None:
    """Make a tenant's rollups, sets and journey segments anew from its events; safe while gateways run."""
    done = _run(quiet_settings(data_dir), tenant, first, last, _REBUILD)
    console.print(f"Rebuilt: {done}.", soft_wrap=True)


def verify_command(
    tenant: TenantOption = "default", first: FromOption = None, last: ToOption = None, data_dir: DataDirOption = None
) -> None:
    """Prove that a tenant's rollups, sets and journey segments are as its events say; exit code 1 if not."""
    done = _run(quiet_settings(data_dir), tenant, first, last, _VERIFY)
    days = [day for day in done.days if day.wrong or day.wrong_sets]
    months = [month for month in done.months if month.faults]
    for day in days:
        for wrong, of, what in ((day.wrong, day.rollups, "rollups"), (day.wrong_sets, day.sets, "sets")):
            if wrong:
                console.print(f"{day.day}: {wrong:,} of {of:,} {what} are not as the events say.")
    for month in months:
        for fault in month.faults:
            console.print(f"{month.month:%Y-%m}: {fault}.", soft_wrap=True)
    if days or months:
        start = min([day.day for day in days] + [month.month for month in months])
        raise CommandError(f"`gateway rebuild --tenant {tenant} --from {start}` makes them right.")
    console.print(f"As the events say: {done}.", soft_wrap=True)


def _run(settings: Settings, tenant: str, first: datetime | None, last: datetime | None, work: _Work) -> _Done:
    with database(settings) as url:
        return asyncio.run(_worked(url, tenant, first and first.date(), last and last.date(), work))


async def _worked(url: str, slug: str, first: date | None, last: date | None, work: _Work) -> _Done:
    async with owner(url) as opened:
        tenant = await tenant_named(opened, slug)
    patient = await Database.open(url, pool_size=1, statement_seconds=0, lock_seconds=0)
    try:
        extent = await upkeep.extent(patient, tenant.id)
        if extent is None:
            return _Done()
        span = upkeep.days(first or extent[0], last or extent[1])
        months = upkeep.months(span)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors) as bar:
            return _Done(
                await _shown(bar, f"{work.verb} by day", len(span), work.rollups(patient, tenant.id, span)),
                await _shown(
                    bar, f"{work.verb} journeys by month", len(months), work.journeys(patient, tenant.id, months)
                ),
            )
    finally:
        await patient.close()


async def _shown(bar: Progress, what: str, total: int, done: AsyncIterator[T]) -> list[T]:
    task = bar.add_task(what, total=total)
    found = []
    async for one in done:
        found.append(one)
        bar.advance(task)
    return found
