"""Experiments that a tenant has, what was done to them, and who is held out of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, ForeignKeyConstraint, Identity, Integer, Text, func, tuple_
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from resolvers.store.database import driver
from resolvers.store.keys import ApiKeyRow
from resolvers.store.versions import advance

EXPERIMENTS = 105
"""The kind of data version that advances with every change of an experiment or a holdout."""


def _moment(nullable: bool = False) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)


def _stamped() -> Any:
    return Column(DateTime(timezone=True), server_default=func.now(), nullable=False)


class ExperimentRow(SQLModel, table=True):
    __tablename__ = "experiment"

    tenant_id: int = Field(primary_key=True)
    experiment_id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    key: str = Field(sa_column=Column(Text(collation="C"), nullable=False))
    salt: str = Field(sa_column=Column(Text(collation="C"), nullable=False))
    status: str
    definition: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    phases: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(default=None, sa_column=_stamped())
    updated_at: datetime = Field(default=None, sa_column=_stamped())
    completed_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    archived_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))


class ExperimentChangeRow(SQLModel, table=True):
    __tablename__ = "experiment_change"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "experiment_id"], ["experiment.tenant_id", "experiment.experiment_id"], name="changed"
        ),
    )

    tenant_id: int = Field(primary_key=True)
    experiment_id: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    at: datetime = Field(sa_column=_moment())
    key_id: int
    action: str
    reason: str | None
    changed: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class HoldoutRow(SQLModel, table=True):
    __tablename__ = "holdout"

    tenant_id: int = Field(primary_key=True)
    name: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    parts: int
    created_at: datetime = Field(default=None, sa_column=_stamped())


Noted = tuple[ExperimentChangeRow, ApiKeyRow | None, str]
"""A change, the key that made it, and the experiment's key."""


class ExperimentRepository:
    """Keeps the experiments and holdouts of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: int) -> None:
        self.session = session
        self.tenant_id = tenant_id

    async def all(self) -> list[ExperimentRow]:
        """Every experiment, oldest first."""
        query = select(ExperimentRow).where(ExperimentRow.tenant_id == self.tenant_id)
        return list(await self.session.exec(query.order_by(col(ExperimentRow.experiment_id))))

    async def by_ids(self, ids: Sequence[int]) -> list[ExperimentRow]:
        """Those of the ids that the tenant has."""
        query = select(ExperimentRow).where(
            ExperimentRow.tenant_id == self.tenant_id, col(ExperimentRow.experiment_id).in_(ids)
        )
        return list(await self.session.exec(query))

    async def page(self, *, after: int | None, limit: int, status: str | None, archived: bool) -> list[ExperimentRow]:
        """By id, from the one after ``after`` on, of a status if one is given; archived ones only if asked for."""
        query = select(ExperimentRow).where(ExperimentRow.tenant_id == self.tenant_id)
        if not archived:
            query = query.where(col(ExperimentRow.archived_at).is_(None))
        if status is not None:
            query = query.where(ExperimentRow.status == status)
        if after is not None:
            query = query.where(col(ExperimentRow.experiment_id) > after)
        return list(await self.session.exec(query.order_by(col(ExperimentRow.experiment_id)).limit(limit)))

    async def hold(self) -> None:
        """Have every other change of the tenant's experiments wait until this one ends, and advance their version."""
        await advance(await driver(self.session), self.tenant_id, EXPERIMENTS)

    async def add(self, row: ExperimentRow) -> ExperimentRow:
        self.session.add(row)
        await self.session.flush()
        await self.session.refresh(row)
        return row

    async def save(self, row: ExperimentRow) -> ExperimentRow:
        row.updated_at = func.now()  # type: ignore[assignment]  # the database's clock
        return await self.add(row)

    async def log(
        self, experiment_id: int, at: datetime, key_id: int, action: str, reason: str | None, changed: Mapping[str, Any]
    ) -> None:
        """Write down a change, after those there are."""
        last = select(func.max(ExperimentChangeRow.number)).where(
            ExperimentChangeRow.tenant_id == self.tenant_id, ExperimentChangeRow.experiment_id == experiment_id
        )
        number = ((await self.session.exec(last)).one() or 0) + 1
        self.session.add(
            ExperimentChangeRow(
                tenant_id=self.tenant_id,
                experiment_id=experiment_id,
                number=number,
                at=at,
                key_id=key_id,
                action=action,
                reason=reason,
                changed=dict(changed),
            )
        )
        await self.session.flush()

    async def changes(
        self, experiment_id: int, *, before: int | None = None, after: int | None = None, limit: int
    ) -> Sequence[Noted]:
        """What was done to an experiment: before a change of that number, newest first, or after one, oldest first."""
        query = self._noted().where(ExperimentChangeRow.experiment_id == experiment_id)
        number = col(ExperimentChangeRow.number)
        if before is not None:
            query = query.where(number < before)
        if after is not None:
            query = query.where(number > after)
        order = number.desc() if after is None else number.asc()
        return list(await self.session.exec(query.order_by(order).limit(limit)))

    async def changes_by_number(self, numbers: Collection[tuple[int, int]]) -> Sequence[Noted]:
        """Those of the changes that there are, by the experiment's id and their number."""
        place = tuple_(col(ExperimentChangeRow.experiment_id), col(ExperimentChangeRow.number))
        return list(await self.session.exec(self._noted().where(place.in_(list(numbers)))))

    def _noted(self) -> SelectOfScalar[Any]:
        of, row, key = ExperimentRow, ExperimentChangeRow, ApiKeyRow
        return (
            select(row, key, of.key)  # type: ignore[return-value]  # of rows, which the stubs have no name for
            .join(of, (of.tenant_id == row.tenant_id) & (of.experiment_id == row.experiment_id))  # type: ignore[arg-type]
            .outerjoin(key, (key.tenant_id == row.tenant_id) & (key.key_id == row.key_id))  # type: ignore[arg-type]
            .where(row.tenant_id == self.tenant_id)
        )

    async def holdouts(self) -> list[HoldoutRow]:
        """Every holdout, by name."""
        query = select(HoldoutRow).where(HoldoutRow.tenant_id == self.tenant_id)
        return list(await self.session.exec(query.order_by(HoldoutRow.name)))

    async def put_holdout(self, name: str, parts: int) -> HoldoutRow:
        """Keep a holdout under its name, in place of the one that had it."""
        statement = (
            insert(HoldoutRow)
            .values(tenant_id=self.tenant_id, name=name, parts=parts)
            .on_conflict_do_update(index_elements=["tenant_id", "name"], set_={"parts": parts})
        )
        await (await self.session.connection()).execute(statement)
        return await self.session.get_one(HoldoutRow, (self.tenant_id, name), populate_existing=True)

    async def remove_holdout(self, row: HoldoutRow) -> None:
        await self.session.delete(row)
        await self.session.flush()
