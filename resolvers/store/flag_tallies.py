"""How often each variation of a flag was given: counted in the process, written down now and then.

What was counted since is lost with a process that is killed: these are figures of use, no facts of the log.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import BigInteger, Column, Date, DateTime, Text, func, select
from sqlmodel import Field, SQLModel, col
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import Database, driver, rows

KEPT = timedelta(days=400)
"""How long it is known what was given on a day: whatever is asked about is of the last year."""
_MOST = 100_000
_FORGET = "DELETE FROM flag_tally WHERE tenant_id = $1 AND day < $2"
_ADD = """
INSERT INTO flag_tally (tenant_id, flag_id, environment, day, variation, evaluations, last_at)
SELECT $1, flag_id, environment, $2, variation, evaluations, $3
FROM unnest($4::integer[], $5::text[], $6::text[], $7::bigint[]) AS given (flag_id, environment, variation, evaluations)
ORDER BY flag_id, environment, variation
ON CONFLICT (tenant_id, flag_id, environment, day, variation) DO UPDATE
SET evaluations = flag_tally.evaluations + excluded.evaluations,
    last_at = greatest(flag_tally.last_at, excluded.last_at)
"""


class FlagTallyRow(SQLModel, table=True):
    __tablename__ = "flag_tally"

    tenant_id: int = Field(primary_key=True)
    flag_id: int = Field(primary_key=True)
    environment: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    day: date = Field(sa_column=Column(Date, primary_key=True))
    """In UTC."""
    variation: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    evaluations: int = Field(sa_column=Column(BigInteger, nullable=False))
    last_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


@dataclass(frozen=True, slots=True)
class Given:
    """How often a variation was given in an environment, and when last."""

    environment: str
    variation: str
    evaluations: int
    last_at: datetime


class FlagTallies:
    """What this process has given since it last wrote it down."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, int, str, str]] = Counter()
        self._pruned: dict[int, date] = {}
        """The day on which this process last forgot what was too long ago, of each tenant."""

    def add(self, tenant_id: int, environment: str, given: Counter[tuple[int, str]]) -> None:
        """Count variations that were given, by flag and variation."""
        for (flag_id, variation), count in given.items():
            self._counts[tenant_id, flag_id, environment, variation] += count
        if len(self._counts) > _MOST:
            # The database is away, or nobody writes: better few figures than no memory.
            self._counts.clear()

    async def flush(self, database: Database, at: datetime) -> None:
        """Write down what was counted, and once a day forget what was too long ago.

        What cannot be written now is counted on.
        """
        counts, self._counts = self._counts, Counter()
        by_tenant: dict[int, list[tuple[int, str, str, int]]] = {}
        for (tenant_id, flag_id, environment, variation), count in counts.items():
            by_tenant.setdefault(tenant_id, []).append((flag_id, environment, variation, count))
        try:
            for tenant_id, given in sorted(by_tenant.items()):
                async with database.tenant(tenant_id) as session:
                    columns = map(list, zip(*given, strict=True))
                    connection = await driver(session)
                    await connection.execute(_ADD, tenant_id, at.date(), at, *columns)
                    if self._pruned.get(tenant_id) != at.date():
                        await connection.execute(_FORGET, tenant_id, at.date() - KEPT)
                self._pruned[tenant_id] = at.date()
                for flag_id, environment, variation, _ in given:
                    del counts[tenant_id, flag_id, environment, variation]
        finally:
            self._counts += counts


class FlagTallyRepository:
    """Reads what was given of the flags of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: int) -> None:
        self.session = session
        self.tenant_id = tenant_id

    async def given(self, since: date) -> dict[int, list[Given]]:
        """How often each variation of each flag, by its id, was given from a day (UTC) on."""
        query = (
            select(
                col(FlagTallyRow.flag_id),
                col(FlagTallyRow.environment),
                col(FlagTallyRow.variation),
                func.sum(FlagTallyRow.evaluations),
                func.max(FlagTallyRow.last_at),
            )
            .where(col(FlagTallyRow.tenant_id) == self.tenant_id, col(FlagTallyRow.day) >= since)
            .group_by(col(FlagTallyRow.flag_id), col(FlagTallyRow.environment), col(FlagTallyRow.variation))
            .order_by(col(FlagTallyRow.environment), col(FlagTallyRow.variation))
        )
        found: dict[int, list[Given]] = {}
        for flag_id, environment, variation, evaluations, last_at in await rows(self.session, query):
            found.setdefault(flag_id, []).append(Given(environment, variation, int(evaluations), last_at))
        return found

    async def last(self, since: date) -> dict[tuple[int, str], datetime]:
        """When each flag was last evaluated in each environment, from a day (UTC) on."""
        query = (
            select(col(FlagTallyRow.flag_id), col(FlagTallyRow.environment), func.max(FlagTallyRow.last_at))
            .where(col(FlagTallyRow.tenant_id) == self.tenant_id, col(FlagTallyRow.day) >= since)
            .group_by(col(FlagTallyRow.flag_id), col(FlagTallyRow.environment))
        )
        return {(flag_id, environment): at for flag_id, environment, at in await rows(self.session, query)}
