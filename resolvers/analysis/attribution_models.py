"""Credits from paths: what every model but Markov's gives to each value, exactly.

The credit for a conversion is split into 2⁴⁰ equal parts, whole numbers of which go to its touches; what rounding
leaves over goes to the first touch. So credits are sums of whole numbers, and sum to the conversions without error.
Money is multiplied by these whole numbers and sums to the revenue without error; nothing is rounded before the end,
where ``apportioned`` rounds so that the sum still holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution import Model
from resolvers.analysis.attribution_paths import Ints, Paths
from resolvers.analysis.attribution_sales import Amounts
from resolvers.analysis.blocks import each

_BITS = 40
WHOLE = 1 << _BITS
"""The parts of one conversion's credit: a part is 9·10⁻¹³ of it."""

_BLOCK = 1 << 16
"""Rows that are worked on at a time, for memory; of up to 2^18 no sum of their parts passes 64 bits."""
_HALF = _BITS // 2
_EXACT = Context(prec=80)
_ENDS = {Model.POSITION: (40, 40), Model.J_SHAPED: (20, 60), Model.INVERSE_J: (60, 20)}
"""Percent of the credit for the first touch and the last; those between share the rest equally."""


@dataclass(frozen=True, slots=True)
class Credits:
    """What values are credited with, in their order: conversions and 1/UNIT of money, both in parts of WHOLE."""

    conversions: list[int]
    revenue: list[int]

    def plus(self, other: "Credits") -> "Credits":
        return Credits(_sums(self.conversions, other.conversions), _sums(self.revenue, other.revenue))


@dataclass(frozen=True, slots=True)
class Tally:
    """What paths say of each value, in the order of values."""

    touches: list[int]
    conversions: list[int]
    """Conversions with at least one touch of the value."""
    last: list[int]
    """Conversions whose last touch is of the value."""
    credits: Mapping[Model, Credits]

    def plus(self, other: "Tally") -> "Tally":
        return Tally(
            _sums(self.touches, other.touches),
            _sums(self.conversions, other.conversions),
            _sums(self.last, other.last),
            {model: mine.plus(other.credits[model]) for model, mine in self.credits.items()},
        )


