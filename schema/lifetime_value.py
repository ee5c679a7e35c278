"""Lifetime value: what customers without a contract will buy within a horizon, and who of them is worth most."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import strawberry

from resolvers import lifetime_value
from resolvers.analysis import customers
from resolvers.analysis import lifetime_value as values
from resolvers.analysis.estimates import Quality
from resolvers.analysis.periods import Compare
from resolvers.context import Context, Role
from resolvers.cutoffs import Asking
from schema.arguments import ByArgument, TopArgument, WhereArgument, read_span
from schema.common import DimensionValue, Estimate, Money
from schema.conditions import read_filter
from schema.cutoffs import (
    CutoffArgument,
    HistoryArgument,
    Key,
    ModelFinding,
    asked,
    compared_with,
    found_again,
    read_asking,
)
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.nodes import Node, encode
from schema.pages import After, Connection, First, open_cursor, page
from schema.scalars import BigInt
from schema.shapes import shapes

_AGREED = "Whether at least two starts of the search ended at these parameters."


@shapes(values.PurchaseModel)
@strawberry.type(description="BG/NBD (Fader, Hardie and Lee 2005) as fitted to days with purchases; time in weeks.")
class PurchaseModel:
    n: BigInt = strawberry.field(description="Customers it was fitted to; a sample where there are many.")
    r: float = strawberry.field(description="Shape of the gamma distribution of purchase rates.")
    alpha: float = strawberry.field(description="Its rate, in weeks.")
    a: float = strawberry.field(description="First parameter of the beta distribution of leaving after a purchase.")
    b: float = strawberry.field(description="Its second parameter.")
    log_likelihood: float = strawberry.field(description="The log-likelihood at these parameters.")
    converged: bool = strawberry.field(description=_AGREED)


@shapes(values.SpendModel)
@strawberry.type(description="Gamma-Gamma (Fader and Hardie 2013) as fitted to the spend of customers who came back.")
class SpendModel:
    n: BigInt = strawberry.field(description="Customers it was fitted to; a sample where there are many.")
    p: float = strawberry.field(description="Shape of the gamma distribution of a customer's purchases.")
    q: float = strawberry.field(description="Shape of that of their scales.")
    v: float = strawberry.field(description="Rate of that of their scales, in the tenant's currency.")
    log_likelihood: float = strawberry.field(description="The log-likelihood at these parameters.")
    converged: bool = strawberry.field(description=_AGREED)


@shapes(customers.Holdout)
@strawberry.type(description="How a model of the days before foretold the last days of the history, unseen by it.")
class ValueHoldout:
    days: int = strawberry.field(description="How many last days were held back.")
    n: BigInt = strawberry.field(description="Customers known before them.")
    predicted: float = strawberry.field(description="Days with purchases that were foretold of all of them.")
    actual: BigInt = strawberry.field(description="How many there were.")
    mean_absolute_error: float = strawberry.field(description="By how many purchases a customer was missed on average.")
    predicted_by_decile: list[float] = strawberry.field(
        description="Mean foretold of each tenth of the customers, least likely to buy first."
    )
    actual_by_decile: list[float] = strawberry.field(description="What each tenth bought on average.")


@strawberry.type
class LifetimeValueFigures:
    customers: BigInt = strawberry.field(description="Subjects with a purchase in the history.")
    returning: BigInt = strawberry.field(description="Those of them with purchases on at least two days.")
    value: Estimate = strawberry.field(
        description="Expected value of all of them, money; its value is null where no spend can be foretold."
    )
    average_value: Estimate = strawberry.field(
        description="LTV: expected value of one of them, `value` / `customers`, money; null likewise."
    )
    purchases: Estimate = strawberry.field(
        description="Expected days with purchases of all of them, a count; its value is null without a model."
    )
    probability_alive: Estimate = strawberry.field(
        description=(
            "Mean probability that one of them will still buy, a ratio; its value is null without a model, or where "
            "the model has nobody ever leave."
        )
    )


@shapes(values.LifetimeValueGroup)
@strawberry.type(
    description=(
        "The customers whose first purchase in the history carried the same values, by the models of all customers. A "
        "group of fewer than 30 is of `LOW` quality."
    )
)
class LifetimeValueGroup(LifetimeValueFigures):
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")


@shapes(values.LifetimeValueAnswer)
@strawberry.type(
    description=(
        "What the customers of a moment will buy within a horizon. Purchases of one day are one; conversions other "
        "than `churn` with an amount count, in the tenant's currency or one that an exchange rate is known for; days "
        "that come to nothing or less do not."
    )
)
class LifetimeValueAnswer(LifetimeValueFigures):
    cutoff: datetime = strawberry.field(description="The moment it is foretold from.")
    previous_cutoff: datetime | None = strawberry.field(
        description="The moment compared with; null unless `compare` was asked for."
    )
    horizon: timedelta = strawberry.field(description="How far.")
    quality: Quality = strawberry.field(
        description="`INSUFFICIENT` where there is too little to fit to: then nothing is foretold. `LOW` with findings."
    )
    previous_quality: Quality | None = strawberry.field(
        description="The same of the moment compared with; null unless `compare` was asked for."
    )
    findings: list[ModelFinding] = strawberry.field(description="What is wrong with the models; empty if nothing.")
    groups: list[LifetimeValueGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, most customers first: at most `top`, and one of all others; empty unless "
            "`by` was asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    shares: list[float] = strawberry.field(description="0, 0.1 … 1: shares of the customers, least valuable first.")
    quantiles: list[Decimal | None] = strawberry.field(
        description="The expected value that each share does not exceed; null where no spend can be foretold."
    )
    purchase_model: PurchaseModel | None = strawberry.field(description="BG/NBD; null where there is too little data.")
    spend_model: SpendModel | None = strawberry.field(
        description="Gamma-Gamma; null where there is too little data, or all purchases are worth the same."
    )
    holdout: ValueHoldout | None = strawberry.field(
        description="How good it would have been lately; null where the history is too short to hold some back."
    )
    unconverted: list[Money] = strawberry.field(
        description="Amounts that no exchange rate is known for on their day, one sum each, which are left out above."
    )
    explain: Explanation = strawberry.field(description="How the answer came about; rows are days with purchases.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")


HorizonArgument = Annotated[
    object, strawberry.argument(graphql_type=timedelta, description="How far to foretell, `1d` to `730d`.")
]


CompareArgument = Annotated[
    Compare | None,
    strawberry.argument(description=compared_with("one horizon, as far as is foretold,")),
]


def _lifetime_value(
    context: Context,
    horizon: HorizonArgument = "90d",
    cutoff: CutoffArgument = None,
    history: HistoryArgument = "730d",
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.LifetimeValueAnswer]:
    asking = read_asking(cutoff, history, read_filter(where), tuple(one.value for one in by), compare, top)
    span = read_span(horizon, "horizon")
    return asked(asking, partial(lifetime_value.lifetime_value, context, span), lifetime_value.kinds())


LIFETIME_VALUE = Analysis(
    _lifetime_value,
    LifetimeValueAnswer,
    "What customers without a contract will buy within a horizon: BG/NBD for how often and whether at all, Gamma-Gamma "
    "for how much, held against the last days of the history. Of subscriptions ask `churnRisk`.",
    least="1m",
)


@shapes(lifetime_value.Customer)
@strawberry.type(description="A customer and its expected value. `node` finds it again unless `where` was asked for.")
class ValuableCustomer(Node):
    subject: str = strawberry.field(description="Who, as the sender names its users.")
    purchases: BigInt = strawberry.field(description="Days with purchases in the history.")
    first_purchase: datetime = strawberry.field(description="When the first of these days begins.")
    last_purchase: datetime = strawberry.field(description="When the last of these days begins.")
    expected_purchases: float = strawberry.field(description="Days with purchases to expect within the horizon.")
    probability_alive: float | None = strawberry.field(
        description="The probability that it will still buy at all; null where the model has nobody ever leave."
    )
    expected_value: Money | None = strawberry.field(
        description="What it will spend within the horizon; null where no spend can be foretold."
    )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> Mapping[str, Node]:
        context.require(Role.ANALYST)
        return await found_again(keys, lambda key, subjects: _loaded(context, key, subjects))


def _shown(one: lifetime_value.Customer, key: Key) -> ValuableCustomer:
    names = ("subject", "purchases", "first_purchase", "last_purchase", "expected_purchases", "probability_alive")
    fields: dict[str, Any] = {name: getattr(one, name) for name in (*names, "expected_value")}
    return ValuableCustomer(id=strawberry.ID(encode("ValuableCustomer", key.of(one.subject))), **fields)


async def _loaded(context: Context, key: Key, subjects: Sequence[str]) -> dict[str, Node]:
    horizon = read_span(key.detail, "id")
    found = await lifetime_value.customers(context, horizon, key.asking, subjects)
    return {subject: _shown(one, key) for subject, one in found.items()}


def _valuable_customers(
    context: Context,
    horizon: HorizonArgument = "90d",
    cutoff: CutoffArgument = None,
    history: HistoryArgument = "730d",
    where: WhereArgument = None,
    first: First = 50,
    after: After = None,
) -> Asked[Connection[ValuableCustomer]]:
    span = read_span(horizon, "horizon")
    cursor = open_cursor("ValuableCustomer", after)

    async def seek(asking: Asking) -> Connection[ValuableCustomer]:
        found = await lifetime_value.valuable_customers(context, span, asking, first=first, after=cursor)
        key = Key.made(found.cutoff, asking, str(horizon))
        nodes = [_shown(one, key) for one in found.customers]
        return page("ValuableCustomer", nodes, found.cursors, has_next=found.has_next, after=after)

    return asked(read_asking(cutoff, history, read_filter(where)), seek, lifetime_value.kinds())


VALUABLE_CUSTOMERS = Analysis(
    _valuable_customers,
    Connection[ValuableCustomer],
    "The customers with the highest expected value (or, where no spend can be foretold, expected purchases), at "
    "most 5,000 in all: the people behind `lifetimeValue`. Empty where its `quality` is `INSUFFICIENT`.",
    least="1m",
    role=Role.ANALYST,
)


@strawberry.type
class LifetimeValueQuery:
    lifetime_value = LIFETIME_VALUE.query()
    valuable_customers = VALUABLE_CUSTOMERS.query()


@strawberry.type
class LifetimeValueSubscription:
    lifetime_value = LIFETIME_VALUE.subscription()
    valuable_customers = VALUABLE_CUSTOMERS.subscription()
