"""Distinct subjects among events in memory: in total, by bucket of time, and by value of a dimension."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.journeys import Journeys

Ints = NDArray[np.int64]

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
    buckets = np.searchsorted(starts_us, journeys.at, "right") - 1
    groups, size = np.zeros(journeys.subject.size, np.int64), 1
    if shown is not None:
        groups, size = _groups(journeys.dimensions[0], shown), len(shown) + 1
    width = max(1, starts_us.size)
    subjects = journeys.subject.astype(np.int64)
    total, by_bucket, by_group, by_both = [], [], [], []
    for step in range(steps):
        rows = np.flatnonzero(journeys.steps >> journeys.steps.dtype.type(step) & journeys.steps.dtype.type(1))
        own, bucket, group = subjects[rows], np.maximum(buckets[rows], 0), groups[rows]
        total.append(_distinct(np.zeros(own.size, np.int64), own, 1)[0])
        by_bucket.append(_distinct(bucket, own, width))
        by_group.append(_distinct(group, own, size))
        by_both.append(_distinct(group * width + bucket, own, size * width).reshape(size, width))
    return DistinctCounts(
        np.array(total, np.int64),
        np.array(by_bucket, np.int64),
        np.array(by_group, np.int64),
        np.array(by_both, np.int64),
    )


def by_value(journeys: Journeys) -> dict[int, int]:
    """Distinct subjects who qualify for the first step, by value of the first dimension."""
    rows = np.flatnonzero(journeys.steps & journeys.steps.dtype.type(1))
    values, group = np.unique(journeys.dimensions[0][rows], return_inverse=True)
    counts = _distinct(group.astype(np.int64), journeys.subject[rows].astype(np.int64), values.size)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def together(parts: Sequence[DistinctCounts]) -> DistinctCounts:
    """The counts of parts that share no subject; there must be one."""
    return reduce(DistinctCounts.__add__, parts)


def _groups(values: NDArray[np.int32], shown: Sequence[int]) -> Ints:
    """The place of each value among those shown, and behind them for any other."""
    codes, place = np.unique(values, return_inverse=True)
    places = {code: number for number, code in enumerate(shown)}
    of_code = np.array([places.get(code, len(shown)) for code in codes.tolist()], np.int64)
    found: Ints = of_code[place]
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
