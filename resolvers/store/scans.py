"""What is asked of a tenant's events, and what was found, whichever way it was come by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from resolvers.analysis.exchange_rates import NO_RATES, Rates
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.series import Column
from resolvers.analysis.sums import Values

K = TypeVar("K")
Keys = tuple[str | None, ...]
"""One dimension value for each dimension asked for; None where the events carry none."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of which tenant are aggregated."""

    tenant_id: int
    currency: str
    period: Period
    where: Filter
    rates: Rates = NO_RATES
    """By which money of other currencies becomes that of ``currency``; what there is none for is left out."""
    timezone: str = "UTC"
    """In which the days are that are asked about, where they are whole ones."""

    @property
    def currencies(self) -> frozenset[str]:
        """Those that money counts in, on some day at least."""
        return frozenset((self.currency, *self.rates.factors))


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a scan found. Buckets and groups are numbered from 0; the group after the last one shown is the rest."""

    total: Values
    columns: Sequence[Column]
    """Each statistic by bucket; none where there are no buckets."""
    explanations: tuple[Explanation, ...]
    """How each statistic was come by."""
    groups: Sequence[Keys] = ()
    group_count: int = 0
    by_group: Mapping[int, Values] = field(default_factory=dict)
    by_group_and_bucket: Mapping[tuple[int, int], Values] = field(default_factory=dict)


def nothing(statistics: Sequence[Statistic]) -> Values:
    """The statistics of no events."""
    return tuple([None if statistic.aggregate is Aggregate.QUANTILE else 0 for statistic in statistics])


def by_bucket(statistics: Sequence[Statistic], buckets: int, found: Mapping[int, Values]) -> list[Column]:
    """Statistics by bucket, from those of the buckets that have any events."""
    if not buckets:
        return []
    empty = nothing(statistics)
    return [Column(column) for column in zip(*[found.get(place, empty) for place in range(buckets)], strict=True)]


def joined(scans: Sequence[tuple[Sequence[int], Statistics]], statistics: Sequence[Statistic]) -> Statistics:
    """Scans of some statistics each, as one of them all; ``places`` are those of each scan's own.

    They have the same groups, if any: the first scan says which, and how many there are in all.
    """
    if len(scans) == 1:
        return scans[0][1]
    (total,) = _woven([(places, {0: scan.total}) for places, scan in scans], statistics).values()
    column = {place: one for places, scan in scans for place, one in zip(places, scan.columns, strict=False)}
    explanations = {place: one for places, scan in scans for place, one in zip(places, scan.explanations, strict=True)}
    _, first = scans[0]
    return Statistics(
        total=total,
        columns=[column[place] for place in sorted(column)],
        explanations=tuple(explanations[place] for place in range(len(statistics))),
        groups=first.groups,
        group_count=first.group_count,
        by_group=_woven([(places, scan.by_group) for places, scan in scans], statistics),
        by_group_and_bucket=_woven([(places, scan.by_group_and_bucket) for places, scan in scans], statistics),
    )


def _woven(
    scans: Sequence[tuple[Sequence[int], Mapping[K, Values]]], statistics: Sequence[Statistic]
) -> dict[K, Values]:
    """The values of whatever any of the scans has some of; others are those of no events."""
    found: dict[K, list[Decimal | int | float | None]] = {}
    for places, by_key in scans:
        for key, values in by_key.items():
            whole = found.setdefault(key, list(nothing(statistics)))
            for place, value in zip(places, values, strict=True):
                whole[place] = value
    return {key: tuple(values) for key, values in found.items()}
