"""Sets of codes: unions and sizes at the speed of memory.

A set is a bitmap over the span of its codes where that is dense enough, else the codes themselves in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS = 64
"""Codes that a word of a bitmap covers."""
_DENSE = 64
"""A bitmap is made where there is at least a code for so many: then it takes no more room than the codes."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CodeSet:
    """Codes from 0 on, none of them twice."""

    low: int
    """The first code that the bitmap covers, a multiple of 64."""
    words: NDArray[np.uint64] | None
    codes: Ints | None
    """Ascending; None where there is a bitmap."""
    size: int
    """How many codes there are."""

    @classmethod
    def of(cls, codes: Ints) -> "CodeSet":
        """The set of ascending codes without repeats."""
        if not codes.size:
            return EMPTY
        low, high = int(codes[0]) // BITS * BITS, int(codes[-1])
        if high - low > codes.size * _DENSE:
            # A view would keep all that it is a part of.
            return cls(low, None, codes if codes.base is None else codes.copy(), codes.size)
        return cls(low, _bitmap(codes, low, (high - low) // BITS + 1), None, codes.size)

    @classmethod
    def holding(cls, codes: Ints) -> "CodeSet":
        """The set of codes in any order, repeated or not."""
        if not codes.size:
            return EMPTY
        low, high = int(codes.min()) // BITS * BITS, int(codes.max())
        if high - low > codes.size * _DENSE:
            return cls.of(np.unique(codes))
        words = _bitmap(codes, low, (high - low) // BITS + 1)
        found = cls(low, words, None, int(np.bitwise_count(words).sum()))
        return found if high - low <= found.size * _DENSE else cls.of(found.listed())

    @classmethod
    def where(cls, table: NDArray[np.bool_]) -> "CodeSet":
        """The codes for which a table of truths, one for each code from 0 on, is true; always a bitmap."""
        words = _packed(np.append(table, np.zeros(-table.size % BITS, np.bool_)))
        return cls(0, words, None, int(np.bitwise_count(words).sum()))

    @property
    def high(self) -> int:
        """No code is above it; -1 of the empty set."""
        if self.words is not None:
            return self.low + self.words.size * BITS - 1
        return -1 if self.codes is None or not self.codes.size else int(self.codes[-1])

    @property
    def nbytes(self) -> int:
        held = self.words if self.words is not None else self.codes
        return 0 if held is None else held.nbytes

    def listed(self) -> Ints:
        """The codes, ascending."""
        if self.words is None:
            return np.empty(0, np.int64) if self.codes is None else self.codes
        bits = np.unpackbits(self.words.astype("<u8").view(np.uint8), bitorder="little")
        return np.flatnonzero(bits) + self.low

    def among(self, codes: Ints) -> NDArray[np.bool_]:
        """Which of some codes are in the set; it is one with a bitmap."""
        assert self.words is not None
        places = codes - self.low
        inside = (places >= 0) & (places < self.words.size * BITS)
        places = np.where(inside, places, 0)
        found: NDArray[np.bool_] = inside & (self.words[places >> 6] >> (places & 63).astype(np.uint64) & 1 != 0)
        return found


EMPTY = CodeSet(0, None, np.empty(0, np.int64), 0)


def union(sets: Sequence[CodeSet]) -> CodeSet:
    """The codes that are in any of the sets."""
    sets = [one for one in sets if one.size]
    if len(sets) <= 1:
        return sets[0] if sets else EMPTY
    low, high = min(one.low for one in sets), max(one.high for one in sets)
    lists = [one.codes for one in sets if one.codes is not None]
    if len(lists) == len(sets) and high - low > sum(one.size for one in sets) * _DENSE:
        return CodeSet.of(np.unique(np.concatenate(lists)))
    words = np.zeros((high - low) // BITS + 1, np.uint64)
    for one in sets:
        if one.words is not None:
            first = (one.low - low) // BITS
            words[first : first + one.words.size] |= one.words
    if lists:
        words |= _bitmap(np.concatenate(lists), low, words.size)
    return CodeSet(low, words, None, int(np.bitwise_count(words).sum()))


def bitmaps(sets: Sequence[CodeSet]) -> NDArray[np.uint64]:
    """A bitmap of each set, all of them over the same codes from 0 on."""
    words = np.zeros((len(sets), max(one.high for one in sets) // BITS + 1), np.uint64)
    for row, one in zip(words, sets, strict=True):
        if one.words is not None:
            row[one.low // BITS :][: one.words.size] = one.words
        elif one.size:
            row[:] = _bitmap(one.listed(), 0, row.size)
    return words


def shared(one: CodeSet, other: CodeSet) -> CodeSet:
    """The codes that are in both sets."""
    low, high = max(one.low, other.low), min(one.high, other.high)
    if low > high:
        return EMPTY
    if one.words is None or other.words is None:
        listed, held = (one, other) if one.words is None else (other, one)
        codes = listed.listed()
        if held.words is None:
            return CodeSet.of(np.intersect1d(codes, held.listed(), assume_unique=True))
        return CodeSet.of(codes[held.among(codes)])
    first, second = one.words[(low - one.low) // BITS :], other.words[(low - other.low) // BITS :]
    size = (high - low) // BITS + 1
    words = first[:size] & second[:size]
    return CodeSet(low, words, None, int(np.bitwise_count(words).sum()))


def _bitmap(codes: Ints, low: int, size: int) -> NDArray[np.uint64]:
    """So many words from ``low`` on, in which the bits of the codes are set."""
    table = np.zeros(size * BITS, np.bool_)
    table[codes - low] = True
    return _packed(table)


def _packed(table: NDArray[np.bool_]) -> NDArray[np.uint64]:
    # Bit 0 of a word is its first code, and so is bit 0 of its first byte where words begin with their lowest.
    return np.packbits(table, bitorder="little").view("<u8").astype(np.uint64)
