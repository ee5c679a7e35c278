"""AI interactions as arrays, with what each cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ai_measures import AiMeasures
from resolvers.analysis.attribution_sales import LIMB_BITS, Amounts
from resolvers.analysis.columns import Moments
from resolvers.analysis.numbering import Codes, Ints

_LIMB = (1 << LIMB_BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class AiCalls:
    """Some of the AI interactions of a question, in any order, as columns in as little memory as they need.

    ``subject`` is 0 where none was said, ``group`` the number of the combination of dimension values. The cost is in
    the currency asked for, 0 where it is not ``known``: because it has no price, or one in a currency that is not
    converted (then it is ``priced`` all the same). ``measures`` are None where nobody asked for them.
    """

    subject: Codes
    moments: Moments
    group: NDArray[np.integer]
    cost: Amounts
    known: NDArray[np.bool_]
    priced: NDArray[np.bool_]
    measures: AiMeasures | None

    @classmethod
    def of(
        cls,
        *,
        subject: Codes,
        at: Ints,
        group: Codes,
        whole: Ints,
        fraction: Ints,
        known: NDArray[np.bool_],
        priced: NDArray[np.bool_],
        measures: AiMeasures | None = None,
    ) -> "AiCalls":
        """Interactions at microseconds since 1970 (UTC), each with a cost of ``whole + fraction / UNIT``."""
        return cls(
            subject=subject,
            moments=Moments.of(at, int(at.min()) if at.size else 0),
            group=group.astype(np.min_scalar_type(int(group.max(initial=0)))),
            cost=Amounts.of(whole, fraction),
            known=_all(known),
            priced=_all(priced),
            measures=measures,
        )

    @property
    def size(self) -> int:
        return self.subject.size

    @property
    def at(self) -> Ints:
        """Their times in microseconds since 1970 (UTC)."""
        return self.moments.microseconds()

    def summed(self, index: NDArray[np.integer], size: int) -> list[int]:
        """The exact costs of the calls of each of ``size`` places, in 1/UNIT; ``index`` is the place of each call."""
        return summed(self.cost.limbs, index, size)

    def squared(self, index: NDArray[np.integer], size: int) -> list[int]:
        """The same of the squares of costs, in 1/UNIT²."""
        limbs = [(weight, limb.astype(np.int64)) for weight, limb in self.cost.limbs]
        products = ((one * other, first * second) for one, first in limbs for other, second in limbs)
        # Of two limbs the product is of two limbs, of which so many more can be summed without overflow.
        halves = (
            (weight << places, product >> places & _LIMB) for weight, product in products for places in (0, LIMB_BITS)
        )
        return summed(halves, index, size)


def _all(truths: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same; where all are true, which is common, of one in memory."""
    return np.broadcast_to(np.True_, truths.shape) if truths.all() else truths


def costs_of(calls: Sequence[AiCalls], groups: int) -> tuple[list[int], Ints]:
    """What calls of each of so many groups cost, in 1/UNIT, and how many they are."""
    cost, count = [0] * groups, np.zeros(groups, np.int64)
    for part in calls:
        cost = [one + more for one, more in zip(cost, part.summed(part.group, groups), strict=True)]
        count += np.bincount(part.group, minlength=groups)
    return cost, count


def summed(parts: Iterable[tuple[int, NDArray[np.integer]]], index: NDArray[np.integer], size: int) -> list[int]:
    """The exact sums of numbers given in limbs, each with its weight, at each of ``size`` places."""
    totals = [0] * size
    for weight, part in parts:
        # Of limbs there would have to be 2^29 for their sum to be too large for a float to hold it exactly.
        sums = np.bincount(index, part, size).astype(np.int64)
        totals = [total + weight * more for total, more in zip(totals, sums.tolist(), strict=True)]
    return totals
