"""AI interactions as arrays, with what each cost."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution_sales import Amounts
from resolvers.analysis.numbering import Codes, Ints


@dataclass(frozen=True, slots=True, eq=False)
class AiMeasures:
    """What AI interactions say beside their cost, as columns.

    ``duration`` is in milliseconds and ``score`` of 0..1, each NaN where it is not said; ``success`` is 1 or 0, -1
    where it is not said; ``tokens`` are those read and written.
    """

    duration: NDArray[np.float64]
    score: NDArray[np.float64]
    success: NDArray[np.int8]
    tokens: Ints


@dataclass(frozen=True, slots=True, eq=False)
class AiCalls:
    """AI interactions as columns in the order of time; ``at`` in microseconds since 1970 (UTC).

    ``subject`` is 0 where none was said, ``group`` the number of the combination of dimension values. The cost is
    ``whole + fraction / UNIT`` of the currency asked for, 0 where it is not ``known``: because it has no price, or one
    in a currency that is not converted (then it is ``priced`` all the same).
    """

    subject: Codes
    at: Ints
    group: Codes
    whole: Ints
    fraction: Ints
    known: NDArray[np.bool_]
    priced: NDArray[np.bool_]
    measures: AiMeasures | None = None
    """None where only costs were read."""

    def summed(self, index: NDArray[np.integer], size: int) -> list[int]:
        """The exact costs of the calls of each of ``size`` places, in 1/UNIT; ``index`` is the place of each call."""
        totals = [0] * size
        for weight, limb in Amounts.of(self.whole, self.fraction).limbs:
            sums = np.zeros(size, np.int64)
            np.add.at(sums, index, limb)
            totals = [total + weight * part for total, part in zip(totals, sums.tolist(), strict=True)]
        return totals
