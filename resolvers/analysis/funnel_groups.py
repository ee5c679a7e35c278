"""Groups of walks by the dimensions that a funnel is broken down by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.code_groups import Keys
from resolvers.analysis.funnel_columns import Ints
from resolvers.analysis.metrics import DimensionValue


@dataclass(frozen=True, slots=True, eq=False)
class Breakdown:
    """One dimension of the walks: walk i has the value ``values[codes[i]]``."""

    dimension: str
    codes: NDArray[np.integer]
    values: Sequence[str | None]


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups of a breakdown: ``slot`` numbers each walk's, those not shown coming last as one."""

    keys: tuple[Keys, ...]
    slot: Ints
    count: int


def grouped(by: Sequence[Breakdown], walks: int, top: int) -> Groups:
    """The groups of ``walks`` by dimensions, the ``top`` largest shown."""
    group = np.zeros(walks, np.int64)
    if not by or not walks:
        return Groups((), group, 0)
    for column in by:
        # Numbered anew after each dimension, so that the product of many cannot overflow.
        group = _numbered(group * len(column.values) + column.codes)
    size = np.bincount(group)
    example = np.empty(size.size, np.int64)
    example[group] = np.arange(group.size)
    shown = min(top, size.size)
    candidates = np.flatnonzero(size >= np.partition(size, -shown)[-shown])
    keys = {
        int(code): tuple(DimensionValue(one.dimension, one.values[one.codes[example[code]]]) for one in by)
        for code in candidates
    }
    ranked = sorted(keys, key=lambda code: (-size[code], [(key.value is None, key.value) for key in keys[code]]))[
        :shown
    ]
    slots = np.full(size.size, shown)
    slots[ranked] = np.arange(shown)
    return Groups(tuple(keys[code] for code in ranked), slots[group], size.size)


def _numbered(values: Ints) -> Ints:
    """The values as numbers from 0 in the same order, without gaps."""
    highest = int(values.max())
    if highest > 4 * values.size:
        return np.unique(values, return_inverse=True)[1]
    present = np.zeros(highest + 1, np.bool_)
    present[values] = True
    return (np.cumsum(present) - 1)[values]


def slots_like(like: Sequence[Keys], by: Sequence[Breakdown], walks: int) -> Ints:
    """Which of the groups other walks belong to by the same dimensions; what none of them has is the last."""
    if not walks:
        return np.zeros(0, np.int64)
    theirs = grouped(by, walks, walks)
    place = {keys: slot for slot, keys in enumerate(like)}
    table = np.array([place.get(keys, len(place)) for keys in theirs.keys], np.int64)
    found: Ints = table[theirs.slot]
    return found
