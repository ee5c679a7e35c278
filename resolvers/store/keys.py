"""API keys: stored as keyed hashes, shown once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, DateTime, Identity, Integer, LargeBinary, SmallInteger, func, text
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.tenants import TenantRow


class ApiKeyRow(SQLModel, table=True):
    __tablename__ = "api_key"

    tenant_id: int = Field(primary_key=True)
    key_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    prefix: str
    label: str
    role: int = Field(sa_column=Column(SmallInteger, nullable=False))
    created_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )
    last_used_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    revoked_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a key belongs to, as authentication needs it."""

    tenant_id: int
    slug: str
    currency: str
    timezone: str
    key_id: int
    role: int
    digest: bytes


class KeyRepository:
    """Reads, makes and revokes the keys of the tenant entered."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, tenant_id: int, digest: bytes, prefix: str, label: str, role: int) -> ApiKeyRow:
        row = ApiKeyRow(tenant_id=tenant_id, digest=digest, prefix=prefix, label=label, role=role)
        self.session.add(row)
        await self.session.flush()
        await self.session.refresh(row)
        return row

    async def all(self, tenant_id: int) -> list[ApiKeyRow]:
        query = select(ApiKeyRow).where(ApiKeyRow.tenant_id == tenant_id).order_by(text("key_id"))
        return list(await self.session.exec(query))

    async def revoke(self, tenant_id: int, key_id: int, at: datetime) -> ApiKeyRow | None:
        row = await self.session.get(ApiKeyRow, (tenant_id, key_id))
        if row is not None and row.revoked_at is None:
            row.revoked_at = at
            await self.session.flush()
        return row

    async def used(self, tenant_id: int, key_id: int, at: datetime) -> None:
        row = await self.session.get(ApiKeyRow, (tenant_id, key_id))
        if row is not None:
            row.last_used_at = at

    async def live(self, tenant_id: int, key_id: int) -> Holder | None:
        """The holder of a key of the tenant entered, unless it was revoked."""
        key = await self.session.get(ApiKeyRow, (tenant_id, key_id))
        tenant = await self.session.get(TenantRow, tenant_id)
        if key is None or tenant is None or key.revoked_at is not None:
            return None
        return Holder(tenant_id, tenant.slug, tenant.currency, tenant.timezone, key_id, key.role, key.digest)

    async def find(self, digest: bytes) -> Holder | None:
        """The holder of a live key of any tenant."""
        return (await self.holders([digest])).get(digest)

    async def holders(self, digests: Collection[bytes]) -> dict[bytes, Holder]:
        """The holders of live keys of any tenant, through the one function that may look across tenants."""
        connection = await self.session.connection()
        query = text("SELECT holder.* FROM unnest(CAST(:digests AS bytea[])) AS wanted, key_holder(wanted) AS holder")
        found = [Holder(*row) for row in await connection.execute(query, {"digests": list(digests)})]
        return {holder.digest: holder for holder in found}
