"""Tenants: each is a world of its own."""

from datetime import datetime

from sqlalchemy import Column, DateTime, Identity, Integer, func
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession


class TenantRow(SQLModel, table=True):
    __tablename__ = "tenant"

    tenant_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    slug: str = Field(unique=True)
    currency: str
    timezone: str
    created_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )


class TenantRepository:
    """Reads and makes tenants; only the owner's role reaches more than the one entered."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, slug: str, currency: str, timezone: str) -> TenantRow:
        row = TenantRow(slug=slug, currency=currency, timezone=timezone)
        self.session.add(row)
        await self.session.flush()
        await self.session.refresh(row)
        return row

    async def all(self) -> list[TenantRow]:
        return list(await self.session.exec(select(TenantRow).order_by(TenantRow.slug)))

    async def entered(self, tenant_id: int) -> TenantRow:
        """The tenant that the session has entered."""
        return await self.session.get_one(TenantRow, tenant_id)

    async def by_slug(self, slug: str) -> TenantRow | None:
        return (await self.session.exec(select(TenantRow).where(TenantRow.slug == slug))).one_or_none()
