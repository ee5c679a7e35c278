"""Cohorts: who came in the same calendar period, how many of them came back, and what they have brought in since."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.code_sets import BITS, CodeSet, bitmaps
from resolvers.analysis.estimates import CONTEXT, Estimate, Money, quotient, share
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Granularity, Period

_LISTED = 16
"""Words of bitmaps that are put together and counted in the time that it takes to list a code and look it up."""


class CohortBasis(Enum):
    """What makes somebody part of a cohort, and brings back."""

    ACTIVITY = "activity"
    REVENUE = "revenue"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cohort did in one bucket of time; both places count the buckets of the period from 0."""

    cohort: int
    bucket: int
    subjects: int
    revenue: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Cohort:
    """Those who came first in one bucket, as columns: the k-th of each tells of k buckets later.

    All columns are as long as the first cohort's; what lies beyond the observed range is unknown, None, not 0.
    """

    at: datetime
    size: int
    retained: tuple[int | None, ...]
    rate: tuple[Decimal | None, ...]
    revenue: tuple[Decimal | None, ...]
    cumulative: tuple[Decimal | None, ...]
    per_member: tuple[Decimal | None, ...]
    previous_size: int | None = None
    """Of the cohort at the same place of the period compared with, as the columns that follow."""
    previous_rate: tuple[Decimal | None, ...] | None = None
    previous_per_member: tuple[Decimal | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class CohortGroup:
    """The cohorts of the events of one combination of dimension values; ``other`` is of all that are not shown."""

    keys: tuple[DimensionValue, ...]
    other: bool
    cohorts: tuple[Cohort, ...]
    subjects: int
    previous_subjects: int | None
    repeat: Estimate


@dataclass(frozen=True, slots=True)
class CohortsAnswer:
    """The cohorts of a period, earliest first."""

    of: CohortBasis
    period: Period
    previous_period: Period | None
    """Begins with as many whole buckets earlier; what has not begun of the period is left out."""
    granularity: Granularity
    timezone: str
    currency: str
    cohorts: tuple[Cohort, ...]
    subjects: int
    """How many came first in the period: the sum of the cohorts' sizes."""
    previous_subjects: int | None
    repeat: Estimate
    """Of them, those who came back: with an event in a later bucket or, for revenue, with a second order."""
    partial: bool
    """Whether the last bucket is not over, or is cut by the period's end, so that its cells tell of a part only."""
    groups: tuple[CohortGroup, ...]
    """Those with most subjects or revenue in the period first, ``other`` last; none unless ``by`` was asked for."""
    group_count: int
    unconverted: tuple[Money, ...]
    as_of: datetime = field(compare=False)
    explain: Explanation = field(compare=False)


def returns(subject: NDArray[np.int32], at: NDArray[np.int64], edges: Sequence[int]) -> NDArray[np.int64]:
    """How many subjects of each cohort (rows) were there in each bucket (columns), and how many came back at all.

    ``edges`` are ascending microseconds, the last one ends the last bucket; a subject whose first event lies before
    them is of no cohort. The last column counts those of a cohort who were there in a later bucket too.
    """
    buckets = len(edges) - 1
    place = np.searchsorted(np.asarray(edges), at, side="right")
    inside = place <= buckets
    wide = buckets + 1
    # Sorted here, since unique counts by hashing, which takes many times as long for this many different ones.
    key = np.sort(subject[inside].astype(np.int64) * wide + place[inside])
    who, bucket = np.divmod(key[np.diff(key, prepend=-1) != 0], wide)
    first = np.diff(who, prepend=-1) != 0
    begin = np.flatnonzero(first)
    cohort = bucket[begin][np.cumsum(first) - 1]
    again = bucket[begin][np.diff(np.append(begin, who.size)) > 1]
    cells = np.bincount(cohort * wide + bucket, minlength=wide * wide).reshape(wide, wide)[1:, 1:]
    return np.column_stack([cells, np.bincount(again, minlength=wide)[1:]])


def returns_among(before: CodeSet, there: Sequence[CodeSet]) -> NDArray[np.int64]:
    """The same from sets of subjects: those who were there before the first bucket, and those of each bucket."""
    buckets = len(there)
    words = max(one.high for one in (before, *there)) // BITS + 1
    if buckets**2 * words <= _LISTED * sum(one.size for one in there):
        return _returns_in_bitmaps(bitmaps([before, *there]))
    highest = max(one.high for one in (before, *there))
    # A subject's cohort counts from 1; who was there before has the one past the last, and 0 is of nobody yet.
    cohort = np.zeros(highest + 1, np.int16)
    cohort[before.listed()] = buckets + 1
    again = np.zeros(highest + 1, np.bool_)
    cells = np.zeros((buckets + 2, buckets), np.int64)
    for bucket, one in enumerate(there):
        codes = one.listed()
        first = cohort[codes]
        again[codes] |= first > 0
        cohort[codes[first == 0]] = bucket + 1
        cells[:, bucket] = np.bincount(cohort[codes], minlength=buckets + 2)
    came_back = np.bincount(cohort[again], minlength=buckets + 2)
    return np.column_stack([cells, came_back])[1:-1]


def _returns_in_bitmaps(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The same of bitmaps, a row each."""
    seen, *there = words
    again = np.zeros_like(seen)
    cohorts = np.empty_like(words[1:])
    for place, row in enumerate(there):
        cohorts[place] = row & ~seen
        again |= row & seen
        seen = seen | row
    columns = np.concatenate([words[1:], again[None]])
    cells = np.zeros((len(there), columns.shape[0]), np.int64)
    for place, cohort in enumerate(cohorts):
        cells[place, place:] = [np.bitwise_count(cohort & column).sum() for column in columns[place:]]
    return cells


def grid(starts: Sequence[datetime], observed: int, cells: Iterable[Cell]) -> tuple[Cohort, ...]:
    """The cohorts that began in the first ``observed`` of the buckets that begin at ``starts``.

    Cells of a bucket that is not observed are left out; those that are missing among the observed ones are 0.
    """
    subjects = [[0] * (observed - place) for place in range(observed)]
    revenue = [[Decimal(0)] * (observed - place) for place in range(observed)]
    for cell in cells:
        if cell.cohort <= cell.bucket < observed:
            subjects[cell.cohort][cell.bucket - cell.cohort] = cell.subjects
            revenue[cell.cohort][cell.bucket - cell.cohort] = cell.revenue
    return tuple(_cohort(starts[place], observed, subjects[place], revenue[place]) for place in range(observed))


def _cohort(at: datetime, width: int, subjects: Sequence[int], revenue: Sequence[Decimal]) -> Cohort:
    size = Decimal(subjects[0])
    sums, total = [], Decimal(0)
    for part in revenue:
        total = CONTEXT.add(total, part)
        sums.append(total)
    unknown = (None,) * (width - len(subjects))
    return Cohort(
        at=at,
        size=subjects[0],
        retained=(*subjects, *unknown),
        rate=(*(quotient(Decimal(count), size) for count in subjects), *unknown),
        revenue=(*revenue, *unknown),
        cumulative=(*sums, *unknown),
        per_member=(*(quotient(so_far, size) for so_far in sums), *unknown),
    )


def held_against(cohorts: Sequence[Cohort], earlier: Sequence[Cohort]) -> tuple[Cohort, ...]:
    """Cohorts with the figures of those at the same places of an earlier period, which may be fewer."""
    before = dict(enumerate(earlier))
    return tuple(_against(one, before.get(place)) for place, one in enumerate(cohorts))


def _against(now: Cohort, before: Cohort | None) -> Cohort:
    if before is None:
        return now
    return replace(
        now,
        previous_size=before.size,
        previous_rate=_as_long(before.rate, now.rate),
        previous_per_member=_as_long(before.per_member, now.per_member),
    )


def _as_long(column: tuple[Decimal | None, ...], as_: Sequence[object]) -> tuple[Decimal | None, ...]:
    return (*column, *(None,) * (len(as_) - len(column)))


_REPEATED = {
    CohortBasis.ACTIVITY: "Subjects with an event in a later bucket than their first, divided by all of the cohorts.",
    CohortBasis.REVENUE: "Subjects with two orders or more by the end of the period, divided by all of the cohorts.",
}


def repeated(of: CohortBasis, subjects: int, again: int, as_of: datetime, previous: Decimal | None = None) -> Estimate:
    """The share of the cohorts' subjects who came back."""
    return share(again, subjects, as_of=as_of, definition=_REPEATED[of], previous=previous)
