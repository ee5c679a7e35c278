"""How long it takes from step to step."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.estimates import quotient
from resolvers.analysis.funnels import TimeToConvert

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_LADDER = (
    *(0.0, 1.0, 5.0, 15.0, 30.0),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 15, 30)),
    *(hours * _HOUR for hours in (1, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365)),
)


def time_to_convert(longest: timedelta, seconds: NDArray[np.float64]) -> TimeToConvert:
    """The times of some converters, none of which took longer than ``longest``."""
    limit = longest.total_seconds()
    edges = (*(edge for edge in _LADDER if edge < limit), limit)
    # Sorted once, which is faster than looking for ranks and bins apart.
    ascending = np.sort(seconds)
    bins = np.searchsorted(ascending, edges[:-1])
    return TimeToConvert(
        converters=ascending.size,
        mean=_microseconds(float(ascending.mean())) if ascending.size else None,
        median=_quantile(ascending, 0.5),
        p90=_quantile(ascending, 0.9),
        edges=edges,
        histogram=tuple(np.diff(bins, append=ascending.size).tolist()),
    )


def parts(codes: NDArray[np.integer], count: int) -> Sequence[NDArray[np.intp]]:
    """The places of each of the codes below ``count``, ascending."""
    # Codes are few: sorted as small numbers they take one pass.
    order = np.argsort(codes.astype(np.min_scalar_type(count)), kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=count))[:-1])


def _quantile(ascending: NDArray[np.float64], share: float) -> Decimal | None:
    """Between the closest ranks (Hyndman and Fan's type 7)."""
    if not ascending.size:
        return None
    place = share * (ascending.size - 1)
    low = int(place)
    high = min(low + 1, ascending.size - 1)
    return _microseconds(float(ascending[low] + (ascending[high] - ascending[low]) * (place - low)))


def _microseconds(seconds: float) -> Decimal | None:
    """Seconds to the microsecond, which is as exact as the events' times are."""
    return quotient(Decimal(round(seconds * 1e6)), Decimal(1_000_000))
