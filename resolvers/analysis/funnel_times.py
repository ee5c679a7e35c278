"""How long it takes from step to step."""

from datetime import timedelta
from decimal import Decimal

import numpy as np

from resolvers.analysis.estimates import quotient
from resolvers.analysis.funnel_columns import Ints
from resolvers.analysis.funnels import TimeToConvert

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_LADDER = (
    *(0.0, 1.0, 5.0, 15.0, 30.0),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 15, 30)),
    *(hours * _HOUR for hours in (1, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365)),
)
_TIME_BITS = 46
"""The longest window in microseconds has no more."""
_TIME = (1 << _TIME_BITS) - 1


def times_to_convert(longest: timedelta, took_us: Ints, slots: Ints, count: int) -> list[TimeToConvert]:
    """The times of the converters of each slot below ``count``, in microseconds, none longer than ``longest``."""
    if count == 1:
        return [_time_to_convert(longest, np.sort(took_us))]
    # Slot and time in one number: sorting plain numbers once is faster than taking slots apart.
    ascending = np.sort((slots << _TIME_BITS) | took_us)
    bounds = np.searchsorted(ascending, np.arange(1, count) << _TIME_BITS)
    return [_time_to_convert(longest, part & _TIME) for part in np.split(ascending, bounds)]


def _time_to_convert(longest: timedelta, ascending: Ints) -> TimeToConvert:
    limit = longest.total_seconds()
    edges = (*(edge for edge in _LADDER if edge < limit), limit)
    bins = np.searchsorted(ascending, [round(edge * 1e6) for edge in edges[:-1]])
    return TimeToConvert(
        converters=ascending.size,
        mean=_seconds(float(ascending.mean())) if ascending.size else None,
        median=_quantile(ascending, 0.5),
        p90=_quantile(ascending, 0.9),
        edges=edges,
        histogram=tuple(np.diff(bins, append=ascending.size).tolist()),
    )


def _quantile(ascending: Ints, share: float) -> Decimal | None:
    """Between the closest ranks (Hyndman and Fan's type 7)."""
    if not ascending.size:
        return None
    place = share * (ascending.size - 1)
    low = int(place)
    lower, upper = ascending[[low, min(low + 1, ascending.size - 1)]].tolist()
    return _seconds(lower + (upper - lower) * (place - low))


def _seconds(microseconds: float) -> Decimal | None:
    """To the microsecond, which is as exact as the events' times are."""
    return quotient(Decimal(round(microseconds)), Decimal(1_000_000))
