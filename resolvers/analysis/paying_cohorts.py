"""Cohorts by what they paid: who paid first in which bucket, and what the cohorts did in each bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ai_calls import summed
from resolvers.analysis.attribution_sales import Amounts
from resolvers.analysis.cohorts import Cell
from resolvers.analysis.estimates import Money
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.ledgers import Entries, currencies, exchanged, number_of
from resolvers.analysis.numbering import Codes, Ints, ranks
from resolvers.analysis.subscriptions import decimal

REFUND = 0
"""The step of what was given back; whatever else there is was paid."""

_EXACT = Context(prec=80)
_ONE = Decimal(1)
_UNKNOWN = -1
_NEVER = np.int32(np.iinfo(np.int32).max)
"""The bucket of who never paid."""
_BLOCK = 1 << 17
"""Payments that are added up at a time, for the memory that it takes."""


@dataclass(frozen=True, slots=True)
class PaidCohorts:
    """What payments came to."""

    cells: list[Cell]
    again: int
    """How many subjects of the cohorts had two orders or more."""
    unconverted: tuple[Money, ...]


Sums = Mapping[tuple[int, int], tuple[int, Decimal]]
"""By cohort and bucket: how many subjects paid, and what they earned."""


@dataclass(frozen=True, slots=True, eq=False)
class Payers:
    """Who paid, as columns of one length with a row for each subject.

    ``first`` and ``last`` are the buckets of its payments, -1 before the first one; ``order`` names its only order, 0
    for one without a name, unless it came ``again``.
    """

    subject: Codes
    first: Codes
    last: Codes
    order: Ints
    again: NDArray[np.bool_]

    @property
    def returned(self) -> NDArray[np.bool_]:
        """Which of them belong to a cohort and had two orders or more."""
        belongs: NDArray[np.bool_] = (self.first >= 0) & (self.first != _NEVER)
        return belongs & self.again

    def chosen(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Payers":
        return Payers(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Paid:
    """What all payments before an instant came to, and whatever those that follow have to know of them.

    ``waiting`` are refunds of subjects who have not paid yet: they are to be among the payments that follow, for they
    count if a payment of the same bucket does.
    """

    payers: Payers
    again: int
    sums: Sums
    unconverted: Mapping[str, int]
    waiting: Entries

    @property
    def nbytes(self) -> int:
        """What it takes, so far as that grows with the events."""
        columns = [getattr(of, one.name) for of in (self.payers, self.waiting) for one in fields(of)]
        return sum(int(column.nbytes) for column in columns) + 200 * len(self.sums)

    def told(self) -> PaidCohorts:
        """All of it as cohorts."""
        sums = {currency: units for currency, units in sorted(self.unconverted.items()) if units}
        return PaidCohorts(
            [Cell(*place, *self.sums[place]) for place in sorted(self.sums)],
            self.again,
            tuple(Money(decimal(units), currency) for currency, units in sums.items()),
        )


def paid_further(
    before: Paid, payments: Entries, starts_us: Sequence[int], home: str, rates: Rates, *, kept: bool
) -> Paid:
    """What was paid before and the payments that follow come to, those that were waiting among them.

    Cohorts are of the buckets that begin at ``starts_us``, amounts in the currency at ``home``. Whoever paid before the
    first bucket is of no cohort. What was given back counts against the revenue of its own bucket; given back before
    anything was paid, it is of no cohort. What states no amount counts for nothing, and what cannot be converted
    neither: it is told as it is, from the first bucket on.

    Who paid is only told where that is to be ``kept`` for what follows: else it takes no longer than these payments do.
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
    whose = np.empty(people, np.int32)
    whose[person] = payments.subject
    place, met = _places(before.payers.subject, whose)
    old = before.payers.chosen(place) if before.payers.subject.size else _BLANK.chosen(np.zeros(people, np.intp))
    now = _updated(old, met, whose, person[paid], bucket[paid], payments.thing[paid])
    cohort = now.first[person]
    belongs = (cohort >= 0) & (bucket >= cohort)
    cell = cohort.astype(np.int64) * width + bucket
    # Who paid in this bucket before is counted in it already.
    new = belongs & paid & ~(met[person] & (bucket == old.last[person]))
    there = _distinct((person * width + bucket)[new])
    subjects = np.bincount(now.first[there // width] * width + there % width, minlength=width * width)
    earned = _earned(payments.chosen(belongs), cell[belongs], factor[belongs], factors)
    found = {
        divmod(place, width): (int(subjects[place]), earned.get(place, Decimal(0)))
        for place in {*np.flatnonzero(subjects).tolist(), *earned}
    }
    never = now.first == _NEVER
    waiting = payments.chosen(never[person] & (bucket >= 0)) if kept else NOTHING_PAID.waiting
    return Paid(
        _joined(before.payers, place, met, now, ~never) if kept else NOTHING_PAID.payers,
        before.again + int(np.count_nonzero(now.returned)) - int(np.count_nonzero(old.returned & met)),
        _added(before.sums, found),
        _more(before.unconverted, _amounts(unknown)),
        waiting,
    )


def _places(subjects: Codes, whose: Codes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The row of each subject among ascending ones, and whether it is there."""
    if not subjects.size:
        return np.zeros(whose.size, np.intp), np.zeros(whose.size, np.bool_)
    place = np.minimum(np.searchsorted(subjects, whose), subjects.size - 1)
    return place, subjects[place] == whose


def _updated(
    old: Payers,
    met: NDArray[np.bool_],
    whose: Codes,
    person: NDArray[np.intp],
    bucket: NDArray[np.intp],
    order: NDArray[np.signedinteger],
) -> Payers:
    """The subjects with what they paid now; ``first`` is _NEVER of those who never did."""
    first, last = np.where(met, old.first, _NEVER), np.where(met, old.last, -1)
    np.minimum.at(first, person, bucket.astype(np.int32))
    np.maximum.at(last, person, bucket.astype(np.int32))
    earlier = np.flatnonzero(met)
    again, only = _orders(np.concatenate([person, earlier]), np.concatenate([order, old.order[earlier]]), whose.size)
    return Payers(whose, first, last, only, again | (old.again & met))


def _joined(
    before: Payers, place: NDArray[np.intp], met: NDArray[np.bool_], now: Payers, paid: NDArray[np.bool_]
) -> Payers:
    """Who paid before and who pays now, each once."""
    come = now.chosen(paid & ~met)
    where = np.searchsorted(before.subject, come.subject)
    columns = []
    for one in fields(Payers):
        column = getattr(before, one.name).copy()
        column[place[met]] = getattr(now, one.name)[met]
        columns.append(np.insert(column, where, getattr(come, one.name)))
    return Payers(*columns)


def _added(before: Sums, found: Sums) -> Sums:
    sums = dict(before)
    for place, (subjects, earned) in found.items():
        so_far, money = sums.get(place, (0, Decimal(0)))
        sums[place] = so_far + subjects, _EXACT.add(money, earned)
    return sums


def _more(before: Mapping[str, int], found: Mapping[str, int]) -> Mapping[str, int]:
    return {currency: before.get(currency, 0) + found.get(currency, 0) for currency in {**before, **found}}


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


def _orders(person: NDArray[np.intp], order: NDArray[np.signedinteger], people: int) -> tuple[NDArray[np.bool_], Ints]:
    """Who has two orders or more, of which one without a name (0) is an order by itself, and the name of others'."""
    order = order.astype(np.int64)
    named = order != 0
    # Whether there are two names tells itself from the least and the greatest, with no need to sort all of them.
    least, greatest = np.full(people, np.iinfo(np.int64).max), np.full(people, np.iinfo(np.int64).min)
    np.minimum.at(least, person[named], order[named])
    np.maximum.at(greatest, person[named], order[named])
    unnamed = np.bincount(person[~named], minlength=people)
    again = (unnamed > 1) | (greatest > least) | ((unnamed > 0) & (least <= greatest))
    return again, np.where(least == greatest, least, 0)


def _amounts(payments: Entries) -> dict[str, int]:
    """What payments come to in the currencies they are in, in 1/UNIT."""
    found = {}
    for currency, number in currencies(payments).items():
        own = payments.chosen(payments.currency == number)
        (found[currency],) = _signed(own, np.zeros(own.size, np.intp), 1)
    return found


_NOBODY = np.empty(0, np.int32)
_NO_ENTRIES = Entries(
    subject=_NOBODY,
    at=np.empty(0, np.int64),
    name=_NOBODY,
    currency=_NOBODY,
    whole=np.empty(0, np.int64),
    fraction=np.empty(0, np.int64),
    thing=np.empty(0, np.int64),
    times=np.empty(0, np.int16),
    steps=np.empty(0, np.uint8),
    dimensions=np.empty((0, 0), np.int32),
    measures=np.empty((0, 0)),
)
_BLANK = Payers(
    np.zeros(1, np.int32), np.zeros(1, np.int32), np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(1, np.bool_)
)
NOTHING_PAID = Paid(
    Payers(_NOBODY, _NOBODY, _NOBODY, np.empty(0, np.int64), np.empty(0, np.bool_)), 0, {}, {}, _NO_ENTRIES
)
"""Before all payments."""
