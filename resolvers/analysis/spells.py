"""Spells: from when on a subject was there, and when it left, if it did."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.behaviour import CHURN, DAY_US, GAIN, RECENT_DAYS, RECURRING, Bools, Codes, Floats, Ints
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.journeys import Journeys

STEPS = (CHURN, RECURRING, GAIN, EVERYTHING)
"""The conditions by which journeys have to be read, in the order of their bits."""
_CHURN, _RECURRING, _GAIN, _ANY = (1 << place for place in range(len(STEPS)))


class SpellKind(Enum):
    """What begins a spell and what ends it."""

    CUSTOMER = "customer"
    ACTIVITY = "activity"


@dataclass(frozen=True, slots=True, eq=False)
class Starts:
    """Spells as columns: one for each subject with an event of the sort that begins them.

    ``ended_us`` is when the first churn after the start was, -1 where there is none; ``dimensions`` are those that the
    first event carried, a row for each dimension, 0 for none.
    """

    started_us: Ints
    ended_us: Ints
    last_us: Ints
    """The last event of the subject."""
    dimensions: Codes


@dataclass(frozen=True, slots=True, eq=False)
class Spells:
    """The spells of subjects by each thing that can begin them."""

    recurring: Starts
    gain: Starts
    any: Starts


def joined(parts: Sequence[Spells]) -> Spells:
    """The spells of all parts."""

    def one(starts: Sequence[Starts]) -> Starts:
        columns = [[getattr(part, field.name) for part in starts] for field in fields(Starts)]
        return Starts(*(np.concatenate(column, axis=-1) for column in columns))

    return Spells(*(one([getattr(part, field.name) for part in parts]) for field in fields(Spells)))


def spells(journeys: Journeys) -> Spells:
    """The spells in journeys read by STEPS."""
    journeys = journeys.in_order()
    fresh = np.ones(journeys.subject.size, np.bool_)
    fresh[1:] = journeys.subject[1:] != journeys.subject[:-1]
    who = np.cumsum(fresh) - 1
    return Spells(*(_starts(journeys, who, int(fresh.sum()), bit) for bit in (_RECURRING, _GAIN, _ANY)))


def _starts(journeys: Journeys, who: NDArray[np.intp], subjects: int, bit: int) -> Starts:
    first = np.full(subjects, -1, np.int64)
    rows = np.flatnonzero(journeys.steps & bit)[::-1]
    # Rows are in the order of time: taken backwards, of several writes to one place the first row's stays.
    first[who[rows]] = rows
    begun = first >= 0
    started = np.where(begun, journeys.at[first], -1)
    ended = np.full(subjects, -1, np.int64)
    left = np.flatnonzero(journeys.steps & _CHURN)[::-1]
    # A churn before the start ended something else.
    left = left[(journeys.at[left] >= started[who[left]]) & (left > first[who[left]])]
    ended[who[left]] = journeys.at[left]
    last = np.full(subjects, -1, np.int64)
    last[who] = journeys.at
    return Starts(started[begun], ended[begun], last[begun], journeys.dimensions[:, first[begun]])


@dataclass(frozen=True, slots=True, eq=False)
class Durations:
    """How many whole days each subject stayed, and whether it then left; else no more is known of it."""

    kind: SpellKind
    definition: str
    days: Floats
    left: Bools
    dimensions: Codes


def durations(found: Spells, cutoff_us: int) -> Durations:
    """What the spells say at a cut-off: of customers where the log holds churn events, else of whoever was active."""
    contractual = bool((found.any.ended_us >= 0).any())
    if not contractual:
        starts = found.any
        left = starts.last_us < cutoff_us - RECENT_DAYS * DAY_US
        until = np.where(left, starts.last_us, cutoff_us)
        definition = (
            "Days from a subject's first event to its last, left being who had no event in the 30 days before the "
            "cut-off; the log holds no churn events."
        )
        return Durations(SpellKind.ACTIVITY, definition, _days(until, starts), left, starts.dimensions)
    recurring = found.recurring.started_us.size > 0
    starts = found.recurring if recurring else found.gain
    left = starts.ended_us >= 0
    until = np.where(left, starts.ended_us, cutoff_us)
    kind = "recurring conversion" if recurring else "conversion"
    definition = f"Days from a subject's first {kind} to the first conversion named churn after it."
    return Durations(SpellKind.CUSTOMER, definition, _days(until, starts), left, starts.dimensions)


def _days(until: Ints, starts: Starts) -> Floats:
    return ((until - starts.started_us) // DAY_US).astype(np.float64)
