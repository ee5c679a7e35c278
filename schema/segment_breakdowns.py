"""Every analysis broken down by segments: the same question, asked of the members of each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from resolvers import segments as kept
from resolvers.analysis.filters import All, InSegment
from resolvers.analysis.questions import Question
from resolvers.answers import segments_of
from resolvers.context import Context
from schema.ai_assistance import AI_ASSISTANCE
from schema.ai_costs import AI_COST
from schema.ai_providers import AI_PROVIDERS
from schema.attribution import ATTRIBUTION
from schema.cohorts import COHORTS
from schema.conditions import segment_reference
from schema.errors import refusal
from schema.funnel_subjects import FUNNEL_CORRELATIONS
from schema.funnels import FUNNEL
from schema.lifetime_value import LIFETIME_VALUE
from schema.live import Analysis, Asked, arguments_of
from schema.metrics import METRIC, METRICS
from schema.propensity import CHURN_RISK, CONVERSION_PROPENSITY
from schema.recurring_revenue import RECURRING_REVENUE
from schema.revenue import REVENUE
from schema.roi import ROI
from schema.segments import Segment
from schema.survival import SURVIVAL

MAX_SEGMENTS = 20

A = TypeVar("A")

SegmentsArgument = Annotated[
    list[strawberry.ID],
    strawberry.argument(description=f"1 to {MAX_SEGMENTS} segments, each given by its `id` or its name."),
]


@strawberry.type(description="What is answered of the members of a segment.")
class BySegment(Generic[A]):
    segment: Segment = strawberry.field(description="The segment.")
    answer: A = strawberry.field(description="The answer of events whose subject is in the segment.")


def _segments(segments: SegmentsArgument) -> None:
    """Carries the argument that a breakdown has more."""


def by_segment(of: Analysis[Any]) -> Analysis[list[BySegment[Any]]]:
    """An analysis asked of the members of several segments."""

    def read(context: Context, segments: Sequence[str], **arguments: Any) -> Asked[list[BySegment[Any]]]:
        if not 1 <= len(segments) <= MAX_SEGMENTS:
            raise refusal("segments", f"must be 1 to {MAX_SEGMENTS} segments")
        places = [f"segments[{index}]" for index in range(len(segments))]
        named = [
            InSegment(segment_reference(one, place), field=place) for one, place in zip(segments, places, strict=True)
        ]
        asked: Asked[Any] = of.read(context, **arguments)

        async def seek(question: Question) -> list[BySegment[Any]]:
            found = await kept.segments_named(context, named)
            answers = [await asked.seek(replace(question, where=All((question.where, leaf)))) for leaf in named]
            return [
                BySegment(segment=Segment.of(one), answer=answer) for one, answer in zip(found, answers, strict=True)
            ]

        return Asked(asked.question, seek, asked.kinds | segments_of(*named))

    return Analysis(
        read,
        list[BySegment[of.graphql_type]],  # type: ignore[name-defined]  # a type of the schema
        f"{of.description} By segments: one answer for each of `segments`, in their order. A subject may be in "
        "several segments or in none, so that answers need not add up.",
        of.least,
        [*arguments_of(_segments), *of.own_arguments()],
    )


@strawberry.type
class SegmentBreakdownQuery:
    metric_by_segment = by_segment(METRIC).query()
    metrics_by_segment = by_segment(METRICS).query()
    revenue_by_segment = by_segment(REVENUE).query()
    recurring_revenue_by_segment = by_segment(RECURRING_REVENUE).query()
    cohorts_by_segment = by_segment(COHORTS).query()
    funnel_by_segment = by_segment(FUNNEL).query()
    funnel_correlations_by_segment = by_segment(FUNNEL_CORRELATIONS).query()
    attribution_by_segment = by_segment(ATTRIBUTION).query()
    ai_roi_by_segment = by_segment(ROI).query()
    ai_providers_by_segment = by_segment(AI_PROVIDERS).query()
    ai_assistance_by_segment = by_segment(AI_ASSISTANCE).query()
    ai_cost_by_segment = by_segment(AI_COST).query()
    churn_risk_by_segment = by_segment(CHURN_RISK).query()
    conversion_propensity_by_segment = by_segment(CONVERSION_PROPENSITY).query()
    survival_by_segment = by_segment(SURVIVAL).query()
    lifetime_value_by_segment = by_segment(LIFETIME_VALUE).query()


@strawberry.type
class SegmentBreakdownSubscription:
    metric_by_segment = by_segment(METRIC).subscription()
    metrics_by_segment = by_segment(METRICS).subscription()
    revenue_by_segment = by_segment(REVENUE).subscription()
    recurring_revenue_by_segment = by_segment(RECURRING_REVENUE).subscription()
    cohorts_by_segment = by_segment(COHORTS).subscription()
    funnel_by_segment = by_segment(FUNNEL).subscription()
    funnel_correlations_by_segment = by_segment(FUNNEL_CORRELATIONS).subscription()
    attribution_by_segment = by_segment(ATTRIBUTION).subscription()
    ai_roi_by_segment = by_segment(ROI).subscription()
    ai_providers_by_segment = by_segment(AI_PROVIDERS).subscription()
    ai_assistance_by_segment = by_segment(AI_ASSISTANCE).subscription()
    ai_cost_by_segment = by_segment(AI_COST).subscription()
    churn_risk_by_segment = by_segment(CHURN_RISK).subscription()
    conversion_propensity_by_segment = by_segment(CONVERSION_PROPENSITY).subscription()
    survival_by_segment = by_segment(SURVIVAL).subscription()
    lifetime_value_by_segment = by_segment(LIFETIME_VALUE).subscription()
