"""Personas that a tenant keeps."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, Identity, Integer, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import driver
from resolvers.store.versions import PERSONAS, advance


class PersonaRow(SQLModel, table=True):
    """A persona; without rules it is given by events."""

    __tablename__ = "persona"

    tenant_id: int = Field(primary_key=True)
    persona_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    slug: str
    name: str
    description: str | None = None
    priority: int
    rules: list[Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    segment_id: int | None = None
    created_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )
    updated_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )


class PersonaRepository:
    """Keeps the personas of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: int) -> None:
        self.session = session
        self.tenant_id = tenant_id

    async def hold(self) -> None:
        """Let nobody else change a persona until the transaction ends, after which all know that one did."""
        await advance(await driver(self.session), self.tenant_id, PERSONAS)

    async def all(self) -> list[PersonaRow]:
        """By priority, then by slug: of several that fit, the first is meant."""
        query = select(PersonaRow).where(PersonaRow.tenant_id == self.tenant_id)
        return list(await self.session.exec(query.order_by(col(PersonaRow.priority), col(PersonaRow.slug))))

    async def by_ids(self, ids: Collection[int]) -> list[PersonaRow]:
        """Those of the ids that the tenant has."""
        query = select(PersonaRow).where(PersonaRow.tenant_id == self.tenant_id, col(PersonaRow.persona_id).in_(ids))
        return list(await self.session.exec(query))

    async def add(self, row: PersonaRow) -> None:
        """Keep a new persona, which gets its id."""
        self.session.add(row)
        await self.session.flush()
        await self.session.refresh(row)

    async def remove(self, row: PersonaRow) -> None:
        await self.session.delete(row)
        await self.session.flush()
