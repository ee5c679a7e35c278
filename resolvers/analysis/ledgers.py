"""Ledgers: the events of one kind that money moves with, as columns of exact amounts beside journey segments.

A run of events has a ledger of each kind in LEDGERS. It holds what a question about money reads of such an event and
nothing of the others, so that its cost is that of these few; what else an event carries is found by its row in the run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.attribution_sales import UNIT
from resolvers.analysis.columns import Coded, Coding, EventColumns, Moments, bound, columns_of, least, thin
from resolvers.analysis.events import Kind
from resolvers.analysis.exchange_rates import DAY_US, Rates
from resolvers.analysis.journeys import Selection, step_bits
from resolvers.analysis.measures import Floats, Measures
from resolvers.analysis.numbering import Codes, Ints

LEDGERS: Mapping[str, Kind] = {
    "sales": Kind.CONVERSION,
    "calls": Kind.AI_INTERACTION,
    "subscriptions": Kind.SUBSCRIPTION,
}
"""The kind of events that each ledger holds; of calls the amount is their cost."""
MEASURED = "calls"
"""The ledger beside whose entries there are measures."""

_LETTERS = 256


def number_of(currency: str) -> int:
    """The number that stands for a currency."""
    first, second, third = map(ord, currency)
    return first * _LETTERS**2 + second * _LETTERS + third


def currency_of(number: int) -> str:
    """The currency that a number stands for."""
    return "".join(map(chr, (number // _LETTERS**2, number // _LETTERS % _LETTERS, number % _LETTERS)))


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Events of one kind as columns of one length; of simultaneous ones of a subject the first to arrive comes first.

    ``at`` is in microseconds since 1970 (UTC). The amount is ``whole + fraction / UNIT`` of ``currency``, a number, and
    0 as that is where none was stated. ``thing`` numbers the order or the subscription, 0 where none is named, and
    ``times`` says how often a year the amount is due. ``steps`` has a bit for each step an event qualifies for,
    ``dimensions`` a row of codes for each dimension asked for.
    """

    subject: Codes
    at: Ints
    name: Codes
    currency: Codes
    whole: Ints
    fraction: Ints
    thing: NDArray[np.signedinteger]
    times: NDArray[np.int16]
    steps: NDArray[np.unsignedinteger]
    dimensions: Codes
    measures: Floats

    @property
    def size(self) -> int:
        return self.subject.size

    def step(self, place: int) -> NDArray[np.bool_]:
        """Which of them qualify for a step."""
        return (self.steps >> place & 1).astype(np.bool_)

    def chosen(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Entries":
        """Some of them; all are not copied."""
        if rows.dtype == np.bool_ and rows.all():
            return self
        return Entries(*(getattr(self, column.name)[..., rows] for column in fields(self)))


def joined_entries(parts: list[Entries]) -> Entries:
    """All parts, one after the other; the list is emptied, so that no more than one column is there twice."""
    if len(parts) == 1:
        return parts[0]
    columns = {one.name: [getattr(part, one.name) for part in parts] for one in fields(Entries)}
    parts.clear()
    return Entries(**{name: np.concatenate(columns.pop(name), axis=-1) for name in list(columns)})


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The entries of a run in as little memory as they need, in its order; ``row`` is the place of each in it.

    Fractions are multiples of ``unit``, and told in it.
    """

    row: Ascending
    subject: Ascending
    moments: Moments
    name: Coded
    currency: Coded
    whole: NDArray[np.unsignedinteger]
    unit: int
    fraction: NDArray[np.unsignedinteger]
    thing: NDArray[np.unsignedinteger]
    times: NDArray[np.unsignedinteger]

    @classmethod
    def of(cls, row: NDArray[np.integer], entries: Entries, start_us: int) -> "Ledger":
        """The ledger of a run whose month begins at ``start_us``, from entries in any order and their places in it."""
        unit = gcd(UNIT, int(np.gcd.reduce(entries.fraction, initial=0)))
        order = np.argsort(row)
        return cls(
            row=Ascending.of(row[order].astype(np.int32)),
            subject=Ascending.of(entries.subject[order]),
            moments=Moments.of(entries.at[order], start_us),
            name=Coded.of(entries.name[order]),
            currency=Coded.of(entries.currency[order]),
            whole=least(entries.whole[order]),
            unit=unit,
            fraction=least(entries.fraction[order] // unit),
            thing=least(entries.thing[order].astype(np.int64).view(np.uint64)),
            times=least(entries.times[order]),
        )

    @classmethod
    def merged(cls, ledgers: Sequence["Ledger"], rows: Sequence[NDArray[np.integer]]) -> "Ledger":
        """The ledger of a run that others, of the same month, are merged into; ``rows`` are their places in it."""
        row = np.concatenate(rows)
        order = np.argsort(row)
        unit = gcd(*(one.unit for one in ledgers))

        # One column at a time: as entries all of them would take many times the memory.
        def column(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate(list(parts))[order]

        return cls(
            row=Ascending.of(row[order].astype(np.int32)),
            subject=Ascending.of(column(one.subject.codes for one in ledgers)),
            moments=Moments.of(column(one.moments.microseconds() for one in ledgers), ledgers[0].moments.start_us),
            name=Coded.of(column(one.name.values() for one in ledgers)),
            currency=Coded.of(column(one.currency.values() for one in ledgers)),
            whole=column(one.whole for one in ledgers),
            unit=unit,
            fraction=least(column(one.fraction.astype(np.int64) * (one.unit // unit) for one in ledgers)),
            thing=column(one.thing for one in ledgers),
            times=column(one.times for one in ledgers),
        )

    def __post_init__(self) -> None:
        for name in ("whole", "fraction", "thing", "times"):
            object.__setattr__(self, name, thin(getattr(self, name)))
        for name in ("name", "currency"):
            column = getattr(self, name)
            object.__setattr__(self, name, replace(column, index=thin(column.index)))

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        columns = (self.moments.ticks, self.name.index, self.currency.index)
        amounts = (self.whole, self.fraction, self.thing, self.times)
        rest = sum(one.nbytes for one in (*columns, *amounts) if any(one.strides))
        return self.row.nbytes + self.subject.nbytes + rest

    def differing(self, other: "Ledger") -> int:
        """For how many entries another ledger of the same rows says something else."""
        mine, others = self.entries(), other.entries()
        columns = [column.name for column in fields(Entries) if column.name not in ("dimensions", "measures")]
        return int(np.count_nonzero(np.any([getattr(mine, one) != getattr(others, one) for one in columns], axis=0)))

    def entries(self) -> Entries:
        """All of them, without steps, dimensions or measures."""
        blank = np.empty((0, self.row.size), np.int32)
        return self._entries(slice(None), self.subject.codes, np.zeros(self.row.size, np.uint8), blank, None)

    def selected(
        self,
        kind: Kind,
        asked: Selection,
        coding: Coding,
        columns: Mapping[str, Coded | None],
        measures: Measures | None,
        start: int,
        end: int,
    ) -> Entries:
        """Those of a selection among the entries from ``start`` to before ``end``; ``columns`` of the whole run are
        those that it looks at or asks for, ``measures`` those of all entries, None where they are not asked for."""
        inside = self.moments.part(start, end).within(asked.start_us, asked.end_us)
        own = np.flatnonzero(np.broadcast_to(inside, (end - start,)))
        rows, subject = start + own, self.subject.part(start, end)[own]
        places = self.row.part(start, end)[own].astype(np.intp)
        looked_at = columns_of(asked.where, *asked.steps) or frozenset()
        held = {
            "kind": Coded(np.array([kind], np.int32), np.zeros(rows.size, np.uint8)),
            "name": self.name.chosen(rows),
        }
        others = {name: column and column.chosen(places) for name, column in columns.items() if name in looked_at}
        events = EventColumns(subject, replace(self.moments, ticks=self.moments.ticks[rows]), held | others)
        steps = np.zeros(rows.size, step_bits(len(asked.steps)))
        for place, step in enumerate(asked.steps):
            found = bound(step, events.coded, coding)(events)
            steps |= np.multiply(found, steps.dtype.type(1 << place), dtype=steps.dtype)
        passing = bound(asked.where, events.coded, coding)(events)
        if passing is not True:
            chosen = np.broadcast_to(passing, rows.shape)
            rows, subject, places, steps = rows[chosen], subject[chosen], places[chosen], steps[chosen]
        dimensions = np.zeros((len(asked.by), rows.size), np.int32)
        for place, name in enumerate(asked.by):
            column = columns[name]
            if column is not None:
                dimensions[place] = column.values(places)
        return self._entries(rows, subject, steps, dimensions, measures)

    def _entries(
        self,
        rows: "NDArray[np.intp] | slice",
        subject: Codes,
        steps: NDArray[np.unsignedinteger],
        dimensions: Codes,
        measures: Measures | None,
    ) -> Entries:
        size = steps.size
        return Entries(
            subject=subject,
            at=self.moments.microseconds(rows),
            name=self.name.values(rows),
            currency=self.currency.values(rows),
            whole=self.whole[rows].astype(np.int64),
            fraction=self.fraction[rows].astype(np.int64) * self.unit,
            # Where no thing is named at all, nothing is held as little.
            thing=self.thing[rows].astype(np.uint64).view(np.int64) if self.thing.any() else np.zeros(size, np.int8),
            times=self.times[rows].astype(np.int16),
            steps=steps,
            dimensions=dimensions,
            measures=np.empty((0, size)) if measures is None else measures.values(rows),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """Amounts in one currency, ``whole + fraction / UNIT`` of it, and which of them are ``known``; others are 0."""

    whole: Ints
    fraction: Ints
    known: NDArray[np.bool_]


def currencies(entries: Entries) -> dict[str, int]:
    """The currencies that entries are in, and their numbers."""
    found, rest = {}, entries.currency[entries.currency != 0]
    while rest.size:
        # There are few, mostly one.
        number = int(rest[0])
        found[currency_of(number)] = number
        rest = rest[rest != number]
    return found


def converted(entries: Entries, home: str, rates: Rates) -> Converted:
    """The amounts at home, each at the rate of its day (UTC), rounded to 1/UNIT, a half away from zero."""
    known = entries.currency == number_of(home)
    whole, fraction = np.where(known, entries.whole, 0), np.where(known, entries.fraction, 0)
    for rows, factor in exchanged(entries, rates):
        numerator, denominator = factor.as_integer_ratio()
        units = entries.whole[rows].astype(object) * UNIT + entries.fraction[rows]
        units = (2 * units * numerator + denominator) // (2 * denominator)
        whole[rows], fraction[rows] = units // UNIT, units % UNIT
        known[rows] = True
    return Converted(whole, fraction, known)


def exchanged(entries: Entries, rates: Rates) -> Iterator[tuple[NDArray[np.intp], Decimal]]:
    """The entries of each currency and day that there is a factor for, and the factor."""
    for currency, factors in rates.factors.items():
        rows = np.flatnonzero(entries.currency == number_of(currency))
        days = entries.at[rows] // DAY_US
        for day in np.unique(days).tolist():
            if day in factors:
                yield rows[days == day], factors[day]
