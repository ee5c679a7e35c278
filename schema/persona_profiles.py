"""Profiles of personas: how many they are, what they bring in and cost, what they prefer, how that moves."""

from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import persona_profiles
from resolvers.analysis import personas as values
from resolvers.analysis.periods import Compare
from resolvers.analysis.questions import Question
from resolvers.context import Context
from resolvers.errors import BadInput
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
from schema.common import DimensionValue, Estimate, Period
from schema.cutoffs import ModelFinding
from schema.live import Analysis, Asked
from schema.metrics import MetricAnswer
from schema.nodes import encode
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes


@shapes(values.PersonaGroup)
@strawberry.type(description="What a persona's events that carry the same values come to.")
class PersonaGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    subjects: Estimate = strawberry.field(
        description="How many of the persona had such an event; who had several values counts in the group of each."
    )
    conversion: Estimate = strawberry.field(
        description="Those with such a conversion / those with such an event, a ratio; its value is null without any."
    )
    revenue: Estimate = strawberry.field(description="What these events brought in.")
    revenue_per_subject: Estimate = strawberry.field(
        description="revenue / subjects; its value is null where there are none."
    )
    ai_requests: Estimate = strawberry.field(description="How many AI calls there were.")
    ai_cost: Estimate = strawberry.field(description="What these cost.")
    ai_success: Estimate = strawberry.field(
        description="The share of them that succeeded; its value is null where none says whether it did."
    )


enumerate_in_schema(
    values.ChurnGap,
    "Why a profile tells no churn risk.",
    {
        "NOT_ASKED": "The argument `churn` was not true.",
        "NO_MODEL": "There is too little to learn a model from: `churnFindings` says what.",
    },
)


@shapes(values.PersonaPreference)
@strawberry.type(description="A dimension value that subjects of a persona have.")
class PersonaPreference:
    value: str | None = strawberry.field(description="The value; null for events that carry none.")
    subjects: BigInt = strawberry.field(description="How many of the persona's subjects have an event with the value.")
    share: Decimal | None = strawberry.field(description="subjects / the persona's subjects; null where it has none.")
    lift: Decimal | None = strawberry.field(
        description=(
            "share / the share of everybody with the value: above 1 the persona prefers it; null where nobody is, or "
            "the value is not among the 100 most frequent."
        )
    )


def _id(root: strawberry.Parent[values.PersonaProfile]) -> strawberry.ID:
    return strawberry.ID(encode("Persona", str(root.persona.id)))


def _slug(root: strawberry.Parent[values.PersonaProfile]) -> str:
    return root.persona.slug


def _name(root: strawberry.Parent[values.PersonaProfile]) -> str:
    return root.persona.name


@shapes(values.PersonaProfile)
@strawberry.type(description="What the subjects of a persona do and bring in, in a period.")
class PersonaProfileAnswer:
    persona_id: strawberry.ID = strawberry.field(resolver=_id, description="The persona's global id.")
    slug: str = strawberry.field(resolver=_slug, description="The persona's slug.")
    name: str = strawberry.field(resolver=_name, description="The persona's name.")
    period: Period = strawberry.field(description="The period asked about, in instants.")
    previous_period: Period | None = strawberry.field(description="The period compared with; null without one.")
    subjects: MetricAnswer = strawberry.field(description="How many of them had an event, in all and over time.")
    conversion: MetricAnswer = strawberry.field(
        description="How likely one of them is to convert: the metric `conversion_rate` of their events."
    )
    revenue: MetricAnswer = strawberry.field(description="What they brought in, in all and over time.")
    revenue_per_subject: Estimate = strawberry.field(
        description="revenue / subjects; its value is null where there are none."
    )
    lifetime_value: Estimate = strawberry.field(
        description="Of their subscriptions, as `recurringRevenue` tells it; its value is null without churn."
    )
    acquisition_cost: Estimate = strawberry.field(
        description=(
            "Spend whose dimension `persona` is the slug / those who paid first in the period. Spend is of nobody, so "
            "that only such spend counts, also where rules give the persona; its value is null where none does, or "
            "nobody is new."
        )
    )
    retention: Estimate = strawberry.field(
        description=(
            "Of those first seen in the period, those who came back in it in a later week; the first of its weeks "
            "begins with it."
        )
    )
    churn_risk: Estimate | None = strawberry.field(
        description="Their mean probability of churn; null where there is none, see `churnGap`."
    )
    churn_gap: values.ChurnGap | None = strawberry.field(description="Why `churnRisk` is null; null where it is not.")
    churn_findings: list[ModelFinding] = strawberry.field(
        description=(
            "What is wrong with the model of churn or, where there is none, why, with the figures; empty where nothing "
            "is, and unless `churn` was asked for."
        )
    )
    ai_requests: MetricAnswer = strawberry.field(description="How many AI calls they made.")
    ai_cost: MetricAnswer = strawberry.field(description="What these cost.")
    ai_success: MetricAnswer = strawberry.field(description="The share of them that succeeded.")
    channels: list[PersonaPreference] = strawberry.field(
        description="Their channels, those of most subjects first, at most 10."
    )
    features: list[PersonaPreference] = strawberry.field(
        description="The features they use, those of most subjects first, at most 10."
    )
    groups: list[PersonaGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, most subjects first: at most `top`, and one of all others; empty unless `by` "
            "was asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")


ChurnArgument = Annotated[
    bool,
    strawberry.argument(
        description="Whether to fit the model of `churnRisk` too, which takes seconds: of at most 3 personas."
    ),
]


def _profiles(
    context: Context,
    slugs: Annotated[
        list[str] | None, strawberry.argument(description="The personas, at most 10; all of them where absent.")
    ] = None,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = Compare.PREVIOUS_PERIOD,
    top: TopArgument = 5,
    churn: ChurnArgument = False,
) -> Asked[list[values.PersonaProfile]]:
    question = read_question(
        period, timezone=timezone, granularity=granularity, by=by, where=where, compare=compare, top=top
    )
    seek = partial(persona_profiles.persona_profiles, context, slugs, churn=churn)
    return Asked(question, seek, persona_profiles.KINDS)


def _profile(
    context: Context,
    slug: Annotated[str, strawberry.argument(description="The persona's slug.")],
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = Compare.PREVIOUS_PERIOD,
    top: TopArgument = 5,
    churn: ChurnArgument = False,
) -> Asked[values.PersonaProfile]:
    asked = _profiles(context, [slug], period, timezone, granularity, by, where, compare, top, churn)

    async def seek(question: Question) -> values.PersonaProfile:
        try:
            (only,) = await asked.seek(question)
        except BadInput as bad:
            raise BadInput(bad.message, field="slug" if bad.field == "slugs[0]" else bad.field) from None
        return only

    return Asked(asked.question, seek, asked.kinds)


PERSONA_PROFILE = Analysis(
    _profile, PersonaProfileAnswer, "What the subjects of a persona do and bring in, in a period.", least="5s"
)
PERSONA_PROFILES = Analysis(
    _profiles, list[PersonaProfileAnswer], "The same of several personas, side by side.", least="5s"
)


@strawberry.type
class PersonaProfileQuery:
    persona_profile = PERSONA_PROFILE.query()
    persona_profiles = PERSONA_PROFILES.query()


@strawberry.type
class PersonaProfileSubscription:
    persona_profile = PERSONA_PROFILE.subscription()
    persona_profiles = PERSONA_PROFILES.subscription()
