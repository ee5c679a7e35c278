"""Measures of events as columns of numbers in as little memory as they need, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.columns import least, thin

Floats = NDArray[np.float64]

MEASURES = ("duration", "score", "success", "tokens")
"""What is held of an AI interaction beside its cost: its duration in milliseconds, its score of 0..1, whether it
succeeded (1 or 0) and the tokens read and written; NaN stands for what is not said."""

_SCALES = (1, 10, 100, 1_000, 10_000)
_MOST = np.iinfo(np.uint32).max


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A column of floats: row i is ``(ticks[i] - 1) / scale``, NaN where that tick is 0.

    Where numbers have too many decimal places for that, the scale is 0, and ticks are the bits of the floats.
    """

    ticks: NDArray[np.unsignedinteger]
    scale: int

    @classmethod
    def of(cls, values: Floats) -> "Numbers":
        """The column of these numbers, NaN among them."""
        lowest, highest = np.fmin.reduce(values, initial=0), np.fmax.reduce(values, initial=0)
        for scale in _SCALES:
            if lowest < 0 or highest >= _MOST // scale:
                break
            ticks = np.rint(values * scale)
            # Whoever wrote a number with so few places down gets the very same float back.
            if np.array_equal(ticks / scale, values, equal_nan=True):
                return cls(least(np.nan_to_num(ticks + 1, copy=False).astype(np.uint32)), scale)
        return cls(np.ascontiguousarray(values).view(np.uint64), 0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ticks", thin(self.ticks))

    @property
    def nbytes(self) -> int:
        return self.ticks.nbytes if any(self.ticks.strides) else 0

    def values(self, rows: "NDArray[np.intp] | slice" = slice(None)) -> Floats:
        """The numbers of rows."""
        ticks = self.ticks[rows]
        if not self.scale:
            return ticks.astype(np.uint64, copy=False).view(np.float64)
        values = ticks.astype(np.float64)
        values -= 1
        values /= self.scale
        values[ticks == 0] = np.nan
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """The measures of the entries of a ledger, in its order: a column for each of MEASURES."""

    columns: tuple[Numbers, ...]

    @classmethod
    def of(cls, rows: Floats) -> "Measures":
        """The measures of entries, a row of ``rows`` for each of MEASURES."""
        return cls(tuple(Numbers.of(row) for row in rows))

    @classmethod
    def merged(cls, parts: Sequence["Measures"], order: NDArray[np.intp]) -> "Measures":
        """The measures of all parts, joined and then in an order."""
        # One column at a time, for the memory that they take as floats.
        columns = zip(*(part.columns for part in parts), strict=True)
        return cls(tuple(Numbers.of(np.concatenate([one.values() for one in column])[order]) for column in columns))

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return sum(column.nbytes for column in self.columns)

    @property
    def size(self) -> int:
        """Of how many entries they are."""
        return self.columns[0].ticks.size

    def values(self, rows: "NDArray[np.intp] | slice" = slice(None)) -> Floats:
        """Those of some entries, a row for each of MEASURES."""
        return np.stack([column.values(rows) for column in self.columns])

    def differing(self, other: "Measures") -> int:
        """For how many entries the measures of as many others say something else."""
        pairs = zip(self.columns, other.columns, strict=True)
        differ = [_differ(one.values(), its.values()) for one, its in pairs]
        return int(np.count_nonzero(np.any(differ, axis=0)))


def _differ(one: Floats, other: Floats) -> NDArray[np.bool_]:
    differ: NDArray[np.bool_] = (one != other) & ~(np.isnan(one) & np.isnan(other))
    return differ
