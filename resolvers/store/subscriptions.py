"""Reading what a tenant's subscriptions were ever said to be: few events among many, found by an index of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, ColumnElement, Integer, case, func, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import Filter
from resolvers.analysis.numbering import combinations
from resolvers.analysis.periods import Period
from resolvers.analysis.subscriptions import (
    PLACES,
    STEPS,
    TIMES_A_YEAR,
    Amounts,
    Exchange,
    Ints,
    Step,
    SubscriptionEvents,
    amounts,
    decimal,
    monthly,
)
from resolvers.errors import BadInput
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import EPOCH_US, copied
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.terms import TERMS, TermMemory, TermRepository

Keys = tuple[str | None, ...]

_UNIT = 10**PLACES
_MOST = 1_000_000
"""Events that are walked at once; they take some 300 MB for as long as that lasts."""
_ROOM = 9 * 10**6
"""Amounts below this have their 12 decimal places in a number of 64 bits."""
_LETTERS = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SubscriptionLog:
    """The events of a tenant's subscriptions; ``groups[i]`` are the dimension values of the group numbered i."""

    events: SubscriptionEvents
    exchange: Exchange
    groups: Sequence[Keys]
    explanation: Explanation


class SubscriptionRepository:
    """Reads the subscriptions of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)

    async def until(
        self, tenant_id: int, end: datetime, where: Filter, by: Sequence[str], *, currency: str
    ) -> SubscriptionLog:
        """All that was said before ``end``, whether or not it passes ``where``, as what was said may end what passes.

        ``currency`` is the tenant's, which most are in and is read with less work. Raises BadInput where the events
        are more than fit in memory.
        """
        codes = await Codes.of(self.terms, tenant_id, where)
        columns = await self._columns(tenant_id, currency)
        columns["inside"] = (">i4", case((condition(where, codes), 1), else_=0).cast(Integer))
        for place, name in enumerate(by):
            columns[f"d{place}"] = (">i4", func.coalesce(EVENT[name], literal(0, Integer)))
        query: Any = select(*(column.label(name) for name, (_, column) in columns.items())).where(
            EVENT.tenant_id == tenant_id,
            # Said in the text of the statement, for the index holds this kind only.
            EVENT.kind == literal(int(Kind.SUBSCRIPTION), literal_execute=True),
            EVENT.occurred_at < end,
        )
        started = perf_counter()
        rows = await copied(self.session, query, [(name, form) for name, (form, _) in columns.items()])
        seconds = perf_counter() - started
        if len(rows) > _MOST:
            raise BadInput(f"More than {_MOST:,} events tell of subscriptions until then.", field="period")
        group, groups = await self._groups(tenant_id, [rows[f"d{place}"] for place in range(len(by))], len(rows))
        events = SubscriptionEvents(
            customer=rows["customer"].astype(np.int32),
            subscription=rows["subscription"].astype(np.int32),
            at=rows["at"].astype(np.int64) + EPOCH_US,
            position=rows["position"].astype(np.int64),
            step=rows["step"].astype(np.int8),
            monthly=_monthly(rows["whole"], rows["part"], rows["times"]),
            currency=rows["currency"].astype(np.int32),
            inside=rows["inside"] == 1,
            group=group,
        )
        exchange = await self._exchange(tenant_id, currency, events)
        return SubscriptionLog(events, exchange, groups, Explanation(Source.LOG, len(rows), seconds * 1e3))

    async def _exchange(self, tenant_id: int, home: str, events: SubscriptionEvents) -> Exchange:
        """The rates of all days on which anything was said."""
        numbers = {currency_of(number): number for number in np.unique(events.currency).tolist() if number}
        if not numbers.keys() - {home}:
            return Exchange(number_of(home), {})
        instants = (_EPOCH + timedelta(microseconds=int(at)) for at in (events.at.min(), events.at.max() + 1))
        exchange = ExchangeRateRepository(self.session)
        rates = await exchange.rates(tenant_id, home, Period(*instants), numbers)
        factors = {
            (numbers[currency], day): factor
            for currency, by_day in rates.factors.items()
            for day, factor in by_day.items()
        }
        return Exchange(number_of(home), factors)

    async def _columns(self, tenant_id: int, currency: str) -> dict[str, tuple[str, ColumnElement[int]]]:
        """What is read of an event, and as numbers of which form."""
        names = await self.terms.codes(tenant_id, TERMS, list(STEPS))
        # A case needs one at least, and no name has the code 0.
        steps = {0: int(Step.ENDED)} | {names[name]: int(step) for name, step in STEPS.items() if name in names}
        times = {interval.value: times for interval, times in TIMES_A_YEAR.items()}
        amount = func.coalesce(EVENT.amount, 0)
        # Numbers of many digits are slow; most amounts have room in one of 64 bits, which is then the part of no whole.
        whole = case((amount < _ROOM, 0), else_=func.trunc(amount))
        part = case((amount < _ROOM, amount), else_=amount - func.trunc(amount))
        return {
            "customer": (">i4", EVENT.subject),
            "subscription": (">i4", func.coalesce(EVENT.subscription, literal(0, Integer))),
            "at": (">i8", EVENT.occurred_at),
            "position": (">i8", EVENT.position),
            "step": (">i4", case(steps, value=EVENT.name, else_=int(Step.ENDED)).cast(Integer)),
            "whole": (">i8", whole.cast(BigInteger)),
            "part": (">i8", (part * _UNIT).cast(BigInteger)),
            "times": (">i4", case(times, value=EVENT.interval, else_=0).cast(Integer)),
            "currency": (">i4", _letters(currency)),
        }

    async def _groups(self, tenant_id: int, columns: Sequence[Ints], size: int) -> tuple[Ints, list[Keys]]:
        """The number of each row's group, and the groups."""
        number, first = combinations(columns, size)
        codes = [column[first].tolist() for column in columns]
        texts = await self.terms.values(tenant_id, TERMS, {code for column in codes for code in column if code})
        return number, [tuple(texts.get(column[place]) for column in codes) for place in range(first.size)]


def _letters(common: str) -> ColumnElement[int]:
    """A currency as a number, that of no currency 0."""
    letters = [func.coalesce(func.ascii(func.substr(EVENT.currency, place, 1)), 0) for place in (1, 2, 3)]
    number = letters[0] * _LETTERS**2 + letters[1] * _LETTERS + letters[2]
    return case((EVENT.currency == common, number_of(common)), else_=number).cast(Integer)


def number_of(currency: str) -> int:
    """The number that stands for a currency in SubscriptionEvents."""
    first, second, third = map(ord, currency)
    return first * _LETTERS**2 + second * _LETTERS + third


def currency_of(number: int) -> str:
    """The currency that a number stands for."""
    return "".join(map(chr, (number // _LETTERS**2, number // _LETTERS % _LETTERS, number % _LETTERS)))


def _monthly(*columns: Ints) -> Amounts:
    """What amounts, given as whole units and units of 10^-12, so often a year, come to a month."""
    number, first = combinations(columns, columns[0].size)
    # Prices repeat, so that few have to be reckoned in numbers of any size.
    prices = zip(*(column[first].tolist() for column in columns), strict=True)
    known = [monthly(whole + decimal(part), times) for whole, part, times in prices]
    counts = np.bincount(number, minlength=first.size).tolist()
    room = 2 * sum(value * count for value, count in zip(known, counts, strict=True))
    return amounts(known, room=room)[number]
