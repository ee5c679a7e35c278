"""Funnel definitions that a tenant keeps."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, Identity, Integer, func, or_
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import driver, rows
from resolvers.store.versions import RECOMMENDATIONS, advance


class FunnelRow(SQLModel, table=True):
    __tablename__ = "funnel"

    tenant_id: int = Field(primary_key=True)
    funnel_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    name: str
    definition: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )
    updated_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )


class FunnelRepository:
    """Keeps the funnels of one tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def save(self, tenant_id: int, name: str, definition: dict[str, Any]) -> FunnelRow:
        """Keep a definition under a name, replacing what the name stood for."""
        values = {"tenant_id": tenant_id, "name": name, "definition": definition}
        statement = (
            insert(FunnelRow)
            .values(**values)
            .on_conflict_do_update(
                index_elements=["tenant_id", "name"],
                set_={"definition": definition, "updated_at": func.now()},
            )
            .returning(col(FunnelRow.funnel_id))
        )
        ((funnel_id,),) = await rows(self.session, statement)
        await advance(await driver(self.session), tenant_id, RECOMMENDATIONS)
        return await self.session.get_one(FunnelRow, (tenant_id, funnel_id), populate_existing=True)

    async def count(self, tenant_id: int) -> int:
        query = select(func.count()).where(FunnelRow.tenant_id == tenant_id)
        return (await self.session.exec(query)).one()

    async def by_ids(self, tenant_id: int, ids: Sequence[int]) -> list[FunnelRow]:
        """Those of the ids that the tenant has."""
        query = select(FunnelRow).where(FunnelRow.tenant_id == tenant_id, col(FunnelRow.funnel_id).in_(ids))
        return list(await self.session.exec(query))

    async def named(self, tenant_id: int, references: Collection[int | str]) -> list[FunnelRow]:
        """Those of the funnels, each given by its id or its name, that the tenant has."""
        ids = [one for one in references if isinstance(one, int)]
        names = [one for one in references if isinstance(one, str)]
        query = select(FunnelRow).where(FunnelRow.tenant_id == tenant_id)
        chosen = or_(col(FunnelRow.funnel_id).in_(ids), col(FunnelRow.name).in_(names))
        return list(await self.session.exec(query.where(chosen))) if references else []

    async def all(self, tenant_id: int) -> list[FunnelRow]:
        return list(await self.session.exec(select(FunnelRow).where(FunnelRow.tenant_id == tenant_id)))

    async def remove(self, row: FunnelRow) -> None:
        await self.session.delete(row)
        await advance(await driver(self.session), row.tenant_id, RECOMMENDATIONS)

    async def latest(self, tenant_id: int, limit: int) -> list[FunnelRow]:
        """Those that were saved last."""
        query = select(FunnelRow).where(FunnelRow.tenant_id == tenant_id)
        order = (col(FunnelRow.updated_at).desc(), col(FunnelRow.funnel_id).desc())
        return list(await self.session.exec(query.order_by(*order).limit(limit)))

    async def page(self, tenant_id: int, *, after: int | None, limit: int) -> list[FunnelRow]:
        """By id, from the one after ``after`` on."""
        query = select(FunnelRow).where(FunnelRow.tenant_id == tenant_id)
        if after is not None:
            query = query.where(col(FunnelRow.funnel_id) > after)
        return list(await self.session.exec(query.order_by(col(FunnelRow.funnel_id)).limit(limit)))
