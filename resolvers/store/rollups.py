"""Rollups: what the events of an hour or a day add up to, for each dimension value and class of events.

A class is what events share that metrics tell apart: kind, name, currency and flags. A row holds mergeable
aggregates (n, and for each measure n, Σx, Σx², least, greatest; of durations a histogram too), so that any span of
whole hours is a sum of rows. They are updated in the transaction that stores the events, from the very rows it adds.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import getrandbits
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Column, Date, DateTime, Double, Integer, Numeric, SmallInteger, Text, inspect
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.event_columns import FLAGS
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.histograms import GAMMA, LEAST, ZERO
from resolvers.analysis.rollups import DAY, HOUR, Deltas
from resolvers.store.database import driver
from resolvers.store.versions import REBUILT, hold_log

MEASURES = {"amount": "amount", "cost": "cost", "duration_ms": "duration"}
"""The prefix of a measure's columns."""


def _count() -> Any:
    return Field(sa_column=Column(BigInteger, nullable=False))


def _sum() -> Any:
    return Field(sa_column=Column(Numeric, nullable=False))


def _float(nullable: bool = False) -> Any:
    return Field(sa_column=Column(Double, nullable=nullable))


def _extreme() -> Any:
    return Field(sa_column=Column(Numeric))


class RollupRow(SQLModel, table=True):
    __tablename__ = "rollup"

    tenant_id: int = Field(primary_key=True)
    grain: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    dimension: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    value: int = Field(sa_column=Column(Integer, primary_key=True))
    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    name: int = Field(sa_column=Column(Integer, primary_key=True))
    currency: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    flags: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    n: int = _count()
    amount_n: int = _count()
    amount_sum: Decimal = _sum()
    amount_squares: float = _float()
    amount_least: Decimal | None = _extreme()
    amount_greatest: Decimal | None = _extreme()
    cost_n: int = _count()
    cost_sum: Decimal = _sum()
    cost_squares: float = _float()
    cost_least: Decimal | None = _extreme()
    cost_greatest: Decimal | None = _extreme()
    duration_n: int = _count()
    duration_sum: float = _float()
    duration_squares: float = _float()
    duration_least: float | None = _float(nullable=True)
    duration_greatest: float | None = _float(nullable=True)
    histogram: list[int] | None = Field(sa_column=Column(ARRAY(BigInteger)))


class RollupDayRow(SQLModel, table=True):
    """A day (UTC) that has rollups; ``edition`` is another number, drawn at random, whenever they change."""

    __tablename__ = "rollup_day"

    tenant_id: int = Field(primary_key=True)
    day: date = Field(sa_column=Column(Date, primary_key=True))
    edition: int = Field(sa_column=Column(BigInteger, nullable=False))


ROLLUP: ReadOnlyColumnCollection[str, KeyedColumnElement[Any]] = inspect(RollupRow).local_table.c
"""The columns of the rollups, for expressions."""

_KEYS = ["grain", "dimension", "value", "kind", "name", "currency", "flags", "at"]
_AGGREGATES = [
    "n",
    *(f"{m}_{part}" for m in MEASURES.values() for part in ("n", "sum", "squares", "least", "greatest")),
]
_DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_TYPES = {column.name: column.type.compile(_DIALECT) for column in ROLLUP} | {"currency": "text"}


def _merged(column: str) -> str:
    if column.endswith(("_least", "_greatest")):
        return f"{column} = {column.rpartition('_')[2]}(rollup.{column}, excluded.{column})"
    return f"{column} = rollup.{column} + excluded.{column}"


