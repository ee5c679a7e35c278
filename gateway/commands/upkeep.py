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
from resolvers.experiment_upkeep import (
    ExperimentChecked,
    experiment_keys,
    rebuild_experiments,
    verify_experiments,
)
from resolvers.store.database import Database
from resolvers.store.refolding import MonthChecked

FromOption = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC).")]
ToOption = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day (UTC), included.")]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Work:
    """What a command does with each day's rollups, each month's segments and each experiment's units."""

    verb: str
    rollups: Callable[[Database, int, Sequence[datetime]], AsyncIterator[upkeep.Checked]]
    journeys: Callable[[Database, int, Sequence[date]], AsyncIterator[MonthChecked]]
    experiments: Callable[[Database, int, Sequence[str]], AsyncIterator[ExperimentChecked]]


@dataclass(frozen=True, slots=True)
class _Done:
    days: Sequence[upkeep.Checked] = ()
    months: Sequence[MonthChecked] = ()
    experiments: Sequence[ExperimentChecked] = ()

    def __str__(self) -> str:
        rollups, sets = sum(day.rollups for day in self.days), sum(day.sets for day in self.days)
        segments = sum(month.segments for month in self.months)
        events = sum(month.events for month in self.months)
        units = sum(one.units for one in self.experiments)
        return (
            f"{rollups:,} rollups of {len(self.days):,} days, {sets:,} sets of subjects and orders; "
            f"{segments:,} journey segments of {len(self.months):,} months, {events:,} events; "
            f"{units:,} units of {len(self.experiments):,} experiments"
        )


_REBUILD = _Work("Rebuilding", upkeep.rebuild, upkeep.rebuild_journeys, rebuild_experiments)
_VERIFY = _Work("Verifying", upkeep.verify, upkeep.verify_journeys, verify_experiments)


def rebuild_command(
    tenant: TenantOption = "default", first: FromOption = None, last: ToOption = None, data_dir: DataDirOption = None
) -> None:
    """Make a tenant's rollups, sets, journeys and experiments' units anew from its events; safe while gateways run."""
    done = _run(quiet_settings(data_dir), tenant, first, last, _REBUILD)
    console.print(f"Rebuilt: {done}.", soft_wrap=True)


def verify_command(
    tenant: TenantOption = "default", first: FromOption = None, last: ToOption = None, data_dir: DataDirOption = None
) -> None:
    """Prove that a tenant's rollups, sets, journeys and experiments are as its events say; exit code 1 if not."""
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
    experiments = [one for one in done.experiments if one.wrong]
    for one in experiments:
        console.print(f"{one.key}: {one.wrong:,} units and sums are not as the events say.", soft_wrap=True)
    if experiments and not (days or months):
        raise CommandError(f"`gateway rebuild --tenant {tenant}` makes them right.")
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
        keys = await experiment_keys(patient, tenant.id)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors) as bar:
            return _Done(
                await _shown(bar, f"{work.verb} by day", len(span), work.rollups(patient, tenant.id, span)),
                await _shown(
                    bar, f"{work.verb} journeys by month", len(months), work.journeys(patient, tenant.id, months)
                ),
                await _shown(bar, f"{work.verb} experiments", len(keys), work.experiments(patient, tenant.id, keys)),
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
