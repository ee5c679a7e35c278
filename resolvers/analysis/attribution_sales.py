"""What conversions brought in: exact amounts as arrays of whole numbers."""

from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.journeys import chronological
from resolvers.analysis.numbering import Codes, Ints

PLACES = 12
"""The decimal places of an amount: as many as an event may have."""
UNIT = 10**PLACES
"""The parts that one of the currency is counted in."""

LIMB_BITS = 24
_BLOCK = 1 << 16
"""Conversions that are looked up at a time, for the memory that it takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Sales:
    """Events that may be paid, as columns by subject, time and arrival; ``at`` in microseconds since 1970 (UTC).

    The amount is ``whole + fraction / UNIT`` of the currency asked for, 0 where it cannot be converted; neither part is
    negative.
    """

    subject: NDArray[np.int32]
    at: Ints
    whole: Ints
    fraction: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """Exact amounts in small parts: the i-th is the sum of weight · limb[i], counted in 1/UNIT.

    Limbs are of at most 24 bits, so that products with a credit's halves can be summed without overflow, and held in as
    few bytes as they need.
    """

    limbs: tuple[tuple[int, NDArray[np.integer]], ...]

    @classmethod
    def of(cls, whole: Ints, fraction: Ints) -> "Amounts":
        """The amounts ``whole + fraction / UNIT``, in as few limbs as their size and precision allow."""
        unit = gcd(UNIT, int(np.gcd.reduce(fraction, initial=0)))
        if int(whole.max(initial=0) + 1) * (UNIT // unit) < 1 << 62:
            return cls(tuple(_limbs(unit, whole * (UNIT // unit) + fraction // unit)))
        return cls((*_limbs(UNIT, whole), *_limbs(unit, fraction // unit)))

    def part(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer]) -> "Amounts":
        """The amounts of some rows."""
        return Amounts(tuple((weight, limb[rows]) for weight, limb in self.limbs))

    def times(self, factor: int) -> "Amounts":
        """Each of them so many times."""
        return Amounts(tuple((weight * factor, limb) for weight, limb in self.limbs))

    def units(self, size: int) -> NDArray[Any]:
        """The amounts of so many rows as whole numbers of any size, in 1/UNIT."""
        return sum((weight * limb.astype(object) for weight, limb in self.limbs), np.zeros(size, object))

    def approximate(self, size: int) -> NDArray[np.float64]:
        """The same as near as floats come, each off by less than two units in its last place."""
        found = np.zeros(size)
        for weight, limb in self.limbs:
            found += float(weight) * limb
        return found

    def total(self) -> int:
        """Their sum in 1/UNIT."""
        return sum(weight * int(limb.sum()) for weight, limb in self.limbs)


def _limbs(weight: int, numbers: Ints) -> list[tuple[int, NDArray[np.integer]]]:
    found = []
    while numbers.any():
        limb = numbers & ((1 << LIMB_BITS) - 1)
        found.append((weight, limb.astype(np.min_scalar_type(int(limb.max())))))
        numbers = numbers >> LIMB_BITS
        weight <<= LIMB_BITS
    return found


class Payable(Protocol):
    """Conversions as columns, by subject; ``sale`` says which of its subject's simultaneous sales each is, -1: none."""

    @property
    def subject(self) -> Codes: ...
    @property
    def at(self) -> Ints: ...
    @property
    def sale(self) -> Codes: ...


def amounts_of(paths: Payable, sales: Sales) -> Amounts:
    """The amount of each conversion, 0 where it is no sale; ``sales`` hold at least all sales among them."""
    whole, fraction = np.zeros(paths.subject.size, np.int64), np.zeros(paths.subject.size, np.int64)
    paid = np.flatnonzero(paths.sale >= 0)
    found = _found(paths, paid, sales)
    whole[paid], fraction[paid] = sales.whole[found], sales.fraction[found]
    return Amounts.of(whole, fraction)


def _found(paths: Payable, paid: NDArray[np.intp], sales: Sales) -> NDArray[np.intp]:
    """Where in ``sales`` the conversions ``paid`` are."""
    # Of one subject all are looked up together.
    cuts = np.searchsorted(paths.subject, paths.subject[_BLOCK::_BLOCK])
    starts = np.unique(np.searchsorted(paid, cuts))
    found = np.empty(paid.size, np.intp)
    for start, end in pairwise([0, *starts.tolist(), paid.size]):
        if start < end:
            some = paid[start:end]
            subject = paths.subject[some]
            first = int(np.searchsorted(sales.subject, subject[0]))
            own = slice(first, int(np.searchsorted(sales.subject, subject[-1], side="right")))
            among = _among(subject, paths.at[some], paths.sale[some], sales.subject[own], sales.at[own])
            found[start:end] = first + among
    return found


def _among(subject: Codes, at: Ints, sale: Codes, of: Codes, sold_at: Ints) -> NDArray[np.intp]:
    """Where among sales conversions are: of simultaneous sales of a subject the one in their place."""
    known = of.size
    subject, at = np.concatenate([of, subject]), np.concatenate([sold_at, at])
    order = chronological(subject, at)
    subject, at = subject[order], at[order]
    begins = np.ones(order.size, np.bool_)
    begins[1:] = (subject[1:] != subject[:-1]) | (at[1:] != at[:-1])
    first = np.maximum.accumulate(np.where(begins, np.arange(order.size), 0))
    # Of one subject and time the sales come first, in the order of their arrival.
    rows = np.flatnonzero(order >= known)
    asked = order[rows] - known
    found = np.empty(sale.size, np.intp)
    found[asked] = order[first[rows] + sale[asked]]
    return found
