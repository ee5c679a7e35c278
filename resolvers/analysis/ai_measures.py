"""What AI interactions say of themselves beside what they cost, as arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.numbering import Codes, Ints


@dataclass(frozen=True, slots=True, eq=False)
class AiMeasures:
    """Some of the AI interactions of a question, in any order, as columns in as little memory as they need.

    ``group`` is the number of the combination of dimension values. ``duration`` is in milliseconds and ``score`` of
    0..1, each NaN where it is not said; ``success`` is 1 or 0, -1 where it is not said; ``tokens`` are those read and
    written, 0 of calls that have no cost in any currency.
    """

    group: NDArray[np.integer]
    duration: NDArray[np.floating]
    score: NDArray[np.floating]
    success: NDArray[np.int8]
    tokens: NDArray[np.integer]

    @classmethod
    def of(
        cls,
        *,
        group: Codes,
        duration: NDArray[np.float64],
        score: NDArray[np.float64],
        success: NDArray[np.int8],
        tokens: Ints,
    ) -> "AiMeasures":
        """The same from columns as wide as they come."""
        return cls(
            group=group.astype(np.min_scalar_type(int(group.max(initial=0)))),
            duration=_thin(duration),
            score=_thin(score),
            success=success,
            tokens=tokens.astype(np.min_scalar_type(int(tokens.max(initial=0)))),
        )

    def chosen(self, rows: NDArray[np.intp]) -> "AiMeasures":
        """Some of them."""
        return AiMeasures(
            self.group[rows], self.duration[rows], self.score[rows], self.success[rows], self.tokens[rows]
        )


def _thin(values: NDArray[np.float64]) -> NDArray[np.floating]:
    """The same numbers in half the room where that loses nothing, as with whole milliseconds."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float32)
    return half if np.array_equal(half, values, equal_nan=True) else values
