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
    ByArgument,
    GranularityArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    WhereArgument,
    read_question,
)
from schema.common import DimensionValue, Estimate, Money, Period
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import shapes

_TOTAL = "All revenue: recurring + one-time."
_RECURRING = "Revenue that comes again every period."
_ONE_TIME = "Revenue that does not."
_REFUNDS = "What was given back in the period, whenever it was paid: the amounts of `refund` conversions."
_NET = "total - refunds; below 0 where more was given back than was paid in the period."
_ORDERS = "Distinct orders with an amount; events of one `orderId` are one order."
_CUSTOMERS = "Distinct subjects with an amount."
_AVERAGE = "AOV: total / orders, money; its value is null without orders."
_GROWTH = "(total - previous total) / |previous total|, a ratio; its value is null where the previous total is 0."


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


@shapes(values.RevenueGroup)
@strawberry.type(
    description="Revenue of the events that have the same values in the dimensions broken down by, told as that of all."
)
class RevenueGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    total: Money = strawberry.field(description=_TOTAL)
    recurring: Money = strawberry.field(description=_RECURRING)
    one_time: Money = strawberry.field(description=_ONE_TIME)
    refunds: Money = strawberry.field(description=_REFUNDS)
    net: Money = strawberry.field(description=_NET)
    orders: BigInt = strawberry.field(description=_ORDERS)
    customers: BigInt = strawberry.field(
        description=f"{_CUSTOMERS} Who bought in several groups is counted in each of them."
    )
    average_order_value: Estimate = strawberry.field(description=_AVERAGE)
    growth: Estimate = strawberry.field(description=_GROWTH)
    series: RevenueSeries = strawberry.field(description="The group's revenue over time.")


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
    total: Money = strawberry.field(description=_TOTAL)
    recurring: Money = strawberry.field(description=_RECURRING)
    one_time: Money = strawberry.field(description=_ONE_TIME)
    refunds: Money = strawberry.field(description=_REFUNDS)
    net: Money = strawberry.field(description=_NET)
    orders: BigInt = strawberry.field(description=_ORDERS)
    customers: BigInt = strawberry.field(description=_CUSTOMERS)
    average_order_value: Estimate = strawberry.field(description=_AVERAGE)
    growth: Estimate = strawberry.field(description=_GROWTH)
    series: RevenueSeries = strawberry.field(description="Revenue over time.")
    groups: list[RevenueGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, most revenue first: at most `top`, and one of all others; empty unless `by` "
            "was asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
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
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: Annotated[
        Compare, strawberry.argument(description="The earlier period that growth is measured against.")
    ] = Compare.PREVIOUS_PERIOD,
    top: TopArgument = 20,
) -> Asked[values.RevenueAnswer]:
    question = read_question(
        period, timezone=timezone, granularity=granularity, by=by, where=where, compare=compare, top=top
    )
    return Asked(question, partial(revenue.revenue, context), revenue.kinds())


REVENUE = Analysis(
    _revenue,
    RevenueAnswer,
    "What was earned in a period: total, recurring and one-time, orders, customers, growth, over time "
    "and by dimensions.",
)


@strawberry.type
class RevenueQuery:
    revenue = REVENUE.query()


@strawberry.type
class RevenueSubscription:
    revenue = REVENUE.subscription()
