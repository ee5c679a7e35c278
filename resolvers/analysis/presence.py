"""Presence: who and what was there on a day, as sets of codes by class of events.

A day's sets are columns: for each class its codes in ascending order, and beside each code the hours of the day in
which it was there, as bits. So a day that is cut where hours begin needs no events either.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.classes import EventClass
from resolvers.analysis.code_sets import EMPTY, CodeSet
from resolvers.analysis.planning import ALL_DAY

_HOUR_US = 3_600_000_000

Ints = NDArray[np.int64]
Passing = Callable[[EventClass], bool]


class Member(IntEnum):
    """What a set holds; the numbers are stored."""

    SUBJECTS = 1
    """Subjects of any event."""
    CUSTOMERS = 2
    """Subjects of events that carry an amount."""
    ORDERS = 3
    """Orders of events that carry an amount and an order id."""
    UNNUMBERED = 4
    """Events that carry an amount and no order id, each an order of its own: their positions in the log."""


MEMBERS_OF: Mapping[str, tuple[Member, ...]] = {
    "subject": (Member.SUBJECTS,),
    "customer": (Member.CUSTOMERS,),
    "order": (Member.ORDERS, Member.UNNUMBERED),
}
"""What the fields of distinct statistics count; no two members hold the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """Events as columns: class (a place in ``classes``), time in microseconds since 1970, and what they show."""

    classes: Sequence[EventClass]
    of_class: Ints
    at: Ints
    position: Ints
    subject: Ints
    """0 where there is none."""
    paid: NDArray[np.bool_]
    order: Ints
    """0 where there is none; below 0 where the order has no code yet, then each order has its own."""

    def parted(self, starts: Sequence[int]) -> list["Sightings"]:
        """The events by the last of some ascending instants, in microseconds since 1970, that is not after them."""
        place = np.searchsorted(np.array(starts, np.int64), self.at, "right") - 1
        order = np.argsort(place, kind="stable")
        edges = np.searchsorted(place[order], np.arange(len(starts) + 1))
        return [self._taken(order[first:end]) for first, end in pairwise(edges.tolist())]

    def _taken(self, rows: NDArray[np.intp]) -> "Sightings":
        return Sightings(
            self.classes,
            self.of_class[rows],
            self.at[rows],
            self.position[rows],
            self.subject[rows],
            self.paid[rows],
            self.order[rows],
        )

    def of(self, member: Member) -> tuple[NDArray[np.intp], Ints]:
        """The rows that show a member, and its codes."""
        if member is Member.SUBJECTS:
            rows, codes = self.subject > 0, self.subject
        elif member is Member.CUSTOMERS:
            rows, codes = self.paid & (self.subject > 0), self.subject
        elif member is Member.ORDERS:
            rows, codes = self.paid & (self.order != 0), self.order
        else:
            rows, codes = self.paid & (self.order == 0), self.position
        found = np.flatnonzero(rows)
        return found, codes[found]


@dataclass(frozen=True, slots=True, eq=False)
class DaySets:
    """The sets of one member on one day; class i has the codes from ``starts[i]`` to before ``starts[i + 1]``."""

    classes: tuple[EventClass, ...]
    starts: Ints
    codes: Ints
    hours: NDArray[np.uint32] | None
    """Bits beside the codes; None where they were not read."""

    def select(self, passing: Passing, hours: int) -> CodeSet:
        """The codes of classes that pass, in any of the hours."""
        parts = [
            self._within(int(self.starts[place]), int(self.starts[place + 1]), hours)
            for place, one in enumerate(self.classes)
            if passing(one)
        ]
        if len(parts) == 1:
            return CodeSet.of(parts[0])
        return CodeSet.holding(np.concatenate(parts)) if parts else EMPTY

    def _within(self, start: int, end: int, hours: int) -> Ints:
        codes = self.codes[start:end]
        if hours == ALL_DAY:
            return codes
        assert self.hours is not None
        inside: Ints = codes[self.hours[start:end] & np.uint32(hours) != 0]
        return inside

    def merged(self, other: "DaySets") -> "DaySets":
        """These sets and the other's."""
        assert self.hours is not None
        assert other.hours is not None
        classes = tuple(sorted({*self.classes, *other.classes}))
        place = {one: number for number, one in enumerate(classes)}
        of_class = np.concatenate([sets._of_class(place) for sets in (self, other)])
        codes = np.concatenate([self.codes, other.codes])
        return _reduced(classes, of_class, codes, np.concatenate([self.hours, other.hours]))

    def _of_class(self, place: Mapping[EventClass, int]) -> Ints:
        places = np.array([place[one] for one in self.classes], np.int64)
        return places.repeat(np.diff(self.starts))

    def equals(self, other: "DaySets") -> bool:
        """Whether the other holds the same."""
        columns = ("starts", "codes", "hours")
        same = (np.array_equal(getattr(self, name), getattr(other, name)) for name in columns)
        return self.classes == other.classes and all(same)


def by_day(seen: Sightings) -> Iterator[tuple[Member, int, DaySets]]:
    """The sets of each day (counted from 1970, UTC) and member that events make."""
    ranked = sorted(seen.classes)
    rank = np.array([ranked.index(one) for one in seen.classes], np.int64)
    hour = seen.at // _HOUR_US
    for member in Member:
        rows, codes = seen.of(member)
        days, bits = hour[rows] // 24, (1 << hour[rows] % 24).astype(np.uint32)
        of_class = rank[seen.of_class[rows]]
        for day in np.unique(days).tolist():
            own = days == day
            yield member, day, _reduced(tuple(ranked), of_class[own], codes[own], bits[own])


def _reduced(classes: tuple[EventClass, ...], of_class: Ints, codes: Ints, hours: NDArray[np.uint32]) -> DaySets:
    """Codes with their classes, in any order and repeated, as sets; classes without any are left out."""
    order = np.lexsort((codes, of_class))
    of_class, codes, hours = of_class[order], codes[order], hours[order]
    first = np.flatnonzero((np.diff(of_class, prepend=-1) != 0) | (np.diff(codes, prepend=-1) != 0))
    merged = np.bitwise_or.reduceat(hours, first) if first.size else hours
    of_class, codes = of_class[first], codes[first]
    present, starts = np.unique(of_class, return_index=True)
    kept = tuple(classes[place] for place in present.tolist())
    return DaySets(kept, np.append(starts, codes.size).astype(np.int64), codes, merged)
