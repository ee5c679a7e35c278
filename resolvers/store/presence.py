"""Presence: the subjects and orders of each day as sets, so that distinct ones are counted without their events.

A row holds the sets of one member (``analysis.presence.Member``) on one day (UTC), for each class of events, sealed
with a digest over its bytes and its place. Rows hold every event up to the position ``folded_to`` of the tenant's log,
and change in the transaction that advances it; events after it are read from the log. Since sets take what they have
already, an answer made of rows that are newer than ``folded_to`` is right as well. A row found damaged is emptied, and
made anew by upkeep; until then its days are counted from the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import getrandbits
from typing import NamedTuple

from sqlalchemy import BigInteger, Column, Date, LargeBinary, SmallInteger
from sqlmodel import Field, SQLModel

from resolvers.analysis.presence import DaySets, Member
from resolvers.store.presence_codec import opened_sets, sealed_sets
from resolvers.store.segment_codec import Damaged
from resolvers.store.sightings import SightingsReader
from resolvers.store.versions import WHOLE_LOG

_FIRST_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PresenceStateRow(SQLModel, table=True):
    """How far a tenant's log has been folded into presence."""

    __tablename__ = "presence_state"

    tenant_id: int = Field(primary_key=True)
    folded_to: int = Field(sa_column=Column(BigInteger, nullable=False))
    edition: int = Field(sa_column=Column(BigInteger, nullable=False, server_default="0"))
    """Another number, drawn at random, whenever a row is written or deleted."""


class PresenceRow(SQLModel, table=True):
    """The sets of one member on one day (UTC); ``edition`` is another number, drawn at random, whenever they change."""

    __tablename__ = "presence"

    tenant_id: int = Field(primary_key=True)
    member: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    day: date = Field(sa_column=Column(Date, primary_key=True))
    edition: int = Field(sa_column=Column(BigInteger, nullable=False))
    codes: bytes | None = Field(sa_column=Column(LargeBinary))
    hours: bytes | None = Field(sa_column=Column(LargeBinary))


