"""Which subjects meet a rule: what has to be counted for it, and the counts brought together for all at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.filters import Filter
from resolvers.analysis.members import Table
from resolvers.analysis.periods import Period, PeriodRequest, resolve
from resolvers.analysis.segments import (
    All,
    Any,
    Did,
    InFunnel,
    Leaf,
    Listed,
    MemberOf,
    Not,
    Rule,
    Seen,
    Sighting,
    Times,
    Total,
)

BEGINNING, END = datetime(1999, 1, 1, tzinfo=UTC), datetime(2102, 1, 1, tzinfo=UTC)
"""No event lies before the one, or at the other or later."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Each subject's events that pass ``where`` in a period: how many they are, or whether a sum is within bounds."""

    where: Filter
    period: Period
    total: Total | None = None


Counts = Mapping[Tally, NDArray[np.int64]]
"""For each code from 0 on the number of events; of a tally with a total 1 where it is within its bounds, else 0."""


def tallies(leaf: Leaf, timezone: str, now: datetime) -> tuple[Tally, ...]:
    """What has to be counted for a condition; raises BadInput where its period is none."""
    match leaf:
        case Did(where, period, _, total):
            span = span_of(period, timezone, now)
            counted = Tally(where, span)
            return (counted,) if total is None else (counted, Tally(where, span, total))
        case Seen(which, period, where):
            span = span_of(period, timezone, now)
            outside = Period(BEGINNING, span.start) if which is Sighting.FIRST else Period(span.end, END)
            return Tally(where, span), Tally(where, outside)
        case _:
            return ()


def span_of(period: PeriodRequest | None, timezone: str, now: datetime) -> Period:
    """The instants that a period of a rule means, None for ever; raises BadInput where it is none."""
    return Period(BEGINNING, END) if period is None else resolve(period, timezone, now)


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides who meets a rule; every table is of ``length``, one truth for each code from 0 on."""

    counts: Counts
    listed: Mapping[str, int]
    """The codes of the subjects that rules name."""
    left: Mapping[InFunnel, NDArray[np.int32]]
    """The codes of those of whom a condition about a funnel is true."""
    rules: Mapping[int, Rule]
    """Those of the segments that rules name, by their numbers; none leads back to itself."""
    timezone: str
    now: datetime
    length: int

    def table(self, root: Rule) -> Table:
        """Who meets a rule."""
        match root:
            case All(of):
                table = np.ones(self.length, np.bool_)
                for part in of:
                    table &= self.table(part)
            case Any(of):
                table = np.zeros(self.length, np.bool_)
                for part in of:
                    table |= self.table(part)
            case Not(of):
                table = ~self.table(of)
            case MemberOf(segment):
                assert isinstance(segment, int)
                table = self.table(self.rules[segment])
            case InFunnel():
                table = np.zeros(self.length, np.bool_)
                codes = self.left[root]
                table[codes[codes < self.length]] = True
            case Listed(subjects):
                table = np.zeros(self.length, np.bool_)
                table[[self.listed[who] for who in subjects if self.listed.get(who, self.length) < self.length]] = True
            case _:
                table = self._counted(root)
        # Nobody has the code 0.
        table[:1] = False
        return table

    def _counted(self, leaf: Leaf) -> Table:
        first, *more = (self.counts[tally] for tally in tallies(leaf, self.timezone, self.now))
        if isinstance(leaf, Seen):
            (outside,) = more
            seen: Table = (first > 0) & (outside == 0)
            return seen
        assert isinstance(leaf, Did)
        table = _within(first, leaf.times)
        for passing in more:
            table &= passing > 0
        return table


def _within(counts: NDArray[np.int64], times: Times) -> Table:
    table = np.ones(counts.size, np.bool_)
    if times.at_least is not None:
        table &= counts >= times.at_least
    if times.at_most is not None:
        table &= counts <= times.at_most
    return table
