"""Monthly recurring revenue (MRR) and what moves it.

All that a customer pays is summed first; each instant at which the sum changes is one movement. So a movement does not
depend on how time is cut, and what buckets hold adds up to what their period holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from resolvers.analysis.journeys import chronological
from resolvers.analysis.subscriptions import ROOM, Amounts, Changes, Ints, OfCustomers, by_customer, sums


class Movement(IntEnum):
    """What a change of a customer's MRR is."""

    NEW = 0
    EXPANSION = 1
    CONTRACTION = 2
    CHURN = 3
    REACTIVATION = 4


GAINS = (Movement.NEW, Movement.EXPANSION, Movement.REACTIVATION)
LOSSES = (Movement.CONTRACTION, Movement.CHURN)


Keys = tuple[str | None, ...]
"""The values of a group in the dimensions broken down by."""


@dataclass(frozen=True, slots=True)
class Movements(OfCustomers):
    """Movements, those of a group together."""

    group: Ints
    at: Ints
    kind: Ints
    size: Amounts
    """By how much the MRR changed, never negative; in units of 10^-12."""

    def in_groups(self) -> "Movements":
        """The same, however they are ordered."""
        return self.of(np.argsort(self.group, kind="stable"))


@dataclass(frozen=True, slots=True)
class Tally:
    """MRR of one group over buckets: amounts in units of 10^-12, and how many customers and movements.

    In each bucket ``ending = start + new + expansion + reactivation - contraction - churn``, and for customers
    ``ending = start + new + reactivation - churn``, which as a movement a customer may go through more than once.
    """

    start: tuple[int, ...]
    moved: dict[Movement, tuple[int, ...]]
    ending: tuple[int, ...]
    customers_at_start: tuple[int, ...]
    counts: dict[Movement, tuple[int, ...]]
    customers: tuple[int, ...]

    def whole(self) -> "Tally":
        """The same with all buckets as one."""
        return Tally(
            self.start[:1],
            {kind: (sum(sizes),) for kind, sizes in self.moved.items()},
            self.ending[-1:],
            self.customers_at_start[:1],
            {kind: (sum(counts),) for kind, counts in self.counts.items()},
            self.customers[-1:],
        )


def movements(changes: Changes) -> Movements:
    """What the changes mean for each customer, within each group by itself."""
    parts = [_movements(changes.of(rows)) for rows in by_customer(changes.customer)]
    return Movements.joined(parts).in_groups() if len(parts) > 1 else parts[0]


def _movements(changes: Changes) -> Movements:
    order = chronological(changes.group * np.int64(_most(changes.customer)) + changes.customer, changes.at)
    group, customer, at = changes.group[order], changes.customer[order], changes.at[order]
    starts = np.flatnonzero(_new(group, customer, at))
    delta = _with_room(changes.delta[order], np.flatnonzero(_new(group, customer)))
    # Subscriptions of one customer that change at the same instant are one movement, or none.
    delta = np.add.reduceat(delta, starts) if starts.size else delta
    moved = np.flatnonzero(delta != 0)
    group, customer, at, delta = group[starts][moved], customer[starts][moved], at[starts][moved], delta[moved]
    first = _new(group, customer)
    after = np.cumsum(delta)
    # Every customer is back at nothing where the sums of the next one begin; what the sums of all came to may have
    # passed 64 bits, which cancels out.
    begin = np.maximum.accumulate(np.where(first, np.arange(first.size), 0))
    after = after - (after - delta)[begin]
    kind = np.where(delta > 0, int(Movement.EXPANSION), int(Movement.CONTRACTION)).astype(np.int8)
    kind[(after == 0).astype(bool)] = Movement.CHURN
    kind[(after == delta).astype(bool)] = Movement.REACTIVATION
    kind[first] = Movement.NEW
    return Movements(customer, group, at, kind, np.abs(delta))


def _with_room(delta: Amounts, first: Ints) -> Amounts:
    """The same in numbers that hold whatever a customer's come to, whose rows begin at ``first``."""
    if delta.dtype == object or not delta.size:
        return delta
    most = int(np.diff(first, append=delta.size).max())
    return delta if most * int(np.abs(delta).max()) < ROOM else delta.astype(object)


def _most(customer: Ints) -> int:
    return int(customer.max(initial=0)) + 1


def _new(*columns: Ints) -> Any:
    """Which rows differ from the one before in any of the columns; the first row does."""
    found = np.zeros(columns[0].size, dtype=bool)
    found[:1] = True
    for column in columns:
        found[1:] |= column[1:] != column[:-1]
    return found


def tally(movements: Movements, edges: Sequence[int], group: int) -> Tally:
    """The MRR of a group in the buckets between ``edges``, which are ascending microseconds: starts, and the end."""
    low, high = np.searchsorted(movements.group, [group, group + 1])
    rows = slice(int(low), int(high))
    at, kind, size = movements.at[rows], movements.kind[rows], movements.size[rows]
    buckets = len(edges) - 1
    # Bucket 0 is all time before the first edge; what lies behind the last one is left out.
    bucket = np.searchsorted(np.asarray(edges), at, side="right")
    inside = bucket <= buckets
    cell = bucket[inside] * len(Movement) + kind[inside].astype(np.int64)
    cells = (buckets + 1) * len(Movement)
    moved = sums(size[inside], cell, cells).reshape(-1, len(Movement))
    counts = np.bincount(cell, minlength=cells).reshape(-1, len(Movement))
    level = np.cumsum(moved[:, GAINS].sum(axis=1) - moved[:, LOSSES].sum(axis=1))
    gained = counts[:, Movement.NEW] + counts[:, Movement.REACTIVATION]
    customers = np.cumsum(gained - counts[:, Movement.CHURN])
    return Tally(
        start=tuple(level[:-1].tolist()),
        moved={one: tuple(moved[1:, one].tolist()) for one in Movement},
        ending=tuple(level[1:].tolist()),
        customers_at_start=tuple(customers[:-1].tolist()),
        counts={one: tuple(counts[1:, one].tolist()) for one in Movement},
        customers=tuple(customers[1:].tolist()),
    )


def ranked(found: Movements, start: int, end: int, groups: Sequence[Keys]) -> list[int]:
    """The groups that had MRR in the period or a movement in it, ``groups[i]`` being the values of number i.

    Those with the largest MRR at its end come first, then those with most at its start; then texts are in order.
    """
    inside = found.at < end
    gains = np.isin(found.kind, GAINS)
    signed = np.where(gains, found.size, -found.size)
    before = found.at < start
    ending, opening = (sums(signed[rows], found.group[rows], len(groups)).tolist() for rows in (inside, before))
    moved = np.bincount(found.group[inside & ~before], minlength=len(groups)).tolist()

    def place(group: int) -> tuple[Any, ...]:
        return -ending[group], -opening[group], [(text is None, text or "") for text in groups[group]]

    return sorted((group for group in range(len(groups)) if opening[group] or moved[group]), key=place)


def merged(changes: Changes, shown: Sequence[int], groups: int) -> Changes:
    """The changes with the shown groups numbered in their order and all others as one more after them."""
    numbers = np.full(groups, len(shown), np.int32)
    numbers[list(shown)] = np.arange(len(shown))
    return Changes(changes.customer, changes.at, changes.currency, numbers[changes.group], changes.delta)
