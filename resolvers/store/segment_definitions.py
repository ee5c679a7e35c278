"""Segments that a tenant keeps: their rules, and when their members are to be found anew."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, Identity, Integer, and_, func, or_, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import driver
from resolvers.store.members import SegmentMembersRow
from resolvers.store.versions import SEGMENTS, advance


class SegmentRow(SQLModel, table=True):
    """A segment; ``edition`` counts the changes of what decides who is a member."""

    __tablename__ = "segment"

    tenant_id: int = Field(primary_key=True)
    segment_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    name: str
    description: str | None = None
    rules: list[Any] = Field(sa_column=Column(JSONB, nullable=False))
    edition: int = 1
    refresh_seconds: int
    due_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    problem: str | None = None
    managed: bool = False
    """Whether it belongs to a persona, by which alone it is changed."""
    created_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )
    updated_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A segment, and what its members are: None where they were never found."""

    row: SegmentRow
    size: int | None
    as_of: datetime | None
    current: bool


class SegmentDefinitions:
    """Keeps the segments of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: int) -> None:
        self.session = session
        self.tenant_id = tenant_id

    async def hold(self) -> None:
        """Let nobody else change a segment until the transaction ends, after which all know that one did."""
        await advance(await driver(self.session), self.tenant_id, SEGMENTS)

    async def rows(self, ids: Collection[int] | None = None) -> list[SegmentRow]:
        """All segments, or those of the ids that there are, by id."""
        query = select(SegmentRow).where(col(SegmentRow.tenant_id) == self.tenant_id)
        if ids is not None:
            query = query.where(col(SegmentRow.segment_id).in_(ids))
        return list(await self.session.exec(query.order_by(col(SegmentRow.segment_id))))

    async def add(self, row: SegmentRow) -> None:
        """Keep a new segment, which gets its id."""
        self.session.add(row)
        await self.session.flush()
        await self.session.refresh(row)

    async def touch(self, ids: Collection[int], now: datetime) -> None:
        """Have the members of segments found anew, as they are no longer those that the rules mean."""
        statement = (
            update(SegmentRow)
            .where(col(SegmentRow.tenant_id) == self.tenant_id, col(SegmentRow.segment_id).in_(ids))
            .values(edition=SegmentRow.edition + 1, due_at=now)
        )
        await (await self.session.connection()).execute(statement)

    async def remove(self, row: SegmentRow) -> None:
        """Delete a segment and its members."""
        await self.session.delete(row)
        await self.session.flush()

    async def by_ids(self, ids: Sequence[int]) -> list[Kept]:
        """Those of the ids that the tenant has."""
        return await self._kept(self._query().where(col(SegmentRow.segment_id).in_(ids)))

    async def named(self, references: Collection[int | str]) -> list[Kept]:
        """Those of the segments, each given by its id or its name, that the tenant has."""
        ids = [one for one in references if isinstance(one, int)]
        names = [one for one in references if isinstance(one, str)]
        return await self._kept(
            self._query().where(or_(col(SegmentRow.segment_id).in_(ids), col(SegmentRow.name).in_(names)))
        )

    async def page(self, *, after: int | None, limit: int) -> list[Kept]:
        """By id, from the one after ``after`` on."""
        query = self._query()
        if after is not None:
            query = query.where(col(SegmentRow.segment_id) > after)
        return await self._kept(query.order_by(col(SegmentRow.segment_id)).limit(limit))

    async def delay(self, segment_id: int, problem: str, until: datetime) -> None:
        """Note why the members could not be found, and when to try again."""
        statement = (
            update(SegmentRow)
            .where(col(SegmentRow.tenant_id) == self.tenant_id, col(SegmentRow.segment_id) == segment_id)
            .values(problem=problem, due_at=until)
        )
        await (await self.session.connection()).execute(statement)

    def _query(self) -> Any:
        members = SegmentMembersRow
        own = and_(
            col(members.tenant_id) == SegmentRow.tenant_id, col(members.segment_id) == col(SegmentRow.segment_id)
        )
        current = col(members.of_rules) == SegmentRow.edition
        query = select(SegmentRow, members.size, members.as_of, current).outerjoin(members, own)
        return query.where(col(SegmentRow.tenant_id) == self.tenant_id)

    async def _kept(self, query: Any) -> list[Kept]:
        found = await self.session.exec(query)
        return [Kept(row, size, as_of, bool(current)) for row, size, as_of, current in found]
