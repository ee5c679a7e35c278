"""Attribution: which channels, campaigns, features … conversions are owed to, by several models side by side."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated

import strawberry

from resolvers import attribution
from resolvers.analysis import attribution as values
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import Filter, KindIs
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context
from schema.arguments import (
    LAST_30_DAYS,
    CompareArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    WhereArgument,
    read_question,
    read_span,
)
from schema.attribution_answers import AttributionAnswer
from schema.conditions import read_filter
from schema.dimensions import Dimension
from schema.filters import FilterInput
from schema.live import Analysis, Asked

_TOUCH: Filter = KindIs((Kind.TOUCHPOINT,))

ConversionArgument = Annotated[
    FilterInput | None,
    strawberry.argument(
        description="Which events are the conversions; conversions of any name but `churn` and `refund` where absent. "
        "Each closes a journey: where people sign up before they pay, name what is paid for to see what the money is "
        "owed to."
    ),
]
TouchArgument = Annotated[
    FilterInput | None,
    strawberry.argument(
        description="Which events are the touches; touchpoints where absent. An event may be touch and conversion at "
        "once: then it is the last touch of its own journey."
    ),
]
DimensionArgument = Annotated[
    Dimension, strawberry.argument(description="Whose values are credited: the dimension of the touches.")
]
LookbackArgument = Annotated[
    object,
    strawberry.argument(
        graphql_type=timedelta,
        description="How long before its conversion a touch may be and still count, that instant included; at most "
        "366 days.",
    ),
]
HalfLifeArgument = Annotated[
    object,
    strawberry.argument(
        graphql_type=timedelta,
        description="The time in which the weight of a touch halves under `TIME_DECAY`; at most 366 days.",
    ),
]
ModelsArgument = Annotated[
    Sequence[values.Model] | None,
    strawberry.argument(
        description="The models to compute, the first of which ranks the rows; all that the number of values allows "
        "where absent. BAD_USER_INPUT where one that is named here is not computed for so many values."
    ),
]


ResamplesArgument = Annotated[
    int,
    strawberry.argument(
        description="Of how many resamples to make intervals of the credits, 0 (no intervals) to 2,000, usually 1000. "
        "BAD_USER_INPUT where the conversions are too many for it."
    ),
]


def _attribution(
    context: Context,
    conversion: ConversionArgument = None,
    touch: TouchArgument = None,
    dimension: DimensionArgument = Dimension.CHANNEL,
    lookback: LookbackArgument = "30d",
    half_life: HalfLifeArgument = "7d",
    models: ModelsArgument = None,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
    resamples: ResamplesArgument = 0,
) -> Asked[values.AttributionAnswer]:
    definition = values.AttributionDefinition(
        conversion=CONVERSIONS if conversion is None else read_filter(conversion, "conversion"),
        touch=_TOUCH if touch is None else read_filter(touch, "touch"),
        dimension=dimension.value,
        lookback=read_span(lookback, "lookback"),
        half_life=read_span(half_life, "halfLife"),
        models=None if models is None else tuple(models),
        resamples=resamples,
    )
    question = read_question(period, timezone=timezone, where=where, compare=compare, top=top)
    return Asked(question, partial(attribution.attribution, context, definition), attribution.kinds(definition))


ATTRIBUTION = Analysis(
    _attribution,
    AttributionAnswer,
    "Which touches the conversions of a period are owed to: credit, revenue, cost and return of each value of a "
    "dimension, by several models side by side.",
)


@strawberry.type
class AttributionQuery:
    attribution = ATTRIBUTION.query()


@strawberry.type
class AttributionSubscription:
    attribution = ATTRIBUTION.subscription()
