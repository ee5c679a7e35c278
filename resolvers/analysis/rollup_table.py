"""Rollups of days as columns in memory: any statistic that they hold, by bucket, in a few passes over arrays.

Sums are of whole numbers, so that none is rounded: money counts in units of 10^-places of its currency.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.classes import EventClass
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.histograms import middle
from resolvers.analysis.rollup_spans import Derived, Ints, Pieces, Spread, Within
from resolvers.analysis.series import Column

_LARGEST = 1 << 62
_LOW = (1 << 32) - 1
_EXACT = Context(prec=80)
"""Wide enough for any sum of amounts that the log can hold."""
_ROW_BYTES = 88
_PART_BYTES = 48
_CONVERTED_BYTES = 200
_DERIVED = 2
"""What is made of a table takes half as much at most."""
_ASKED = 64
"""Spans whose places are known."""

Mask = NDArray[np.bool_]
"""Which of a table's classes a statistic is taken over."""


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """Numbers as whole multiples of 10^-places; Python's own where a sum of them might need more than 64 bits."""

    whole: NDArray[Any]
    places: int

    @classmethod
    def of(cls, values: Sequence[Decimal]) -> "Amounts":
        places = max((-int(value.as_tuple().exponent) for value in values), default=0)
        places = max(places, 0)
        return cls(_fitting([int(value.scaleb(places, _EXACT)) for value in values]), places)

    def joined(self, other: "Amounts") -> "Amounts":
        """These, and behind them the other ones."""
        places = max(self.places, other.places)
        parts = [
            part.whole if part.places == places else _fitting([one * 10 ** (places - part.places) for one in part])
            for part in (self, other)
        ]
        both = np.concatenate(parts)
        return Amounts(both if both.dtype == np.int64 and _small(both) else both.astype(object), places)

    def times(self, factors: Mapping[int, Decimal]) -> "Amounts":
        """The same, those of some rows times a factor, exactly."""
        more = max((-int(factor.as_tuple().exponent) for factor in factors.values()), default=0)
        unit = 10 ** max(more, 0)
        whole = [one * unit for one in self]
        for row, factor in factors.items():
            whole[row] = int(self.whole[row]) * int(factor.scaleb(max(more, 0), _EXACT))
        return Amounts(_fitting(whole), self.places + max(more, 0))

    def __iter__(self) -> Any:
        return iter(self.whole.tolist())

    def taken(self, rows: NDArray[Any]) -> "Amounts":
        return Amounts(self.whole[rows], self.places)


def _fitting(whole: Sequence[int]) -> NDArray[Any]:
    small = max(map(abs, whole), default=0) * max(len(whole), 1) < _LARGEST
    return np.array(whole, dtype=np.int64 if small else object)


def _small(whole: Ints) -> bool:
    return int(np.abs(whole).max(initial=0)) * max(whole.size, 1) < _LARGEST


@dataclass(frozen=True, slots=True, eq=False)
class _Histograms:
    """Elements of histograms, in the order of days: bucket numbers and counts, with the day and class of each."""

    day: Ints
    of_class: Ints
    part: Ints

    def taken(self, rows: NDArray[Any]) -> "_Histograms":
        return _Histograms(self.day[rows], self.of_class[rows], self.part[rows])


Row = tuple[int, int, EventClass, int, int, Decimal, int, Decimal, int, Sequence[int] | None]
"""Day, day of UTC by whose rates money is converted, class, n, count and sum of amounts, count and sum of costs, count
of durations, their histogram."""


