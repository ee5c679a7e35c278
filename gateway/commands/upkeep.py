"""``gateway rebuild`` and ``verify``: the rollups made anew from the log, and held against it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from typing import Annotated

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

FromOption = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC).")]
ToOption = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day (UTC), included.")]
Work = Callable[[Database, int, list[datetime]], AsyncIterator[upkeep.Checked]]


def rebuild_command(
    tenant: TenantOption = "default", first: FromOption = None, last: ToOption = None, data_dir: DataDirOption = None
) -> None:
    """Make a tenant's rollups anew from its events, a day at a time; safe while gateways run."""
    done = _run(quiet_settings(data_dir), tenant, first, last, upkeep.rebuild, "Rebuilding")
    console.print(f"{len(done):,} days rebuilt: {sum(day.rollups for day in done):,} rollups.")


def verify_command(
    tenant: TenantOption = "default", first: FromOption = None, last: ToOption = None, data_dir: DataDirOption = None
) -> None:
    """Prove that a tenant's rollups are what its events add up to; exit code 1 where they are not."""
    done = _run(quiet_settings(data_dir), tenant, first, last, upkeep.verify, "Verifying")
    wrong = [day for day in done if day.wrong]
    for day in wrong:
        console.print(f"{day.day}: {day.wrong:,} of {day.rollups:,} rollups are not as the events say.")
    if wrong:
        raise CommandError(f"`gateway rebuild --tenant {tenant} --from {wrong[0].day}` makes them right.")
    console.print(f"{len(done):,} days hold: {sum(day.rollups for day in done):,} rollups equal the events.")


def _run(
    settings: Settings, tenant: str, first: datetime | None, last: datetime | None, work: Work, verb: str
) -> list[upkeep.Checked]:
    with database(settings) as url:
        return asyncio.run(_days(url, tenant, first and first.date(), last and last.date(), work, verb))


async def _days(
    url: str, slug: str, first: date | None, last: date | None, work: Work, verb: str
) -> list[upkeep.Checked]:
    async with owner(url) as opened:
        tenant = await tenant_named(opened, slug)
    patient = await Database.open(url, pool_size=1, statement_seconds=0, lock_seconds=0)
    try:
        extent = await upkeep.extent(patient, tenant.id)
        if extent is None:
            return []
        span = upkeep.days(first or extent[0], last or extent[1])
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        done: list[upkeep.Checked] = []
        with Progress(*columns, console=errors) as bar:
            task = bar.add_task(verb, total=len(span))
            async for day in work(patient, tenant.id, span):
                done.append(day)
                bar.update(task, advance=1, description=f"{verb} {day.day}")
        return done
    finally:
        await patient.close()
