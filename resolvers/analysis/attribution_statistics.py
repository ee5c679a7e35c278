"""What paths to conversions look like: the most frequent ones, how long they are, and how long they take."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution import Path, PathStatistics
from resolvers.analysis.attribution_models import apportioned
from resolvers.analysis.attribution_paths import Paths
from resolvers.analysis.attribution_sales import PLACES, UNIT, Amounts
from resolvers.analysis.estimates import quotient

MOST_PATHS = 20
"""How many paths are listed."""
LONGEST_PATH = 20
"""The most values of a path that is listed, and the most touches of a path that are told apart."""


def path_statistics(
    paths: Paths, index: NDArray[np.integer], values: Sequence[str | None], amounts: Amounts
) -> PathStatistics:
    """The statistics of ``paths``, whose touches have the ``values`` of ``index``, in the order to list them by."""
    longest = np.minimum(paths.touches, LONGEST_PATH)
    lag = paths.before[paths.starts[paths.touches > 0]]
    median, p90 = np.percentile(lag, [50, 90], method="linear") if lag.size else (None, None)
    return PathStatistics(
        top=_top_paths(paths, index, values, amounts),
        lengths=tuple(np.bincount(longest, minlength=LONGEST_PATH + 1).tolist()),
        median_lag=_seconds(median),
        p90_lag=_seconds(p90),
    )


def _seconds(microseconds: float | None) -> Decimal | None:
    return None if microseconds is None else quotient(Decimal(round(microseconds)), Decimal(1_000_000))


def _top_paths(
    paths: Paths, index: NDArray[np.integer], values: Sequence[str | None], amounts: Amounts
) -> tuple[Path, ...]:
    """The most frequent paths of at most LONGEST_PATH values."""
    journey = np.repeat(np.arange(paths.touches.size, dtype=np.int32), paths.touches)
    changes = np.ones(index.size, np.bool_)
    changes[1:] = (index[1:] != index[:-1]) | (journey[1:] != journey[:-1])
    steps = index[changes].astype(np.int64)
    length = np.bincount(journey[changes], minlength=paths.touches.size)
    start = np.cumsum(length) - length
    # A path is its length and its rank among those of the length, which grows with each value of it.
    rank = np.zeros(paths.touches.size, np.int64)
    going = np.flatnonzero(length <= LONGEST_PATH)
    for place in range(LONGEST_PATH):
        going = going[length[going] > place]
        if not going.size:
            break
        key = rank[going] * len(values) + steps[start[going] + place]
        rank[going] = np.unique(key, return_inverse=True)[1]
    listed = np.flatnonzero(length <= LONGEST_PATH)
    key = length[listed] * (paths.touches.size + 1) + rank[listed]
    _, example, which, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    found = []
    for group in np.argsort(-count, kind="stable")[:MOST_PATHS]:
        of = listed[example[group]]
        revenue = amounts.part(listed[which == group]).total()
        found.append(
            Path(
                values=tuple(values[step] for step in steps[start[of] : start[of] + length[of]]),
                conversions=int(count[group]),
                revenue=money(revenue),
            )
        )
    return tuple(found)


def money(units: int) -> Decimal:
    """So many 1/UNIT as an amount."""
    return apportioned([units], UNIT, PLACES)[0]
