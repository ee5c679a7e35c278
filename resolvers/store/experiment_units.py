"""What is kept of the units of experiments, and in sum: its tables."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, Numeric, SmallInteger
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel


def _small() -> Any:
    return Column(SmallInteger, primary_key=True)


def _number() -> Any:
    return Column(Numeric, nullable=False)


class ExperimentStateRow(SQLModel, table=True):
    """How far into the log the units of an experiment are kept, and by which scheme."""

    __tablename__ = "experiment_state"

    tenant_id: int = Field(primary_key=True)
    experiment_id: int = Field(primary_key=True)
    edition: str
    folded_to: int = Field(sa_column=Column(BigInteger, nullable=False))


class ExperimentUnitRow(SQLModel, table=True):
    """A unit: of which variant, and what each metric comes to; NULL is 0."""

    __tablename__ = "experiment_unit"

    tenant_id: int = Field(primary_key=True)
    experiment_id: int = Field(primary_key=True)
    subject: int = Field(primary_key=True)
    phase: int = Field(sa_column=Column(SmallInteger, nullable=False))
    variant: int = Field(sa_column=Column(SmallInteger, nullable=False))
    multiple: bool = Field(sa_column=Column(Boolean, nullable=False))
    exposed_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    day: int
    parts: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    x: list[Decimal] | None = Field(sa_column=Column(ARRAY(Numeric)))
    y: list[Decimal] | None = Field(sa_column=Column(ARRAY(Numeric)))
    c: list[Decimal] | None = Field(sa_column=Column(ARRAY(Numeric)))


class ExperimentStatisticsRow(SQLModel, table=True):
    """Sums over units: of slot 0 how many there are, of slot k those of the k-th metric."""

    __tablename__ = "experiment_statistics"

    tenant_id: int = Field(primary_key=True)
    experiment_id: int = Field(primary_key=True)
    phase: int = Field(sa_column=_small())
    cut: int = Field(sa_column=_small())
    value: int = Field(primary_key=True)
    variant: int = Field(sa_column=_small())
    multiple: bool = Field(sa_column=Column(Boolean, primary_key=True))
    slot: int = Field(sa_column=_small())
    n: int = Field(sa_column=Column(BigInteger, nullable=False))
    x: Decimal = Field(sa_column=_number())
    y: Decimal = Field(sa_column=_number())
    c: Decimal = Field(sa_column=_number())
    xx: Decimal = Field(sa_column=_number())
    yy: Decimal = Field(sa_column=_number())
    cc: Decimal = Field(sa_column=_number())
    xy: Decimal = Field(sa_column=_number())
    xc: Decimal = Field(sa_column=_number())


class ExperimentTopRow(SQLModel, table=True):
    """What a metric that is capped at a quantile comes to for a unit, where that is not 0: to find the largest.

    The covariate of slot k is that of slot -k.
    """

    __tablename__ = "experiment_top"

    tenant_id: int = Field(primary_key=True)
    experiment_id: int = Field(primary_key=True)
    slot: int = Field(sa_column=_small())
    subject: int = Field(primary_key=True)
    x: Decimal = Field(sa_column=_number())
