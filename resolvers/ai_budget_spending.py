"""What AI interactions cost, as budgets ask for it: those of one budget, or of many read together."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from resolvers.analysis.estimates import Money
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, All, DimensionIs, Filter, KindIs, MeasureIs, Op
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.series import exact
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection, Statistics

CALL = KindIs((Kind.AI_INTERACTION,))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls a budget is of, and when: costs in buckets that begin at ``starts``, counts from ``own`` on.

    Both end with ``end``.
    """

    where: Filter
    starts: tuple[datetime, ...]
    own: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Spending:
    """What was found: ``costs`` by the start of a bucket, no bucket reaching over one of the starts asked for."""

    costs: Mapping[datetime, Decimal]
    calls: int
    unpriced: int
    unconverted: tuple[Money, ...]
    explanations: tuple[Explanation, ...]


def cost(where: Filter = EVERYTHING) -> Statistic:
    """What the calls that pass cost."""
    return Statistic(Aggregate.SUM, _calls(where), "cost")


def counts(where: Filter = EVERYTHING) -> list[Statistic]:
    """How many calls pass, and of how many of them nobody knows the cost."""
    calls = _calls(where)
    return [
        Statistic(Aggregate.COUNT, calls),
        Statistic(Aggregate.COUNT, All((calls, MeasureIs("cost", Op.MISSING)))),
    ]


def _calls(where: Filter) -> Filter:
    return CALL if where == EVERYTHING else All((CALL, where))


async def spending(repository: MetricRepository, selection: Selection, wanted: Wanted) -> Spending:
    """What one budget asks for; of ``selection`` the tenant counts, its currency and zone."""
    whole = replace(selection, period=Period(wanted.starts[0], wanted.end), where=wanted.where)
    own = replace(whole, period=Period(wanted.own, wanted.end))
    daily = await repository.statistics(whole, [cost()], buckets=wanted.starts)
    counted = await repository.statistics(own, counts())
    calls, unpriced = (int(value or 0) for value in counted.total)
    return Spending(
        dict(zip(wanted.starts, [value or Decimal(0) for value in daily.columns[0].decimals()], strict=True)),
        calls,
        unpriced,
        await repository.unconverted(own, [cost()]),
        (*daily.explanations, *counted.explanations),
    )


async def spendings(repository: MetricRepository, selection: Selection, asked: Sequence[Wanted]) -> list[Spending]:
    """The same of many budgets, by as many statements whatever their number."""
    wheres = list(dict.fromkeys(one.where for one in asked))
    end = max(one.end for one in asked)
    starts = sorted({start for one in asked for start in one.starts})
    costs = await _table(repository, selection, wheres, lambda where: [cost(where)], starts, end)
    begun = sorted({one.own for one in asked})
    calls = await _table(repository, selection, wheres, counts, begun, end)
    since = replace(selection, period=Period(begun[0], end), where=EVERYTHING)
    # Where all of it can be converted, each part of it can.
    all_converted = not await repository.unconverted(since, [cost()])
    told = []
    for one in asked:
        own = replace(selection, period=Period(one.own, one.end), where=one.where)
        (spent,), (counted, unpriced) = costs.columns[one.where], calls.columns[one.where]
        first = begun.index(one.own)
        told.append(
            Spending(
                {start: value for start, value in zip(starts, spent, strict=True) if start >= one.starts[0]},
                int(sum(counted[first:])),
                int(sum(unpriced[first:])),
                () if all_converted else await repository.unconverted(own, [cost()]),
                (*costs.explanations, *calls.explanations),
            )
        )
    return told


@dataclass(frozen=True, slots=True)
class _Table:
    """The statistics of each condition by bucket."""

    columns: Mapping[Filter, list[list[Decimal]]]
    explanations: tuple[Explanation, ...]


async def _table(
    repository: MetricRepository,
    selection: Selection,
    wheres: Sequence[Filter],
    statistics: Callable[[Filter], list[Statistic]],
    starts: Sequence[datetime],
    end: datetime,
) -> _Table:
    """Conditions on one dimension are groups of it, which sums are kept of; all others are told side by side."""
    whole = replace(selection, period=Period(starts[0], end), where=EVERYTHING)
    parts: defaultdict[str | None, list[Filter]] = defaultdict(list)
    for where in wheres:
        parts[None if (of := _values(where)) is None else of.dimension].append(where)
    columns: dict[Filter, list[list[Decimal]]] = {}
    explanations: list[Explanation] = []
    width = len(statistics(EVERYTHING))
    for dimension, some in parts.items():
        if dimension is None:
            each = [one for where in some for one in statistics(where)]
            read = await repository.statistics(whole, each, buckets=starts)
            values = [[value or Decimal(0) for value in column.decimals()] for column in read.columns]
            columns |= {where: values[width * place : width * (place + 1)] for place, where in enumerate(some)}
        else:
            own = {where: [(value,) for value in of.values] for where in some if (of := _values(where)) is not None}
            keys = list(dict.fromkeys(key for found in own.values() for key in found))
            read = await repository.statistics(
                whole, statistics(EVERYTHING), buckets=starts, by=(dimension,), groups=keys
            )
            for where, found in own.items():
                places = [keys.index(key) for key in found]
                columns[where] = [
                    [_sum(read, places, bucket, which) for bucket in range(len(starts))] for which in range(width)
                ]
        explanations += read.explanations
    return _Table(columns, tuple(explanations))


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
