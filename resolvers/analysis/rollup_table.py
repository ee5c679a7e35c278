"""Rollups of days as columns in memory: any statistic that they hold, by bucket, in a few passes over arrays.

Sums are of whole numbers, so that none is rounded: money counts in units of 10^-places of its currency.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.classes import EventClass
from resolvers.analysis.histograms import middle
from resolvers.analysis.series import Column

_LARGEST = 1 << 62
_LOW = (1 << 32) - 1
_EXACT = Context(prec=80)
"""Wide enough for any sum of amounts that the log can hold."""
_ROW_BYTES = 80
_PART_BYTES = 48

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
"""Which of a table's classes a statistic is taken over."""


class Pieces(NamedTuple):
    """Spans of days: from ``first`` to before ``end``, counted from 1970, and the bucket each lies in."""

    first: Ints
    end: Ints
    bucket: Ints
    buckets: int


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


Row = tuple[int, EventClass, int, int, Decimal, int, Decimal, int, Sequence[int] | None]
"""Day, class, n, count and sum of amounts, count and sum of costs, count of durations, their histogram."""


@dataclass(frozen=True, eq=False)
class RollupTable:
    """Rows by day and class, in the order of days."""

    classes: tuple[EventClass, ...]
    day: Ints
    of_class: Ints
    counts: dict[str, Ints]
    sums: dict[str, Amounts]
    histograms: _Histograms
    masks: dict[Any, Mask] = field(default_factory=dict)
    """What callers have found out about these classes."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "RollupTable":
        """The table of rows in any order, no two of one day and class."""
        given = sorted(rows, key=lambda row: row[0])
        days, classes, *counted, histograms = zip(*given, strict=True) if given else ((),) * 9
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
            of_class,
            {name: np.array(column, np.int64) for name, column in counts.items()},
            {"amount_sum": Amounts.of(amount), "cost_sum": Amounts.of(cost)},
            _Histograms(day.repeat(lengths), of_class.repeat(lengths), np.concatenate([np.empty(0, np.int64), *parts])),
        )

    @property
    def nbytes(self) -> int:
        """About what it takes in memory."""
        return self.day.size * _ROW_BYTES + self.histograms.day.size * _PART_BYTES

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
            self.of_class[kept],
            {name: column[kept] for name, column in self.counts.items()},
            {name: column.taken(kept) for name, column in self.sums.items()},
            self.histograms.taken(np.flatnonzero(~np.isin(self.histograms.day, days))),
        )

    def rows(self, pieces: Pieces) -> int:
        """How many rows lie in the spans."""
        low, high = self._edges(self.day, pieces)
        return int((high - low).sum())

    def counted(self, name: str, mask: Mask, pieces: Pieces) -> Column:
        """What a column of counts adds up to in each bucket."""
        return Column(tuple(self._summed(self.counts[name], mask, pieces).tolist()))

    def summed(self, name: str, mask: Mask, pieces: Pieces) -> Column:
        """What a column of money adds up to in each bucket."""
        amounts = self.sums[name]
        return Column(tuple(self._summed(amounts.whole, mask, pieces).tolist()), amounts.places)

    def spread(self, mask: Mask, pieces: Pieces) -> "Spread":
        """The durations of each bucket."""
        held = self.histograms
        low, high = self._edges(held.day, pieces)
        rows = _ranges(low, high)
        of = pieces.bucket.repeat(high - low)
        own = mask[held.of_class[rows]] if rows.size else np.empty(0, np.bool_)
        rows, of = rows[own], of[own]
        width = self._numbers[0].size
        weights = (held.part[rows] & _LOW).astype(np.float64)
        # Counts stay far below 2^53, up to which sums of floats are exact.
        counts = np.bincount(of * width + self._numbers[1][rows], weights, pieces.buckets * width).astype(np.float64)
        return Spread(self._middles, counts.reshape(pieces.buckets, width))

    @cached_property
    def _numbers(self) -> tuple[Ints, NDArray[np.intp]]:
        """The numbers that buckets of histograms have, ascending, and the place among them of each element."""
        numbers, place = np.unique(self.histograms.part >> 32, return_inverse=True)
        return numbers, place

    @cached_property
    def _middles(self) -> NDArray[np.float64]:
        return np.array([middle(number) for number in self._numbers[0].tolist()], np.float64)

    def _edges(self, day: Ints, pieces: Pieces) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return np.searchsorted(day, pieces.first), np.searchsorted(day, pieces.end)

    def _summed(self, column: NDArray[Any], mask: Mask, pieces: Pieces) -> NDArray[Any]:
        found = np.zeros(pieces.buckets, column.dtype)
        if not self.day.size:
            return found
        low, high = self._edges(self.day, pieces)
        running = np.zeros(column.size + 1, column.dtype)
        np.cumsum(np.where(mask[self.of_class], column, 0), out=running[1:])
        np.add.at(found, pieces.bucket, running[high] - running[low])
        return found


def _ranges(low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[np.intp]:
    """The numbers from each of ``low`` to before that of ``high``, one range after the other."""
    lengths = high - low
    before = lengths.cumsum() - lengths
    found: NDArray[np.intp] = np.arange(int(lengths.sum())) + (low - before).repeat(lengths)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How durations spread in each bucket: how many there are around each of some ascending values."""

    middles: NDArray[np.float64]
    counts: NDArray[np.float64]

    def total(self) -> "Spread":
        """All buckets as one."""
        return Spread(self.middles, self.counts.sum(axis=0, keepdims=True))

    def quantile(self, q: float) -> tuple[float | None, ...]:
        """The q-quantile in each bucket, as ``histograms.quantile`` tells it; None where there is no value."""
        below = self.counts.cumsum(axis=1)
        if not below.size:
            return (None,) * len(self.counts)
        last = below[:, -1]
        some = np.flatnonzero(last > 0)
        below = below[some]
        rank = q * (last[some] - 1)
        low, high = (self.middles[(below <= at[:, None]).sum(axis=1)] for at in (np.floor(rank), np.ceil(rank)))
        told: list[float | None] = [None] * last.size
        for place, value in zip(some.tolist(), (low + (high - low) * (rank - np.floor(rank))).tolist(), strict=True):
            told[place] = value
        return tuple(told)
