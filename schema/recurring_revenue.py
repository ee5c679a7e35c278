"""Recurring revenue: MRR, what moved it and what follows from that."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import recurring_revenue
from resolvers.analysis import mrr_answers as values
from resolvers.analysis.intake_values import Invalid, money
from resolvers.analysis.periods import Granularity
from resolvers.context import Context
from schema.arguments import (
    LAST_30_DAYS,
    ByArgument,
    CompareArgument,
    GranularityArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    read_question,
)
from schema.common import DimensionValue, Estimate, Money, Period
from schema.errors import refusal
from schema.explanations import Explanation
from schema.filters import FilterInput
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import shapes

_NEW = "MRR of customers who paid for the first time ever."
_EXPANSION = "What customers came to pay more; a further subscription of a customer is expansion too."
_CONTRACTION = "What customers came to pay less and still pay; ending one of several subscriptions is contraction too."
_CHURN = "MRR of customers whose last paid subscription ended, or came to cost nothing."
_REACTIVATION = "MRR of customers who had churned and pay again."
_TWICE = "A customer to whom it happens twice counts twice."


@shapes(values.MrrMovements)
@strawberry.type(
    description=(
        "What moved MRR over the whole period, exact, in the tenant's currency: `ending = start + new + expansion + "
        "reactivation - contraction - churn`. A customer's subscriptions are summed before a movement is named, and "
        "each instant at which the sum changes is one movement."
    )
)
class MrrMovements:
    start: Decimal = strawberry.field(description="MRR when the period begins.")
    new: Decimal = strawberry.field(description=_NEW)
    expansion: Decimal = strawberry.field(description=_EXPANSION)
    contraction: Decimal = strawberry.field(description=_CONTRACTION)
    churn: Decimal = strawberry.field(description=_CHURN)
    reactivation: Decimal = strawberry.field(description=_REACTIVATION)
    ending: Decimal = strawberry.field(description="MRR when the period ends.")
    customers_at_start: BigInt = strawberry.field(description="Customers who pay when the period begins.")
    new_customers: BigInt = strawberry.field(description="Customers who paid for the first time ever.")
    expanded_customers: BigInt = strawberry.field(description=f"Expansions. {_TWICE}")
    contracted_customers: BigInt = strawberry.field(description=f"Contractions. {_TWICE}")
    churned_customers: BigInt = strawberry.field(description=f"Churns. {_TWICE}")
    reactivated_customers: BigInt = strawberry.field(description=f"Reactivations. {_TWICE}")
    customers: BigInt = strawberry.field(
        description=(
            "Customers who pay when the period ends: `customersAtStart + newCustomers + reactivatedCustomers - "
            "churnedCustomers`."
        )
    )


@shapes(values.MrrSeries)
@strawberry.type(
    description=(
        "MRR over time, in columns of one length: the i-th of each column belong to one bucket, which begins where the "
        "one before ended. The movements of the buckets add up to those of the period, however wide they are."
    )
)
class MrrSeries:
    granularity: Granularity = strawberry.field(description="The width of the buckets.")
    timezone: str = strawberry.field(description="The IANA time zone in which the buckets begin.")
    currency: str = strawberry.field(description="ISO 4217 code of the amounts: the tenant's currency.")
    at: list[datetime] = strawberry.field(
        description="The first instant of each bucket, ascending; each ends where the next begins."
    )
    start: list[Decimal] = strawberry.field(description="MRR when each bucket begins.")
    new: list[Decimal] = strawberry.field(description=_NEW)
    expansion: list[Decimal] = strawberry.field(description=_EXPANSION)
    contraction: list[Decimal] = strawberry.field(description=_CONTRACTION)
    churn: list[Decimal] = strawberry.field(description=_CHURN)
    reactivation: list[Decimal] = strawberry.field(description=_REACTIVATION)
    ending: list[Decimal] = strawberry.field(description="MRR when each bucket ends.")
    customers_at_start: list[BigInt] = strawberry.field(description="Customers who pay when each bucket begins.")
    new_customers: list[BigInt] = strawberry.field(description="Customers who paid for the first time ever.")
    expanded_customers: list[BigInt] = strawberry.field(description=f"Expansions. {_TWICE}")
    contracted_customers: list[BigInt] = strawberry.field(description=f"Contractions. {_TWICE}")
    churned_customers: list[BigInt] = strawberry.field(description=f"Churns. {_TWICE}")
    reactivated_customers: list[BigInt] = strawberry.field(description=f"Reactivations. {_TWICE}")
    customers: list[BigInt] = strawberry.field(description="Customers who pay when each bucket ends.")


_FREE = Decimal(0)
_NO_START = "Null where MRR at the start is 0."


@strawberry.type
class MrrFigures:
    mrr: Estimate = strawberry.field(
        description=(
            "Monthly recurring revenue at the end of the period: what every subscription pays, brought to a month. A "
            "year's amount counts for a twelfth, a quarter's for a third, a week's 52/12 times."
        )
    )
    arr: Estimate = strawberry.field(description="Annual recurring revenue: 12 times MRR.")
    customers: BigInt = strawberry.field(description="Customers who pay when the period ends.")
    growth: Estimate = strawberry.field(description=f"(MRR at the end - at the start) / MRR at the start. {_NO_START}")
    gross_churn: Estimate = strawberry.field(description=f"(churn + contraction) / MRR at the start. {_NO_START}")
    net_churn: Estimate = strawberry.field(
        description=(
            "(churn + contraction - expansion - reactivation) / MRR at the start; below 0 where customers grew by more "
            f"than was lost. {_NO_START}"
        )
    )
    gross_retention: Estimate = strawberry.field(
        description=(
            "GRR: 1 - `grossChurn`. Over many months it also has the losses of customers who came meanwhile. "
            f"{_NO_START}"
        )
    )
    net_retention: Estimate = strawberry.field(description=f"NRR: 1 - `netChurn`. {_NO_START}")
    customer_churn: Estimate = strawberry.field(
        description="Churned customers / customers at the start, a share; null without customers at the start."
    )
    arpu: Estimate = strawberry.field(
        description="Average revenue per customer and month: MRR / customers at the end; null without customers."
    )
    lifetime_value: Estimate = strawberry.field(
        description=(
            "LTV: (`arpu` - `costPerCustomer`) / the customer churn of a month, which is that of the period divided by "
            "the months in it: whole calendar months, or its days times 12/365. Null where no customer churned, and "
            "without customers at the start or the end."
        )
    )
    quick_ratio: Estimate = strawberry.field(
        description="(new + expansion) / (churn + contraction); null where nothing was lost."
    )
    movements: MrrMovements = strawberry.field(description="What moved MRR over the whole period.")
    previous_movements: MrrMovements | None = strawberry.field(
        description="What moved MRR over the period compared with; null unless `compare` was asked for."
    )
    series: MrrSeries = strawberry.field(description="What moved MRR over time.")


@shapes(values.AcquiredGroup)
@strawberry.type(
    description=(
        "Recurring revenue of the subscriptions that state the same values in the dimensions broken down by, as a "
        "business of its own: who passes from one plan to another is churn there and new here."
    )
)
class MrrGroup(MrrFigures):
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    acquisition_cost: Estimate = strawberry.field(
        description=(
            "CAC: the costs of touchpoints and of spend in the period that carry the group's values / its new "
            "customers; null without new customers, and where no cost carries these values. Of the group of all "
            "others: the costs that carry no shown group's values."
        )
    )
    payback: Estimate = strawberry.field(
        description=(
            "Months until a new customer of the group has earned what it cost: `acquisitionCost` / (`arpu` - "
            "`costPerCustomer`). Null where `acquisitionCost` is, and where a customer earns no more than it costs."
        )
    )


@shapes(values.RecurringRevenueAnswer)
@strawberry.type(description="Recurring revenue of a period, from its subscriptions, exact, in the tenant's currency.")
class RecurringRevenueAnswer(MrrFigures):
    acquisition_cost: Estimate = strawberry.field(
        description=(
            "CAC: the costs of touchpoints and of spend in the period that pass `where`, in the tenant's currency, / "
            "new customers; null without new customers, and where there is no such cost: then it is not known."
        )
    )
    payback: Estimate = strawberry.field(
        description=(
            "Months until a new customer has earned what it cost: `acquisitionCost` / (`arpu` - `costPerCustomer`). "
            "Null where `acquisitionCost` is, without customers at the end, and where a customer earns no more than it "
            "costs."
        )
    )
    period: Period = strawberry.field(description="The period asked about, in instants.")
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    groups: list[MrrGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, largest MRR first: at most `top`, and one of all others; empty unless `by` "
            "was asked for."
        )
    )
    group_count: int = strawberry.field(
        description="How many groups there are in all, shown or not: those that had MRR in the period."
    )
    unconverted: list[Money] = strawberry.field(
        description=(
            "MRR at the end of subscriptions that no exchange rate was known for when they began to pay, one sum a "
            "currency, which is left out above. A subscription counts in the currency in which it began to pay, and by "
            "the rate of that day for as long as it pays: neither a change of currency nor of its rate is a movement."
        )
    )
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
    explain: Explanation = strawberry.field(description="How the answer was come by.")


def _cost(value: object) -> Decimal:
    try:
        return money(value)
    except Invalid as bad:
        raise refusal("costPerCustomer", bad.message) from None


def _recurring_revenue(
    context: Context,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    where: Annotated[
        FilterInput | None,
        strawberry.argument(
            description=(
                "Which subscriptions count, by what their last event states; all where absent. Who comes to be among "
                "them is new, who leaves is churn."
            )
        ),
    ] = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
    cost_per_customer: Annotated[
        object,
        strawberry.argument(
            graphql_type=Decimal,
            description="What a customer costs a month, in the tenant's currency; `lifetimeValue` is less by it.",
        ),
    ] = _FREE,
) -> Asked[values.RecurringRevenueAnswer]:
    question = read_question(
        period, timezone=timezone, granularity=granularity, by=by, where=where, compare=compare, top=top
    )
    cost = _cost(cost_per_customer)
    seek = partial(recurring_revenue.recurring_revenue, context, cost_per_customer=cost)
    return Asked(question, seek, recurring_revenue.kinds())


RECURRING_REVENUE = Analysis(
    _recurring_revenue,
    RecurringRevenueAnswer,
    "What subscriptions pay a month (MRR), what moved it, over time and by groups, and the churn, retention and value "
    "that follow. From the events of `trackSubscription`; for payments ask `revenue`.",
)


@strawberry.type
class RecurringRevenueQuery:
    recurring_revenue = RECURRING_REVENUE.query()


@strawberry.type
class RecurringRevenueSubscription:
    recurring_revenue = RECURRING_REVENUE.subscription()
