"""Revenue: what the conversions of a period brought in."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import revenue
from resolvers.analysis import revenue as values
from resolvers.analysis.periods import Compare, Granularity
from resolvers.context import Context
from schema.arguments import (
    LAST_30_DAYS,
    GranularityArgument,
    PeriodArgument,
    TimezoneArgument,
    WhereArgument,
    read_question,
)
from schema.common import Estimate, Money, Period
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import shapes


@shapes(values.RevenueSeries)
@strawberry.type(
    description="Revenue over time, in columns of one length: the i-th of each column belong to one bucket."
)
class RevenueSeries:
    granularity: Granularity = strawberry.field(description="The width of the buckets.")
    timezone: str = strawberry.field(description="The IANA time zone in which the buckets begin.")
    currency: str = strawberry.field(description="ISO 4217 code of the amounts: the tenant's currency.")
    at: list[datetime] = strawberry.field(
        description="The first instant of each bucket, ascending; each ends where the next begins."
    )
    total: list[Decimal] = strawberry.field(description="Revenue in each bucket; 0 where there was none.")
    recurring: list[Decimal] = strawberry.field(description="Its part that comes again every period.")
    one_time: list[Decimal] = strawberry.field(description="Its part that does not: total - recurring.")
    orders: list[BigInt] = strawberry.field(description="Distinct orders with an amount in each bucket.")
    customers: list[BigInt] = strawberry.field(
        description="Distinct subjects with an amount in each bucket; who buys in two is counted in both."
    )
    refunds: list[Decimal] = strawberry.field(description="What was given back in each bucket; it is not in `total`.")


@shapes(values.RevenueAnswer)
@strawberry.type(
    description=(
        "Revenue of a period: the amounts of its conversions other than `churn` and `refund`, exact, in the tenant's "
        "currency; those in another one by `exchangeRates`, with all their digits."
    )
)
class RevenueAnswer:
    period: Period = strawberry.field(description="The period asked about, in instants.")
    previous_period: Period = strawberry.field(description="The period that growth is measured against.")
    total: Money = strawberry.field(description="All revenue: recurring + one-time.")
    recurring: Money = strawberry.field(description="Revenue that comes again every period.")
    one_time: Money = strawberry.field(description="Revenue that does not.")
    refunds: Money = strawberry.field(
        description="What was given back in the period, whenever it was paid: the amounts of `refund` conversions."
    )
    net: Money = strawberry.field(
        description="total - refunds; below 0 where more was given back than was paid in the period."
    )
    orders: BigInt = strawberry.field(
        description="Distinct orders with an amount; events of one `orderId` are one order."
    )
    customers: BigInt = strawberry.field(description="Distinct subjects with an amount.")
    average_order_value: Estimate = strawberry.field(
        description="AOV: total / orders, money; its value is null without orders."
    )
    growth: Estimate = strawberry.field(
        description=(
            "(total - previous total) / |previous total|, a ratio; its value is null where the previous total is 0."
        )
    )
    series: RevenueSeries = strawberry.field(description="Revenue over time.")
    unconverted: list[Money] = strawberry.field(
        description="Amounts that no exchange rate is known for on their day, one sum each, which are left out above."
    )
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
    explain: Explanation = strawberry.field(description="How the numbers of `period` were come by.")


def _revenue(
    context: Context,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    where: WhereArgument = None,
    compare: Annotated[
        Compare, strawberry.argument(description="The earlier period that growth is measured against.")
    ] = Compare.PREVIOUS_PERIOD,
) -> Asked[values.RevenueAnswer]:
    question = read_question(period, timezone=timezone, granularity=granularity, where=where, compare=compare)
    return Asked(question, partial(revenue.revenue, context), revenue.kinds())


REVENUE = Analysis(
    _revenue,
    RevenueAnswer,
    "What was earned in a period: total, recurring and one-time, orders, customers, growth, over time. "
    "For revenue by dimensions ask for the metric `revenue`.",
)


@strawberry.type
class RevenueQuery:
    revenue = REVENUE.query()


@strawberry.type
class RevenueSubscription:
    revenue = REVENUE.subscription()
