"""When what was earned first reached what had been spent, exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.numbering import Ints

Exact = NDArray[Any]
"""Whole numbers of any size."""


@dataclass(frozen=True, slots=True)
class Payback:
    """Instants in microseconds since 1970 (UTC)."""

    first_cost_us: int
    reached_us: int


def payback(cost_at: Ints, cost: Exact, value_at: Ints, value: Exact) -> Payback | None:
    """The first instant at which there had been costs and the value up to it was no less than they; None if never.

    Both are given as amounts (not negative, of one unit) at ascending instants. What happens at one instant happens
    at once.
    """
    spending = cost != 0
    cost_at, cost = cost_at[spending], cost[spending]
    if not cost_at.size:
        return None
    first = int(cost_at[0])
    # Costs only lower the balance: it can turn when the first is met, and after that by what is earned alone.
    instants = np.unique(np.append(value_at[value_at > first], first))
    reached = np.flatnonzero(_until(value_at, value, instants) >= _until(cost_at, cost, instants))
    return Payback(first, int(instants[reached[0]])) if reached.size else None


def _until(at: Ints, amounts: Exact, instants: Ints) -> Exact:
    """What there had been up to and at each instant."""
    sums = np.cumsum(np.append(np.zeros(1, object), amounts.astype(object)))
    found: Exact = sums[np.searchsorted(at, instants, side="right")]
    return found
