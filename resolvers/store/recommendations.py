"""What was decided about recommendations; those that nothing was decided about are kept nowhere."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, SmallInteger, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import driver
from resolvers.store.versions import RECOMMENDATIONS, advance


class RecommendationRow(SQLModel, table=True):
    __tablename__ = "recommendation"

    tenant_id: int = Field(primary_key=True)
    key: str = Field(primary_key=True)
    state: int = Field(sa_column=Column(SmallInteger, nullable=False))
    decided_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    key_id: int
    reason: str | None = None
    finding: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class RecommendationRepository:
    """Keeps the decisions of one tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def decide(self, row: RecommendationRow) -> None:
        """Keep a decision in place of the one that there was, and say that there is one."""
        await self.session.merge(row)
        await self.session.flush()
        await advance(await driver(self.session), row.tenant_id, RECOMMENDATIONS)

    async def by_keys(self, tenant_id: int, keys: Sequence[str]) -> dict[str, RecommendationRow]:
        """Those that were decided about, by key."""
        query = select(RecommendationRow).where(
            RecommendationRow.tenant_id == tenant_id, col(RecommendationRow.key).in_(keys)
        )
        return {row.key: row for row in await self.session.exec(query)}

    async def page(
        self, tenant_id: int, state: int, *, after: tuple[datetime, str] | None, limit: int
    ) -> list[RecommendationRow]:
        """Those of a state, the last decided first, from the one after ``after`` (decided_at, key) on."""
        query = select(RecommendationRow).where(
            RecommendationRow.tenant_id == tenant_id, RecommendationRow.state == state
        )
        place = tuple_(col(RecommendationRow.decided_at), col(RecommendationRow.key))
        if after is not None:
            query = query.where(place < tuple_(*after))
        order = (col(RecommendationRow.decided_at).desc(), col(RecommendationRow.key).desc())
        return list(await self.session.exec(query.order_by(*order).limit(limit)))
