"""From events to paths: which touches led to each conversion, and which led to none.

The rules, for every model alike:

- A subject's events are taken in the order of time, simultaneous ones in the order of arrival.
- Each conversion closes a journey; what the subject does after it begins the next one. So a touch leads to one
  conversion at most. An event that is touch and conversion at once is the last touch of the journey it closes.
- Of a journey count the touches from ``lookback`` before its conversion on, that instant included; older ones count
  for nothing. Conversions before the period close journeys too, and are not counted themselves.
- A conversion without such a touch is direct.
- What a subject does after its last conversion, or without any, is a lost journey if its last touch lies in the period;
  the lookback goes back from that touch. Lost journeys tell Markov chains how often a path leads nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.columns import Coded
from resolvers.analysis.journeys import Journeys

Ints = NDArray[np.int64]

TOUCH, CONVERSION, SALE = 0, 1, 2
"""The steps of the journeys that paths are cut from: a touch, a conversion that counts, any event that may be paid."""
START, CONVERTED, LOST = -1, -2, -3
"""The ends of a path, among the codes of the values on it."""

_DENSE = 1 << 20
"""Cells of a table up to which counting in it is quicker than sorting."""


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """How often paths went from one value to the next, in columns of one length; ends are START, CONVERTED, LOST."""

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    count: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The conversions of a period and their touches, by subject, time and arrival, and how lost journeys went on.

    Three columns have a place for each conversion: ``subject``, ``at`` (microseconds since 1970, UTC), ``touches`` (how
    many it has). ``sale`` says which of its subject's simultaneous sales it is, from 0; -1 if it is none. Two have a
    place for each touch, those of a conversion one after the other: ``code`` of its value (0 for none) and ``before``,
    the microseconds from it to the conversion.
    """

    subject: NDArray[np.int32]
    at: Ints
    sale: NDArray[np.int32]
    touches: NDArray[np.int32]
    code: NDArray[np.int32]
    before: Ints
    transitions: Transitions
    lost: int
    """How many lost journeys there are."""

    @property
    def nbytes(self) -> int:
        columns = (self.subject, self.at, self.sale, self.touches, self.code, self.before)
        return sum(column.nbytes for column in columns)

    @property
    def starts(self) -> Ints:
        """Where the touches of each conversion begin."""
        return np.cumsum(self.touches, dtype=np.int64) - self.touches


def paths_of(events: Journeys, start_us: int, lookback_us: int) -> Paths:
    """The paths to the conversions from ``start_us`` on.

    ``events`` reach from ``start_us - lookback_us`` to the end of the period, qualify for the steps TOUCH, CONVERSION
    and SALE, and carry one dimension.
    """
    events = events.in_order()
    counts = (events.steps & 3) != 0
    sale = places_among_sales(events)[counts]
    subject, at, steps = events.subject[counts], events.at[counts], events.steps[counts]
    closes = (steps >> CONVERSION & 1).astype(np.bool_)
    begins = np.ones(subject.size, np.bool_)
    begins[1:] = (subject[1:] != subject[:-1]) | closes[:-1]
    first = np.flatnonzero(begins)
    lengths = np.diff(first, append=subject.size)
    last = first + lengths - 1
    inside = at[last] >= start_us
    before = np.repeat(at[last], lengths) - at
    journey = np.repeat(np.arange(first.size, dtype=np.int32), lengths)
    kept = np.flatnonzero((steps & 1).astype(np.bool_) & (before <= lookback_us) & inside[journey])
    journey, code = journey[kept], events.dimensions[0][counts][kept]
    converted = closes[last]
    wanted = converted & inside
    closing = last[wanted]
    leading = converted[journey]
    return Paths(
        subject=subject[closing],
        at=at[closing],
        sale=sale[closing],
        touches=np.bincount(journey, minlength=first.size)[wanted].astype(np.int32),
        code=code[leading],
        before=before[kept][leading],
        transitions=_transitions(journey, code, converted),
        lost=int(np.count_nonzero(inside & ~converted)),
    )


def joined_paths(parts: list[Paths]) -> Paths:
    """The paths of all parts, one part after the other; the list is emptied, so that no more than one column is there
    twice."""
    if len(parts) == 1:
        return parts.pop()
    transitions = _joined_transitions([part.transitions for part in parts])
    lost = sum(part.lost for part in parts)
    names = ("subject", "at", "sale", "touches", "code", "before")
    columns = {name: [getattr(part, name) for part in parts] for name in names}
    parts.clear()
    return Paths(**{name: np.concatenate(columns.pop(name)) for name in names}, transitions=transitions, lost=lost)


def places_among_sales(events: Journeys) -> NDArray[np.int32]:
    """For each event, how many sales of its subject at the same instant came before it; -1 where it is none itself."""
    found = np.full(events.subject.size, -1, np.int32)
    sales = np.flatnonzero(events.steps >> SALE & 1)
    found[sales] = places(events.subject[sales], events.at[sales])
    return found


def places(subject: NDArray[np.int32], at: Ints) -> NDArray[np.int32]:
    """The place of each row, from 0, among the rows of its subject and time, which follow each other."""
    begins = np.ones(subject.size, np.bool_)
    begins[1:] = (subject[1:] != subject[:-1]) | (at[1:] != at[:-1])
    first = np.flatnonzero(begins)
    start = np.repeat(first, np.diff(first, append=subject.size))
    return (np.arange(subject.size) - start).astype(np.int32)


def _transitions(journey: NDArray[np.int32], code: NDArray[np.int32], converted: NDArray[np.bool_]) -> Transitions:
    """The steps of paths, whose touches are given by journey; each journey either converted or was lost."""
    begins = np.ones(journey.size, np.bool_)
    begins[1:] = journey[1:] != journey[:-1]
    ends = np.append(begins[1:], True)[: journey.size]
    column = Coded.of(code)
    known, index = column.codes.size, column.index.astype(np.int64)
    source = np.empty(journey.size, np.int64)
    source[1:] = index[:-1]
    source[begins] = known
    outcome = np.where(converted[journey[ends]], known, known + 1)
    key = np.concatenate([source * (known + 2) + index, index[ends] * (known + 2) + outcome])
    if (known + 1) * (known + 2) <= _DENSE:
        count = np.bincount(key)
        key = np.flatnonzero(count)
        count = count[key]
    else:
        key, count = np.unique(key, return_counts=True)
    sources, targets = np.divmod(key, known + 2)
    return Transitions(
        np.append(column.codes, START).astype(np.int32)[sources],
        np.append(column.codes, [CONVERTED, LOST]).astype(np.int32)[targets],
        count.astype(np.int64),
    )


def _joined_transitions(parts: Sequence[Transitions]) -> Transitions:
    source, target, count = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("source", "target", "count")
    )
    key, places_of = np.unique(source.astype(np.int64) << 32 | (target.astype(np.int64) - LOST), return_inverse=True)
    total = np.zeros(key.size, np.int64)
    np.add.at(total, places_of, count)
    return Transitions((key >> 32).astype(np.int32), ((key & 0xFFFFFFFF) + LOST).astype(np.int32), total)
