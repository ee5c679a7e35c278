"""What AI interactions say of themselves beside what they cost, as arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.columns import least
from resolvers.analysis.measures import Floats

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class AiMeasures:
    """What some AI interactions say, in as little memory as it needs.

    ``duration`` is in milliseconds and ``score`` of 0..1, each NaN where it is not said; ``success`` is 1 or 0, -1
    where it is not said; ``tokens`` are those read and written, 0 of calls that have no cost in any currency.
    """

    duration: NDArray[np.floating]
    score: NDArray[np.floating]
    success: NDArray[np.int8]
    tokens: NDArray[np.integer]

    @classmethod
    def of(cls, measures: Floats, priced: Bools) -> "AiMeasures":
        """The same from rows of MEASURES, and which calls have a cost."""
        duration, score, success, tokens = measures
        return cls(
            duration=_thin(duration),
            score=_thin(score),
            success=np.nan_to_num(success, nan=-1).astype(np.int8),
            tokens=least(np.where(priced & ~np.isnan(tokens), tokens, 0).astype(np.int64)),
        )

    def chosen(self, rows: NDArray[np.intp]) -> "AiMeasures":
        """Those of some of them."""
        return AiMeasures(self.duration[rows], self.score[rows], self.success[rows], self.tokens[rows])


def _thin(values: Floats) -> NDArray[np.floating]:
    """The same numbers in half the room where that loses nothing, as with whole milliseconds, and in none where there
    are none."""
    if np.isnan(values).all():
        return np.broadcast_to(np.float32(np.nan), values.shape)
    half = values.astype(np.float32)
    return half if np.array_equal(half, values, equal_nan=True) else values.copy()
