"""What AI costs: in all, over time, by day, model, feature …, and the calls without a price."""

from datetime import datetime
from functools import partial

import strawberry

from resolvers import ai_costs
from resolvers.analysis import ai_costs as values
from resolvers.context import Context
from schema.arguments import (
    LAST_30_DAYS,
    ByArgument,
    CompareArgument,
    GranularityArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    WhereArgument,
    read_question,
)
from schema.common import Estimate, Money, Period
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.metrics import MetricGroup, Series
from schema.scalars import BigInt
from schema.shapes import shapes


@shapes(values.UnpricedModel)
@strawberry.type(description="A model some of whose calls have no cost: their price was not given and is not known.")
class UnpricedModel:
    provider: str | None = strawberry.field(description="Who runs it; null for all others together.")
    model: str | None = strawberry.field(description="Its name; null for all others together.")
    other: bool = strawberry.field(description="Whether this sums up all models that are not listed.")
    calls: BigInt = strawberry.field(description="Its calls without a cost.")


@shapes(values.AiCostAnswer)
@strawberry.type(
    description=(
        "What AI interactions cost, in the tenant's currency: as given, or tokens by the price at the time. A call "
        "without a price costs null, not 0: `unpriced` counts these."
    )
)
class AiCostAnswer:
    period: Period = strawberry.field(description="The period asked about, in instants.")
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    cost: Estimate = strawberry.field(description="Sum of the known costs; `n` is of how many calls.")
    series: Series = strawberry.field(description="The cost over time.")
    groups: list[MetricGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, dearest first: at most `top`, and one of all others; empty unless `by` was "
            "asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    calls: BigInt = strawberry.field(description="AI interactions in the period, priced or not.")
    unpriced: BigInt = strawberry.field(description="Of these the ones without a cost in any currency.")
    unpriced_models: list[UnpricedModel] = strawberry.field(
        description="Whose these are, most calls first: at most 20 models, and one of all others."
    )
    unpriced_model_count: int = strawberry.field(description="How many models have calls without a cost.")
    unconverted: list[Money] = strawberry.field(
        description="Costs that no exchange rate is known for, one sum each, which `cost` leaves out."
    )
    explain: Explanation = strawberry.field(description="How the cost was come by.")
    as_of: datetime = strawberry.field(description="The instant at which the cost was read from the log.")


def _ai_cost(
    context: Context,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.AiCostAnswer]:
    question = read_question(
        period, timezone=timezone, granularity=granularity, by=by, where=where, compare=compare, top=top
    )
    return Asked(question, partial(ai_costs.ai_cost, context), ai_costs.kinds())


AI_COST = Analysis(
    _ai_cost,
    AiCostAnswer,
    "What AI costs, in all, over time and by dimensions, with the calls whose price nobody knows. Budgets and what a "
    "month will cost in the end: `aiBudget`.",
)


@strawberry.type
class AiCostQuery:
    ai_cost = AI_COST.query()


@strawberry.type
class AiCostSubscription:
    ai_cost = AI_COST.subscription()