def _sums(one: list[int], other: list[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]


def tally(
    paths: Paths, index: NDArray[np.integer], values: int, amounts: Amounts, models: Sequence[Model], half_life_us: int
) -> Tally:
    """Count and credit ``values`` values, those of the touches being ``index``, under any models but MARKOV.

    - FIRST_TOUCH, LAST_TOUCH: all to one touch. LINEAR: the same to each touch.
    - POSITION (U-shaped): 40 % to the first, 40 % to the last, the same to each between. J_SHAPED: 20 and 60 %.
      INVERSE_J: 60 and 20 %. Two touches share all in the proportion of the ends: 1:1, 1:3, 3:1.
    - TIME_DECAY: in proportion to 2^(-t / half-life), t being the time from the touch to the conversion.
    - SHAPLEY: the Shapley value of the game in which a set of values is worth the conversions whose paths touch no
      others. It splits each conversion equally among the distinct values of its path (Zhao, Mahboobi and Bagheri,
      "Shapley Value Methods for Attribution Modeling in Online Advertising", 2018).
    - PARTICIPATION: all to each distinct value of the path, so that credits sum to more than the conversions.
    """
    blocks = _blocks(paths)

    def counted(bounds: tuple[int, int, int, int]) -> Tally:
        journeys, rows = slice(*bounds[:2]), slice(*bounds[2:])
        touched = paths.touches[journeys] > 0
        block = _Block(paths.touches[journeys][touched], index[rows], paths.before[rows], values)
        return block.tally(models, half_life_us, amounts.part(journeys).part(touched))

    first, *others = each(counted, blocks)
    for other in others:
        first = first.plus(other)
    return first


def shares_of(
    paths: Paths, index: NDArray[np.integer], values: int, models: Sequence[Model], half_life_us: int
) -> dict[Model, Ints]:
    """What each touch of ``paths`` gets, in parts of WHOLE, under any models but MARKOV."""

    def shared(bounds: tuple[int, int, int, int]) -> list[Ints]:
        touches, rows = paths.touches[slice(*bounds[:2])], slice(*bounds[2:])
        block = _Block(touches[touches > 0], index[rows], paths.before[rows], values)
        return [block.shares(model, half_life_us) for model in models]

    parts = each(shared, _blocks(paths))
    return {model: np.concatenate(found) for model, found in zip(models, zip(*parts, strict=True), strict=True)}


def _blocks(paths: Paths) -> list[tuple[int, int, int, int]]:
    """Ranges of conversions and of their touches, small enough to be quick."""
    starts = paths.starts
    cuts = np.unique(np.searchsorted(starts, np.arange(_BLOCK, paths.code.size, _BLOCK)))
    cuts = cuts[cuts < starts.size]
    journeys = [0, *cuts.tolist(), starts.size]
    rows = [0, *starts[cuts].tolist(), paths.code.size]
    return [(*of, *at) for of, at in zip(pairwise(journeys), pairwise(rows), strict=True)]


class _Block:
    """Some conversions, each with at least one touch, and the touches themselves also by value."""

    def __init__(self, touches: NDArray[np.int32], index: NDArray[np.integer], before: Ints, values: int) -> None:
        self.touches = touches.astype(np.int64)
        self.index = index.astype(np.min_scalar_type(values))
        self.before = before
        self.values = values
        self.last = np.cumsum(self.touches) - 1
        self.first = self.last + 1 - self.touches
        self.journey = np.repeat(np.arange(self.touches.size), self.touches)
        self.by_value = np.argsort(self.index, kind="stable")
        counts = np.bincount(self.index, minlength=values)
        self.present = np.flatnonzero(counts)
        self.begins = (np.cumsum(counts) - counts)[self.present]
        # By value and conversion: where either changes, a value is met for the first time on a path.
        journey = self.journey[self.by_value]
        new = np.ones(journey.size, np.bool_)
        new[1:] = journey[1:] != journey[:-1]
        new[self.begins] = True
        self.once = self.by_value[new]

    def tally(self, models: Sequence[Model], half_life_us: int, amounts: Amounts) -> Tally:
        paid = [(weight, limb[self.journey[self.by_value]]) for weight, limb in amounts.limbs]
        return Tally(
            self._count(self.index),
            self._count(self.index[self.once]),
            self._count(self.index[self.last]),
            {model: self._credits(self.shares(model, half_life_us), paid) for model in models},
        )

    def _count(self, index: NDArray[np.integer]) -> list[int]:
        counts: list[int] = np.bincount(index, minlength=self.values).tolist()
        return counts

    def _credits(self, shares: Ints, paid: Sequence[tuple[int, NDArray[np.integer]]]) -> Credits:
        shares = shares[self.by_value]
        upper, lower = shares >> _HALF, shares & ((1 << _HALF) - 1)
        revenue = [0] * self.values
        for weight, limb in paid:
            # A half of 20 bits by a limb of 24, over less than 2^18 conversions: 62 bits.
            parts = zip(self._by_value(upper * limb), self._by_value(lower * limb), strict=True)
            revenue = [
                so_far + weight * ((high << _HALF) + low) for so_far, (high, low) in zip(revenue, parts, strict=True)
            ]
        return Credits(self._by_value(shares), revenue)

    def _by_value(self, numbers: Ints) -> list[int]:
        """The sums of what touches, sorted by value, have for each value."""
        sums = np.zeros(self.values, np.int64)
        if self.present.size:
            sums[self.present] = np.add.reduceat(numbers, self.begins)
        found: list[int] = sums.tolist()
        return found

    def shares(self, model: Model, half_life_us: int) -> Ints:
        """How many parts of WHOLE each touch gets."""
        shares = np.zeros(self.index.size, np.int64)
        match model:
            case Model.FIRST_TOUCH:
                shares[self.first] = WHOLE
                return shares
            case Model.LAST_TOUCH:
                shares[self.last] = WHOLE
                return shares
            case Model.PARTICIPATION:
                shares[self.once] = WHOLE
                return shares
            case Model.LINEAR:
                shares = np.repeat(WHOLE // self.touches, self.touches)
            case Model.TIME_DECAY:
                shares = self._decayed(half_life_us)
            case Model.SHAPLEY:
                of = self.journey[self.once]
                shares[self.once] = (WHOLE // np.bincount(of, minlength=self.touches.size))[of]
            case _:
                shares = self._by_position(*_ENDS[model])
        if self.first.size:
            shares[self.first] += WHOLE - np.add.reduceat(shares, self.first)
        return shares

    def _decayed(self, half_life_us: int) -> Ints:
        # Since the last touch, not before the conversion: the proportion is the same, and one weight is 1.
        age = self.before - np.repeat(self.before[self.last], self.touches)
        weights = np.exp2(age / -half_life_us)
        totals = np.add.reduceat(weights, self.first) if self.first.size else weights
        shares: Ints = np.floor(weights / np.repeat(totals, self.touches) * WHOLE).astype(np.int64)
        return shares

    def _by_position(self, first: int, last: int) -> Ints:
        """The shares where the ends get so many percent."""
        between = WHOLE * (100 - first - last) // (100 * np.maximum(self.touches - 2, 1))
        shares = np.repeat(np.where(self.touches == 1, WHOLE, between), self.touches)
        several, two = self.touches > 1, self.touches == 2
        percent = np.where(two, first + last, 100)[several]
        shares[self.first[several]] = WHOLE * first // percent
        shares[self.last[several]] = WHOLE * last // percent
        return shares


def apportioned(parts: Sequence[int], whole: int, places: int, total: Decimal | None = None) -> list[Decimal]:
    """The fractions ``part / whole`` at so many decimal places, with the sum that they have.

    The sum itself must have no more places, unless ``total`` is what it was rounded to. Each is rounded down, and the
    largest remainders, of equals the first, up (Hare's and Hamilton's method).
    """
    floors, remainders = zip(*(divmod(part * 10**places, whole) for part in parts), strict=True) if parts else ((), ())
    left = sum(remainders) // whole if total is None else int(total.scaleb(places, _EXACT)) - sum(floors)
    up = set(sorted(range(len(parts)), key=lambda place: -remainders[place])[:left])
    return [Decimal(floor + (place in up)).scaleb(-places, _EXACT) for place, floor in enumerate(floors)]
