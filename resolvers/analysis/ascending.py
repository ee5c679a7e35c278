"""Ascending codes in a byte each, for columns sorted by subject: they are a quarter of what decoded events take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]

_EVERY = 1 << 12
"""Rows from one mark to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Ascending:
    """A column of ascending codes, held as the distance of each from the one before it."""

    steps: NDArray[np.unsignedinteger]
    """The first one is 0, or any other number; it is not looked at."""
    marks: Codes
    """The code of each _EVERY-th row, the first one's to begin with."""

    @classmethod
    def of(cls, codes: Codes) -> "Ascending":
        """The column of these codes."""
        steps = np.diff(codes, prepend=codes[:1])
        return cls(steps.astype(np.min_scalar_type(int(steps.max(initial=0)))), codes[::_EVERY].copy())

    @classmethod
    def by_steps(cls, steps: NDArray[np.unsignedinteger]) -> "Ascending":
        """The column whose codes are as far from each other as that, the first one from 0."""
        if not steps.size:
            return cls(steps, np.empty(0, np.int32))
        ends = np.arange(0, steps.size, _EVERY)
        sums = np.add.reduceat(steps, ends, dtype=np.int64)
        marks = np.cumsum(sums) - sums + steps[ends]
        rest = steps[1:].max(initial=0)
        narrow = steps.astype(np.min_scalar_type(int(rest)), copy=False)
        return cls(narrow, marks.astype(np.int32))

    @classmethod
    def joined(cls, parts: Sequence["Ascending"]) -> "Ascending":
        """The columns of all parts, none of which goes back behind the one before it."""
        filled = [part for part in parts if part.size]
        if not filled:
            return cls.by_steps(np.empty(0, np.uint8))
        steps = np.concatenate([part.steps for part in filled])
        first = last = int(filled[0].marks[0])
        place = 0
        for part in filled:
            gap = int(part.marks[0]) - last
            steps = steps.astype(np.promote_types(steps.dtype, np.min_scalar_type(gap)), copy=False)
            steps[place] = gap
            last, place = int(part.part(part.size - 1, part.size)[0]), place + part.size
        since = cls.by_steps(steps)
        return cls(since.steps, since.marks + np.int32(first))

    @property
    def size(self) -> int:
        return self.steps.size

    @property
    def nbytes(self) -> int:
        return self.steps.nbytes + self.marks.nbytes

    @property
    def codes(self) -> Codes:
        """All of them."""
        return self.part(0, self.size)

    def part(self, start: int, end: int) -> Codes:
        """The codes from row ``start`` to before ``end``."""
        mark = start // _EVERY
        first = mark * _EVERY
        codes = self.steps[first:end].astype(np.int32)
        if codes.size:
            codes[0] = self.marks[mark]
        return np.cumsum(codes, out=codes)[start - first :]

    def every(self, rows: int) -> Codes:
        """The code of each ``rows``-th row but the first."""
        places = range(rows, self.size, rows)
        return np.array([self.part(place, place + 1)[0] for place in places], np.int32)

    def places(self, codes: Codes) -> list[int]:
        """For each code the first row with that one or a greater one."""
        found = []
        for code, mark in zip(codes.tolist(), np.searchsorted(self.marks, codes).tolist(), strict=True):
            first = max(0, mark - 1) * _EVERY
            found.append(first + int(np.searchsorted(self.part(first, min(first + _EVERY, self.size)), code)))
        return found
