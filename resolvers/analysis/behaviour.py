"""What subjects had done by a moment, and what they did after it: the features and outcomes that models learn from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.events import Kind
from resolvers.analysis.filters import EVERYTHING, All, Filter, FlagIs, KindIs, NameIs, Not
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.numbering import different, ranks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]
Counts = NDArray[np.unsignedinteger]

_CONVERSION = KindIs((Kind.CONVERSION,))
_AI = KindIs((Kind.AI_INTERACTION,))
CHURN: Filter = All((_CONVERSION, NameIs(("churn",))))
GAIN: Filter = All((_CONVERSION, Not(NameIs(("churn", "refund")))))
RECURRING: Filter = All((GAIN, FlagIs("recurring", True)))

_CHURN, _RECURRING, _GAIN, _AI_ANY, _AI_GOOD, _AI_BAD, _TARGET = (1 << place for place in range(7))
DIMENSIONS = ("feature", "plan", "persona")
"""The dimensions that features are made of; more may follow them, to break answers down by."""

DAY_US = 86_400_000_000
RECENT_DAYS, LOOKBACK_DAYS = 30, 90
_ROWS = 1 << 18
"""Rows that are worked on at a time, for the memory that each of them takes meanwhile."""
SESSION_GAP_US = 30 * 60 * 1_000_000
"""Half an hour without an event ends a session, whatever the sender calls one."""


def steps(target: Filter) -> tuple[Filter, ...]:
    """The conditions by which journeys have to be read, in the order of their bits."""
    said = [All((_AI, FlagIs("success", value))) for value in (True, False)]
    return (CHURN, RECURRING, GAIN, _AI, *said, target, EVERYTHING)


@dataclass(frozen=True, slots=True, eq=False)
class Behaviour:
    """Subjects as columns of one length, as of a cut-off: those who were there before it and may matter after it.

    Left out are who was neither seen in the 30 days before it nor ever had a conversion.
    Counts are of the 90 days before the cut-off unless they say otherwise. A moment is in microseconds since 1970, -1
    where there is none. ``ai_success`` is NaN where no AI interaction says whether it succeeded.
    """

    subject: Codes
    first_us: Ints
    last_us: Ints
    last_churn_us: Ints
    last_recurring_us: Ints
    last_gain_us: Ints
    recent: Counts
    """Events of the last 30 days."""
    earlier: Counts
    """Events of the 60 days before those."""
    active_days: Counts
    sessions: Counts
    features_used: Counts
    ai_requests: Counts
    ai_success: Floats
    purchases: Counts
    """Conversions other than churn and refunds."""
    dimensions: Codes
    """A row for each dimension that was read, DIMENSIONS first: the last value carried; 0 for none."""
    later: Counts
    """Events of the 30 days after the cut-off."""
    churned: Bools
    """Whether a churn event is among them."""
    reached: Bools
    """Whether an event that meets the target is among them."""

    def rows(self, rows: Bools | NDArray[np.intp] | slice) -> "Behaviour":
        """Some of the subjects."""
        return Behaviour(*(getattr(self, one.name)[..., rows] for one in fields(self)))


def joined(parts: Sequence[Behaviour]) -> Behaviour:
    """The subjects of all parts."""
    columns = [[getattr(part, one.name) for part in parts] for one in fields(Behaviour)]
    return Behaviour(*(np.concatenate(column, axis=-1) for column in columns))


def observed(journeys: Journeys, cutoffs_us: Sequence[int]) -> list[Behaviour]:
    """The subjects of journeys at each cut-off."""
    journeys = journeys.in_order()
    fresh = np.ones(journeys.subject.size, np.bool_)
    fresh[1:] = journeys.subject[1:] != journeys.subject[:-1]
    starts = np.flatnonzero(fresh)
    cuts = np.append(starts, fresh.size)[np.searchsorted(starts, np.arange(_ROWS, fresh.size, _ROWS))]
    parts = [
        [_At(journeys.part(start, end), fresh[start:end], cutoff).behaviour() for cutoff in cutoffs_us]
        for start, end in pairwise([0, *cuts.tolist(), fresh.size])
    ]
    return [joined([part[place] for part in parts]) for place in range(len(cutoffs_us))]


class _At:
    """The rows of ordered journeys, seen from a cut-off; ``fresh`` marks the first row of each subject."""

    def __init__(self, journeys: Journeys, fresh: Bools, cutoff_us: int) -> None:
        self.journeys = journeys
        self.cutoff = cutoff_us
        self.starts = np.flatnonzero(fresh)
        self.who = np.cumsum(fresh) - 1
        self.before = journeys.at < cutoff_us
        self.window = self.before & (journeys.at >= cutoff_us - LOOKBACK_DAYS * DAY_US)
        self.fresh = fresh

    def behaviour(self) -> Behaviour:
        at, bits = self.journeys.at, self.journeys.steps
        past = self._count(self.before)
        recent = self.window & (at >= self.cutoff - RECENT_DAYS * DAY_US)
        lately = self._count(recent)
        gained, churned = self._last(self.before & self._is(_GAIN)), self._last(self.before & self._is(_CHURN))
        known = (past > 0) & ((lately > 0) | (gained >= 0) | (churned >= 0))
        after = ~self.before & (at < self.cutoff + RECENT_DAYS * DAY_US)
        good, bad = self._count(self.window & self._is(_AI_GOOD)), self._count(self.window & self._is(_AI_BAD))
        with np.errstate(invalid="ignore"):
            success = good / (good + bad)
        whole = Behaviour(
            subject=self.journeys.subject[self.starts],
            first_us=at[self.starts],
            last_us=self._last(self.before),
            last_churn_us=churned,
            last_recurring_us=self._last(self.before & self._is(_RECURRING)),
            last_gain_us=gained,
            recent=lately,
            earlier=self._count(self.window & ~recent),
            active_days=self._count(self.window & self._begins(at // DAY_US, 1)),
            sessions=self._count(self.window & self._begins(at, SESSION_GAP_US)),
            features_used=self._distinct(self.journeys.dimensions[0]),
            ai_requests=self._count(self.window & self._is(_AI_ANY)),
            ai_success=success,
            purchases=self._count(self.window & ((bits & _GAIN) != 0)),
            dimensions=np.stack([self._carried(codes) for codes in self.journeys.dimensions]),
            later=self._count(after),
            churned=self._count(after & self._is(_CHURN)) > 0,
            reached=self._count(after & self._is(_TARGET)) > 0,
        )
        return whole.rows(known)

    def _is(self, bit: int) -> Bools:
        meets: Bools = (self.journeys.steps & bit) != 0
        return meets

    def _count(self, rows: Bools) -> Counts:
        return _narrow(np.bincount(self.who[rows], minlength=self.starts.size))

    def _last(self, rows: Bools) -> Ints:
        """The moment of each subject's last of some rows."""
        last = np.full(self.starts.size, -1, np.int64)
        # Rows are in the order of time: of several writes to one place the last one stays.
        last[self.who[rows]] = self.journeys.at[rows]
        return last

    def _begins(self, values: Ints, gap: int) -> Bools:
        """Whether a row is its subject's first of the window, or at least ``gap`` after the row before it."""
        begins = self.fresh.copy()
        begins[1:] |= (values[1:] - values[:-1] >= gap) | (self.window[1:] & ~self.window[:-1])
        return begins

    def _distinct(self, codes: Codes) -> Counts:
        """How many different codes each subject's rows of the window carry."""
        rows = self.window & (codes != 0)
        *counts, _ = different(self.who[rows], ranks(codes[rows])[0], self.starts.size)
        return _narrow(np.array(counts, np.intp))

    def _carried(self, codes: Codes) -> Codes:
        """The last code that each subject carried before the cut-off."""
        rows = self.before & (codes != 0)
        carried = np.zeros(self.starts.size, np.int32)
        carried[self.who[rows]] = codes[rows]
        return carried


def _narrow(counts: NDArray[np.intp]) -> Counts:
    """The same in as few bytes as hold the greatest."""
    narrow: Counts = counts.astype(np.min_scalar_type(counts.max(initial=0)))
    return narrow
