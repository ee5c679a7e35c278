"""What is asked of a tenant's events, and what was found, whichever way it was come by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resolvers.analysis.exchange_rates import NO_RATES, Rates
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.series import Column
from resolvers.analysis.sums import Values

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
    """Scans without groups, of some statistics each, as one of them all; ``places`` are those of each scan's own."""
    if len(scans) == 1:
        return scans[0][1]
    total = list(nothing(statistics))
    for places, scan in scans:
        for order, place in enumerate(places):
            total[place] = scan.total[order]
    column = {place: one for places, scan in scans for place, one in zip(places, scan.columns, strict=False)}
    explanations = {place: one for places, scan in scans for place, one in zip(places, scan.explanations, strict=True)}
    return Statistics(
        total=tuple(total),
        columns=[column[place] for place in sorted(column)],
        explanations=tuple(explanations[place] for place in range(len(statistics))),
    )
