"""Data versions: how far a tenant's log had got when it last held something new of a kind.

A version is a position in the tenant's log. Kind 0 stands for the whole log: its row is locked by whoever appends, so
that positions follow the order of commits without gaps and a reader that has seen position p has seen all before it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, Column, SmallInteger
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.errors import Unavailable
from resolvers.live.looks import Looks
from resolvers.store.database import translated

WHOLE_LOG = 0
CHANNEL = "gateway"
"""Where commits are announced: ``v <tenant> <version> <kind>,<kind>…``."""
_AWAY = "The database cannot be reached for the moment; try again."


class DataVersionRow(SQLModel, table=True):
    __tablename__ = "data_version"

    tenant_id: int = Field(primary_key=True)
    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    version: int = Field(sa_column=Column(BigInteger, nullable=False))


# One round trip, in a transaction of its own. The policy is put to the rows of a tenant only after the setting is that
# tenant's: what is lateral to a row cannot be read before the row is there, and OFFSET 0 keeps either from being merged
# into the other.
_VERSIONS = """
SELECT entered.tenant, found.kind, found.version
FROM (SELECT set_config('gateway.tenant', wanted::text, true)::integer AS tenant
      FROM unnest($1::integer[]) AS wanted OFFSET 0) AS entered
CROSS JOIN LATERAL (SELECT kind, version FROM data_version WHERE tenant_id = entered.tenant OFFSET 0) AS found
"""


class VersionReader:
    """Reads the versions of tenants for all who ask at the same time, in one query on a connection of its own.

    ``connect`` opens it, under a role that policies apply to. The pool would cost several times as much as the query,
    and those who only ask whether anything is new would wait behind whoever computes.
    """

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, seconds: float = 2.0) -> None:
        self._connect = connect
        self._seconds = seconds
        self.looks = 0
        """How often the database was asked."""
        self._looks = Looks(self._read)
        self._wanted: set[int] = set()
        self._connection: asyncpg.Connection | None = None
        self._statement: Any = None

    async def of(self, tenant_id: int, kinds: tuple[int, ...]) -> tuple[int, ...]:
        """The version of each kind in the order given, as of a moment after the call.

        Raises Unavailable, Overloaded or TimedOut where the database does not do its part.
        """
        self._wanted.add(tenant_id)
        found = (await self._looks.fresh()).get(tenant_id, {})
        return tuple([found.get(kind, 0) for kind in kinds])

    def close(self) -> None:
        """Leave the database."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _read(self) -> dict[int, dict[int, int]]:
        # Whoever asks from here on gets the next look.
        wanted, self._wanted = self._wanted, set()
        self.looks += 1
        try:
            async with asyncio.timeout(self._seconds):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._connect()
                    self._statement = await self._connection.prepare(_VERSIONS)
                rows = await self._statement.fetch(list(wanted))
        except Exception as error:
            self.close()
            meaning = Unavailable(_AWAY, retry_after=1) if isinstance(error, TimeoutError) else translated(error)
            if meaning is None:
                raise
            raise meaning from error
        found: dict[int, dict[int, int]] = {}
        for tenant_id, kind, version in rows:
            found.setdefault(tenant_id, {})[kind] = version
        return found


class VersionRepository:
    """Reads the versions of a tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def of(self, tenant_id: int, kinds: Iterable[int]) -> tuple[int, ...]:
        """The version of each kind in the order given; 0 where there never was an event of it."""
        wanted = tuple(kinds)
        query = select(DataVersionRow.kind, DataVersionRow.version).where(
            DataVersionRow.tenant_id == tenant_id, col(DataVersionRow.kind).in_(wanted)
        )
        found = dict((await self.session.exec(query)).all())
        return tuple(found.get(kind, 0) for kind in wanted)


async def hold_log(connection: Any, tenant_id: int) -> int:
    """Lock the tenant's log until the transaction ends; return the last position in it."""
    held = "SELECT version FROM data_version WHERE tenant_id = $1 AND kind = 0 FOR UPDATE"
    version = await connection.fetchval(held, tenant_id)
    if version is None:
        await connection.execute(
            "INSERT INTO data_version (tenant_id, kind, version) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING",
            tenant_id,
        )
        version = await connection.fetchval(held, tenant_id)
    return int(version)


async def advance(connection: Any, tenant_id: int, kind: int) -> None:
    """Note that definitions of a ``kind`` of their own (100 and above) change with this transaction, and tell it.

    Whoever else changes some of the kind waits until it ends. ``connection`` is an asyncpg connection.
    """
    version = await connection.fetchval(
        "INSERT INTO data_version (tenant_id, kind, version) VALUES ($1, $2, 1)"
        " ON CONFLICT (tenant_id, kind) DO UPDATE SET version = data_version.version + 1 RETURNING version",
        tenant_id,
        kind,
    )
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"v {tenant_id} {version} {kind}")
