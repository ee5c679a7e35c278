"""The answer to a question about attribution: rows of values, what each model gives them, and the paths behind."""

from datetime import datetime, timedelta
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from resolvers.analysis import attribution as values
from schema.common import Money, Period
from schema.conditions import write_filter
from schema.dimensions import Dimension
from schema.explanations import Explanation
from schema.export_tables import BESIDE
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.Model,
    "How the credit for a conversion is split among the touches that led to it.",
    {
        "FIRST_TOUCH": "All to the first touch.",
        "LAST_TOUCH": "All to the last touch.",
        "LINEAR": "The same to each touch.",
        "POSITION": "U-shaped: 40 % to the first touch, 40 % to the last, the rest equally to those between; of two "
        "half to each.",
        "J_SHAPED": "20 % to the first touch, 60 % to the last, the rest equally to those between; of two 25 and 75 %.",
        "INVERSE_J": "60 % to the first touch, 20 % to the last, the rest equally to those between; of two touches 75 "
        "and 25 %.",
        "TIME_DECAY": "In proportion to 2^(-t / halfLife), t being the time from the touch to the conversion.",
        "MARKOV": "In proportion to the removal effect: the share of conversions that would be lost without the value, "
        "in a first-order Markov chain over all journeys, those that led to no conversion among them. Exact, not "
        "simulated. For at most 1,000 values, with intervals for at most 50.",
        "SHAPLEY": "The Shapley value of the game in which a set of values is worth the conversions whose paths touch "
        "no others: equally to the distinct values of a path. For at most 100 values.",
        "PARTICIPATION": "All to each distinct value of a path, so that the credits sum to more than the conversions.",
    },
    name="AttributionModel",
)

enumerate_in_schema(
    values.Part,
    "What a row of an attribution stands for.",
    {
        "VALUE": "Touches with one value of the dimension; with none where the value is null.",
        "OTHER": "All values that are not shown, summed up.",
        "DIRECT": "Conversions without a touch. Every model leaves their credit to themselves.",
    },
    name="AttributionPart",
)


def _conversion(root: strawberry.Parent[values.AttributionDefinition]) -> object:
    return write_filter(root.conversion)


def _touch(root: strawberry.Parent[values.AttributionDefinition]) -> object:
    return write_filter(root.touch)


@shapes(values.AttributionDefinition)
@strawberry.type(description="What is asked of an attribution.")
class AttributionDefinition:
    conversion: object = strawberry.field(
        resolver=_conversion,
        graphql_type=JSON,
        description="Which events are the conversions, as the JSON of a `FilterInput`.",
    )
    touch: object = strawberry.field(
        resolver=_touch,
        graphql_type=JSON,
        description="Which events are the touches, as the JSON of a `FilterInput`.",
    )
    dimension: Dimension = strawberry.field(description="The dimension whose values are credited.")
    lookback: timedelta = strawberry.field(description="How long before its conversion a touch still counts.")
    half_life: timedelta = strawberry.field(description="The half-life of `TIME_DECAY`.")
    models: list[values.Model] | None = strawberry.field(description="The models asked for; null where left out.")
    resamples: int = strawberry.field(description="Of how many resamples the intervals are made; 0 for none.")


@shapes(values.AttributionValues)
@strawberry.type(
    description=(
        "The rows that are credited, in columns of one length: the i-th of each belong together, also of the columns "
        "of `models`. First the values with the most credit by the first model, of equals those that cost more; then "
        "OTHER and DIRECT, where there are any. Each number of OTHER is the sum of its values'."
    )
)
class AttributionValues:
    part: list[values.Part] = strawberry.field(description="What each row stands for.")
    value: list[str | None] = strawberry.field(
        description="The dimension's value; null for touches that carry none, and for OTHER and DIRECT."
    )
    touches: list[BigInt] = strawberry.field(description="Touches that led to a conversion and count.")
    conversions: list[BigInt] = strawberry.field(
        description="Conversions with at least one such touch; for DIRECT those without any."
    )
    assisted: list[BigInt] = strawberry.field(
        description="Conversions that it helped along without being their last touch."
    )
    cost: list[Decimal | None] = strawberry.field(
        description=(
            "Costs of touchpoints and spend with the value in the period, in `currency`; null where none is known. "
            "Told apart for the 1,000 values that cost most, the others' being in OTHER."
        )
    )
    spread: list[Decimal | None] = strawberry.field(
        description=(
            "How far the models disagree: the greatest credit less the least, PARTICIPATION left out; null where "
            "fewer than two models were asked for."
        )
    )


