"""Feature flags and the trail of what was done to them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.flag_json import environment_from, environment_to, variation_from, variation_to
from resolvers.analysis.flags import Flag, FlagType
from resolvers.store.database import driver
from resolvers.store.keys import ApiKeyRow
from resolvers.store.versions import FLAGS, VersionRepository, advance


class FlagRow(SQLModel, table=True):
    """A flag; ``due_at`` is when upkeep has to look at it again."""

    __tablename__ = "flag"

    tenant_id: int = Field(primary_key=True)
    flag_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    key: str = Field(sa_column=Column(Text(collation="C"), nullable=False))
    type: str
    name: str
    description: str | None
    tags: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    salt: str
    variations: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    environments: dict[str, dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    changed_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    archived_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    version: int = Field(sa_column=Column(BigInteger, nullable=False))
    due_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


class FlagChangeRow(SQLModel, table=True):
    """Something done to a flag: ``version`` is that of all the tenant's flags that it led to."""

    __tablename__ = "flag_change"

    tenant_id: int = Field(primary_key=True)
    version: int = Field(sa_column=Column(BigInteger, primary_key=True))
    flag_id: int
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    key_id: int | None
    """None: the gateway did it by itself."""
    action: str
    environment: str | None
    reason: str | None
    before: dict[str, Any] | None = Field(sa_column=Column(JSONB))
    after: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


def columns(flag: Flag) -> dict[str, Any]:
    """A flag as it is kept."""
    return {
        "key": flag.key,
        "type": flag.type.value,
        "name": flag.name,
        "description": flag.description,
        "tags": list(flag.tags),
        "salt": flag.salt,
        "variations": list(map(variation_to, flag.variations)),
        "environments": {name: environment_to(one) for name, one in flag.environments.items()},
        "created_at": flag.created_at,
        "changed_at": flag.changed_at,
        "archived_at": flag.archived_at,
        "version": flag.version,
    }


def flag_of(row: FlagRow) -> Flag:
    """The flag that a row keeps."""
    assert row.flag_id is not None
    return Flag(
        id=row.flag_id,
        key=row.key,
        type=FlagType(row.type),
        name=row.name,
        description=row.description,
        tags=tuple(row.tags),
        salt=row.salt,
        variations=tuple(map(variation_from, row.variations)),
        environments={name: environment_from(name, kept) for name, kept in row.environments.items()},
        created_at=row.created_at,
        changed_at=row.changed_at,
        archived_at=row.archived_at,
        version=row.version,
    )


class FlagRepository:
    """Keeps the flags of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: int) -> None:
        self.session = session
        self.tenant_id = tenant_id

    async def hold(self) -> int:
        """Advance the version of the tenant's flags, and have whoever else changes one wait until this is done."""
        return await advance(await driver(self.session), self.tenant_id, FLAGS)

    async def since(self, version: int) -> tuple[int, list[FlagRow]]:
        """The version of the tenant's flags, and those that have changed after an earlier one."""
        (now,) = await VersionRepository(self.session).of(self.tenant_id, [FLAGS])
        query = select(FlagRow).where(FlagRow.tenant_id == self.tenant_id, col(FlagRow.version) > version)
        return now, list(await self.session.exec(query))

    async def all(self) -> dict[str, Flag]:
        """Every flag by its key; to be asked by whoever holds them."""
        _, rows = await self.since(0)
        return {row.key: flag_of(row) for row in rows}

    async def add(self, flag: Flag, due_at: datetime | None) -> Flag:
        """Keep a new flag, which is given its id."""
        row = FlagRow(tenant_id=self.tenant_id, due_at=due_at, **columns(flag))
        self.session.add(row)
        await self.session.flush()
        return flag_of(row)

    async def replace(self, flag: Flag, due_at: datetime | None) -> None:
        row = await self.session.get_one(FlagRow, (self.tenant_id, flag.id))
        row.sqlmodel_update(columns(flag) | {"due_at": due_at})

    async def due(self, at: datetime) -> list[str]:
        """The keys of the flags that upkeep has to look at by ``at``."""
        query = select(FlagRow.key).where(FlagRow.tenant_id == self.tenant_id, col(FlagRow.due_at) <= at)
        return list(await self.session.exec(query))

    async def postpone(self, key: str, version: int, due_at: datetime | None) -> None:
        """Say when upkeep has to look at a flag again, unless it was changed meanwhile."""
        await (await driver(self.session)).execute(
            "UPDATE flag SET due_at = $4 WHERE tenant_id = $1 AND key = $2 AND version = $3",
            self.tenant_id,
            key,
            version,
            due_at,
        )

    async def note(self, change: FlagChangeRow) -> None:
        """Write down what was done."""
        self.session.add(change)

    async def changes(
        self,
        *,
        flag_id: int | None = None,
        versions: Collection[int] | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[tuple[FlagChangeRow, ApiKeyRow | None, str]]:
        """What was done after a version, oldest first, or else newest first, each with the key that did it and the
        flag's.
        """
        query = (
            select(FlagChangeRow, ApiKeyRow, FlagRow.key)
            .join(FlagRow, (FlagRow.tenant_id == FlagChangeRow.tenant_id) & (FlagRow.flag_id == FlagChangeRow.flag_id))  # type: ignore[arg-type]
            .outerjoin(
                ApiKeyRow,
                (ApiKeyRow.tenant_id == FlagChangeRow.tenant_id) & (ApiKeyRow.key_id == FlagChangeRow.key_id),  # type: ignore[arg-type]
            )
            .where(FlagChangeRow.tenant_id == self.tenant_id)
            .limit(limit)
        )
        version = col(FlagChangeRow.version)
        if flag_id is not None:
            query = query.where(FlagChangeRow.flag_id == flag_id)
        if versions is not None:
            query = query.where(version.in_(versions))
        if before is not None:
            query = query.where(version < before)
        query = query.order_by(version.desc()) if after is None else query.where(version > after).order_by(version)
        return list(await self.session.exec(query))
