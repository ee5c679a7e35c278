"""Which schema the database has, and bringing it to the one this version knows."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from resolvers.store.database import asyncpg_url

_LOCK = 7_245_117_018_301_442
_MIGRATIONS = Path(__file__).parent / "migrations"


def _head() -> str:
    """The last revision; files of revisions are named by them, in their order."""
    return max(file.name.partition("_")[0] for file in _MIGRATIONS.glob("versions/[0-9]*.py"))


def _upgrade(connection: Connection, to: str) -> None:
    # 10 MiB that a process does without where there is nothing to do, which is nearly always.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


async def migrate(url: str, to: str = "head") -> str:
    """Bring the database to this version's schema, one gateway at a time; return the revision this version knows."""
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    try:
        async with engine.connect() as lock, engine.connect() as connection:
            await lock.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            if to != "head" or await connection.run_sync(_revision) != _head():
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
            return await connection.run_sync(_revision)
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
