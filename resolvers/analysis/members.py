"""Members of a segment: subjects as codes of the tenant's dictionary, which begin at 1, and sets of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.filters import All, Any, Filter, InSegment, Not, Op

Codes = NDArray[np.int32]
Table = NDArray[np.bool_]
"""A truth for each code from 0 on; no subject has the code 0."""


@dataclass(frozen=True, eq=False)
class Members:
    """Some subjects, as ascending codes."""

    codes: Codes
    edition: int = 0
    """A number that no other members have; 0 of those that are kept nowhere."""

    @classmethod
    def where(cls, table: Table) -> "Members":
        """Those subjects for whom it is true."""
        return cls(np.flatnonzero(table).astype(np.int32))

    @property
    def size(self) -> int:
        """How many there are."""
        return self.codes.size

    @cached_property
    def _table(self) -> Table:
        # Whoever is beyond it is clipped to the last place, which nobody has.
        table = np.zeros(int(self.codes[-1]) + 2 if self.codes.size else 1, np.bool_)
        table[self.codes] = True
        return table

    @cached_property
    def bits(self) -> bytes:
        """A bit for each code from 0 on, the lowest of a byte first."""
        return np.packbits(self._table, bitorder="little").tobytes()

    @property
    def nbytes(self) -> int:
        """What it takes once it has been used in every way."""
        return self.codes.nbytes + (self._last + 2) * 9 // 8

    @property
    def _last(self) -> int:
        return int(self.codes[-1]) if self.codes.size else 0

    def among(self, subjects: Codes) -> Table:
        """Which of the subjects are members."""
        return self._table.take(subjects, mode="clip")

    def table(self, length: int) -> Table:
        """A truth for each code from 0 to before ``length``."""
        table = np.zeros(length, np.bool_)
        table[self.codes[: np.searchsorted(self.codes, length)]] = True
        return table


def chosen(root: Filter, members: Mapping[int | str, Members], length: int) -> Table:
    """Which codes from 1 to before ``length`` pass a filter that asks for nothing but segments."""
    match root:
        case All(of):
            table = reduce(np.logical_and, _each(of, members, length), np.ones(length, np.bool_))
        case Any(of):
            table = reduce(np.logical_or, _each(of, members, length), np.zeros(length, np.bool_))
        case Not(of):
            table = ~chosen(of, members, length)
        case InSegment(segment, op):
            table = members[segment].table(length) == (op is Op.IN)
        case _:
            raise ValueError(f"segments do not tell {root}")
    table[:1] = False
    return table


def _each(of: Sequence[Filter], members: Mapping[int | str, Members], length: int) -> list[Table]:
    return [chosen(part, members, length) for part in of]
