"""``gateway import``: a file of events of any shape into a tenant's log."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.app import Gateway
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
from gateway.import_plan import ImportPlan
from gateway.importer import ImportSummary, import_file
from gateway.settings import Settings
from resolvers.analysis.events import Receipt
from resolvers.context import Principal, Role
from resolvers.errors import Overloaded, TimedOut, Unavailable

_PATIENCE = {"statement_seconds": 120.0, "lock_seconds": 60.0, "pool_wait_seconds": 60.0}
"""Nobody waits for an import's answers, so it outlasts what a request would not. Upkeep it leaves to who serves."""
_PERSISTENCE = 60.0

Texts = list[str] | None


def import_command(
    file: Annotated[Path, typer.Argument(help="CSV or NDJSON, also .gz.", exists=True, dir_okay=False)],
    maps: Annotated[Texts, typer.Option("--map", help="target=source: which column is what. Repeat.")] = None,
    constants: Annotated[Texts, typer.Option("--set", help="target=value where no column has one. Repeat.")] = None,
    conditions: Annotated[Texts, typer.Option("--where", help="Condition that rows must meet. Repeat.")] = None,
    value_maps: Annotated[Texts, typer.Option("--value-map", help="target:old=new. Repeat.")] = None,
    time_formats: Annotated[
        Texts, typer.Option("--time-format", help="strptime format, epoch or epoch_ms; ISO 8601 without. Repeat.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="IANA zone of times that carry none.")] = "UTC",
    delimiter: Annotated[str, typer.Option(help="Between the columns of CSV.")] = ",",
    encoding: Annotated[str, typer.Option(help="Of the file's text.")] = "utf-8-sig",
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv or ndjson.", show_default="by the file's name")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where refused rows go.", show_default="FILE.rejects.ndjson")
    ] = None,
    tenant: TenantOption = "default",
    data_dir: DataDirOption = None,
) -> None:
    """Import a file of events. Running it again adds nothing: rows without an id get a deterministic one.

    Refused rows go to a file of their own, each with its line and reason; the exit code is then 1.
    """
    plan = ImportPlan.parse(
        maps=maps or (),
        constants=constants or (),
        conditions=conditions or (),
        value_maps=value_maps or (),
        time_formats=time_formats or (),
        timezone=timezone,
        delimiter=delimiter,
        encoding=encoding,
        format=file_format,
    )
    settings = quiet_settings(data_dir)
    refused = rejects or file.with_name(f"{file.name}.rejects.ndjson")
    with database(settings) as url:
        summary = asyncio.run(_import(url, settings, tenant, file, file.stat().st_size, plan, refused))
    console.print(
        f"{summary.rows:,} rows: {summary.accepted:,} new, {summary.duplicates:,} known already, "
        f"{summary.skipped:,} left out, {summary.conflicts + summary.rejected:,} refused."
    )
    if summary.conflicts + summary.rejected:
        raise CommandError(f"The refused rows are in {refused}.")


@asynccontextmanager
async def patient_gateway(settings: Settings, url: str, *, upkeep: bool = False) -> AsyncIterator[Gateway]:
    """A gateway that nobody listens to, for writing much at once; ``upkeep`` folds meanwhile what is written."""
    gateway = Gateway(settings.model_copy(update=_PATIENCE | {"upkeep": upkeep}), url)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def persistently(gateway: Gateway, principal: Principal, items: Sequence[Mapping[str, Any]]) -> Receipt:
    """Store a batch of items that carry ids; for a minute, try again while the database is away or too busy."""
    clock = asyncio.get_running_loop().time
    until = clock() + _PERSISTENCE
    while True:
        try:
            return await gateway.ingest(principal, items)
        except (Overloaded, TimedOut, Unavailable) as error:
            if clock() >= until:
                raise
            await asyncio.sleep(error.retry_after or 1)


async def writer_of(url: str, slug: str) -> Principal:
    """Whoever works at this machine's shell may write a tenant's events, without a key."""
    async with owner(url) as opened:
        tenant = await tenant_named(opened, slug)
    return Principal(tenant.id, tenant.slug, tenant.currency, tenant.timezone, 0, Role.INGEST)


async def _import(
    url: str, settings: Settings, slug: str, file: Path, size: int, plan: ImportPlan, refused: Path
) -> ImportSummary:
    principal = await writer_of(url, slug)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    async with patient_gateway(settings, url) as gateway:
        with Progress(*columns, console=errors) as bar:
            task = bar.add_task(file.name, total=size)
            return await import_file(
                file,
                plan,
                lambda items: persistently(gateway, principal, items),
                rejects_path=refused,
                progress=lambda summary: bar.update(
                    task, completed=summary.bytes_read, description=f"{summary.accepted:,} new events"
                ),
            )
