"""The answer to a question about AI ROI: cost, value and what follows from them, in all, by groups and over time."""

from datetime import datetime, timedelta
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from resolvers.analysis import roi as values
from resolvers.analysis.attribution import Model
from resolvers.analysis.periods import Granularity
from schema.common import DimensionValue, Estimate, Money, Period
from schema.conditions import write_filter
from schema.explanations import Explanation
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.Evidence,
    "What the value of AI stands on.",
    {
        "CAUSAL": "An experiment in which chance decided who had AI: the value is what AI caused.",
        "CORRELATIONAL": "Conversions that followed AI interactions: some of them would have happened without AI.",
    },
    name="RoiEvidence",
)


def _conversion(root: strawberry.Parent[values.RoiDefinition]) -> object:
    return write_filter(root.conversion)


def _rivals(root: strawberry.Parent[values.RoiDefinition]) -> object | None:
    return None if root.rivals is None else write_filter(root.rivals)


@shapes(values.RoiDefinition)
@strawberry.type(description="How the value of AI is attributed.")
class RoiDefinition:
    conversion: object = strawberry.field(
        resolver=_conversion,
        graphql_type=JSON,
        description="Which events are the conversions, as the JSON of a `FilterInput`.",
    )
    rivals: object | None = strawberry.field(
        resolver=_rivals,
        graphql_type=JSON | None,
        description="Which other events share in the credit, as the JSON of a `FilterInput`; null where none do.",
    )
    model: Model = strawberry.field(description="How the credit for a conversion is split.")
    lookback: timedelta = strawberry.field(description="How long before its conversion an interaction still counts.")
    half_life: timedelta = strawberry.field(description="The half-life of `TIME_DECAY`.")
    resamples: int = strawberry.field(description="Of how many resamples the intervals are made; 0 for none.")
    experiment: str | None = strawberry.field(
        description="The key of the experiment whose effect is the value of the total; null where value is attributed."
    )


@shapes(values.IncrementalValue)
@strawberry.type(description="What AI added to the value of the period, as an experiment measured it.")
class RoiIncrementalValue:
    value: Decimal = strawberry.field(description="The added value, in `currency`.")
    low: Decimal = strawberry.field(description="The lower end of its 95 % interval.")
    high: Decimal = strawberry.field(description="The upper end of its 95 % interval.")
    experiment: str = strawberry.field(description="The experiment that measured it.")


@shapes(values.RoiSeries)
@strawberry.type(
    description=(
        "Cost and value over time, in columns of one length, money in `currency`. A cost lies in the bucket of its AI "
        "interaction, a value in that of its conversion, which may be weeks later."
    )
)
class RoiSeries:
    granularity: Granularity = strawberry.field(description="The width of the buckets.")
    timezone: str = strawberry.field(description="The IANA time zone in which the buckets begin.")
    currency: str = strawberry.field(description="ISO 4217 code of the money: the tenant's currency.")
    at: list[datetime] = strawberry.field(description="The first instant of each bucket.")
    calls: list[BigInt] = strawberry.field(description="AI interactions.")
    cost: list[Decimal] = strawberry.field(description="Their known costs.")
    conversions: list[Decimal] = strawberry.field(description="Conversions credited to AI interactions.")
    value: list[Decimal] = strawberry.field(description="Money credited to AI interactions.")
    roi: list[Decimal | None] = strawberry.field(description="(value - cost) / cost; null where the cost is 0.")
    balance: list[Decimal] = strawberry.field(
        description="Value less cost since the period began, up to the end of each bucket."
    )


@strawberry.type
class RoiFigures:
    calls: BigInt = strawberry.field(description="AI interactions in the period.")
    unpriced: BigInt = strawberry.field(
        description="Of these the ones whose cost nobody knows. `cost` leaves them out, so that the truth is higher."
    )
    subjects: BigInt = strawberry.field(description="Distinct subjects with an AI interaction in the period.")
    cost: Estimate = strawberry.field(
        description=(
            "What the AI interactions of the period cost: as given, or tokens by the price at the time. Null where "
            "there are some and no cost is known of any."
        )
    )
    value: Estimate = strawberry.field(
        description=(
            "The amounts of the period's conversions, as far as they are credited to AI interactions. Refunds are not "
            "taken off."
        )
    )
    conversions: Estimate = strawberry.field(description="The conversions credited, in whole and in parts.")
    net: Estimate = strawberry.field(description="The net return: `value` - `cost`; null without a cost.")
    roi: Estimate = strawberry.field(
        description="(`value` - `cost`) / `cost`, a ratio: 0.5 is 50 %. Null where the cost is 0 or not known."
    )
    margin: Estimate = strawberry.field(description="(`value` - `cost`) / `value`, a share; null without value.")
    cost_per_conversion: Estimate = strawberry.field(
        description="`cost` / `conversions`; null where nothing is credited."
    )
    break_even_conversions: Estimate = strawberry.field(
        description="How many conversions of the present value would earn the cost; null where nothing is credited."
    )
    shortfall: Decimal | None = strawberry.field(
        description="The value that is missing to break even, in `currency`; 0 where it does, null without a cost."
    )
    payback_at: datetime | None = strawberry.field(
        description=(
            "The first instant of the period at which the value up to then was no less than the costs up to then, of "
            "which there were some. Null if there is none. Later costs may exceed the value again: see `balance`."
        )
    )
    payback_seconds: Decimal | None = strawberry.field(
        description="Seconds from the first cost of the period to `paybackAt`; null where that is."
    )
    series: RoiSeries = strawberry.field(description="Cost and value over time.")


@shapes(values.RoiGroup)
@strawberry.type(
    description="The AI interactions with the same values in the dimensions broken down by, and what is owed to them."
)
class RoiGroup(RoiFigures):
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")


@shapes(values.RoiAnswer)
@strawberry.type(
    description=(
        "Cost and value of AI in a period. Each conversion closes a journey of its subject; it is owed to the AI "
        "interactions of that journey within the lookback, split by the model. Intervals are percentiles over "
        "resamples of the subjects, with a fixed seed (Efron and Tibshirani 1993); null without resamples, of fewer "
        "than two subjects, and for a ratio that some resample has nothing to divide by for."
    )
)
class RoiAnswer(RoiFigures):
    definition: RoiDefinition = strawberry.field(description="How value was attributed.")
    period: Period = strawberry.field(
        description="The period asked about, in instants: costs and conversions lie in it, what led to these may not."
    )
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    currency: str = strawberry.field(description="ISO 4217 code of all money here: the tenant's currency.")
    evidence: values.Evidence = strawberry.field(
        description="Whether the value is what AI caused, or only goes with AI: CAUSAL where an `experiment` is named."
    )
    evidence_reason: str = strawberry.field(description="Why, in a sentence to show beside the numbers.")
    incremental: RoiIncrementalValue | None = strawberry.field(
        description="What an experiment measured, in place of attribution; null unless `evidence` is CAUSAL."
    )
    groups: list[RoiGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, those that cost most first: at most `top`, and one of all others; empty "
            "unless `by` was asked for. Their costs, credits and values sum to the total."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    all_conversions: BigInt = strawberry.field(description="Conversions in the period, whether owed to AI or not.")
    all_value: Decimal = strawberry.field(description="What all of them brought in, in `currency`.")
    unconverted: list[Money] = strawberry.field(
        description="Amounts of conversions that no exchange rate is known for, one sum each, which `value` leaves out."
    )
    unconverted_cost: list[Money] = strawberry.field(
        description="Costs that no exchange rate is known for, one sum each, which `cost` leaves out."
    )
    explain: Explanation = strawberry.field(description="How the paths to conversions were come by.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
