"""Monthly recurring revenue (MRR) and what moves it.

All that a customer pays is summed first; each instant at which the sum changes is one movement. So a movement does not
depend on how time is cut, and what buckets hold adds up to what their period holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np

from resolvers.analysis.journeys import chronological
from resolvers.analysis.subscriptions import Amounts, Changes, Ints, by_customer


class Movement(IntEnum):
    """What a change of a customer's MRR is."""

    NEW = 0
    EXPANSION = 1
    CONTRACTION = 2
    CHURN = 3
    REACTIVATION = 4


GAINS = (Movement.NEW, Movement.EXPANSION, Movement.REACTIVATION)
LOSSES = (Movement.CONTRACTION, Movement.CHURN)


@dataclass(frozen=True, slots=True)
class Movements:
    """Movements as columns of one length, those of a group together."""

    group: Ints
    at: Ints
    kind: Ints
    size: Amounts
    """By how much the MRR changed, never negative; in units of 10^-12."""

    @property
    def nbytes(self) -> int:
        return sum(int(getattr(self, column.name).nbytes) for column in fields(self))


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
    found = [np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Movements)]
    order = np.argsort(found[0], kind="stable") if len(parts) > 1 else slice(None)
    return Movements(*(column[order] for column in found))


def _movements(changes: Changes) -> Movements:
    order = chronological(changes.group * np.int64(_most(changes.customer)) + changes.customer, changes.at)
    group, customer, at = changes.group[order], changes.customer[order], changes.at[order]
    starts = np.flatnonzero(_new(group, customer, at))
    # Subscriptions of one customer that change at the same instant are one movement, or none.
    delta = np.add.reduceat(changes.delta[order], starts) if starts.size else changes.delta
    moved = np.flatnonzero(delta != 0)
    group, customer, at, delta = group[starts][moved], customer[starts][moved], at[starts][moved], delta[moved]
    first = _new(group, customer)
    after = np.cumsum(delta)
    # Every customer is back at nothing where the sums of the next one begin.
    begin = np.maximum.accumulate(np.where(first, np.arange(first.size), 0))
    after = after - (after - delta)[begin]
    kind = np.where(delta > 0, int(Movement.EXPANSION), int(Movement.CONTRACTION)).astype(np.int8)
    kind[(after == 0).astype(bool)] = Movement.CHURN
    kind[(after == delta).astype(bool)] = Movement.REACTIVATION
    kind[first] = Movement.NEW
    return Movements(group, at, kind, np.abs(delta))


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
    flat = np.zeros(cells, dtype=size.dtype)
    np.add.at(flat, cell, size[inside])
    sums = flat.reshape(-1, len(Movement))
    counts = np.bincount(cell, minlength=cells).reshape(-1, len(Movement))
    level = np.cumsum(sums[:, GAINS].sum(axis=1) - sums[:, LOSSES].sum(axis=1))
    gained = counts[:, Movement.NEW] + counts[:, Movement.REACTIVATION]
    customers = np.cumsum(gained - counts[:, Movement.CHURN])
    return Tally(
        start=tuple(level[:-1].tolist()),
        moved={one: tuple(sums[1:, one].tolist()) for one in Movement},
        ending=tuple(level[1:].tolist()),
        customers_at_start=tuple(customers[:-1].tolist()),
        counts={one: tuple(counts[1:, one].tolist()) for one in Movement},
        customers=tuple(customers[1:].tolist()),
    )


def ranked(found: Movements, start: int, end: int, groups: int) -> list[int]:
    """The groups that had MRR in the period or a movement in it, largest MRR at its end first."""
    inside = found.at < end
    gains = np.isin(found.kind, GAINS)
    signed = np.where(gains, found.size, -found.size)
    ending, opening = (np.zeros(groups, dtype=found.size.dtype) for _ in range(2))
    np.add.at(ending, found.group[inside], signed[inside])
    before = found.at < start
    np.add.at(opening, found.group[before], signed[before])
    moved = np.bincount(found.group[inside & ~before], minlength=groups)
    seen = np.flatnonzero((opening != 0) | (moved > 0)).tolist()
    return sorted(seen, key=lambda group: (-ending[group], -opening[group], group))


def merged(changes: Changes, shown: Sequence[int], groups: int) -> Changes:
    """The changes with the shown groups numbered in their order and all others as one more after them."""
    numbers = np.full(groups, len(shown), np.int32)
    numbers[list(shown)] = np.arange(len(shown))
    return Changes(changes.customer, changes.at, changes.currency, numbers[changes.group], changes.delta)
