"""Statistics of events that pass many conditions, read together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, All, DimensionIs, Filter, Op
from resolvers.analysis.metrics import Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.series import exact
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection, Statistics


@dataclass(frozen=True, slots=True)
class Conditioned:
    """Statistics, counts and sums, of the events that pass a condition."""

    where: Filter
    statistics: tuple[Statistic, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Each statistic by bucket."""

    columns: Mapping[Conditioned, Sequence[Sequence[Decimal]]]
    explanations: tuple[Explanation, ...]


def narrowed(statistic: Statistic, where: Filter) -> Statistic:
    """A statistic of the events among its own that pass a condition."""
    return statistic if where == EVERYTHING else replace(statistic, where=All((statistic.where, where)))


async def tabled(
    repository: MetricRepository,
    selection: Selection,
    asked: Sequence[Conditioned],
    starts: Sequence[datetime],
    end: datetime,
) -> Table:
    """What is asked, in buckets that begin at ``starts``; of ``selection`` the tenant counts, its currency and zone.

    Conditions on one dimension are groups of it, which sums are kept of; all others are told side by side. So it takes
    as many statements as there are dimensions, whatever the number of conditions.
    """
    whole = replace(selection, period=Period(starts[0], end), where=EVERYTHING)
    parts: defaultdict[str | None, list[Conditioned]] = defaultdict(list)
    for one in dict.fromkeys(asked):
        parts[None if (of := _values(one.where)) is None else of.dimension].append(one)
    columns: dict[Conditioned, Sequence[Sequence[Decimal]]] = {}
    explanations: list[Explanation] = []
    for dimension, some in parts.items():
        if dimension is None:
            own = {one: [narrowed(statistic, one.where) for statistic in one.statistics] for one in some}
            each = list(dict.fromkeys(statistic for statistics in own.values() for statistic in statistics))
            read = await repository.statistics(whole, each, buckets=starts)
            values = {
                statistic: [value or Decimal(0) for value in column.decimals()]
                for statistic, column in zip(each, read.columns, strict=True)
            }
            columns |= {one: [values[statistic] for statistic in statistics] for one, statistics in own.items()}
        else:
            groups = {one: [(value,) for value in of.values] for one in some if (of := _values(one.where)) is not None}
            keys = list(dict.fromkeys(key for found in groups.values() for key in found))
            each = list(dict.fromkeys(statistic for one in some for statistic in one.statistics))
            read = await repository.statistics(whole, each, buckets=starts, by=(dimension,), groups=keys)
            for one, found in groups.items():
                places = [keys.index(key) for key in found]
                columns[one] = [
                    [_sum(read, places, bucket, each.index(statistic)) for bucket in range(len(starts))]
                    for statistic in one.statistics
                ]
        explanations += read.explanations
    return Table(columns, tuple(explanations))


def _values(where: Filter) -> DimensionIs | None:
    """The condition itself where it asks for values of one dimension and for nothing else."""
    match where:
        case DimensionIs(op=Op.IN) as only:
            return only
        case All(of=(DimensionIs(op=Op.IN) as only,)):
            return only
        case _:
            return None


def _sum(read: Statistics, places: Sequence[int], bucket: int, which: int) -> Decimal:
    found = [values[which] for place in places if (values := read.by_group_and_bucket.get((place, bucket))) is not None]
    return sum((exact(number) or Decimal(0) for number in found if number is not None), Decimal(0))
