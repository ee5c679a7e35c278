"""Numbers for combinations of values, so that what has the same ones can be summed up together."""

from collections.abc import Iterable, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from resolvers.errors import BadInput

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]

MOST_COMBINATIONS = 100_000
"""So many are told apart, for the memory that they and their texts take."""
_DENSE = 1 << 26
"""Cells of a table of truths up to which looking up in it is quicker than sorting."""


def ranks(values: NDArray[np.integer]) -> tuple[NDArray[np.intp], int]:
    """The place of each value among the different ones in ascending order, and how many these are."""
    if not values.size:
        return np.empty(0, np.intp), 0
    # In the byte order of the machine, which is what counting is fast in.
    offset = values.astype(np.int64) - int(values.min())
    span = int(offset.max()) + 1
    if span > min(_DENSE, 8 * values.size + 1_024):
        found, place = np.unique(offset, return_inverse=True)
        return place, found.size
    present = np.zeros(span, np.bool_)
    present[offset] = True
    place = np.cumsum(present) - 1
    return place[offset], int(place[-1]) + 1


def different(row: NDArray[np.integer], who: NDArray[np.integer], rows: int) -> list[int]:
    """How many different ``who``, none negative, each row has, and all rows have together in a last one."""
    return different_among([(row, who)], rows)


def different_among(parts: Iterable[tuple[NDArray[np.integer], NDArray[np.integer]]], rows: int) -> list[int]:
    """The same of what is given in parts."""
    found = list(parts)
    width = max((int(who.max(initial=0)) for _, who in found), default=0) + 1
    if rows * width > _DENSE:
        pairs = np.unique(np.concatenate([np.unique(row.astype(np.int64) * width + who) for row, who in found]))
        counts: list[int] = np.bincount(pairs // width, minlength=rows).tolist()
        return [*counts, np.unique(pairs % width).size]
    seen = np.zeros((rows, width), np.bool_)
    for row, who in found:
        seen[row, who] = True
    return [*np.count_nonzero(seen, axis=1).tolist(), int(np.count_nonzero(seen.any(axis=0)))]


def counts_among(
    row: NDArray[np.integer], who: NDArray[np.integer], rows: int, chosen: NDArray[np.bool_]
) -> tuple[Ints, Ints]:
    """How many different ``who`` each row has, and how many of them are ``chosen``, which says so of every one."""
    if rows * chosen.size > _DENSE:
        pairs = np.unique(row.astype(np.int64) * chosen.size + who)
        row, who = np.divmod(pairs, chosen.size)
        return np.bincount(row, minlength=rows), np.bincount(row[chosen[who]], minlength=rows)
    seen = _seen(row, who, rows, chosen.size)
    return np.count_nonzero(seen, axis=1).astype(np.int64), np.count_nonzero(seen & chosen, axis=1).astype(np.int64)


def _seen(row: NDArray[np.integer], who: NDArray[np.integer], rows: int, width: int) -> NDArray[np.bool_]:
    seen = np.zeros((rows, width), np.bool_)
    seen[row, who] = True
    return seen


def combinations(columns: Sequence[NDArray[np.integer]], size: int) -> tuple[Codes, NDArray[np.intp]]:
    """Numbers of the combinations that occur, one a row, and for each combination the first row that has it."""
    number, count = np.zeros(size, np.intp), min(size, 1)
    for column in columns:
        place, values = ranks(column)
        number, count = ranks(number * np.int64(values) + place)
    first = np.empty(count, np.intp)
    first[number[::-1]] = np.arange(size - 1, -1, -1)
    return number.astype(np.int32), first


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
