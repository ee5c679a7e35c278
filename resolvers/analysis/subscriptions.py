"""Subscriptions: what each of them pays a month, and when that changes, from the events that state it.

``started`` and ``changed`` state what is paid from their instant on, ``ended`` that nothing is any more: a subscription
pays from t on where start <= t < end. Amounts are whole numbers of 10^-12 of a currency's unit, the most decimal
places that an event's amount may have, so that what is paid by the month is never rounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import IntEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.events import Interval
from resolvers.analysis.exchange_rates import DAY_US
from resolvers.analysis.journeys import chronological
from resolvers.analysis.numbering import combinations

Ints = NDArray[np.signedinteger[Any]]
Flags = NDArray[np.bool_]
Amounts = NDArray[Any]
"""Whole numbers: of 64 bits where each of them has room there, else Python's own."""

PLACES = 12
"""Decimal places of an amount that is kept as a whole number."""

PART = 100_000
"""Rows that are worked on at once: however many there are, that takes a few dozen megabytes on top of them."""

ROOM = 1 << 62
"""What is less has its place in 64 bits, and so has twice as much."""
_HALF = 32
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


TIMES_A_YEAR = {
    Interval.DAY: 365,
    Interval.WEEK: 52,
    Interval.MONTH: 12,
    Interval.QUARTER: 4,
    Interval.HALF_YEAR: 2,
    Interval.YEAR: 1,
}
"""How often an amount is due in a year; a twelfth of all that is its part of the MRR."""


class Step(IntEnum):
    """What an event says of its subscription."""

    STARTED = 0
    CHANGED = 1
    ENDED = 2


STEPS = {step.name.lower(): step for step in Step}
"""By the names of the events."""


def monthly(amount: Decimal, times_a_year: int) -> int:
    """What ``amount`` comes to a month, in units of 10^-12; a half is rounded to the even one."""
    a_year = _EXACT.multiply(amount, Decimal(times_a_year))
    return int(_EXACT.divide(a_year, 12).quantize(Decimal(1).scaleb(-PLACES), context=_EXACT).scaleb(PLACES, _EXACT))


def decimal(units: int) -> Decimal:
    """An amount in units of 10^-12 as what it is."""
    return Decimal(int(units)).scaleb(-PLACES, _EXACT)


def amounts(values: Sequence[int]) -> Amounts:
    """Whole numbers as an array."""
    return np.array(values, dtype=np.int64 if max(map(abs, values), default=0) < ROOM else object)


def sums(values: Amounts, place: NDArray[np.integer], size: int) -> Amounts:
    """What the amounts of each of ``size`` places come to, exactly: in Python's own numbers."""
    if values.dtype == object:
        found = np.zeros(size, object)
        np.add.at(found, place, values)
        return found
    # Of halves no sum is too large for 64 bits.
    high, low = np.zeros(size, np.int64), np.zeros(size, np.int64)
    np.add.at(high, place, values >> _HALF)
    np.add.at(low, place, values & ((1 << _HALF) - 1))
    return high.astype(object) * (1 << _HALF) + low


@dataclass(frozen=True, slots=True)
class OfCustomers:
    """Columns of one length, of which ``customer`` says whose a row is."""

    customer: Ints

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))

    @property
    def nbytes(self) -> int:
        """What they take; a number of Python's own as much as four of 64 bits beside the place of it."""
        columns = [getattr(self, column.name) for column in fields(self)]
        return sum(int(column.nbytes) * (5 if column.dtype == object else 1) for column in columns)

    def of(self, rows: Flags | slice | NDArray[np.intp]) -> Self:
        """Some of them."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    def without(self, customers: Ints) -> Self:
        """The rows of everybody else."""
        return self.of(~np.isin(self.customer, customers))


@dataclass(frozen=True, slots=True)
class SubscriptionEvents(OfCustomers):
    """Events of one tenant's subscriptions, in any order."""

    subscription: Ints
    """Numbers a customer's subscriptions."""
    at: Ints
    """Microseconds since 1970-01-01T00:00Z."""
    position: Ints
    """The place in the log: of two that contradict each other at one instant, the later stored one counts."""
    step: Ints
    monthly: Amounts
    """In units of 10^-12 a month; of no meaning for ENDED."""
    currency: Ints
    inside: Flags
    """Whether what the event states is asked about; what is not pays nothing as far as the answer goes."""
    group: Ints
    """The group of a breakdown that a subscription belongs to by what the event states."""


@dataclass(frozen=True, slots=True)
class Changes(OfCustomers):
    """By how much what a customer pays changes at an instant, in one currency and group; no order is kept."""

    at: Ints
    currency: Ints
    group: Ints
    delta: Amounts


