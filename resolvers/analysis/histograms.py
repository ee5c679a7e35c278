"""Histograms with buckets of equal relative width: mergeable, and good for quantiles.

C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
Guarantees", VLDB 12 (2019): bucket i holds the values in (γ^(i-1), γ^i], and a quantile is told by the middle of the
bucket it falls into, 2 γ^i / (γ + 1), which is off by at most α of the value.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

ALPHA = Decimal("0.01")
"""The relative error of a quantile, at most."""
GAMMA = (1 + ALPHA) / (1 - ALPHA)
LEAST = 0.001
"""Values below are taken as 0."""
ZERO = -1_000_000
"""The number of the bucket of zeros, below every other."""
_LOW = (1 << 32) - 1


def buckets(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the bucket of each value."""
    positive = values >= LEAST
    logarithms = np.log(values, where=positive, out=np.zeros_like(values))
    return np.where(positive, np.ceil(logarithms / float(GAMMA.ln())), ZERO).astype(np.int64)


def quantile(q: float, histograms: Sequence[Sequence[int]]) -> float | None:
    """The q-quantile of all values in the histograms, interpolated between closest ranks, off by at most 1 % of it.

    Each element of a histogram holds a bucket's number in its upper and a count in its lower 32 bits; of no values
    there is none.
    """
    parts = _strung(histograms)
    if not parts.size:
        return None
    # Bucket by bucket, whatever their counts: they are the lower bits.
    parts.sort()
    below = (parts & _LOW).cumsum()
    rank = q * float(below[-1] - 1)
    low, high = (middle(int(parts[np.searchsorted(below, at, "right")]) >> 32) for at in (floor(rank), ceil(rank)))
    return low + (high - low) * (rank - floor(rank))


def difference(histograms: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> Sequence[int]:
    """The histogram of the values that are in the first but not in the others, which hold none but theirs."""
    parts, less = _strung(histograms), _strung(others)
    numbers, place = np.unique(np.concatenate([parts, less]) >> 32, return_inverse=True)
    count = np.bincount(place[: parts.size], parts & _LOW, numbers.size).astype(np.int64)
    count -= np.bincount(place[parts.size :], less & _LOW, numbers.size).astype(np.int64)
    left: list[int] = (numbers << 32 | count)[count > 0].tolist()
    return left


def _strung(histograms: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    return np.concatenate([np.asarray(histogram, np.int64) for histogram in histograms] or [np.empty(0, np.int64)])


@lru_cache(maxsize=8192)
def middle(bucket: int) -> float:
    """The value that stands for all in a bucket."""
    return 0.0 if bucket == ZERO else float(2 * GAMMA**bucket / (GAMMA + 1))
