"""How a budget for AI stands."""

from datetime import datetime
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from resolvers.analysis import ai_budgets as values
from schema.common import DimensionValue, Estimate, Money, Period
from schema.conditions import write_filter
from schema.explanations import Explanation
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.BudgetPeriod,
    "For how long a budget is, in the calendar of the tenant's or the asked time zone.",
    {
        "WEEK": "From Monday to Sunday.",
        "MONTH": "A calendar month.",
        "QUARTER": "Three months from January, April, July or October.",
        "YEAR": "A calendar year.",
    },
)


def _where(root: strawberry.Parent[values.BudgetDefinition]) -> object:
    return write_filter(root.where)


@shapes(values.BudgetDefinition)
@strawberry.type(description="What a tenant means to spend on AI.")
class BudgetDefinition:
    name: str = strawberry.field(description="The budget's name, unique within the tenant.")
    amount: Decimal = strawberry.field(description="What may be spent in each period, in the tenant's currency.")
    recurrence: values.BudgetPeriod = strawberry.field(description="For how long it is, before it begins anew.")
    where: object = strawberry.field(
        resolver=_where,
        graphql_type=JSON,
        description="Which AI interactions it is for, as the JSON of a `FilterInput`.",
    )


@shapes(values.BudgetSeries)
@strawberry.type(description="The budget's period day by day, in columns of one length, money in `currency`.")
class BudgetSeries:
    at: list[datetime] = strawberry.field(description="The first instant of each day.")
    cost: list[Decimal | None] = strawberry.field(description="What was spent; null of days to come.")
    expected: list[Decimal | None] = strawberry.field(
        description="What is expected still to come; null of days that are over, and where nothing is foretold."
    )


@shapes(values.BudgetGroup)
@strawberry.type(description="What the calls of the period that carry the same values took of the budget so far.")
class BudgetGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    spent: Decimal = strawberry.field(description="Sum of its known costs.")
    share: Decimal | None = strawberry.field(description="Its part of all that is spent; null where nothing is.")
    calls: BigInt = strawberry.field(description="Its AI interactions.")
    unpriced: BigInt = strawberry.field(description="Of these the ones whose cost nobody knows.")


@shapes(values.AiBudgetAnswer)
@strawberry.type(
    description=(
        "How a budget stands in the period that is running. The forecast adds to what is spent, for each day to come, "
        "the mean of its weekday over the 28 complete days before today (since the first with a cost; of fewer than 14 "
        "the mean of them all), for today the part that was left when this hour began. Its squared error is s² times "
        "the sum of m + m²/k over weekdays, with m days to come and k past ones, s² being the variance of past days "
        "around their means."
    )
)
class AiBudgetAnswer:
    definition: BudgetDefinition = strawberry.field(description="The budget.")
    period: Period = strawberry.field(description="The period that is running, in instants.")
    currency: str = strawberry.field(description="ISO 4217 code of all money here: the tenant's currency.")
    timezone: str = strawberry.field(description="The IANA time zone in which its days begin.")
    calls: BigInt = strawberry.field(description="AI interactions in the period so far.")
    unpriced: BigInt = strawberry.field(
        description="Of these the ones whose cost nobody knows: what is spent is more than told by theirs."
    )
    spent: Decimal = strawberry.field(description="Sum of the known costs so far.")
    remaining: Decimal = strawberry.field(description="The budget less what is spent; below 0 where it is used up.")
    used: Decimal | None = strawberry.field(description="`spent` / budget, a share; null only without a budget.")
    elapsed: Decimal = strawberry.field(description="The share of the period that was over when this hour began.")
    previous_period: Period | None = strawberry.field(
        description=(
            "The period compared with, from its beginning to where the same share of it was over (`elapsed`); null "
            "unless `compare` was asked for."
        )
    )
    previous_spent: Decimal | None = strawberry.field(
        description=(
            "Sum of the known costs in `previousPeriod`, to hold `spent` against; null unless `compare` was asked for."
        )
    )
    forecast: Estimate = strawberry.field(
        description=(
            "What will have been spent when the period ends, with a 95 % interval of Student's t whose low end is not "
            "below what is spent. Null with fewer than two complete days to learn from. Its `previous` is what the "
            "whole period compared with came to in the end, and null unless `compare` was asked for."
        )
    )
    will_exceed: bool | None = strawberry.field(
        description="Whether it is, or is expected to be, exceeded; null where that cannot be told."
    )
    probability: float | None = strawberry.field(
        description="The probability that it will be exceeded, as the forecast has it; null without a forecast."
    )
    exceeds_at: datetime | None = strawberry.field(
        description="The beginning of the day on which it is, or is expected to be, exceeded; null where it is not."
    )
    series: BudgetSeries = strawberry.field(description="The period day by day.")
    groups: list[BudgetGroup] = strawberry.field(
        description=(
            "What the budget went to, dearest first: at most `top` groups, and one of all others; empty unless `by` "
            "was asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    unconverted: list[Money] = strawberry.field(
        description="Costs that no exchange rate is known for, one sum each, which are left out above."
    )
    explain: Explanation = strawberry.field(description="How the costs were come by.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
