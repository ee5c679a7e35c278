"""Segments held against each other, and against everybody."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from math import exp, log, sqrt

import numpy as np
from scipy.special import ndtri

from resolvers.analysis.estimates import LEVEL, Estimate, Interval, Unit, estimate, quotient, share
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.funnel_correlations import Crossed, Table
from resolvers.analysis.members import Members
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.multiplicity import benjamini_hochberg
from resolvers.analysis.periods import Period
from resolvers.analysis.segments import SegmentSummary

_Z = float(ndtri((1 + float(LEVEL)) / 2))
_OF_MEMBERS = "Members with an event that carries the value, divided by all members with an event."
_OF_EVERYBODY = "Subjects with an event that carries the value, divided by all subjects with an event."
_LIFT = "The share of members with the value, divided by the share of everybody with it."
_ODDS_RATIO = (
    "Odds of being a member with the value, divided by the odds without it, 0.5 added to each of the four counts "
    "(Haldane and Anscombe)."
)


@dataclass(frozen=True, slots=True)
class SegmentPair:
    """Two segments; of ``union`` subjects in either, ``shared`` are in both."""

    first: SegmentSummary
    second: SegmentSummary
    shared: int
    union: int
    jaccard: Decimal | None
    """shared / union; None where both are empty."""
    share_of_first: Decimal | None
    share_of_second: Decimal | None


@dataclass(frozen=True, slots=True)
class SegmentOverlapAnswer:
    """How segments overlap."""

    segments: tuple[SegmentSummary, ...]
    pairs: tuple[SegmentPair, ...]
    in_all: int
    in_any: int
    as_of: datetime = field(compare=False)


def overlap(segments: Sequence[SegmentSummary], members: Sequence[Members], as_of: datetime) -> SegmentOverlapAnswer:
    """How segments with these members overlap, two by two in their order."""
    length = max((int(one.codes[-1]) for one in members if one.size), default=0) + 1
    times = np.zeros(length, np.int32)
    for one in members:
        times[one.codes] += 1
    return SegmentOverlapAnswer(
        tuple(segments),
        tuple(
            _pair(segments[one], segments[other], members[one], members[other])
            for one, other in combinations(range(len(segments)), 2)
        ),
        int(np.count_nonzero(times == len(members))),
        int(np.count_nonzero(times)),
        as_of,
    )


def _pair(first: SegmentSummary, second: SegmentSummary, one: Members, other: Members) -> SegmentPair:
    shared = int(np.count_nonzero(one.among(other.codes)))
    union = one.size + other.size - shared
    sizes = (union, one.size, other.size)
    return SegmentPair(first, second, shared, union, *(quotient(Decimal(shared), Decimal(size)) for size in sizes))


@dataclass(frozen=True, slots=True)
class SegmentTrait:
    """A value that members carry more often, or less, than everybody does."""

    key: DimensionValue
    subjects: int
    members: int
    share_of_members: Estimate
    share_of_everybody: Estimate
    lift: Estimate
    odds_ratio: Estimate
    """Of being a member with the value, against without it."""
    p_value: float
    log10_p: float
    adjusted_p: float
    log10_adjusted_p: float
    significant: bool


@dataclass(frozen=True, slots=True)
class SegmentTraitsAnswer:
    """What sets the members of a segment apart, of those with an event in a period; it proves no cause."""

    segment: SegmentSummary
    period: Period
    previous_period: Period | None
    subjects: int
    members: int
    traits: tuple[SegmentTrait, ...]
    """The significant ones with a lift above 1 first, those of the highest lift first."""
    tested: int
    untested: int
    lookalikes: tuple[int, ...]
    """``lookalikes[i]`` is how many subjects outside have at least i + 1 of the significant traits shown."""
    as_of: datetime = field(compare=False)
    explain: Explanation = field(compare=False)


@dataclass(frozen=True, slots=True)
class Carriers:
    """How many subjects, and members among them, have an event that carries a value."""

    key: DimensionValue
    subjects: int
    members: int


@dataclass(frozen=True, slots=True)
class Carried:
    """Who carries each value, of ``subjects`` with an event, ``members`` of these."""

    values: Sequence[Carriers]
    subjects: int
    members: int

    def crossed(self) -> Crossed:
        """Each value held against being a member."""
        tables = [Table(one.key, one.members, one.subjects, self.members, self.subjects) for one in self.values]
        return Crossed.of(tables, self.subjects, self.members)


def traits(
    found: Carried, *, top: int, as_of: datetime, previous: Carried | None = None
) -> tuple[tuple[SegmentTrait, ...], int]:
    """The ``top`` values that set members apart, held against the same ones before, and how many were tested.

    A value is tested where `funnel_correlations` would test it, by the same statistics; the lift's interval is the
    delta method's on the logarithm of a ratio of multinomial counts.
    """
    tables = [table for table in found.crossed().tables.values() if table.sufficient]
    before = None if previous is None else previous.crossed()
    adjusted = benjamini_hochberg([table.log_p for table in tables])
    told = [_trait(table, q, as_of, before) for table, q in zip(tables, adjusted, strict=True)]
    told.sort(key=lambda one: (not distinguishing(one), -(one.lift.value or Decimal(0)), one.key.dimension))
    return tuple(told[:top]), len(told)


def distinguishing(trait: SegmentTrait) -> bool:
    """Whether members surely carry the value more often than others."""
    return trait.significant and trait.lift.value is not None and trait.lift.value > 1


def _lift(table: Table) -> Decimal | None:
    return quotient(Decimal(table.hits * table.entered), Decimal(table.size * table.successes))


def _trait(table: Table, log_adjusted: float, as_of: datetime, before: Crossed | None) -> SegmentTrait:
    association = table.association(log_adjusted, as_of, before)
    earlier = None if before is None else before.table(table.key)

    def part(size: Callable[[Table], int], of: Callable[[Table], int], definition: str) -> Estimate:
        previous = None if earlier is None else quotient(Decimal(size(earlier)), Decimal(of(earlier)))
        return share(size(table), of(table), as_of=as_of, definition=definition, previous=previous)

    return SegmentTrait(
        key=table.key,
        subjects=table.size,
        members=table.hits,
        share_of_members=part(lambda of: of.hits, lambda of: of.successes, _OF_MEMBERS),
        share_of_everybody=part(lambda of: of.size, lambda of: of.entered, _OF_EVERYBODY),
        lift=estimate(
            _lift(table),
            n=table.entered,
            as_of=as_of,
            definition=_LIFT,
            unit=Unit.RATIO,
            interval=_interval(table),
            previous=None if earlier is None else _lift(earlier),
            successes=table.hits,
        ),
        odds_ratio=replace(association.odds_ratio, definition=_ODDS_RATIO),
        p_value=association.p_value,
        log10_p=association.log10_p,
        adjusted_p=association.adjusted_p,
        log10_adjusted_p=association.log10_adjusted_p,
        significant=association.significant,
    )


def _interval(table: Table) -> Interval | None:
    """The lift's interval; None where no member has the value, or the log of it does not vary."""
    both, only_value, only_member = table.hits, table.size - table.hits, table.successes - table.hits
    if not both:
        return None
    # The gradient of log(both) - log(members) - log(carriers) + log(all) by the counts, each count's share of it.
    slope = 1 / both - 1 / table.successes - 1 / table.size
    variance = slope**2 * both + only_value / table.size**2 + only_member / table.successes**2 - 1 / table.entered
    middle = log(both) + log(table.entered) - log(table.successes) - log(table.size)
    error = sqrt(max(0.0, variance))
    low, high = (Decimal(f"{exp(middle + side * _Z * error):.12g}") for side in (-1, 1))
    return Interval(low, high, LEVEL, "log delta")


def lookalikes(carried: Sequence[Members], members: Members, length: int) -> tuple[int, ...]:
    """How many subjects that are no members carry at least one, two, ... of several values."""
    times = np.zeros(length, np.int32)
    for one in carried:
        times[one.codes] += 1
    times[members.table(length)] = 0
    return tuple(int(np.count_nonzero(times >= least)) for least in range(1, len(carried) + 1))
