"""Journey segments: a tenant's log once more, as sorted and compressed columns, for questions about order.

A run holds the events of one month (UTC) whose position is after one place of the log and not after another. The
runs of a month follow each other without gap, and the manifest names them all; it changes in the transaction that
changes the runs. What the manifest does not cover is read from the log, by position, so that the two together are the
log whatever becomes of a segment: one that is lost or damaged only makes its month be read from the log again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, ColumnElement, Date, DateTime, LargeBinary, and_, or_
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.periods import Period
from resolvers.store.database import driver
from resolvers.store.events import EVENT
from resolvers.store.versions import WHOLE_LOG


class JourneyStateRow(SQLModel, table=True):
    """How far a tenant's log has been folded into segments, and which there are."""

    __tablename__ = "journey_state"

    tenant_id: int = Field(primary_key=True)
    folded_to: int = Field(sa_column=Column(BigInteger, nullable=False))
    folded_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    manifest: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class JourneySegmentRow(SQLModel, table=True):
    """A run of events by subject, time and position, each column sealed; one that no event carries is NULL.

    Ledgers and measures are sealed likewise; they are NULL where they were not made yet.
    """

    __tablename__ = "journey_segment"

    tenant_id: int = Field(primary_key=True)
    month: date = Field(sa_column=Column(Date, primary_key=True))
    after: int = Field(sa_column=Column(BigInteger, primary_key=True))
    through: int = Field(sa_column=Column(BigInteger, primary_key=True))
    rows: int
    subject: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    kind: bytes | None
    name: bytes | None
    success: bytes | None
    assisted: bytes | None
    recurring: bytes | None
    channel: bytes | None
    campaign: bytes | None
    source: bytes | None
    persona: bytes | None
    segment: bytes | None
    provider: bytes | None
    model: bytes | None
    feature: bytes | None
    agent: bytes | None
    integration: bytes | None
    service: bytes | None
    plan: bytes | None
    location: bytes | None
    experiment: bytes | None
    variant: bytes | None
    request_type: bytes | None
    sales: bytes | None
    calls: bytes | None
    subscriptions: bytes | None
    measures: bytes | None
    """Of the calls."""


