"""Cohorts by what they paid: who paid first in which bucket, and what the cohorts did in each bucket."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ai_calls import summed
from resolvers.analysis.attribution_sales import Amounts
from resolvers.analysis.cohorts import Cell
from resolvers.analysis.estimates import Money
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.ledgers import Entries, currencies, exchanged, number_of
from resolvers.analysis.numbering import Ints, ranks
from resolvers.analysis.subscriptions import decimal

REFUND = 0
"""The step of what was given back; whatever else there is was paid."""

_EXACT = Context(prec=80)
_ONE = Decimal(1)
_UNKNOWN = -1
_BLOCK = 1 << 17
"""Payments that are added up at a time, for the memory that it takes."""


@dataclass(frozen=True, slots=True)
class PaidCohorts:
    """What payments came to."""

    cells: list[Cell]
    again: int
    """How many subjects of the cohorts had two orders or more."""
    unconverted: tuple[Money, ...]


def paid_cohorts(payments: Entries, starts_us: Sequence[int], home: str, rates: Rates) -> PaidCohorts:
    """The cohorts of the buckets that begin at ``starts_us``, in the currency at home.

    Whoever paid before the first bucket is of no cohort. What was given back counts against the revenue of its own
    bucket; given back before anything was paid, it is of no cohort. What states no amount counts for nothing, and what
    cannot be converted neither: it is told as it is, from the first bucket on.
    """
    payments = payments.chosen(payments.currency != 0)
    factor, factors = _factors(payments, home, rates)
    unknown = payments.chosen((factor == _UNKNOWN) & (payments.at >= starts_us[0]))
    known = factor != _UNKNOWN
    payments, factor = payments.chosen(known), factor[known]
    width = len(starts_us)
    bucket = np.searchsorted(np.asarray(starts_us), payments.at, side="right") - 1
    person, people = ranks(payments.subject)
    paid = ~payments.step(REFUND)
    first = np.full(people, width)
    np.minimum.at(first, person[paid], bucket[paid])
    cohort = first[person]
    belongs = (cohort >= 0) & (cohort < width) & (bucket >= cohort)
    cell = cohort * width + bucket
    there = _distinct((person * width + bucket)[belongs & paid])
    subjects = np.bincount(first[there // width] * width + there % width, minlength=width * width)
    earned = _earned(payments.chosen(belongs), cell[belongs], factor[belongs], factors)
    again = _bought_again(person[paid], payments.thing[paid], people)
    return PaidCohorts(
        [
            Cell(*divmod(place, width), int(subjects[place]), earned.get(place, Decimal(0)))
            for place in sorted({*np.flatnonzero(subjects).tolist(), *earned})
        ],
        int(np.count_nonzero(again & (first >= 0) & (first < width))),
        _amounts(unknown),
    )


def _factors(payments: Entries, home: str, rates: Rates) -> tuple[Ints, list[Decimal]]:
    """The place of each payment's factor among those there are, _UNKNOWN where there is none for it."""
    place = np.where(payments.currency == number_of(home), 0, _UNKNOWN)
    factors = [_ONE]
    for rows, factor in exchanged(payments, rates):
        place[rows] = len(factors)
        factors.append(factor)
    return place, factors


def _distinct(keys: NDArray[np.integer]) -> NDArray[np.integer]:
    # Sorted here, since unique counts by hashing, which takes many times as long for this many different ones.
    keys = np.sort(keys)
    found: NDArray[np.integer] = keys[np.diff(keys, prepend=-1) != 0]
    return found


def _signed(payments: Entries, index: NDArray[np.integer], size: int) -> list[int]:
    """What the payments of each of ``size`` places come to, in 1/UNIT."""
    back = payments.step(REFUND)
    gained, lost = [0] * size, [0] * size
    for start in range(0, payments.size, _BLOCK):
        some = slice(start, start + _BLOCK)
        whole, fraction, given_back, place = payments.whole[some], payments.fraction[some], back[some], index[some]
        for rows, sums in (~given_back, gained), (given_back, lost):
            for at, more in enumerate(summed(Amounts.of(whole[rows], fraction[rows]).limbs, place[rows], size)):
                sums[at] += more
    return [gain - loss for gain, loss in zip(gained, lost, strict=True)]


def _earned(
    payments: Entries, cell: NDArray[np.integer], factor: NDArray[np.integer], factors: Sequence[Decimal]
) -> dict[int, Decimal]:
    """What was earned in each cell: the sum at each factor times it, exactly."""
    key = cell * len(factors) + factor
    place, size = ranks(key)
    keys = np.empty(size, np.int64)
    keys[place] = key
    found: dict[int, Decimal] = {}
    for where, units in zip(keys.tolist(), _signed(payments, place, size), strict=True):
        of_cell, of_factor = divmod(where, len(factors))
        amount = _EXACT.multiply(decimal(units), factors[of_factor])
        found[of_cell] = _EXACT.add(found.get(of_cell, Decimal(0)), amount)
    return found


def _bought_again(person: NDArray[np.intp], order: NDArray[np.signedinteger], people: int) -> NDArray[np.bool_]:
    """Who has two orders or more, of which one without a name (0) is an order by itself."""
    order = order.astype(np.int64)
    named = order != 0
    # Whether there are two names tells itself from the least and the greatest, with no need to sort all of them.
    least, greatest = np.full(people, np.iinfo(np.int64).max), np.full(people, np.iinfo(np.int64).min)
    np.minimum.at(least, person[named], order[named])
    np.maximum.at(greatest, person[named], order[named])
    unnamed = np.bincount(person[~named], minlength=people)
    return (unnamed > 1) | (greatest > least) | ((unnamed > 0) & (least <= greatest))


def _amounts(payments: Entries) -> tuple[Money, ...]:
    """What payments come to in the currencies they are in, without those of which nothing is left."""
    found = []
    for currency, number in sorted(currencies(payments).items()):
        own = payments.chosen(payments.currency == number)
        (units,) = _signed(own, np.zeros(own.size, np.intp), 1)
        if units:
            found.append(Money(decimal(units), currency))
    return tuple(found)
