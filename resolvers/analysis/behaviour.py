"""What subjects had done by a moment, and what they did after it: the features and outcomes that models learn from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

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
_ROWS = 1 << 16
"""Rows that are worked on at a time, for the memory that each of them takes meanwhile."""
_BITS = 64
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
    where there is none.
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
    ai_good: Counts
    """AI interactions that succeeded."""
    ai_bad: Counts
    """Those that did not; others do not say."""
    purchases: Counts
    """Conversions other than churn and refunds."""
    dimensions: NDArray[np.integer]
    """A row for each dimension that was read, DIMENSIONS first: the code of the last value carried; 0 for none."""
    later: Counts
    """Events of the 30 days after the cut-off."""
    churned: Bools
    """Whether a churn event is among them."""
    reached: Bools
    """Whether an event that meets the target is among them."""

    @property
    def ai_success(self) -> Floats:
        """The part of AI interactions that succeeded; NaN where none says whether it did."""
        with np.errstate(invalid="ignore"):
            return self.ai_good / np.add(self.ai_good, self.ai_bad, dtype=np.int64)

    def rows(self, rows: Bools | NDArray[np.intp] | slice) -> "Behaviour":
        """Some of the subjects."""
        return Behaviour(*(getattr(self, one.name)[..., rows] for one in fields(self)))


def joined(parts: Iterable[Behaviour]) -> Behaviour:
    """The subjects of all parts; what they hold is let go of column by column, where nobody else holds it."""
    names = [one.name for one in fields(Behaviour)]
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for part in parts:
        for name in names:
            columns[name].append(getattr(part, name))
        del part
    return Behaviour(**{name: _column(columns.pop(name)) for name in names})


def _column(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """The values of all parts; where none of them has any moment there need be only one in memory."""
    if all(part.dtype == np.int64 and np.all(part == -1) for part in parts):
        return np.broadcast_to(np.int64(-1), (sum(part.size for part in parts),))
    return np.concatenate(parts, axis=-1)


def observed(journeys: Journeys, cutoffs_us: Sequence[int]) -> list[Behaviour]:
    """The subjects of journeys at each cut-off."""
    journeys = journeys.in_order()
    fresh = np.ones(journeys.subject.size, np.bool_)
    fresh[1:] = journeys.subject[1:] != journeys.subject[:-1]
    starts = np.flatnonzero(fresh)
    cuts = np.append(starts, fresh.size)[np.searchsorted(starts, np.arange(_ROWS, fresh.size, _ROWS))]
    blocks = (
        _Rows(journeys.part(start, end), np.flatnonzero(fresh[start:end]))
        for start, end in pairwise([0, *cuts.tolist(), fresh.size])
    )
    parts = [[_At(rows, cutoff).behaviour() for cutoff in cutoffs_us] for rows in blocks]
    return [joined([part[place] for part in parts]) for place in range(len(cutoffs_us))]


class _Rows:
    """The rows of ordered journeys; ``starts`` are the first ones of each subject.

    Time passes within a subject, so that its rows between two moments are those from one place to another, and how
    many of them are of some sort is the difference of two running counts.
    """

    def __init__(self, journeys: Journeys, starts: NDArray[np.intp]) -> None:
        self.journeys = journeys
        self.starts = starts
        self._places: dict[int, NDArray[np.intp]] = {}
        self._marks: dict[int, _Marked] = {}
        at = journeys.at
        apart = np.zeros(at.size, np.int64)
        apart[1:] = np.diff(at)
        self.sessions = _Marked(apart >= SESSION_GAP_US)
        """Rows that come long after the one before, which may be another subject's."""
        day = at // DAY_US
        apart[1:] = np.diff(day)
        self.days = _Marked(apart >= 1)
        self.carried = [
            np.maximum.accumulate(np.where(one != 0, np.arange(one.size, dtype=np.int32), np.int32(-1)))
            for one in journeys.dimensions
        ]
        """For each row the last one up to it that carries a value of the dimension."""

    @cached_property
    def features(self) -> NDArray[np.uint64] | None:
        """A bit for the feature that each row carries, and none at the end; None where they are more than bits."""
        codes = self.journeys.dimensions[0]
        place, many = ranks(np.append(codes, np.int32(0)))
        if many > _BITS:
            return None
        bits = np.left_shift(np.uint64(1), place.astype(np.uint64))
        bits[place == place[-1]] = 0
        return bits

    def before(self, moment_us: int) -> NDArray[np.intp]:
        """The place after each subject's last row before a moment."""
        if moment_us not in self._places:
            self._places[moment_us] = self.starts + self._reduced(self.journeys.at < moment_us)
        return self._places[moment_us]

    def meeting(self, bit: int) -> "_Marked":
        """The rows that have a bit."""
        if bit not in self._marks:
            self._marks[bit] = _Marked((self.journeys.steps & bit) != 0)
        return self._marks[bit]

    def _reduced(self, rows: Bools) -> NDArray[np.intp]:
        if not self.starts.size:
            return np.empty(0, np.intp)
        return np.add.reduceat(rows, self.starts, dtype=np.intp)


