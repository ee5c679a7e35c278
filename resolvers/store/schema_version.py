"""Which schema the database has, and bringing it to the one this version knows."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from resolvers.store.database import asyncpg_url

_LOCK = 7_245_117_018_301_442


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _head() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _upgrade(connection: Connection, to: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


async def migrate(url: str, to: str = "head") -> str:
    """Bring the database to this version's schema, one gateway at a time; return the revision this version knows."""
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    try:
        async with engine.connect() as lock, engine.connect() as connection:
            await lock.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(_upgrade, to)
            await connection.commit()
    finally:
        await engine.dispose()
    return _head()


async def revision(url: str) -> str | None:
    """The revision the database is at; None where it was never migrated."""
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    finally:
        await engine.dispose()


async def revision_gap(url: str) -> str | None:
    """Why this version cannot serve the database, in words; None where it can."""
    found, known = await revision(url), _head()
    if found == known:
        return None
    if found is None:
        return "The database has no schema yet. Run `gateway migrate` with the same DATABASE_URL first."
    if found < known:
        return f"The database is at revision {found}, this version needs {known}. Run `gateway migrate` first."
    return f"The database is at revision {found}, newer than the {known} that this version knows. Run a newer gateway."