_PLAIN = [*_KEYS, *_AGGREGATES]
_ADDED = [*_PLAIN, "histogram"]
_SENT_AS = _TYPES | {"at": "bigint", "histogram": "text"}
# Arrays travel as texts, which are made several times faster than the driver makes arrays; a histogram as a text in
# one, since an array of arrays of different lengths cannot. Its parts are strung together and merged now and then
# only, which is dear.
_ARRAYS = ", ".join(f"${place}::text::{_SENT_AS[name]}[]" for place, name in enumerate(_ADDED, 2))
_RECEIVED = {"at": "to_timestamp(at)", "histogram": "histogram::bigint[]"}
# What merged_histogram does, without a call of it.
_MERGED = """ARRAY(
    SELECT part >> 32 << 32 | sum(part & 4294967295)::bigint
    FROM unnest(rollup.histogram || excluded.histogram) AS part GROUP BY part >> 32 ORDER BY part >> 32
)"""
_ADD = f"""
WITH changed AS (
    INSERT INTO rollup_day (tenant_id, day, edition) SELECT $1, day, ${len(_ADDED) + 3}
    FROM unnest(${len(_ADDED) + 2}::date[]) AS day
    ON CONFLICT (tenant_id, day) DO UPDATE SET edition = excluded.edition
)
INSERT INTO rollup (tenant_id, {", ".join(_ADDED)})
SELECT $1, {", ".join(_RECEIVED.get(name, name) for name in _ADDED)}
FROM unnest({_ARRAYS}) AS new({", ".join(_ADDED)})
ON CONFLICT (tenant_id, {", ".join(_KEYS)}) DO UPDATE SET {", ".join(map(_merged, _AGGREGATES))},
    histogram = CASE WHEN cardinality(rollup.histogram) + cardinality(excluded.histogram) > 256
        THEN {_MERGED}
        ELSE rollup.histogram || excluded.histogram END
"""  # noqa: S608  # constants only


async def add(connection: Any, tenant_id: int, deltas: Deltas) -> None:
    """Add what a batch of new events comes to to the tenant's rollups; part of their transaction."""
    added = [_array(deltas.columns[name]) for name in _ADDED]
    await connection.execute(_ADD, tenant_id, *added, deltas.days, getrandbits(63))


def _array(values: Sequence[Any]) -> str:
    """A column as the text of an array; no number, currency or list of numbers holds what would be escaped."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            return f'"{value}"'
        case list():
            return f'"{{{str(value)[1:-1]}}}"'
    return str(value)


def _digit(flag: str) -> str:
    return f"CASE {flag} WHEN true THEN 2 WHEN false THEN 1 ELSE 0 END"


def _over_events(measure: str) -> str:
    name, exact = MEASURES[measure], measure != "duration_ms"
    square = f"({measure} * {measure})::double precision" if exact else f"{measure} * {measure}"
    return (
        f"count({measure}) AS {name}_n, coalesce(sum({measure}), 0) AS {name}_sum,"
        f" coalesce(sum({square}), 0) AS {name}_squares,"
        f" min({measure}) AS {name}_least, max({measure}) AS {name}_greatest"
    )


FLAGS_OF_EVENT = "(" + " + ".join(f"{3**place} * ({_digit(flag)})" for place, flag in enumerate(FLAGS)) + ")"
"""An event's flags as one number."""
BUCKET = (
    f"CASE WHEN duration_ms IS NULL THEN NULL WHEN duration_ms < {LEAST!r} THEN {ZERO}"
    f" ELSE ceil(ln(duration_ms) / {GAMMA.ln()}::double precision)::integer END"
)
"""Where an event's duration lies in a histogram; NULL where it has none."""
_VALUES = ", ".join(f"({place}, {name})" for place, name in enumerate(("0", *DIMENSIONS)))
_PARTED = ", ".join((*_KEYS[1:-1], "bucket"))


def _over_parts(column: str) -> str:
    how = {"least": "min", "greatest": "max"}.get(column.rpartition("_")[2], "sum")
    count = "::bigint" if column == "n" or column.endswith("_n") else ""
    return f"{how}({column}){count} AS {column}"


