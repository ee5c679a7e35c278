"""What AI interactions cost, as budgets ask for it: those of one budget, or of many read together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from resolvers.analysis.estimates import Money
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, All, Filter, KindIs, MeasureIs, Op
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.conditioned import Conditioned, tabled
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection

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


COST = Statistic(Aggregate.SUM, CALL, "cost")
"""What calls cost."""
COUNTS = (
    Statistic(Aggregate.COUNT, CALL),
    Statistic(Aggregate.COUNT, All((CALL, MeasureIs("cost", Op.MISSING)))),
)
"""How many calls there are, and of how many of them nobody knows the cost."""


async def spending(repository: MetricRepository, selection: Selection, wanted: Wanted) -> Spending:
    """What one budget asks for; of ``selection`` the tenant counts, its currency and zone."""
    whole = replace(selection, period=Period(wanted.starts[0], wanted.end), where=wanted.where)
    own = replace(whole, period=Period(wanted.own, wanted.end))
    daily = await repository.statistics(whole, [COST], buckets=wanted.starts)
    counted = await repository.statistics(own, COUNTS)
    calls, unpriced = (int(value or 0) for value in counted.total)
    return Spending(
        dict(zip(wanted.starts, [value or Decimal(0) for value in daily.columns[0].decimals()], strict=True)),
        calls,
        unpriced,
        await repository.unconverted(own, [COST]),
        (*daily.explanations, *counted.explanations),
    )


async def spendings(repository: MetricRepository, selection: Selection, asked: Sequence[Wanted]) -> list[Spending]:
    """The same of many budgets, by as many statements whatever their number."""
    wheres = list(dict.fromkeys(one.where for one in asked))
    end = max(one.end for one in asked)
    starts = sorted({start for one in asked for start in one.starts})
    costs = await tabled(repository, selection, [Conditioned(where, (COST,)) for where in wheres], starts, end)
    begun = sorted({one.own for one in asked})
    calls = await tabled(repository, selection, [Conditioned(where, COUNTS) for where in wheres], begun, end)
    since = replace(selection, period=Period(begun[0], end), where=EVERYTHING)
    # Where all of it can be converted, each part of it can.
    all_converted = not await repository.unconverted(since, [COST])
    told = []
    for one in asked:
        own = replace(selection, period=Period(one.own, one.end), where=one.where)
        (spent,) = costs.columns[Conditioned(one.where, (COST,))]
        counted, unpriced = calls.columns[Conditioned(one.where, COUNTS)]
        first = begun.index(one.own)
        told.append(
            Spending(
                {start: value for start, value in zip(starts, spent, strict=True) if start >= one.starts[0]},
                int(sum(counted[first:])),
                int(sum(unpriced[first:])),
                () if all_converted else await repository.unconverted(own, [COST]),
                (*costs.explanations, *calls.explanations),
            )
        )
    return told