@dataclass(frozen=True, slots=True)
class Exchange:
    """What money comes to in the currency numbered ``home``, by currency and day (counted from 1970, UTC)."""

    home: int
    factors: Mapping[tuple[int, int], Decimal]

    def exchanged(self, units: Amounts, currency: Ints, at: Ints) -> tuple[Amounts, Ints]:
        """Amounts of some currencies and instants at home, and the currencies that they are in then.

        They are rounded to a unit of 10^-12, a half to the even one; without a factor they stay what they are.
        """
        if not self.factors:
            return units, currency
        found, currencies = units.astype(object), currency.copy()
        known: dict[tuple[int, int, int], int | None] = {}
        foreign = np.flatnonzero((currency != self.home) & (units != 0).astype(bool))
        days = at[foreign] // DAY_US
        asked = zip(units[foreign].tolist(), currency[foreign].tolist(), days.tolist(), strict=True)
        for place, (value, of, day) in zip(foreign.tolist(), asked, strict=True):
            key = value, of, day
            if key not in known:
                known[key] = self._units(value, self.factors.get((of, day)))
            if (worth := known[key]) is not None:
                found[place], currencies[place] = worth, self.home
        return found, currencies

    @staticmethod
    def _units(units: int, factor: Decimal | None) -> int | None:
        if factor is None:
            return None
        return int(_EXACT.multiply(Decimal(units), factor).to_integral_value(ROUND_HALF_EVEN))


AS_STATED = Exchange(0, {})
"""No rates: every subscription counts in the currency that it is stated in."""


def changes(events: SubscriptionEvents, exchange: Exchange = AS_STATED) -> Changes:
    """What events amount to, however late, often or out of order they came.

    - Each ``started`` and ``changed`` states the whole from its instant on, so a ``changed`` without a start, or after
      the end, begins the subscription, and a repeated ``started`` changes nothing. ``ended`` without a start is void.
    - At one instant ``changed`` outdoes ``started``, and of several of one name the one stored last counts.
      ``ended`` outdoes both, unless the subscription ran before and a ``started`` renews it at that very instant.
    - A subscription counts in the currency in which it began to pay. Stated in another one it is held at what it
      paid last in its own: a change of currency alone is no movement.
    - What it pays is exchanged at the rate of the day on which it began to pay, for as long as it pays: that rates
      move is no movement either.
    """
    found = Changes.joined([_changes(events.of(rows), exchange) for rows in by_customer(events.customer)])
    return replace(found, delta=amounts(found.delta.tolist())) if found.delta.dtype == object else found


def by_customer(customer: Ints) -> Iterator[Flags | slice]:
    """Rows by and by, all of a customer's together, about PART of them at a time; at least once."""
    parts = customer.size // PART + 1
    if parts == 1:
        yield slice(None)
        return
    for part in range(parts):
        yield customer % parts == part


def _changes(events: SubscriptionEvents, exchange: Exchange) -> Changes:
    arrival = np.argsort(events.position, kind="stable")
    owner, _ = combinations([events.customer[arrival], events.subscription[arrival]], arrival.size)
    order = arrival[chronological(owner, events.at[arrival])]
    customer, at = events.customer[order], events.at[order]
    first = _differs(customer, events.subscription[order])
    instant = np.cumsum(first | _differs(at)) - 1
    opens = np.flatnonzero(_differs(instant))
    first = first[opens]
    row = _stated(events.step[order], instant, first, opens.size)
    stated = order[np.maximum(row, 0)]
    value = np.where(row >= 0, events.monthly[stated], 0)
    currency = events.currency[stated]
    pays = (value > 0).astype(bool)
    places = np.arange(opens.size)
    begins = pays & (first | ~_before(pays, first, False))
    began = np.maximum.accumulate(np.where(begins, places, 0))
    home = currency[began]
    held = np.maximum.accumulate(np.where(pays & (currency == home), places, 0))
    worth, coin = exchange.exchanged(value[held], home, at[opens][began])
    counted = np.where(pays & events.inside[stated], worth, 0)
    group = events.group[stated]
    found = Changes(
        customer=np.tile(customer[opens], 2),
        at=np.tile(at[opens], 2),
        currency=np.concatenate([coin, _before(coin, first, 0)]),
        group=np.concatenate([group, _before(group, first, 0)]),
        delta=np.concatenate([counted, -_before(counted, first, 0)]),
    )
    return found.of((found.delta != 0).astype(bool))


def _stated(step: Ints, instant: Ints, first: Flags, size: int) -> Ints:
    """For each instant of a subscription the row that says what it pays from then on, -1 where it pays nothing.

    ``instant`` numbers the instants of all rows, ascending; ``first`` marks the first of each subscription.
    """
    rows = np.arange(step.size)
    last = {one: np.full(size, -1) for one in Step}
    for one, found in last.items():
        chosen = step == one
        np.maximum.at(found, instant[chosen], rows[chosen])
    ended, renewed = last[Step.ENDED] >= 0, last[Step.STARTED] >= 0
    # Whether a renewal at the instant of an end takes effect depends on whether there was something to renew.
    open_question = ended & renewed
    places = np.arange(size)
    known = np.maximum.accumulate(np.where(~open_question | first, places, 0))
    runs = (~ended)[known]
    return np.where(runs, np.where(last[Step.CHANGED] >= 0, last[Step.CHANGED], last[Step.STARTED]), -1)


def _differs(*columns: Ints) -> Flags:
    """Which rows differ from the one before in any of the columns; the first row does."""
    found = np.ones(columns[0].size, dtype=bool)
    for place, column in enumerate(columns):
        changed = column[1:] != column[:-1]
        found[1:] = changed if place == 0 else found[1:] | changed
    return found


def _before(column: NDArray[Any], first: Flags, nothing: object) -> NDArray[Any]:
    """The value of each row's predecessor; ``nothing`` where it is the first of its subscription."""
    found = np.roll(column, 1)
    found[first] = nothing
    return found
