"""Conversions with AI's help and without, side by side."""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from resolvers import ai_assistance
from resolvers.analysis import ai_assistance as values
from resolvers.analysis.filters import Filter
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context
from resolvers.roi import CALL
from schema.ai_providers import Difference
from schema.arguments import (
    LAST_30_DAYS,
    ByArgument,
    CompareArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    read_question,
    read_span,
)
from schema.common import DimensionValue, Estimate, Money, Period
from schema.conditions import read_filter, write_filter
from schema.explanations import Explanation
from schema.filters import FilterInput
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import shapes


def _conversion(root: strawberry.Parent[values.AssistanceDefinition]) -> object:
    return write_filter(root.conversion)


def _interaction(root: strawberry.Parent[values.AssistanceDefinition]) -> object:
    return write_filter(root.interaction)


@shapes(values.AssistanceDefinition)
@strawberry.type(description="When a conversion counts as assisted.")
class AssistanceDefinition:
    conversion: object = strawberry.field(
        resolver=_conversion,
        graphql_type=JSON,
        description="Which events are the conversions, as the JSON of a `FilterInput`.",
    )
    interaction: object = strawberry.field(
        resolver=_interaction,
        graphql_type=JSON,
        description="Which events are AI's help, as the JSON of a `FilterInput`.",
    )
    lookback: timedelta = strawberry.field(description="How long before a conversion such an event still helps.")


@shapes(values.AssistanceArm)
@strawberry.type(description="The subjects on one side, and the conversions on it.")
class AssistanceArm:
    rate: Estimate = strawberry.field(
        description="Subjects who converted in the period / all on this side, with Wilson's interval; null of nobody."
    )
    conversions: BigInt = strawberry.field(description="Conversions in the period that are on this side themselves.")
    value: Decimal = strawberry.field(description="What these brought in, in `currency`.")
    value_per_conversion: Estimate = strawberry.field(
        description="`value` / `conversions`, with Student's interval; null without conversions."
    )
    value_per_subject: Estimate = strawberry.field(
        description=(
            "What the subjects on this side brought in by all of their conversions / all on this side, with Student's "
            "interval; null of nobody."
        )
    )


@strawberry.type
class AssistanceFigures:
    assisted: AssistanceArm = strawberry.field(description="With AI's help.")
    unassisted: AssistanceArm = strawberry.field(description="Without.")
    rate_difference: Difference | None = strawberry.field(
        description="The rate of the assisted less that of the others, with Newcombe's interval; null without either."
    )
    value_per_conversion_difference: Difference | None = strawberry.field(
        description="`valuePerConversion` of the assisted less that of the others (Welch); null without either."
    )
    value_per_subject_difference: Difference | None = strawberry.field(
        description="`valuePerSubject` of the assisted less that of the others (Welch); null without either."
    )


@shapes(values.AssistanceGroup)
@strawberry.type(description="The subjects whose last events in the period that carry any have the same values.")
class AssistanceGroup(AssistanceFigures):
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")


@shapes(values.AiAssistanceAnswer)
@strawberry.type(
    description=(
        "Conversions with AI's help and without. A conversion is assisted if it was sent as `assisted`, or if its "
        "subject had an AI interaction within the lookback before it. A subject that converted is assisted if the "
        "first of its conversions in the period is; any other if it had an AI interaction in the period. Correlational."
    )
)
class AiAssistanceAnswer(AssistanceFigures):
    definition: AssistanceDefinition = strawberry.field(description="When a conversion counts as assisted.")
    period: Period = strawberry.field(description="The period asked about, in instants: conversions lie in it.")
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    currency: str = strawberry.field(description="ISO 4217 code of all money here: the tenant's currency.")
    adjusted_difference: Difference | None = strawberry.field(
        description=(
            "The difference of the rates within the groups of `by`, all of them, by Mantel and Haenszel's weights: "
            "what is left of it when like is compared with like. Null without `by`, and where no group has both sides."
        )
    )
    groups: list[AssistanceGroup] = strawberry.field(
        description="The groups of the breakdown, most subjects first: at most `top`, and one of all others."
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    caution: str = strawberry.field(description="What keeps the difference from being an effect, to show beside it.")
    unconverted: list[Money] = strawberry.field(
        description="Amounts of conversions that no exchange rate is known for, one sum each, which values leave out."
    )
    explain: Explanation = strawberry.field(description="How the events were come by.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")


def _filter(given: FilterInput | None, fallback: Filter, field: str) -> Filter:
    return fallback if given is None else read_filter(given, field)


def _ai_assistance(
    context: Context,
    conversion: Annotated[
        FilterInput | None,
        strawberry.argument(
            description="Which events are the conversions; those of any name but `churn` and `refund` where absent."
        ),
    ] = None,
    interaction: Annotated[
        FilterInput | None,
        strawberry.argument(description="Which events are AI's help; all AI interactions where absent."),
    ] = None,
    lookback: Annotated[
        object,
        strawberry.argument(
            graphql_type=timedelta,
            description="How long before a conversion AI's help still counts, that instant included; at most 366 days.",
        ),
    ] = "30d",
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    by: ByArgument = (),
    where: Annotated[
        FilterInput | None,
        strawberry.argument(
            description="Who is compared: subjects with an event in the period that passes; all with any where absent."
        ),
    ] = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.AiAssistanceAnswer]:
    definition = values.AssistanceDefinition(
        conversion=_filter(conversion, CONVERSIONS, "conversion"),
        interaction=_filter(interaction, CALL, "interaction"),
        lookback=read_span(lookback, "lookback"),
    )
    question = read_question(period, timezone=timezone, by=by, where=where, compare=compare, top=top)
    seek = partial(ai_assistance.ai_assistance, context, definition)
    return Asked(question, seek, ai_assistance.kinds(definition, question))


AI_ASSISTANCE = Analysis(
    _ai_assistance,
    AiAssistanceAnswer,
    "How often, and at what value, people convert with AI's help and without: both sides, their difference, and the "
    "difference within groups. Correlational: who uses AI differs from who does not.",
)


@strawberry.type
class AiAssistanceQuery:
    ai_assistance = AI_ASSISTANCE.query()


@strawberry.type
class AiAssistanceSubscription:
    ai_assistance = AI_ASSISTANCE.subscription()
