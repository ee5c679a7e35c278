"""Distinct subjects among events in memory: in total, by bucket of time, and by value of a dimension."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.journeys import Journeys
from resolvers.analysis.numbering import ranks

Ints = NDArray[np.int64]

_ROWS = 1 << 17
"""Events, or a subject's if they are more, that are counted at a time."""
_FLAGS = 1 << 23
"""Places up to which subjects are ticked off rather than sorted: as many bytes as stay in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class DistinctCounts:
    """How many subjects qualify for each step (first axis), by group and bucket (after it, where there are any).

    The last group is that of all events in none of the others.
    """

    total: Ints
    buckets: Ints
    groups: Ints
    both: Ints

    def __add__(self, other: "DistinctCounts") -> "DistinctCounts":
        """Counts of subjects none of which is in both."""
        names = ("total", "buckets", "groups", "both")
        return DistinctCounts(*(getattr(self, name) + getattr(other, name) for name in names))


def counted(journeys: Journeys, steps: int, starts_us: Ints, shown: Sequence[int] | None) -> DistinctCounts:
    """Distinct subjects for each of so many steps, by bucket, and by value of the first dimension, if it is shown."""
    # A few subjects at a time: keys of all events would take many times what the events take.
    some = journeys.subject[_ROWS::_ROWS] if journeys.ordered else journeys.subject[:0]
    bounds = np.unique([0, *np.searchsorted(journeys.subject, some), journeys.subject.size]).tolist()
    parts = [journeys.part(*bound) for bound in pairwise(bounds)] or [journeys]
    return together([_counted(part, steps, starts_us, shown) for part in parts])


def _counted(journeys: Journeys, steps: int, starts_us: Ints, shown: Sequence[int] | None) -> DistinctCounts:
    buckets, width = _buckets(journeys.at, starts_us), max(1, starts_us.size)
    groups, size = None if shown is None else _groups(journeys.dimensions[0], shown), 1 + len(shown or ())
    one = journeys.steps.dtype.type(1)
    counts = DistinctCounts(
        np.zeros(steps, np.int64),
        np.zeros((steps, width), np.int64),
        np.zeros((steps, size), np.int64),
        np.zeros((steps, size, width), np.int64),
    )
    for step in range(steps):
        rows = np.flatnonzero(journeys.steps >> journeys.steps.dtype.type(step) & one)
        own, bucket = journeys.subject[rows].astype(np.int64), buckets[rows]
        counts.total[step] = _distinct(np.zeros(own.size, np.int64), own, 1)[0]
        counts.buckets[step] = counts.total[step] if width == 1 else _distinct(bucket, own, width)
        if groups is not None:
            group = groups[rows]
            counts.groups[step] = _distinct(group, own, size)
            both = counts.groups[step] if width == 1 else _distinct(group * width + bucket, own, size * width)
            counts.both[step] = both.reshape(size, width)
    return counts


def by_value(journeys: Journeys) -> dict[int, int]:
    """Distinct subjects who qualify for the first step, by value of the first dimension."""
    rows = np.flatnonzero(journeys.steps & journeys.steps.dtype.type(1))
    codes = journeys.dimensions[0][rows]
    group, size = ranks(codes)
    values = np.zeros(size, np.int32)
    values[group] = codes
    counts = _distinct(group.astype(np.int64), journeys.subject[rows].astype(np.int64), size)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def together(parts: Sequence[DistinctCounts]) -> DistinctCounts:
    """The counts of parts that share no subject; there must be one."""
    return reduce(DistinctCounts.__add__, parts)


def _buckets(at: Ints, starts_us: Ints) -> Ints:
    """The bucket of each time, the first where there are none."""
    if starts_us.size < 2:
        return np.zeros(at.size, np.int64)
    widths = np.diff(starts_us)
    if (widths == widths[0]).all():
        # Buckets of one width are reckoned, which takes a tenth of looking each time up; the last has no end.
        return np.asarray(np.minimum((at - starts_us[0]) // widths[0], starts_us.size - 1), np.int64)
    return np.asarray(np.searchsorted(starts_us, at, "right") - 1, np.int64)


def _groups(values: NDArray[np.int32], shown: Sequence[int]) -> Ints:
    """The place of each value among those shown, and behind them for any other."""
    places = np.full(max(int(values.max(initial=0)), *shown, 0) + 1, len(shown), np.int64)
    for place, code in enumerate(shown):
        if code >= 0:
            places[code] = place
    found: Ints = places[values]
    return found


def _distinct(keys: Ints, subjects: Ints, size: int) -> Ints:
    """How many different subjects there are under each key from 0 to before ``size``."""
    if not keys.size:
        return np.zeros(size, np.int64)
    low = int(subjects.min())
    width = int(subjects.max()) - low + 1
    pairs = keys * width + (subjects - low)
    if size * width <= _FLAGS:
        seen = np.zeros(size * width, np.bool_)
        seen[pairs] = True
        return np.array(np.count_nonzero(seen.reshape(size, width), axis=1), np.int64)
    return np.bincount(np.unique(pairs) // width, minlength=size).astype(np.int64)
