"""A tenant's exchange rates, dated, and the money of its events in its own currency."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import starmap
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Date,
    FromClause,
    Numeric,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    inspect,
    or_,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.exchange_rates import NO_RATES, OLDEST, ExchangeRate, Rates, date_of, day_number, rates_to
from resolvers.analysis.ledgers import Entries, currencies, number_of
from resolvers.analysis.periods import Period
from resolvers.analysis.rollups import DAY
from resolvers.store.database import driver
from resolvers.store.events import EVENT, EventRow
from resolvers.store.versions import EXCHANGE_RATES, advance

_DAY, _INSTANT = timedelta(days=1), timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS: tuple[tuple[str, Any], ...] = (("currency", Text), ("day", Date), ("factor", Numeric))
# Rates that are set as they are change nothing, so that nobody is woken by them.
_PUT = """
INSERT INTO exchange_rate (tenant_id, currency, base, day, rate)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::date[], $5::numeric[])
ON CONFLICT (tenant_id, currency, base, day) DO UPDATE SET rate = excluded.rate
WHERE exchange_rate.rate <> excluded.rate
"""
_STATED = """
SELECT day, base, currency, rate FROM exchange_rate
WHERE tenant_id = $1 AND currency = ANY($2) AND day >= $3 AND day <= $4
"""
# Of a tenant without rates no rollup is read.
_CURRENCIES = f"""
SELECT currency, min(at), max(at) FROM rollup
WHERE tenant_id = $1 AND grain = {DAY} AND dimension = 0 AND value = 0 AND at > $2 AND at < $3
    AND EXISTS (SELECT FROM exchange_rate WHERE tenant_id = $1)
GROUP BY currency
"""  # noqa: S608  # constants only


class ExchangeRateRow(SQLModel, table=True):
    """What one unit of ``base`` was worth in units of ``currency`` on a day."""

    __tablename__ = "exchange_rate"

    tenant_id: int = Field(primary_key=True)
    currency: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    base: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    day: date = Field(primary_key=True)
    rate: Decimal = Field(sa_column=Column(Numeric, nullable=False))


class Key(NamedTuple):
    """What a tenant has one rate of."""

    currency: str
    base: str
    date: date


_KEYS = (col(ExchangeRateRow.currency), col(ExchangeRateRow.base), col(ExchangeRateRow.day))


class ExchangeRateRepository:
    """Keeps the exchange rates of one tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def put(self, tenant_id: int, stated: Sequence[ExchangeRate]) -> int:
        """Set rates, in place of those of the same keys; return how many are new or not as they were."""
        connection = await driver(self.session)
        columns = zip(*((one.currency, one.base, one.date, one.rate) for one in stated), strict=True)
        done: str = await connection.execute(_PUT, tenant_id, *map(list, columns))
        changed = int(done.rpartition(" ")[2])
        if changed:
            await advance(connection, tenant_id, EXCHANGE_RATES)
        return changed

    async def remove(self, tenant_id: int, key: Key) -> ExchangeRate | None:
        """Remove a rate and return it as it was; None where there is none."""
        row = await self.session.get(ExchangeRateRow, (tenant_id, *key))
        if row is None:
            return None
        await self.session.delete(row)
        await self.session.flush()
        await advance(await driver(self.session), tenant_id, EXCHANGE_RATES)
        return _rate(row)

    async def page(
        self,
        tenant_id: int,
        *,
        currency: str | None,
        base: str | None,
        span: tuple[date, date] | None,
        after: Key | None,
        limit: int,
    ) -> list[ExchangeRate]:
        """By currency, base and day, from the one after ``after`` on; ``span`` is of days, both included."""
        query = select(ExchangeRateRow).where(ExchangeRateRow.tenant_id == tenant_id)
        if currency is not None:
            query = query.where(ExchangeRateRow.currency == currency)
        if base is not None:
            query = query.where(ExchangeRateRow.base == base)
        if span is not None:
            query = query.where(ExchangeRateRow.day >= span[0], ExchangeRateRow.day <= span[1])
        if after is not None:
            query = query.where(tuple_(*_KEYS) > tuple_(*after))
        return [_rate(row) for row in await self.session.exec(query.order_by(*_KEYS).limit(limit))]

    async def by_keys(self, tenant_id: int, keys: Sequence[Key]) -> list[ExchangeRate]:
        """Those of the keys that the tenant has."""
        query = select(ExchangeRateRow).where(ExchangeRateRow.tenant_id == tenant_id, tuple_(*_KEYS).in_(keys))
        return [_rate(row) for row in await self.session.exec(query)]

    async def rates(self, tenant_id: int, home: str, period: Period, currencies: Iterable[str]) -> Rates:
        """What money of a period comes to in ``home``; where there is none of another currency, nothing is read."""
        foreign = set(currencies) - {home, ""}
        if not foreign:
            return NO_RATES
        first, last = day_number(period.start.date()), day_number((period.end - _INSTANT).date())
        span = date_of(first - OLDEST), date_of(last)
        stated = await (await driver(self.session)).fetch(_STATED, tenant_id, sorted(foreign | {home}), *span)
        # Of many years there are enough to be in everybody's way.
        return await asyncio.to_thread(lambda: rates_to(home, foreign, starmap(ExchangeRate, stated), first, last))

    async def rates_of(self, tenant_id: int, home: str, entries: Entries) -> Rates:
        """The same for the money of entries, of the days on which there is any that is not of ``home``."""
        numbers = currencies(entries)
        other = entries.at[(entries.currency != 0) & (entries.currency != number_of(home))]
        if not other.size:
            return NO_RATES
        first, last = (_EPOCH + int(at) * _INSTANT for at in (other.min(), other.max() + 1))
        return await self.rates(tenant_id, home, Period(first, last), numbers)

    async def converted(self, tenant_id: int, home: str, period: Period) -> "Converted":
        """The money of the events of a period in ``home``, whatever currencies they are in."""
        found = await (await driver(self.session)).fetch(_CURRENCIES, tenant_id, period.start - _DAY, period.end)
        held = [(first, last) for currency, first, last in found if currency not in (home, "")]
        if not held:
            return Converted(home, NO_RATES)
        # However long the period, rates matter of those days alone on which there is other money.
        first, last = min(first for first, _ in held), max(last for _, last in held)
        within = Period(max(first, period.start), min(last + _DAY, period.end))
        return Converted(home, await self.rates(tenant_id, home, within, [row[0] for row in found]))


