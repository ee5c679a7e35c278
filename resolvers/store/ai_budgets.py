"""Budgets for AI that a tenant keeps."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, DateTime, Identity, Integer, Numeric, func
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import driver, rows
from resolvers.store.versions import AI_BUDGETS, advance


class AiBudgetRow(SQLModel, table=True):
    __tablename__ = "ai_budget"

    tenant_id: int = Field(primary_key=True)
    budget_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    name: str
    amount: Decimal = Field(sa_column=Column(Numeric, nullable=False))
    recurrence: str
    condition: list[Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )
    updated_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )


class AiBudgetRepository:
    """Keeps the budgets of one tenant; whoever watches one is told of its changes."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def save(
        self, tenant_id: int, name: str, amount: Decimal, recurrence: str, condition: list[Any]
    ) -> AiBudgetRow:
        """Keep a budget under a name, in place of what the name stood for."""
        meaning = {"amount": amount, "recurrence": recurrence, "condition": condition}
        statement = (
            insert(AiBudgetRow)
            .values(tenant_id=tenant_id, name=name, **meaning)
            .on_conflict_do_update(index_elements=["tenant_id", "name"], set_={**meaning, "updated_at": func.now()})
            .returning(col(AiBudgetRow.budget_id))
        )
        ((budget_id,),) = await rows(self.session, statement)
        await advance(await driver(self.session), tenant_id, AI_BUDGETS)
        return await self.session.get_one(AiBudgetRow, (tenant_id, budget_id), populate_existing=True)

    async def names(self, tenant_id: int) -> list[str]:
        return list(await self.session.exec(select(AiBudgetRow.name).where(AiBudgetRow.tenant_id == tenant_id)))

    async def by_name(self, tenant_id: int, name: str) -> AiBudgetRow | None:
        query = select(AiBudgetRow).where(AiBudgetRow.tenant_id == tenant_id, AiBudgetRow.name == name)
        return (await self.session.exec(query)).first()

    async def by_ids(self, tenant_id: int, ids: Sequence[int]) -> list[AiBudgetRow]:
        """Those of the ids that the tenant has."""
        query = select(AiBudgetRow).where(AiBudgetRow.tenant_id == tenant_id, col(AiBudgetRow.budget_id).in_(ids))
        return list(await self.session.exec(query))

    async def all(self, tenant_id: int) -> list[AiBudgetRow]:
        return list(await self.session.exec(select(AiBudgetRow).where(AiBudgetRow.tenant_id == tenant_id)))

    async def remove(self, tenant_id: int, which: int | str) -> AiBudgetRow | None:
        """Delete a budget, given by its id or its name, if there is one."""
        if isinstance(which, str):
            row = await self.by_name(tenant_id, which)
        else:
            row = await self.session.get(AiBudgetRow, (tenant_id, which))
        if row is not None:
            await self.session.delete(row)
            await advance(await driver(self.session), tenant_id, AI_BUDGETS)
        return row

    async def page(self, tenant_id: int, *, after: int | None, limit: int) -> list[AiBudgetRow]:
        """By id, from the one after ``after`` on."""
        query = select(AiBudgetRow).where(AiBudgetRow.tenant_id == tenant_id)
        if after is not None:
            query = query.where(col(AiBudgetRow.budget_id) > after)
        return list(await self.session.exec(query.order_by(col(AiBudgetRow.budget_id)).limit(limit)))
