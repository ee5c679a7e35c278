"""Spans of days and buckets over columns that add up day by day, and what was added up before."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Pieces(NamedTuple):
    """Spans of days: from ``first`` to before ``end``, counted from 1970, and the bucket each lies in."""

    first: Ints
    end: Ints
    bucket: Ints
    buckets: int


@dataclass(frozen=True, slots=True, eq=False)
class Within:
    """Where spans begin and end among the days of a table."""

    pieces: Pieces
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    single: bool
    """Whether each bucket is one span."""
    daily: bool
    """Whether each bucket is one day, and they follow one another."""

    @classmethod
    def of(cls, days: Ints, pieces: Pieces) -> "Within":
        low, high = np.searchsorted(days, pieces.first), np.searchsorted(days, pieces.end)
        single = np.array_equal(pieces.bucket, np.arange(pieces.buckets))
        daily = single and low.size > 0 and np.array_equal(low, low[0] + np.arange(low.size))
        return cls(pieces, low, high, single, daily and np.array_equal(high, low + 1))

    def added(self, running: NDArray[Any], first: int = 0) -> NDArray[Any]:
        """What each bucket adds up to, of running sums up to each day from the ``first`` one on."""
        if self.daily:
            start, end = int(self.low[0]) - first, int(self.high[-1]) - first
            each: NDArray[Any] = running[start + 1 : end + 1] - running[start:end]
            return each
        parts: NDArray[Any] = running[self.high - first] - running[self.low - first]
        if self.single:
            return parts
        found = np.zeros((self.pieces.buckets, *running.shape[1:]), running.dtype)
        np.add.at(found, self.pieces.bucket, parts)
        return found


class Derived:
    """Arrays made of a table that does not change, kept within a budget of bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._kept: dict[Hashable, NDArray[Any]] = {}

    def holds(self, size: int) -> bool:
        """Whether an array of so many bytes can be kept at all."""
        return size <= self._most

    def made(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array under a key, made where there is none."""
        found = self._kept.get(key)
        if found is None:
            found = make()
            if self._size + found.nbytes > self._most:
                self._kept.clear()
                self._size = 0
            if self.holds(found.nbytes):
                self._kept[key] = found
                self._size += found.nbytes
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How durations spread in each bucket: how many there are up to each of some ascending values."""

    middles: NDArray[np.float64]
    below: NDArray[np.float64]

    def total(self) -> "Spread":
        """All buckets as one."""
        return Spread(self.middles, self.below.sum(axis=0, keepdims=True))

    def quantile(self, q: float) -> tuple[float | None, ...]:
        """The q-quantile in each bucket, as ``histograms.quantile`` tells it; None where there is no value."""
        if not self.below.size:
            return (None,) * len(self.below)
        last = self.below[:, -1]
        some = np.flatnonzero(last > 0)
        below = self.below if some.size == last.size else self.below[some]
        rank = q * (last[some] - 1)
        floor = np.floor(rank)
        # The first above: it is told sooner than how many are not.
        low = (below > floor[:, None]).argmax(axis=1)
        high, later = low.copy(), np.flatnonzero(below[np.arange(some.size), low] <= np.ceil(rank))
        high[later] = (below[later] > np.ceil(rank[later])[:, None]).argmax(axis=1)
        values = self.middles[low] + (self.middles[high] - self.middles[low]) * (rank - floor)
        told: list[float | None] = [None] * last.size
        for place, value in zip(some.tolist(), values.tolist(), strict=True):
            told[place] = value
        return tuple(told)
