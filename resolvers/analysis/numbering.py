"""Numbers for combinations of values, so that what has the same ones can be summed up together."""

from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from resolvers.errors import BadInput

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]

MOST_COMBINATIONS = 100_000
"""So many are told apart, for the memory that they and their texts take."""


def combinations(columns: Sequence[NDArray[np.integer]], size: int) -> tuple[Codes, NDArray[np.intp]]:
    """Numbers of the combinations that occur, one a row, and for each combination a row that has it."""
    number = np.zeros(size, np.int32)
    for column in columns:
        # In the byte order of the machine, which is what sorting is fast in.
        values, place = np.unique(column.astype(np.int64), return_inverse=True)
        number = np.unique(number * np.int64(values.size) + place, return_inverse=True)[1].astype(np.int32)
    return number, np.unique(number, return_index=True)[1]


class Numbering:
    """Gives each combination of codes a number, from 0, that is the same wherever it is met again."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], int] = {}
        self._lock = Lock()

    def numbers(self, columns: Sequence[NDArray[np.integer]], size: int) -> Codes:
        """The number of each row; several threads may ask at once. Raises BadInput for too many combinations."""
        number, first = combinations(columns, size)
        met = zip(*(column[first].tolist() for column in columns), strict=True) if columns else [()] * first.size
        with self._lock:
            of_combination = [self.known.setdefault(codes, len(self.known)) for codes in met]
        if len(self.known) > MOST_COMBINATIONS:
            raise BadInput(
                f"There are more than {MOST_COMBINATIONS:,} combinations of values; break down by fewer dimensions, or "
                "narrow it down with where.",
                field="by",
            )
        return np.array(of_combination, np.int32)[number]
