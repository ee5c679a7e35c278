"""When what was earned first reached what had been spent, exactly."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution_sales import Amounts
from resolvers.analysis.numbering import Ints

Floats = NDArray[np.float64]
Exact = NDArray[Any]
"""Whole numbers of any size."""

_ROUNDING = 2.0**-50


@dataclass(frozen=True, slots=True)
class Payback:
    """Instants in microseconds since 1970 (UTC)."""

    first_cost_us: int
    reached_us: int


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Some costs, none of them negative: ``at`` which time each is, and the ``place`` of the first of the instants, at
    which something may be earned, that is not before it."""

    at: Ints
    place: NDArray[np.integer]
    amounts: Amounts


def payback(
    instants: Ints, costs: Iterable[Costs], earned: Floats, terms: int, exact: Callable[[], Exact]
) -> Payback | None:
    """The first instant at which there had been costs and the value up to it was no less than they; None if never.

    ``earned`` is what each of ``instants``, which ascend, adds to the value, not negative and in the unit of costs:
    as near as sums of so many ``terms`` in floats come; ``exact`` tells it as it is, and is asked where floats do not
    decide it. What happens at one instant happens at once.
    """
    spent = _Spent(instants.size)
    for some in costs:
        spent.add(some)
    if spent.first is None:
        return None
    # Costs only lower the balance: it can turn when the first is met, and after that by what is earned alone.
    later = int(np.searchsorted(instants, spent.first, side="right"))
    balance = np.cumsum(earned)
    doubt = _ROUNDING * (terms + instants.size + len(spent.limbs) + 4)
    # What was earned by the first instant, and from then on by each later one; and so of what was spent.
    had = np.append(balance[later - 1] if later else 0.0, balance[later:])
    owed = np.append(float(spent.at_first), spent.approximate()[later:])
    margin = (had + owed) * doubt
    had -= owed
    reached, surely = np.flatnonzero(had >= -margin), np.flatnonzero(had > margin)
    if reached.size and (not surely.size or reached[0] < surely[0]):
        told = np.cumsum(np.append(np.zeros(1, object), exact()))
        owing = np.append(np.array([spent.at_first], object), spent.exact()[later:])
        reached = np.flatnonzero(told[later:] >= owing)
    if not reached.size:
        return None
    place = int(reached[0])
    return Payback(spent.first, int(instants[later + place - 1]) if place else spent.first)


class _Spent:
    """What was spent by each of some instants, and at the first that has costs."""

    def __init__(self, instants: int) -> None:
        self.instants = instants
        self.first: int | None = None
        self.at_first = 0
        self.limbs: dict[int, Floats] = {}
        """By weight, sums of limbs: whole numbers that floats hold exactly."""

    def add(self, costs: Costs) -> None:
        some = np.zeros(costs.at.size, np.bool_)
        for weight, limb in costs.amounts.limbs:
            some |= limb != 0
            sums = self.limbs.setdefault(weight, np.zeros(self.instants + 1))
            np.add.at(sums, costs.place, limb.astype(np.float64))
        at = costs.at[some]
        if not at.size or (self.first is not None and at.min() > self.first):
            return
        first = int(at.min())
        if first != self.first:
            self.first, self.at_first = first, 0
        self.at_first += costs.amounts.part(costs.at == first).total()

    def approximate(self) -> Floats:
        """What had been spent by each instant."""
        found = np.zeros(self.instants)
        for weight, sums in self.limbs.items():
            found += float(weight) * np.cumsum(sums[:-1])
        return found

    def exact(self) -> Exact:
        """The same as whole numbers."""
        parts = (weight * np.cumsum(sums[:-1]).astype(np.int64).astype(object) for weight, sums in self.limbs.items())
        return sum(parts, np.zeros(self.instants, object))