@dataclass(frozen=True, slots=True)
class Run:
    """Which events a segment holds: those of ``month`` with after < position <= through."""

    month: date
    after: int
    through: int
    rows: int

    def place(self, tenant_id: int, column: str) -> str:
        """What a column is sealed to."""
        return f"{tenant_id}/{self.month}/{self.after}/{self.through}/{self.rows}/{column}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The runs of a tenant by month and position. They hold every event up to ``folded_to``, with one exception:

    of the months that are ``behind`` they hold those up to the position given there.
    """

    folded_to: int = 0
    runs: tuple[Run, ...] = ()
    behind: Mapping[date, int] = field(default_factory=dict)

    def months(self) -> dict[date, list[Run]]:
        """The runs of each month that has any."""
        return {month: list(runs) for month, runs in groupby(self.runs, key=lambda run: run.month)}

    def intact(self, present: Collection[Run]) -> "Manifest":
        """What is left of it if only some runs are there: a month counts up to its first gap."""
        kept: list[Run] = []
        behind = dict(self.behind)
        for month, runs in self.months().items():
            for run in runs:
                if run not in present:
                    behind[month] = run.after
                    break
                kept.append(run)
        return Manifest(self.folded_to, tuple(kept), behind)

    def without(self, month: date, *, folded_to: int) -> "Manifest":
        """The same with a month that has no runs, and of which none are missing up to ``folded_to``."""
        behind = {other: position for other, position in self.behind.items() if other != month}
        return Manifest(folded_to, tuple(run for run in self.runs if run.month != month), behind)


@dataclass(frozen=True, slots=True)
class State:
    """A manifest and the last position of the log, as of one instant."""

    manifest: Manifest
    version: int


def month_bounds(month: date) -> tuple[datetime, datetime]:
    """The instants at which a month begins and the next one does."""
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    return start, start.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def overlapping(manifest: Manifest, period: Period) -> list[Run]:
    """The runs whose month has a part in the period."""
    found = []
    for run in manifest.runs:
        start, end = month_bounds(run.month)
        if start < period.end and period.start < end:
            found.append(run)
    return found


def uncovered(folded_to: int, version: int, behind: Mapping[date, int]) -> ColumnElement[bool]:
    """What segments do not hold: what came after they were made, and what months that are behind lack."""
    parts: list[ColumnElement[bool]] = [EVENT.position > folded_to]
    for month, position in behind.items():
        start, end = month_bounds(month)
        parts.append(and_(EVENT.occurred_at >= start, EVENT.occurred_at < end, EVENT.position > position))
    return and_(EVENT.position <= version, or_(*parts))


class SegmentRepository:
    """Reads and writes the segments of one tenant at a time."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def state(self, tenant_id: int) -> State:
        """The manifest and how long the log is."""
        connection = await driver(self.session)
        row = await connection.fetchrow(
            "SELECT s.folded_to, s.manifest::text, v.version FROM (SELECT $1::integer AS tenant_id) AS t"
            " LEFT JOIN journey_state s USING (tenant_id)"
            " LEFT JOIN data_version v ON v.tenant_id = t.tenant_id AND v.kind = $2",
            tenant_id,
            WHOLE_LOG,
        )
        return State(_manifest(row), row["version"] or 0)

    async def found(self, tenant_id: int) -> None:
        """Make the tenant's state where it is missing."""
        await (await driver(self.session)).execute(
            "INSERT INTO journey_state (tenant_id, folded_to, folded_at, manifest) VALUES ($1, 0, now(), '{}')"
            " ON CONFLICT DO NOTHING",
            tenant_id,
        )

    async def hold(self, tenant_id: int, *, wait: bool = False) -> Manifest | None:
        """The manifest, nobody else's to change until the transaction ends.

        None where there is none or, unless that is to ``wait`` for, somebody holds it already.
        """
        query = "SELECT folded_to, manifest::text FROM journey_state WHERE tenant_id = $1 FOR UPDATE"
        row = await (await driver(self.session)).fetchrow(query if wait else f"{query} SKIP LOCKED", tenant_id)
        return None if row is None else _manifest(row)

    async def present(self, tenant_id: int) -> set[Run]:
        """The runs that are there."""
        rows = await (await driver(self.session)).fetch(
            "SELECT month, after, through, rows FROM journey_segment WHERE tenant_id = $1", tenant_id
        )
        return {Run(*row) for row in rows}

    async def incomplete(self, tenant_id: int) -> list[date]:
        """The months with runs that have no measures yet, or no ledgers either."""
        rows = await (await driver(self.session)).fetch(
            "SELECT DISTINCT month FROM journey_segment WHERE tenant_id = $1 AND measures IS NULL ORDER BY month",
            tenant_id,
        )
        return [row[0] for row in rows]

    async def sealed(self, tenant_id: int, run: Run, names: Sequence[str]) -> Mapping[str, bytes | None] | None:
        """Columns of a run as they were written; None where the run is gone."""
        row = await (await driver(self.session)).fetchrow(
            f"SELECT {', '.join(names)} FROM journey_segment"  # noqa: S608  # names of columns only
            " WHERE tenant_id = $1 AND month = $2 AND after = $3 AND through = $4",
            tenant_id,
            run.month,
            run.after,
            run.through,
        )
        return None if row is None else dict(row)

    async def add(self, tenant_id: int, run: Run, subject: bytes, at: bytes) -> None:
        """Write a run with its sealed subjects and times; its other columns are to follow."""
        await (await driver(self.session)).execute(
            "INSERT INTO journey_segment (tenant_id, month, after, through, rows, subject, at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            tenant_id,
            run.month,
            run.after,
            run.through,
            run.rows,
            subject,
            at,
        )

    async def fill(self, tenant_id: int, run: Run, name: str, column: bytes) -> None:
        """Write another sealed column of a run just added."""
        await (await driver(self.session)).execute(
            f"UPDATE journey_segment SET {name} = $5"  # noqa: S608  # a name of a column only
            " WHERE tenant_id = $1 AND month = $2 AND after = $3 AND through = $4",
            tenant_id,
            run.month,
            run.after,
            run.through,
            column,
        )

    async def drop(self, tenant_id: int, runs: Sequence[Run]) -> None:
        """Delete runs, but for those that somebody is working on; the log still has what they hold."""
        if not runs:
            return
        await (await driver(self.session)).execute(
            "DELETE FROM journey_segment WHERE tenant_id = $1 AND (month, after, through) IN ("
            " SELECT month, after, through FROM journey_segment"
            " JOIN unnest($2::date[], $3::bigint[], $4::bigint[]) AS unwanted (month, after, through)"
            " USING (month, after, through) WHERE tenant_id = $1 FOR UPDATE OF journey_segment SKIP LOCKED)",
            tenant_id,
            [run.month for run in runs],
            [run.after for run in runs],
            [run.through for run in runs],
        )

    async def save(self, tenant_id: int, manifest: Manifest) -> None:
        """Replace the manifest, which the transaction must hold."""
        content = {
            "runs": [(run.month, run.after, run.through, run.rows) for run in manifest.runs],
            "behind": {month.isoformat(): position for month, position in manifest.behind.items()},
        }
        await (await driver(self.session)).execute(
            "UPDATE journey_state SET folded_to = $2, folded_at = now(), manifest = $3::jsonb WHERE tenant_id = $1",
            tenant_id,
            manifest.folded_to,
            orjson.dumps(content).decode(),
        )


def _manifest(row: Any) -> Manifest:
    content = orjson.loads(row["manifest"] or "{}")
    return Manifest(
        row["folded_to"] or 0,
        tuple(Run(date.fromisoformat(month), *rest) for month, *rest in content.get("runs", ())),
        {date.fromisoformat(month): position for month, position in content.get("behind", {}).items()},
    )