@dataclass(frozen=True, eq=False)
class RollupTable:
    """Rows by day and class, in the order of days; of money by the day of UTC too, as that is when rates are of."""

    classes: tuple[EventClass, ...]
    day: Ints
    dated: Ints
    of_class: Ints
    counts: dict[str, Ints]
    sums: dict[str, Amounts]
    histograms: _Histograms
    masks: dict[Any, Mask] = field(default_factory=dict)
    """What callers have found out about these classes."""
    _asked: dict[int, Within] = field(default_factory=dict)
    _converted: dict[str, tuple[Rates, "RollupTable"]] = field(default_factory=dict)
    """By currency, for the rates asked for last."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "RollupTable":
        """The table of rows in any order, no two of the same days and class."""
        given = sorted(rows, key=lambda row: row[0])
        days, dated, classes, *counted, histograms = zip(*given, strict=True) if given else ((),) * 10
        known = {one: place for place, one in enumerate(dict.fromkeys(classes))}
        of_class = np.array([known[one] for one in classes], np.int64)
        n, amount_n, amount, cost_n, cost, duration_n = counted
        lengths = [0 if one is None else len(one) for one in histograms]
        parts = [np.array(one, np.int64) for one in histograms if one]
        day = np.array(days, np.int64)
        counts = {"n": n, "amount_n": amount_n, "cost_n": cost_n, "duration_n": duration_n}
        return cls(
            tuple(known),
            day,
            np.array(dated, np.int64),
            of_class,
            {name: np.array(column, np.int64) for name, column in counts.items()},
            {"amount_sum": Amounts.of(amount), "cost_sum": Amounts.of(cost)},
            _Histograms(day.repeat(lengths), of_class.repeat(lengths), np.concatenate([np.empty(0, np.int64), *parts])),
        )

    @property
    def nbytes(self) -> int:
        """About what it takes in memory, with what is made of it to answer from."""
        several = len({one.currency for one in self.classes if one.currency}) > 1
        return self._bytes + self._bytes // _DERIVED + (self.day.size * _CONVERTED_BYTES if several else 0)

    @property
    def _bytes(self) -> int:
        return self.day.size * _ROW_BYTES + self.histograms.day.size * _PART_BYTES

    def converted(self, home: str, rates: Rates) -> "RollupTable":
        """The same with money in the currency at home, on the days on which there are rates of the one it is in."""
        known, table = self._converted.get(home, (None, self))
        if known != rates:
            table = self._times(home, rates)
            self._converted[home] = rates, table
        return table

    def _times(self, home: str, rates: Rates) -> "RollupTable":
        classes, of_class = list(self.classes), self.of_class.copy()
        factors: dict[int, Decimal] = {}
        for place, one in enumerate(self.classes):
            by_day = rates.factors.get(one.currency, {})
            rows = np.flatnonzero(self.of_class == place)
            found = {
                row: by_day[day]
                for row, day in zip(rows.tolist(), self.dated[rows].tolist(), strict=True)
                if day in by_day
            }
            # What is measured otherwise stays with the class that it is of.
            of_class[list(found)] = len(classes)
            classes += [one._replace(currency=home)] if found else []
            factors |= found
        sums = {name: column.times(factors) for name, column in self.sums.items()}
        return RollupTable(tuple(classes), self.day, self.dated, of_class, self.counts, sums, self.histograms)

    def replaced(self, days: Collection[int], other: "RollupTable") -> "RollupTable":
        """The same with the rows of another table in place of those of some days."""
        gone = np.array(sorted(days), np.int64)
        own = self._without(gone)
        classes = {one: place for place, one in enumerate(dict.fromkeys((*own.classes, *other.classes)))}
        place = np.array([classes[one] for one in other.classes], np.int64)
        day = np.concatenate([own.day, other.day])
        order = np.argsort(day, kind="stable")
        theirs = other.histograms
        part_day = np.concatenate([own.histograms.day, theirs.day])
        return RollupTable(
            tuple(classes),
            day[order],
            np.concatenate([own.dated, other.dated])[order],
            np.concatenate([own.of_class, place[other.of_class]])[order],
            {name: np.concatenate([column, other.counts[name]])[order] for name, column in own.counts.items()},
            {name: column.joined(other.sums[name]).taken(order) for name, column in own.sums.items()},
            _Histograms(
                part_day,
                np.concatenate([own.histograms.of_class, place[theirs.of_class]]),
                np.concatenate([own.histograms.part, theirs.part]),
            ).taken(np.argsort(part_day, kind="stable")),
        )

    def _without(self, days: Ints) -> "RollupTable":
        kept = np.flatnonzero(~np.isin(self.day, days))
        return RollupTable(
            self.classes,
            self.day[kept],
            self.dated[kept],
            self.of_class[kept],
            {name: column[kept] for name, column in self.counts.items()},
            {name: column.taken(kept) for name, column in self.sums.items()},
            self.histograms.taken(np.flatnonzero(~np.isin(self.histograms.day, days))),
        )

    def rows(self, pieces: Pieces) -> int:
        """How many rows lie in the spans."""
        within = self._within(pieces)
        return int((self._starts[within.high] - self._starts[within.low]).sum())

    def counted(self, name: str, mask: Mask, pieces: Pieces) -> Column:
        """What a column of counts adds up to in each bucket."""
        return Column(tuple(self._summed(name, self.counts[name], mask, pieces).tolist()))

    def summed(self, name: str, mask: Mask, pieces: Pieces) -> Column:
        """What a column of money adds up to in each bucket."""
        amounts = self.sums[name]
        return Column(tuple(self._summed(name, amounts.whole, mask, pieces).tolist()), amounts.places)

    def spread(self, mask: Mask, pieces: Pieces) -> Spread:
        """The durations of each bucket."""
        within = self._within(pieces)
        first, end = 0, self._days.size
        if self._derived.holds((end + 1) * self._numbers[0].size * np.dtype(np.float64).itemsize):
            running = self._derived.made(mask.tobytes(), lambda: self._running_counts(mask, first, end))
        else:
            first, end = int(within.low.min(initial=end)), int(within.high.max(initial=0))
            running = self._running_counts(mask, first, max(first, end))
        return Spread(self._middles, within.added(running, first))

    def _running_counts(self, mask: Mask, first: int, end: int) -> NDArray[np.float64]:
        """How many durations of classes there are on days from ``first`` to before each one, up to each number."""
        held, (numbers, place) = self.histograms, self._numbers
        days = np.searchsorted(self._days, held.day)
        own = np.flatnonzero(mask[held.of_class] & (days >= first) & (days < end))
        # Counts stay far below 2^53, up to which sums of floats are exact.
        weights = (held.part[own] & _LOW).astype(np.float64)
        counts = np.bincount((days[own] - first) * numbers.size + place[own], weights, (end - first) * numbers.size)
        running = np.zeros((end - first + 1, numbers.size))
        np.cumsum(counts.reshape(end - first, numbers.size), axis=0, out=running[1:])
        return running.cumsum(axis=1)

    @cached_property
    def _numbers(self) -> tuple[Ints, NDArray[np.intp]]:
        """The numbers that buckets of histograms have, ascending, and the place among them of each element."""
        numbers, place = np.unique(self.histograms.part >> 32, return_inverse=True)
        return numbers, place

    @cached_property
    def _middles(self) -> NDArray[np.float64]:
        return np.array([middle(number) for number in self._numbers[0].tolist()], np.float64)

    @cached_property
    def _days(self) -> Ints:
        """The days that have rows."""
        return np.unique(self.day)

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        """Where the rows of each day begin, and where the last ones end."""
        return np.append(np.searchsorted(self.day, self._days), self.day.size)

    @cached_property
    def _derived(self) -> Derived:
        return Derived(self._bytes // _DERIVED)

    def _within(self, pieces: Pieces) -> Within:
        known = self._asked.get(id(pieces))
        if known is None or known.pieces is not pieces:
            if len(self._asked) > _ASKED:
                self._asked.clear()
            known = self._asked[id(pieces)] = Within.of(self._days, pieces)
        return known

    def _summed(self, name: str, column: NDArray[Any], mask: Mask, pieces: Pieces) -> NDArray[Any]:
        running = self._derived.made((name, mask.tobytes()), lambda: self._running(column, mask))
        return self._within(pieces).added(running)

    def _running(self, column: NDArray[Any], mask: Mask) -> NDArray[Any]:
        """What a column adds up to on the days before each one, and on all of them."""
        running = np.zeros(column.size + 1, column.dtype)
        np.cumsum(np.where(mask[self.of_class], column, 0), out=running[1:])
        found: NDArray[Any] = running[self._starts]
        return found