class _Marked:
    """Some of the rows, and how many of them come before each row and at the end."""

    def __init__(self, rows: Bools) -> None:
        self.rows = rows
        self.running = np.zeros(rows.size + 1, np.int32)
        np.cumsum(rows, out=self.running[1:])

    @cached_property
    def places(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.rows)

    def between(self, first: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.int32]:
        """How many of the rows lie from some places to before others."""
        return self.running[end] - self.running[first]


class _At:
    """Rows seen from a cut-off."""

    def __init__(self, rows: _Rows, cutoff_us: int) -> None:
        self.rows = rows
        self.cut = rows.before(cutoff_us)
        self.window = rows.before(cutoff_us - LOOKBACK_DAYS * DAY_US)
        self.recent = rows.before(cutoff_us - RECENT_DAYS * DAY_US)
        self.after = rows.before(cutoff_us + RECENT_DAYS * DAY_US)

    def behaviour(self) -> Behaviour:
        rows, journeys = self.rows, self.rows.journeys
        past, lately = self.cut - rows.starts, self.cut - self.recent
        gained, churned = self._last(_GAIN), self._last(_CHURN)
        known = (past > 0) & ((lately > 0) | (gained >= 0) | (churned >= 0))
        whole = Behaviour(
            subject=journeys.subject[rows.starts],
            first_us=journeys.at[rows.starts],
            last_us=np.where(past > 0, journeys.at[np.maximum(self.cut - 1, 0)], -1),
            last_churn_us=churned,
            last_recurring_us=self._last(_RECURRING),
            last_gain_us=gained,
            recent=_narrow(lately),
            earlier=_narrow(self.recent - self.window),
            active_days=self._begun(rows.days),
            sessions=self._begun(rows.sessions),
            features_used=self._distinct(),
            ai_requests=self._count(_AI_ANY),
            ai_good=self._count(_AI_GOOD),
            ai_bad=self._count(_AI_BAD),
            purchases=self._count(_GAIN),
            dimensions=_narrow(np.stack([self._carried(place) for place in range(len(journeys.dimensions))])),
            later=_narrow(self.after - self.cut),
            churned=rows.meeting(_CHURN).between(self.cut, self.after) > 0,
            reached=rows.meeting(_TARGET).between(self.cut, self.after) > 0,
        )
        return whole.rows(known)

    def _count(self, bit: int) -> Counts:
        """How many rows of the window have a bit."""
        return _narrow(self.rows.meeting(bit).between(self.window, self.cut))

    def _last(self, bit: int) -> Ints:
        """The moment of each subject's last row with a bit before the cut-off."""
        marked, at = self.rows.meeting(bit), self.rows.journeys.at
        last = np.full(self.cut.size, -1, np.int64)
        some = np.flatnonzero(marked.between(self.rows.starts, self.cut))
        last[some] = at[marked.places[marked.running[self.cut[some]] - 1]]
        return last

    def _begun(self, apart: _Marked) -> Counts:
        """How many stretches the window has: its first row begins one, and so does each that is apart."""
        some = self.cut > self.window
        return _narrow(apart.between(np.where(some, self.window + 1, self.cut), self.cut) + some)

    def _distinct(self) -> Counts:
        """How many features each subject's rows of the window carry."""
        seen = self.rows.features
        if seen is None:
            sizes = self.cut - self.window
            rows = np.arange(int(sizes.sum())) + (self.window - (np.cumsum(sizes) - sizes)).repeat(sizes)
            who, held = np.arange(sizes.size).repeat(sizes), self.rows.journeys.dimensions[0][rows]
            *found, _ = different(who[held != 0], ranks(held[held != 0])[0], sizes.size)
            return _narrow(np.array(found, np.intp))
        some = np.flatnonzero(self.cut > self.window)
        counts = np.zeros(self.cut.size, np.uint8)
        if some.size:
            spans = np.stack([self.window[some], self.cut[some]], axis=1).ravel()
            counts[some] = np.bitwise_count(np.bitwise_or.reduceat(seen, spans)[::2])
        return counts

    def _carried(self, place: int) -> Codes:
        """The last code that each subject carried before the cut-off."""
        at = self.rows.carried[place][np.maximum(self.cut - 1, 0)]
        return np.where(
            (self.cut > self.rows.starts) & (at >= self.rows.starts), self.rows.journeys.dimensions[place][at], 0
        )


def _narrow(counts: NDArray[np.integer]) -> Counts:
    """The same in as few bytes as hold the greatest."""
    narrow: Counts = counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
    return narrow
