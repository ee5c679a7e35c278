"""What statistics add up to before they are told: numbers, and histograms where a quantile is asked for.

Sums of one group or bucket are lists with an element for each statistic, and after them how many events there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

from resolvers.analysis.histograms import difference, quantile
from resolvers.analysis.metrics import Aggregate, Statistic

Sums = list[Any]
Values = tuple[Decimal | int | float | None, ...]
"""One value for each statistic asked for, in that order."""

EXACT = Context(prec=120)
"""Wide enough for any sum of amounts that the log can hold, converted or not."""


def nothing(statistics: Sequence[Statistic]) -> Sums:
    """The sums of no events."""
    return [*([] if statistic.aggregate is Aggregate.QUANTILE else 0 for statistic in statistics), 0]


def total(statistics: Sequence[Statistic], parts: Iterable[Sums]) -> Sums:
    """The sums of several parts of the events together."""
    found = nothing(statistics)
    with localcontext(EXACT):
        for part in parts:
            for place, value in enumerate(part):
                found[place] = found[place] + value
    return found


def rest(whole: Sums, part: Sums) -> Sums:
    """The sums of the events that are not in a part of the whole."""
    with localcontext(EXACT):
        return [
            [difference(one, other)] if isinstance(one, list) else one - other
            for one, other in zip(whole, part, strict=True)
        ]


def collected(statistics: Sequence[Statistic], rows: Iterable[tuple[int, Any, Sequence[Any], int]]) -> dict[Any, Sums]:
    """Sums by key, from rows: which statistics they count for (as bits), the key, a value for each of them, events."""
    places: dict[int, list[int]] = {}
    found: dict[Any, Sums] = {}
    with localcontext(EXACT):
        for mask, key, values, events in rows:
            if key not in found:
                found[key] = nothing(statistics)
            sums = found[key]
            if mask not in places:
                places[mask] = [place for place in range(len(statistics)) if mask >> place & 1]
            for place in places[mask]:
                if isinstance(sums[place], list):
                    sums[place] = [*sums[place], values[place]]
                else:
                    sums[place] += values[place]
            sums[-1] += events
    return found


def told(statistics: Sequence[Statistic], sums: Sums) -> Values:
    """The values of statistics."""
    return tuple(_told(statistics, sums))


def _told(statistics: Sequence[Statistic], sums: Sums) -> Iterator[Decimal | int | float | None]:
    for statistic, held in zip(statistics, sums, strict=False):
        if statistic.aggregate is Aggregate.QUANTILE:
            yield quantile(statistic.q or 0.0, held)
        else:
            yield held