class PresenceState(NamedTuple):
    """How far the log is folded, how long it is, and what tells whether the rows are still the same."""

    folded_to: int
    version: int
    edition: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """The sets of a member on a day (counted from 1970, UTC), in one edition."""

    member: Member
    day: int
    edition: int

    def place(self, tenant_id: int) -> str:
        """What its bytes are bound to."""
        return f"presence/{tenant_id}/{int(self.member)}/{self.day}/{self.edition}"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A row as it was read."""

    tenant_id: int
    leaf: Leaf
    codes: bytes | None
    hours: bytes | None

    def opened(self) -> DaySets:
        """Its sets; raises Damaged, also where it is lost."""
        place = self.leaf.place(self.tenant_id)
        if self.codes is None:
            raise Damaged(place)
        return opened_sets(self.codes, self.hours, place)


class PresenceRepository(SightingsReader):
    """Reads and writes the presence of one tenant, by an asyncpg connection within a transaction."""

    async def state(self) -> PresenceState:
        """How far the log is folded."""
        row = await self.connection.fetchrow(
            "SELECT coalesce(folded_to, 0), coalesce(version, 0), coalesce(edition, 0)"
            " FROM (SELECT folded_to, edition FROM presence_state WHERE tenant_id = $1) AS state"
            " FULL JOIN (SELECT version FROM data_version WHERE tenant_id = $1 AND kind = $2) AS log ON true",
            self.tenant_id,
            WHOLE_LOG,
        )
        return PresenceState(*row or (0, 0, 0))

    async def hold(self, *, wait: bool = False) -> int | None:
        """How far it is folded, nobody else's to change until the transaction ends; None where somebody holds it."""
        await self.connection.execute(
            "INSERT INTO presence_state (tenant_id, folded_to) VALUES ($1, 0) ON CONFLICT DO NOTHING", self.tenant_id
        )
        held: int | None = await self.connection.fetchval(
            f"SELECT folded_to FROM presence_state WHERE tenant_id = $1 FOR UPDATE {'' if wait else 'SKIP LOCKED'}",  # noqa: S608
            self.tenant_id,
        )
        return held

    async def advance(self, through: int) -> None:
        """Say that everything up to a position is folded; part of the transaction that did it."""
        await self.connection.execute(
            "UPDATE presence_state SET folded_to = $2 WHERE tenant_id = $1", self.tenant_id, through
        )

    async def leaves(self, members: Sequence[Member], first: int, last: int) -> list[Leaf]:
        """The rows of days from ``first`` to ``last``."""
        return (await self.folded(members, first, last))[0]

    async def folded(self, members: Sequence[Member], first: int, last: int) -> tuple[list[Leaf], int]:
        """The rows of days from ``first`` to ``last``, and the position up to which they hold the log."""
        rows = await self.connection.fetch(
            "SELECT member, day - date '1970-01-01', edition,"
            " (SELECT folded_to FROM presence_state WHERE tenant_id = $1) FROM presence"
            " WHERE tenant_id = $1 AND member = ANY($2::smallint[]) AND day BETWEEN $3 AND $4",
            self.tenant_id,
            list(map(int, members)),
            day_of(first),
            day_of(last),
        )
        return [Leaf(Member(row[0]), row[1], row[2]) for row in rows], rows[0][3] or 0 if rows else 0

    async def lost(self) -> list[int]:
        """The days of which a row is lost."""
        rows = await self.connection.fetch(
            "SELECT DISTINCT day - date '1970-01-01' FROM presence WHERE tenant_id = $1 AND codes IS NULL",
            self.tenant_id,
        )
        return [row[0] for row in rows]

    async def sealed(self, keys: Sequence[tuple[Member, int]], *, hours: bool = True) -> list[Sealed]:
        """Those of the rows that are there; the hours only where they are wanted."""
        rows = await self.connection.fetch(
            f"SELECT member, day - date '1970-01-01', edition, codes, {'hours' if hours else 'NULL::bytea'}"  # noqa: S608
            " FROM presence JOIN unnest($2::smallint[], $3::date[]) AS wanted (member, day) USING (member, day)"
            " WHERE tenant_id = $1",
            self.tenant_id,
            [int(member) for member, _ in keys],
            [day_of(day) for _, day in keys],
        )
        return [Sealed(self.tenant_id, Leaf(Member(row[0]), row[1], row[2]), row[3], row[4]) for row in rows]

    async def keep(self, member: Member, day: int, sets: DaySets) -> None:
        """Write a row, in place of the one that was there."""
        leaf = Leaf(member, day, getrandbits(63))
        codes, hours = sealed_sets(sets, leaf.place(self.tenant_id))
        await self.connection.execute(
            "INSERT INTO presence (tenant_id, member, day, edition, codes, hours) VALUES ($1, $2, $3, $4, $5, $6)"
            " ON CONFLICT (tenant_id, member, day) DO UPDATE"
            " SET edition = excluded.edition, codes = excluded.codes, hours = excluded.hours",
            self.tenant_id,
            int(leaf.member),
            day_of(leaf.day),
            leaf.edition,
            codes,
            hours,
        )
        await self._change()

    async def empty(self, leaf: Leaf) -> None:
        """Mark a row as lost, unless it changes meanwhile."""
        await self.connection.execute(
            "UPDATE presence SET codes = NULL, hours = NULL WHERE (tenant_id, member, day) IN ("
            " SELECT tenant_id, member, day FROM presence"
            " WHERE tenant_id = $1 AND member = $2 AND day = $3 AND edition = $4 FOR UPDATE SKIP LOCKED)",
            self.tenant_id,
            int(leaf.member),
            day_of(leaf.day),
            leaf.edition,
        )

    async def drop(self, day: int) -> None:
        """Delete the rows of a day."""
        await self.connection.execute(
            "DELETE FROM presence WHERE tenant_id = $1 AND day = $2", self.tenant_id, day_of(day)
        )
        await self._change()

    async def _change(self) -> None:
        await self.connection.execute(
            "UPDATE presence_state SET edition = $2 WHERE tenant_id = $1", self.tenant_id, getrandbits(63)
        )


def day_of(number: int) -> date:
    """The day so many days after 1970-01-01."""
    return _FIRST_DAY + timedelta(days=number)


def number_of(day: datetime) -> int:
    """How many days after 1970-01-01 a day (UTC) begins."""
    return (day - _EPOCH).days
