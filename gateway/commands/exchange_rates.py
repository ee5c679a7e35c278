"""``gateway rates``: a tenant's exchange rates from a shell."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
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
from gateway.rate_files import RateFile, read_rates
from resolvers.analysis.currencies import CURRENCIES
from resolvers.exchange_rates import MOST_RATES, put_rates
from resolvers.store.database import Database

rate_commands = typer.Typer(no_args_is_help=True, help="Import the exchange rates of a tenant.")


@rate_commands.command("import")
def import_rates(
    file: Annotated[Path, typer.Argument(help="CSV, also .zip or .gz.", exists=True, dir_okay=False)],
    base: Annotated[str, typer.Option(help="ISO 4217 code of the currency that one unit is of.")] = "EUR",
    tenant: TenantOption = "default",
    data_dir: DataDirOption = None,
) -> None:
    """Import exchange rates as the European Central Bank publishes them: eurofxref-hist.csv, a day a line.

    Rates of the same day and pair are replaced, so that running it again changes nothing.
    """
    if base not in CURRENCIES:
        raise CommandError(f"{base} is no ISO 4217 code of a currency.")
    found = read_rates(file, base, datetime.now(UTC).date())
    with database(quiet_settings(data_dir)) as url:
        changed = asyncio.run(_import(url, tenant, file.name, found))
    console.print(
        f"{len(found.rates):,} rates: {changed:,} new or changed, {len(found.rates) - changed:,} as they were."
    )
    if found.unknown:
        console.print(f"Left out, since no event can be in them: {', '.join(found.unknown)}.", soft_wrap=True)


async def _import(url: str, slug: str, name: str, found: RateFile) -> int:
    async with owner(url) as opened:
        tenant = await tenant_named(opened, slug)
    changed = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    patient = await Database.open(url, pool_size=1, statement_seconds=0, lock_seconds=0)
    try:
        with Progress(*columns, console=errors) as bar:
            task = bar.add_task(name, total=len(found.rates))
            for first in range(0, len(found.rates), MOST_RATES):
                batch = found.rates[first : first + MOST_RATES]
                changed += await put_rates(patient, tenant.id, batch)
                bar.advance(task, len(batch))
    finally:
        await patient.close()
    return changed
