"""When what was earned first reached what had been spent, exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.numbering import Ints

Floats = NDArray[np.float64]
Exact = NDArray[Any]
"""Whole numbers of any size."""
Amounts = Callable[[], tuple[Exact, Exact]]

_ROUNDING = 2.0**-52


@dataclass(frozen=True, slots=True)
class Payback:
    """Instants in microseconds since 1970 (UTC)."""

    first_cost_us: int
    reached_us: int


def payback(cost_at: Ints, cost: Floats, value_at: Ints, value: Floats, exact: Amounts) -> Payback | None:
    """The first instant at which there had been costs and the value up to it was no less than they; None if never.

    Both are given as amounts (not negative, of one unit, each as near as floats come) at ascending instants;
    ``exact`` tells all of them as they are, and is asked where floats do not decide it. What happens at one instant
    happens at once.
    """
    spending = np.flatnonzero(cost)
    cost_at, cost = cost_at[spending], cost[spending]
    if not cost_at.size:
        return None
    first = int(cost_at[0])
    # Costs only lower the balance: it can turn when the first is met, and after that by what is earned alone.
    later = value_at[np.searchsorted(value_at, first, side="right") :]
    instants = np.append(first, later[np.diff(later, prepend=first) > 0])
    spent, earned = _until(cost_at, cost, instants), _until(value_at, value, instants)
    # Each term, and each of the additions, is off by half a unit in the last place of the sum at most.
    doubt = (spent + earned) * (_ROUNDING * (2 + cost.size + value.size))
    reached = np.flatnonzero(earned - spent >= -doubt)
    surely = np.flatnonzero(earned - spent > doubt)
    if reached.size and (not surely.size or reached[0] < surely[0]):
        costs, values = exact()
        reached = np.flatnonzero(_until(value_at, values, instants) >= _until(cost_at, costs[spending], instants))
    return Payback(first, int(instants[reached[0]])) if reached.size else None


def _until(at: Ints, amounts: NDArray[Any], instants: Ints) -> NDArray[Any]:
    """What there had been up to and at each instant."""
    sums = np.cumsum(np.append(np.zeros(1, amounts.dtype), amounts))
    found: NDArray[Any] = sums[np.searchsorted(at, instants, side="right")]
    return found
