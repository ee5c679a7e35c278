"""What the commands share: settings, a database to work on, and errors told in a sentence."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated

import asyncpg
import structlog
import typer
from rich.console import Console
from sqlalchemy.exc import ArgumentError

from gateway.embedded import EmbeddedPostgres
from gateway.settings import Settings, load_settings
from gateway.telemetry import configure_logging
from resolvers import keys
from resolvers.errors import NotFound
from resolvers.store.database import Database, asyncpg_url, connect
from resolvers.store.schema_version import migrate, revision_gap
from resolvers.tenants import Tenant, tenant_by_slug

OLDEST_POSTGRES = 16
DATABASE_SECONDS = 120.0
"""How long a command waits for a database that is not up yet."""

console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)

DataDirOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the embedded PostgreSQL; unused with DATABASE_URL.", show_default="a per-user folder"),
]
TenantOption = Annotated[str, typer.Option("--tenant", help="Slug of the tenant.")]

_NOT_UP = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)
_log = structlog.get_logger("gateway")


class CommandError(Exception):
    """A command cannot do its work; the message says why and what to do."""


def quiet_settings(data_dir: Path | None) -> Settings:
    """The settings of a short command, whose log is for what goes wrong."""
    settings = load_settings(data_dir=data_dir)
    configure_logging("console", "warning")
    return settings


@contextmanager
def database(settings: Settings, *, share: bool = True) -> Iterator[str]:
    """URL of a database at this version's schema: the configured one, else the embedded one, which is migrated.

    ``share`` uses the embedded server of a gateway that runs already. Raises CommandError, EmbeddedPostgresError.
    """
    if settings.database_url is not None:
        asyncio.run(_await_database(settings.database_url))
        gap = asyncio.run(revision_gap(settings.database_url))
        if gap is not None:
            raise CommandError(gap)
        yield settings.database_url
        return
    with EmbeddedPostgres(settings.data_dir, share=share) as server:
        asyncio.run(migrate(server.url))
        yield server.url


@contextmanager
def any_database(settings: Settings) -> Iterator[str]:
    """URL of the database, whatever schema it has."""
    if settings.database_url is not None:
        asyncio.run(_await_database(settings.database_url))
        yield settings.database_url
        return
    with EmbeddedPostgres(settings.data_dir, share=True) as server:
        yield server.url


@asynccontextmanager
async def owner(url: str) -> AsyncIterator[Database]:
    """The database under the role that may make tenants and keys."""
    opened = await Database.open(url, pool_size=1, owner=True)
    try:
        yield opened
    finally:
        await opened.close()


async def tenant_named(database: Database, slug: str) -> Tenant:
    """The tenant of that slug; raises NotFound with what to do."""
    tenant = await tenant_by_slug(database, slug)
    if tenant is None:
        raise NotFound(f"There is no tenant {slug}; `gateway tenants list` shows those there are.")
    return tenant


async def pepper(database: Database, settings: Settings) -> bytes:
    """The secret that keys are hashed with."""
    return await keys.pepper(database, settings.secret.get_secret_value() if settings.secret else None)


async def _await_database(url: str) -> None:
    try:
        address = asyncpg_url(url)
    except (ArgumentError, ValueError):
        raise CommandError(
            "DATABASE_URL is no address; it reads postgresql://user:password@host:port/database."
        ) from None
    where = f"{address.host or address.query.get('host', 'localhost')}:{address.port or 5432}"
    deadline = time.monotonic() + DATABASE_SECONDS
    while (reason := await _refusal(url, where)) is not None:
        if time.monotonic() > deadline:
            raise CommandError(f"The database at {where} did not come up in {DATABASE_SECONDS:.0f} s: {reason}")
        _log.warning("waiting for the database", address=where, reason=reason)
        await asyncio.sleep(2)


async def _refusal(url: str, where: str) -> str | None:
    """Why the database is not up yet, None if it is; raises CommandError where waiting does not help."""
    try:
        async with asyncio.timeout(5):
            connection = await connect(url)
    except _NOT_UP as error:
        return str(error) or "it does not answer"
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(f"The database at {where} refuses the connection: {error}") from None
    version = connection.get_server_version().major
    await connection.close()
    if version < OLDEST_POSTGRES:
        raise CommandError(f"The database at {where} is PostgreSQL {version}; {OLDEST_POSTGRES} or newer is needed.")
    return None
