"""Providers and models of AI side by side."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import ai_providers, roi
from resolvers.analysis import ai_providers as values
from resolvers.analysis import differences
from resolvers.analysis.attribution import Model
from resolvers.context import Context
from schema.arguments import (
    LAST_30_DAYS,
    MAX_BREAKDOWN,
    CompareArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    read_question,
)
from schema.attribution import HalfLifeArgument, LookbackArgument
from schema.common import DimensionValue, Estimate, Interval, Money, Period
from schema.dimensions import Dimension
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.roi import CallsArgument, ConversionArgument, ModelArgument, RivalsArgument, read_definition
from schema.roi_answers import RoiDefinition
from schema.scalars import BigInt
from schema.shapes import shapes


@shapes(differences.Difference)
@strawberry.type(description="One number less another of its kind.")
class Difference:
    value: Decimal = strawberry.field(description="The difference, in the unit of the two.")
    interval: Interval | None = strawberry.field(
        description="Its 95 % confidence interval; null where there is none, see `reason`."
    )
    reason: str | None = strawberry.field(description="Why there is no interval; null where there is one.")


@shapes(values.ConfidenceCalibration)
@strawberry.type(
    description=(
        "Whether confidence means what it says: scores of 0 to 1 held against success, of the calls that say both, in "
        "columns with a place for each tenth of 0 to 1."
    )
)
class ConfidenceCalibration:
    n: BigInt = strawberry.field(description="How many calls say both.")
    predicted: list[float | None] = strawberry.field(description="The mean score in each tenth; null where none is.")
    observed: list[float | None] = strawberry.field(description="The share of successes in each; null where none is.")
    counts: list[BigInt] = strawberry.field(description="How many calls are in each.")
    expected_error: float | None = strawberry.field(
        description=(
            "The expected calibration error: |observed - predicted|, weighed by `counts` (Naeini, Cooper and "
            "Hauskrecht 2015); 0 is perfect. Null where `n` is 0."
        )
    )
    brier: float | None = strawberry.field(
        description=(
            "Brier's score: the mean of (score - success)², success being 1 or 0; lower is better. Null where `n` is 0."
        )
    )


@strawberry.type
class AiServiceFigures:
    calls: BigInt = strawberry.field(description="AI interactions in the period.")
    unpriced: BigInt = strawberry.field(description="Of these the ones whose cost nobody knows, which no cost counts.")
    cost: Estimate = strawberry.field(description="Sum of the known costs; null where no cost is known of any call.")
    cost_per_call: Estimate = strawberry.field(
        description="Mean of the known costs, with Student's interval; null without one."
    )
    cost_per_1k_tokens: Estimate = strawberry.field(
        name="costPer1kTokens",
        description=(
            "Cost / thousands of tokens, read and written, of the calls with a cost. Null without tokens, and where "
            "some costs are in a currency that is not converted."
        ),
    )
    latency_p50: Estimate = strawberry.field(
        description="Median duration in milliseconds, interpolated between closest ranks; null where none is known."
    )
    latency_p95: Estimate = strawberry.field(description="The same: what 95 % of the calls keep within; may be null.")
    latency_p99: Estimate = strawberry.field(description="The same: what 99 % of the calls keep within; may be null.")
    success: Estimate = strawberry.field(
        description="Calls that succeeded / calls that say whether they did, with Wilson's interval; null without any."
    )
    calibration: ConfidenceCalibration = strawberry.field(description="Whether confidence means what it says.")
    conversion_rate: Estimate = strawberry.field(
        description=(
            "Of the subjects served in the period the share with a conversion in it, at or after their first such "
            "call; null where nobody was served."
        )
    )
    value: Estimate = strawberry.field(description="What is owed to the calls, as `aiRoi` tells it.")
    value_per_call: Estimate = strawberry.field(description="`value` / `calls`; null without calls.")


@shapes(values.AiServiceGroup)
@strawberry.type(
    description=(
        "The AI interactions with the same values in the dimensions compared by. A difference is this group less the "
        "best one: null of the best itself, where nothing is the best, and where there is nothing to tell."
    )
)
class AiServiceGroup(AiServiceFigures):
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    cost_per_call_difference: Difference | None = strawberry.field(
        description="`costPerCall` less that of `cheapest`, with Welch's interval; null as said above."
    )
    latency_difference: Difference | None = strawberry.field(
        description="`latencyP95` less that of `fastest`, without an interval; null as said above."
    )
    success_difference: Difference | None = strawberry.field(
        description="`success` less that of `mostSuccessful`, with Newcombe's interval; null as said above."
    )
    conversion_difference: Difference | None = strawberry.field(
        description="`conversionRate` less that of `mostConverting`, with Newcombe's interval; null as said above."
    )


_BEST = "its place in `groups`, among those with enough observations (`quality` SUFFICIENT); null without any."


@shapes(values.AiProvidersAnswer)
@strawberry.type(description="The AI interactions of a period, in all and by groups that are held against each other.")
class AiProvidersAnswer(AiServiceFigures):
    definition: RoiDefinition = strawberry.field(description="How value was attributed.")
    period: Period = strawberry.field(description="The period asked about, in instants.")
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    currency: str = strawberry.field(description="ISO 4217 code of all money here: the tenant's currency.")
    groups: list[AiServiceGroup] = strawberry.field(
        description="The groups compared, those that cost most first: at most `top`, and one of all others."
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    cheapest: int | None = strawberry.field(description=f"The group of least cost per call: {_BEST}")
    fastest: int | None = strawberry.field(description=f"The group of least `latencyP95`: {_BEST}")
    most_successful: int | None = strawberry.field(description=f"The group of greatest `success`: {_BEST}")
    most_converting: int | None = strawberry.field(description=f"The group of greatest `conversionRate`: {_BEST}")
    unconverted: list[Money] = strawberry.field(
        description="Amounts of conversions that no exchange rate is known for, one sum each, which values leave out."
    )
    unconverted_cost: list[Money] = strawberry.field(
        description="Costs that no exchange rate is known for, one sum each, which costs leave out."
    )
    caution: str = strawberry.field(description="What keeps these numbers from being effects, to show beside them.")
    explain: Explanation = strawberry.field(description="How the dearest part of the answer was come by.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")


_BY = (Dimension.PROVIDER, Dimension.MODEL)


def _ai_providers(
    context: Context,
    by: Annotated[
        Sequence[Dimension],
        strawberry.argument(description=f"What is compared: 1 to {MAX_BREAKDOWN} dimensions of the AI interactions."),
    ] = _BY,
    conversion: ConversionArgument = None,
    rivals: RivalsArgument = None,
    model: ModelArgument = Model.LINEAR,
    lookback: LookbackArgument = "30d",
    half_life: HalfLifeArgument = "7d",
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    where: CallsArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.AiProvidersAnswer]:
    definition = read_definition(conversion, rivals, model, lookback, half_life, 0)
    question = read_question(period, timezone=timezone, by=by, where=where, compare=compare, top=top)
    seek = partial(ai_providers.ai_providers, context, definition)
    return Asked(question, seek, roi.kinds(definition))


AI_PROVIDERS = Analysis(
    _ai_providers,
    AiProvidersAnswer,
    "Providers and models of AI side by side, or whatever `by` names: cost, latency, success, calibration of their "
    "confidence and what came of their calls, each against the best.",
)


@strawberry.type
class AiProviderQuery:
    ai_providers = AI_PROVIDERS.query()


@strawberry.type
class AiProviderSubscription:
    ai_providers = AI_PROVIDERS.subscription()
