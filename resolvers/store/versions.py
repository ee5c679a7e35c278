"""Data versions: how far a tenant's log had got when it last held something new of a kind.

A version is a position in the tenant's log. Kind 0 stands for the whole log: its row is locked by whoever appends, so
that positions follow the order of commits without gaps and a reader that has seen position p has seen all before it.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Column, SmallInteger
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.live.looks import Looks
from resolvers.store.database import Database

WHOLE_LOG = 0


class DataVersionRow(SQLModel, table=True):
    __tablename__ = "data_version"

    tenant_id: int = Field(primary_key=True)
    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    version: int = Field(sa_column=Column(BigInteger, nullable=False))


class VersionReader:
    """Reads the versions of tenants for many who ask at the same time: one look serves those of one tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looks: dict[int, Looks[dict[int, int]]] = {}

    async def of(self, tenant_id: int, kinds: tuple[int, ...]) -> tuple[int, ...]:
        """The version of each kind in the order given, as of a moment after the call."""
        looks = self._looks.setdefault(tenant_id, Looks(partial(self._read, tenant_id)))
        try:
            found = await looks.fresh()
        finally:
            if not looks.tasks and self._looks.get(tenant_id) is looks:
                del self._looks[tenant_id]
        return tuple(found.get(kind, 0) for kind in kinds)

    async def _read(self, tenant_id: int) -> dict[int, int]:
        query = select(DataVersionRow.kind, DataVersionRow.version).where(DataVersionRow.tenant_id == tenant_id)
        async with self._database.tenant(tenant_id) as session:
            return dict((await session.exec(query)).all())


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