def _rate(row: ExchangeRateRow) -> ExchangeRate:
    return ExchangeRate(row.day, row.base, row.currency, row.rate)


class Converted:
    """The money of events in ``home``, as expressions over the log."""

    def __init__(self, home: str, rates: Rates) -> None:
        self.own = EVENT.currency == home
        self.rate: Any = None
        """The factors as a table; None where there are none."""
        if rates:
            columns = zip(*rates.rows(), strict=True)
            given = [
                bindparam(None, list(column), type_=ARRAY(kind))
                for column, (_, kind) in zip(columns, _FIELDS, strict=True)
            ]
            self.rate = func.unnest(*given).table_valued(*(name for name, _ in _FIELDS)).render_derived(name="rate")

    def of(self, amount: ColumnElement[Any]) -> ColumnElement[Any]:
        """An amount of an event in ``home``; NULL where it cannot be converted."""
        return case((self.own, amount)) if self.rate is None else case((self.own, amount), else_=amount * self._factor)

    @property
    def known(self) -> ColumnElement[bool]:
        """Whether money of an event is in ``home``, or can be converted to it."""
        return self.own if self.rate is None else or_(self.own, self._factor.is_not(None))

    @property
    def unknown(self) -> ColumnElement[bool]:
        """Whether money of an event cannot be converted."""
        return ~self.own if self.rate is None else and_(~self.own, self._factor.is_(None))

    def joined(self, query: Select[Any]) -> Select[Any]:
        """A query of events, with the factor that holds for each where there are rates."""
        return query if self.rate is None else query.select_from(self.events())

    def events(self) -> FromClause:
        """The log, each event with the factor that holds for it where there are rates."""
        log: FromClause = inspect(EventRow).local_table
        if self.rate is None:
            return log
        on = and_(
            self.rate.c.currency == EVENT.currency,
            self.rate.c.day == func.timezone("UTC", EVENT.occurred_at).cast(Date),
        )
        return log.outerjoin(self.rate, on)

    @property
    def _factor(self) -> ColumnElement[Any]:
        factor: ColumnElement[Any] = self.rate.c.factor
        return factor