_FROM_LOG = f"""
WITH part AS (
    SELECT date_trunc('hour', occurred_at, 'UTC') AS at, d.dimension::smallint AS dimension, d.value, kind, name,
           coalesce(currency, '') AS currency, {FLAGS_OF_EVENT}::smallint AS flags, {BUCKET} AS bucket,
           count(*) AS n, {", ".join(map(_over_events, MEASURES))}
    FROM event CROSS JOIN LATERAL (VALUES {_VALUES}) AS d(dimension, value)
    WHERE tenant_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND d.value IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), grained AS (
    SELECT {HOUR}::smallint AS grain, at, {_PARTED}, {", ".join(_AGGREGATES)} FROM part
    UNION ALL
    SELECT {DAY}::smallint, date_trunc('day', at, 'UTC'), {_PARTED}, {", ".join(_AGGREGATES)} FROM part
), bucketed AS (
    SELECT grain, at, {_PARTED}, {", ".join(map(_over_parts, _AGGREGATES))} FROM grained GROUP BY grain, at, {_PARTED}
)
SELECT {", ".join(_KEYS)}, {", ".join(map(_over_parts, _AGGREGATES))},
       array_agg(bucket::bigint << 32 | duration_n ORDER BY bucket) FILTER (WHERE bucket IS NOT NULL) AS histogram
FROM bucketed GROUP BY {", ".join(_KEYS)}
"""  # noqa: S608  # constants only
_REBUILD = f"INSERT INTO rollup (tenant_id, {', '.join(_PLAIN)}, histogram) SELECT $1, log.* FROM ({_FROM_LOG}) AS log"  # noqa: S608  # constants only
_CHANGE = """
INSERT INTO rollup_day (tenant_id, day, edition) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, day) DO UPDATE SET edition = excluded.edition
"""
_REBUILT = f"""
INSERT INTO data_version (tenant_id, kind, version) VALUES ($1, {REBUILT}, 1)
ON CONFLICT (tenant_id, kind) DO UPDATE SET version = data_version.version + 1
"""  # noqa: S608  # constants only
_EXACT = [name for name in _AGGREGATES if not name.startswith("duration_") and not name.endswith("_squares")]
_EXACT += ["duration_n"]
_CLOSE = [name for name in _AGGREGATES if name not in _EXACT]
_DIFFERS = " OR ".join(
    [f"log.{name} IS DISTINCT FROM kept.{name}" for name in _EXACT]
    + [f"abs(log.{name} - kept.{name}) > 1e-9 * greatest(abs(log.{name}), 1e-9)" for name in _CLOSE]
)
# A day without an edition is a day that nobody reads.
_NOTED = "EXISTS (SELECT FROM rollup_day WHERE tenant_id = $1 AND day = ($2 AT TIME ZONE 'UTC')::date)"
_VERIFY = f"""
SELECT count(*), count(*) FILTER (WHERE log.n IS NULL OR kept.n IS NULL OR {_DIFFERS}
    OR coalesce((SELECT sum(part & 4294967295) FROM unnest(kept.histogram) AS part), 0) <> kept.duration_n
    OR NOT {_NOTED})
FROM ({_FROM_LOG}) AS log
FULL JOIN (SELECT * FROM rollup WHERE tenant_id = $1 AND at >= $2 AND at < $3) AS kept USING ({", ".join(_KEYS)})
"""  # noqa: S608  # constants only


class RollupRepository:
    """Holds the rollups of a tenant against its log, a day (UTC) at a time."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def rebuild(self, tenant_id: int, day: datetime) -> int:
        """Make the rollups of a day anew from the log, which nobody appends to meanwhile; return how many there are."""
        connection = await driver(self.session)
        await hold_log(connection, tenant_id)
        span = (tenant_id, day, day + timedelta(days=1))
        await connection.execute("DELETE FROM rollup WHERE tenant_id = $1 AND at >= $2 AND at < $3", *span)
        done: str = await connection.execute(_REBUILD, *span)
        await connection.execute(_CHANGE, tenant_id, day.date(), getrandbits(63))
        await connection.execute(_REBUILT, tenant_id)
        return int(done.rpartition(" ")[2])

    async def verify(self, tenant_id: int, day: datetime) -> tuple[int, int]:
        """How many rollups a day has by its log or by what is kept, and how many of them are not as the log says."""
        connection = await driver(self.session)
        await hold_log(connection, tenant_id)
        found, wrong = await connection.fetchrow(_VERIFY, tenant_id, day, day + timedelta(days=1))
        return found, wrong
