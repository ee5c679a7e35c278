"""Rollups of a segment: what its members' events add up to by hour and day, up to a position of the log.

They change with the members: who joined is added, who left is taken out, and of the others what came since. Sums of
exact numbers alone are held, so that taking out leaves what adding up anew would. Histograms are not among them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Column, DateTime, Integer, Numeric, SmallInteger, Text
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.members import Members
from resolvers.analysis.rollups import DAY, HOUR
from resolvers.store.database import driver
from resolvers.store.members import unsealed
from resolvers.store.rollup_reading import Portion
from resolvers.store.rollups import FLAGS_OF_EVENT
from resolvers.store.segment_codec import Damaged
from resolvers.store.versions import WHOLE_LOG

_MOST_CHANGES = 20_000
"""Subjects who joined or left up to which they are looked up one by one; of more, all are added up anew."""
_KEYS = "grain, kind, name, currency, flags, at"
_SUMS = ("n", "amount_n", "amount_sum", "cost_n", "cost_sum", "duration_n")
_HELD = """
SELECT m.edition, m.codes, m.rolled_edition, m.rolled_to, m.rolled, v.version
FROM segment_members m JOIN data_version v ON v.tenant_id = m.tenant_id AND v.kind = $3
WHERE m.tenant_id = $1 AND m.segment_id = $2 FOR UPDATE OF m SKIP LOCKED
"""
_ADD = f"""
INSERT INTO segment_rollup (tenant_id, segment_id, {_KEYS}, {", ".join(_SUMS)})
SELECT $1, $2, {_KEYS}, {", ".join(f"$5::integer * {name}" for name in _SUMS)} FROM (
    WITH hourly AS (
        SELECT date_trunc('hour', occurred_at, 'UTC') AS at, kind, name, coalesce(currency, '') AS currency,
            {FLAGS_OF_EVENT}::smallint AS flags, count(*) AS n, count(amount) AS amount_n,
            coalesce(sum(amount), 0) AS amount_sum, count(cost) AS cost_n, coalesce(sum(cost), 0) AS cost_sum,
            count(duration_ms) AS duration_n
        FROM event WHERE tenant_id = $1 AND position > $3 AND position <= $4 AND %s GROUP BY 1, 2, 3, 4, 5
    )
    SELECT {HOUR}::smallint AS grain, at, kind, name, currency, flags, {", ".join(_SUMS)} FROM hourly
    UNION ALL
    SELECT {DAY}::smallint, date_trunc('day', at, 'UTC'), kind, name, currency, flags,
        {", ".join(f"sum({name})::bigint" if name == "n" or name.endswith("_n") else f"sum({name})" for name in _SUMS)}
    FROM hourly GROUP BY 1, 2, 3, 4, 5, 6
) AS added
ON CONFLICT (tenant_id, segment_id, {_KEYS}) DO UPDATE
SET {", ".join(f"{name} = segment_rollup.{name} + excluded.{name}" for name in _SUMS)}
"""  # noqa: S608  # constants only
_FEW = _ADD % "subject = ANY($6::integer[])"
_MANY = _ADD % "CASE WHEN subject < length($6::bytea) * 8 THEN get_bit($6::bytea, subject) = 1 ELSE false END"
_CLEAR = "DELETE FROM segment_rollup WHERE tenant_id = $1 AND segment_id = $2"
_DONE = """
UPDATE segment_members SET rolled_edition = edition, rolled_to = $3, rolled = codes
WHERE tenant_id = $1 AND segment_id = $2
"""


def _count() -> Any:
    return Field(sa_column=Column(BigInteger, nullable=False))


class SegmentRollupRow(SQLModel, table=True):
    __tablename__ = "segment_rollup"

    tenant_id: int = Field(primary_key=True)
    segment_id: int = Field(sa_column=Column(Integer, primary_key=True))
    grain: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    name: int = Field(sa_column=Column(Integer, primary_key=True))
    currency: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    flags: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    n: int = _count()
    amount_n: int = _count()
    amount_sum: Decimal = Field(sa_column=Column(Numeric, nullable=False))
    cost_n: int = _count()
    cost_sum: Decimal = Field(sa_column=Column(Numeric, nullable=False))
    duration_n: int = _count()


class SegmentRollups:
    """Keeps the rollups of one tenant's segments."""

    def __init__(self, session: AsyncSession, tenant_id: int) -> None:
        self.session = session
        self.tenant_id = tenant_id

    async def portion(self, segment_id: int, members: Members) -> Portion | None:
        """The rollups of a segment with these members; None where they are of others, or of none.

        Who has read them asks again: where the answer is another one, they were changed meanwhile.
        """
        rolled_to = await (await driver(self.session)).fetchval(
            "SELECT rolled_to FROM segment_members"
            " WHERE tenant_id = $1 AND segment_id = $2 AND edition = $3 AND rolled_edition = $3",
            self.tenant_id,
            segment_id,
            members.edition,
        )
        return None if rolled_to is None else Portion(segment_id, rolled_to, members.bits)

    async def roll(self, segment_id: int) -> bool:
        """Bring a segment's rollups up to its members and the log, unless somebody is at it; return whether it did.

        To be a transaction of its own, which may take its time.
        """
        connection = await driver(self.session)
        row = await connection.fetchrow(_HELD, self.tenant_id, segment_id, WHOLE_LOG)
        if row is None:
            return False
        through = row["version"]
        try:
            now = unsealed(row["codes"], self.tenant_id, segment_id, row["edition"])
            before = await self._before(segment_id, row)
        except Damaged:
            return False
        since = row["rolled_to"] or 0
        joined, left = (
            Members(np.setdiff1d(one.codes, other.codes, assume_unique=True))
            for one, other in ((now, before), (before, now))
        )
        if not before.size or joined.size + left.size > min(_MOST_CHANGES, now.size // 2):
            await connection.execute(_CLEAR, self.tenant_id, segment_id)
            await self._add(segment_id, _MANY, now.bits, 0, through, 1)
        else:
            staying = Members(np.intersect1d(now.codes, before.codes, assume_unique=True))
            await self._add(segment_id, _FEW, joined.codes.tolist(), 0, through, 1)
            await self._add(segment_id, _FEW, left.codes.tolist(), 0, since, -1)
            await self._add(segment_id, _MANY, staying.bits, since, through, 1)
            await connection.execute(f"{_CLEAR} AND n = 0", self.tenant_id, segment_id)
        await connection.execute(_DONE, self.tenant_id, segment_id, through)
        return True

    async def _before(self, segment_id: int, row: Any) -> Members:
        """Those whose events are added up."""
        if row["rolled"] is None or row["rolled_to"] is None:
            return Members(np.empty(0, np.int32))
        return unsealed(row["rolled"], self.tenant_id, segment_id, row["rolled_edition"])

    async def _add(self, segment_id: int, query: str, subjects: Any, after: int, through: int, sign: int) -> None:
        """Add, or with a ``sign`` of -1 take out, the events of some subjects with after < position <= through."""
        if len(subjects) and after < through:
            connection = await driver(self.session)
            await connection.execute(query, self.tenant_id, segment_id, after, through, sign, subjects)

    async def give_up(self, segment_id: int) -> None:
        """Do without rollups until the members are other ones: they proved too much."""
        await (await driver(self.session)).execute(
            "UPDATE segment_members SET rolled_edition = edition, rolled_to = NULL, rolled = NULL"
            " WHERE tenant_id = $1 AND segment_id = $2",
            self.tenant_id,
            segment_id,
        )
