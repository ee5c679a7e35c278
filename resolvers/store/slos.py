"""Service level objectives that a tenant keeps."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, DateTime, Identity, Integer, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import driver
from resolvers.store.versions import SLOS, advance


class SloRow(SQLModel, table=True):
    __tablename__ = "slo"

    tenant_id: int = Field(primary_key=True)
    slo_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    key: str
    title: str
    metric: str
    good: str
    threshold: Decimal | None = Field(sa_column=Column(Numeric))
    objective: Decimal = Field(sa_column=Column(Numeric, nullable=False))
    condition: list[Any] = Field(sa_column=Column(JSONB, nullable=False))
    minimum_events: int
    absent_seconds: int
    cost_per_bad_event: Decimal | None = Field(sa_column=Column(Numeric))
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    updated_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class SloRepository:
    """Keeps the SLOs of one tenant; whoever watches one is told of its changes."""

    def __init__(self, session: AsyncSession, tenant_id: int) -> None:
        self.session = session
        self.tenant_id = tenant_id

    async def hold(self) -> None:
        """Let nobody else change an SLO until the transaction ends, after which all know that one did."""
        await advance(await driver(self.session), self.tenant_id, SLOS)

    async def all(self) -> list[SloRow]:
        """Every SLO, by key."""
        query = select(SloRow).where(SloRow.tenant_id == self.tenant_id).order_by(col(SloRow.key))
        return list(await self.session.exec(query))

    async def by_keys(self, keys: Collection[str]) -> list[SloRow]:
        """Those of the keys that the tenant has."""
        # The database takes no NUL and no surrogates, and no key has any.
        possible = [key for key in keys if key.isprintable()]
        query = select(SloRow).where(SloRow.tenant_id == self.tenant_id, col(SloRow.key).in_(possible))
        return list(await self.session.exec(query))

    async def by_ids(self, ids: Collection[int]) -> list[SloRow]:
        """Those of the ids that the tenant has."""
        query = select(SloRow).where(SloRow.tenant_id == self.tenant_id, col(SloRow.slo_id).in_(ids))
        return list(await self.session.exec(query))

    async def add(self, row: SloRow) -> None:
        """Keep a new SLO, which gets its id."""
        self.session.add(row)
        await self.session.flush()

    async def remove(self, row: SloRow) -> None:
        await self.session.delete(row)

    async def page(self, *, after: int | None, limit: int) -> list[SloRow]:
        """By id, from the one after ``after`` on."""
        query = select(SloRow).where(SloRow.tenant_id == self.tenant_id)
        if after is not None:
            query = query.where(col(SloRow.slo_id) > after)
        return list(await self.session.exec(query.order_by(col(SloRow.slo_id)).limit(limit)))