@shapes(values.ModelCredits)
@strawberry.type(
    description=(
        "What one model gives to each row, in columns in the order of `values`. Credits and revenue are exact to nine "
        "decimal places (revenue to twelve where amounts have more) and rounded by largest remainder, so that they sum "
        "to all conversions and to all revenue."
    )
)
class AttributionCredits:
    model: values.Model = strawberry.field(description="The model.")
    credit: list[Decimal] = strawberry.field(
        description="Conversions credited; but for PARTICIPATION they sum to `conversions`."
    )
    revenue: list[Decimal] = strawberry.field(
        description="Money credited, in `currency`; but for PARTICIPATION it sums to `revenue`."
    )
    cost_per_credit: list[Decimal | None] = strawberry.field(
        description="cost / credit: what a conversion cost; null without a cost or without a credit."
    )
    roas: list[Decimal | None] = strawberry.field(
        description="revenue / cost, the return on ad spend, a ratio; null without a cost or where it is 0."
    )
    previous_credit: list[Decimal] | None = strawberry.field(
        description="The credits in the period compared with; null unless `compare` was asked for."
    )
    previous_revenue: list[Decimal] | None = strawberry.field(
        description="The revenue in the period compared with; null unless `compare` was asked for."
    )
    low: list[Decimal] | None = strawberry.field(
        description=(
            "The lower ends of 95 % intervals of the credits: percentiles over `resamples` resamples with a fixed seed "
            "(Efron and Tibshirani 1993). Of every model but MARKOV the conversions are drawn with replacement. Of "
            "MARKOV the steps of the chain are: as many from each value as there were, by their frequencies "
            "(Billingsley 1961). That takes the chain to hold, and the number of conversions that it shares out as "
            "given; resamples without any conversion are left out. Null for MARKOV with more than 50 values on the "
            "paths or where no resample has a conversion, and unless `resamples` was asked for."
        )
    )
    high: list[Decimal] | None = strawberry.field(description="The upper ends of the same; null where `low` is.")
    removal_effect: list[float | None] | None = strawberry.field(
        description=(
            "Of MARKOV: the share of conversions that would be lost without the value, 0 to 1; null for OTHER and "
            "DIRECT. Null for every other model."
        )
    )


@shapes(values.Path)
@strawberry.type(description="A way to conversions.")
class AttributionPath:
    values: list[str | None] = strawberry.field(
        description=(
            "The values touched one after the other, repeats of one left out; null for touches that carry none; empty "
            "for direct conversions."
        )
    )
    conversions: BigInt = strawberry.field(description="Conversions that came this way.")
    revenue: Decimal = strawberry.field(description="What they brought in, in `currency`.")


@shapes(values.PathStatistics)
@strawberry.type(description="What the paths to conversions look like.")
class AttributionPaths:
    top: list[AttributionPath] = strawberry.field(
        description=(
            "The 20 ways that most conversions came, of equals the shorter first, then by their values; of ways with "
            "at most 20 values."
        )
    )
    lengths: list[BigInt] = strawberry.field(
        description="How many conversions had no touch, 1 touch, 2 touches …; the last had 20 or more."
    )
    median_lag: Decimal | None = strawberry.field(
        description=(
            "Seconds from the first touch that counts to the conversion: the median, interpolated linearly between "
            "closest ranks; null where no conversion has a touch."
        )
    )
    p90_lag: Decimal | None = strawberry.field(
        description="The same: the 90th percentile; null where no conversion has a touch."
    )


@shapes(values.AttributionAnswer)
@strawberry.type(
    description=(
        "The answer to a question about attribution. A subject's events are taken by time, simultaneous ones as they "
        "arrived. Each conversion closes a journey, and what follows begins the next one; of a journey count the "
        "touches within the lookback. A conversion without such a touch is direct."
    )
)
class AttributionAnswer:
    definition: AttributionDefinition = strawberry.field(description="What was asked.")
    period: Period = strawberry.field(
        description="The period asked about, in instants: conversions lie in it, their touches may be before it."
    )
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    currency: str = strawberry.field(description="ISO 4217 code of all money here: the tenant's currency.")
    conversions: BigInt = strawberry.field(description="Conversions in the period: what is credited.")
    direct: BigInt = strawberry.field(description="Of the conversions those without a touch.")
    lost: BigInt = strawberry.field(
        description=(
            "Journeys with a last touch in the period and no conversion after it; only MARKOV takes them into account."
        )
    )
    revenue: Decimal = strawberry.field(
        description=(
            "The amounts of the conversions: what is credited. One in another currency is converted by the rate of the "
            "conversion's day, to 12 decimal places."
        )
    )
    cost: Decimal | None = strawberry.field(
        description="Costs of all touchpoints and spend in the period; null where none is known."
    )
    values: AttributionValues = strawberry.field(description="The rows that are credited.")
    value_count: int = strawberry.field(description="How many values there are in all, shown or not.")
    models: list[AttributionCredits] = strawberry.field(
        description="What each model gives, in the order asked for.", metadata={BESIDE: "values"}
    )
    paths: AttributionPaths = strawberry.field(description="What the paths to conversions look like.")
    unconverted: list[Money] = strawberry.field(
        description="Amounts of conversions that no exchange rate is known for, one sum each, which revenue leaves out."
    )
    unconverted_cost: list[Money] = strawberry.field(
        description="Costs that no exchange rate is known for, one sum each, which costs leave out."
    )
    explain: Explanation = strawberry.field(description="How the paths were come by.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
