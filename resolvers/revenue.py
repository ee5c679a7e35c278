"""Revenue: what the conversions of a period brought in."""

import asyncio
from datetime import datetime
from decimal import Decimal
from functools import partial

from resolvers.analysis.estimates import Money
from resolvers.analysis.explanations import dearest
from resolvers.analysis.filters import All, FlagIs, weight
from resolvers.analysis.metrics import Aggregate, Statistic, finish
from resolvers.analysis.periods import Compare, Period
from resolvers.analysis.questions import Question
from resolvers.analysis.revenue import RevenueAnswer, RevenueSeries, growth
from resolvers.analysis.sums import EXACT, Values
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.catalogue import CONVERSIONS, REFUNDS, metric
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection, Statistics

_STATISTICS = (
    Statistic(Aggregate.SUM, CONVERSIONS, "amount"),
    Statistic(Aggregate.SUM, All((CONVERSIONS, FlagIs("recurring", True))), "amount"),
    Statistic(Aggregate.DISTINCT, CONVERSIONS, "order"),
    Statistic(Aggregate.DISTINCT, CONVERSIONS, "customer"),
    Statistic(Aggregate.SUM, REFUNDS, "amount"),
)
"""Total, recurring, orders, customers, refunds: the columns of every row of Values below."""


def kinds() -> Kinds:
    """The kinds of events that revenue depends on."""
    return depends_on(CONVERSIONS, REFUNDS, money=True)


async def revenue(context: Context, question: Question) -> RevenueAnswer:
    """Revenue of a period against the one before it; raises BadInput for a breakdown, which ``metric`` has."""
    principal = context.require(Role.VIEWER)
    if question.by:
        raise BadInput("Revenue is not broken down; ask for the metric revenue.", field="by")
    context.spend(1)
    definite = resolved(question, principal, context.services.now(), compare=Compare.PREVIOUS_PERIOD)
    points = 2 * len(definite.buckets)
    context.spend(points + weight(definite.where))
    compute = partial(_answer, context, definite)
    return await kept(context, ("revenue", definite), kinds(), compute, points=points)


async def _answer(context: Context, asked: Resolved) -> RevenueAnswer:
    principal = context.require(Role.VIEWER)
    assert asked.previous is not None
    selection = Selection(principal.tenant_id, principal.currency, asked.period, asked.where)
    before = Selection(principal.tenant_id, principal.currency, asked.previous, asked.where)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        as_of = context.services.now()
        found = await repository.statistics(selection, _STATISTICS, buckets=asked.buckets)
        earlier = await repository.statistics(before, _STATISTICS)
        unconverted = await repository.unconverted(selection, _STATISTICS[:1])
    return await asyncio.to_thread(
        _shaped, asked, asked.previous, found, earlier, principal.currency, unconverted, as_of
    )


def _shaped(
    asked: Resolved,
    previous: Period,
    found: Statistics,
    earlier: Statistics,
    currency: str,
    unconverted: tuple[Money, ...],
    as_of: datetime,
) -> RevenueAnswer:
    total, recurring, orders, customers, refunds = _counted(found.total)
    before = _counted(earlier.total)
    average = metric("average_order_value")
    return RevenueAnswer(
        period=asked.period,
        previous_period=previous,
        total=Money(total, currency),
        recurring=Money(recurring, currency),
        one_time=Money(EXACT.subtract(total, recurring), currency),
        refunds=Money(refunds, currency),
        net=Money(EXACT.subtract(total, refunds), currency),
        orders=orders,
        customers=customers,
        average_order_value=finish(
            average,
            {"numerator": total, "denominator": orders},
            previous={"numerator": before[0], "denominator": before[2]},
            currency=currency,
            as_of=as_of,
        ),
        growth=growth(total, before[0], orders, as_of),
        series=_series(asked, found, currency),
        unconverted=unconverted,
        as_of=as_of,
        explain=dearest(found.explanations),
    )


def _counted(values: Values | None) -> tuple[Decimal, Decimal, int, int, Decimal]:
    if not values:
        return Decimal(0), Decimal(0), 0, 0, Decimal(0)
    total, recurring, orders, customers, refunds = values
    return Decimal(total or 0), Decimal(recurring or 0), int(orders or 0), int(customers or 0), Decimal(refunds or 0)


def _series(asked: Resolved, found: Statistics, currency: str) -> RevenueSeries:
    rows = [_counted(values) for values in zip(*(column.decimals() for column in found.columns), strict=True)]
    return RevenueSeries(
        granularity=asked.granularity,
        timezone=asked.timezone,
        currency=currency,
        at=asked.buckets,
        total=tuple(row[0] for row in rows),
        recurring=tuple(row[1] for row in rows),
        one_time=tuple(EXACT.subtract(row[0], row[1]) for row in rows),
        orders=tuple(row[2] for row in rows),
        customers=tuple(row[3] for row in rows),
        refunds=tuple(row[4] for row in rows),
    )
