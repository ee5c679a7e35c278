"""How segments overlap, and what sets the members of one apart."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import segment_comparisons as comparisons
from resolvers.analysis import segment_comparisons as values
from resolvers.analysis import segments as rules
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.filters import InSegment
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context
from schema.arguments import (
    LAST_30_DAYS,
    CompareArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    WhereArgument,
    read_question,
)
from schema.common import DimensionValue, Estimate, Period
from schema.conditions import segment_reference
from schema.explanations import Explanation
from schema.funnel_subjects import DimensionsArgument
from schema.live import Analysis, Asked
from schema.nodes import encode
from schema.scalars import BigInt
from schema.shapes import shapes


def _id(root: strawberry.Parent[rules.SegmentSummary]) -> strawberry.ID:
    return strawberry.ID(encode("Segment", str(root.id)))


@shapes(rules.SegmentSummary)
@strawberry.type(description="Which segment an answer is about.")
class SegmentSummary:
    segment_id: strawberry.ID = strawberry.field(
        resolver=_id, description="The segment's global id, by which `node` and `segment` find it."
    )
    name: str = strawberry.field(description="Its name.")
    size: BigInt = strawberry.field(description="How many members it has.")


@shapes(values.SegmentPair)
@strawberry.type(description="Two segments held against each other.")
class SegmentPair:
    first: SegmentSummary = strawberry.field(description="The one that was named earlier.")
    second: SegmentSummary = strawberry.field(description="The one that was named later.")
    shared: BigInt = strawberry.field(description="How many subjects are in both.")
    union: BigInt = strawberry.field(description="How many subjects are in at least one of them.")
    jaccard: Decimal | None = strawberry.field(
        description="shared / union: 0 where nobody is in both, 1 where they are the same; null where both are empty."
    )
    share_of_first: Decimal | None = strawberry.field(description="shared / size of the first; null where it is empty.")
    share_of_second: Decimal | None = strawberry.field(
        description="shared / size of the second; null where it is empty."
    )


@shapes(values.SegmentOverlapAnswer)
@strawberry.type(description="How segments overlap, by their members as of their last refresh.")
class SegmentOverlapAnswer:
    segments: list[SegmentSummary] = strawberry.field(description="The segments in the order they were named.")
    pairs: list[SegmentPair] = strawberry.field(description="Each two of the segments, in the order they were named.")
    in_all: BigInt = strawberry.field(description="How many subjects are in every one of the segments.")
    in_any: BigInt = strawberry.field(description="How many subjects are in at least one of the segments.")
    as_of: datetime = strawberry.field(description="The instant at which the members were compared.")


@shapes(values.SegmentTrait)
@strawberry.type(description="A value that members carry more often than everybody does, or less.")
class SegmentTrait:
    key: DimensionValue = strawberry.field(description="The dimension and the value.")
    subjects: BigInt = strawberry.field(description="How many subjects have an event that carries the value.")
    members: BigInt = strawberry.field(description="How many of them are members.")
    share_of_members: Estimate = strawberry.field(description="Of the members with an event, those with the value.")
    share_of_everybody: Estimate = strawberry.field(
        description="Of all subjects with an event, members among them, those with the value."
    )
    lift: Estimate = strawberry.field(
        description=(
            "share of members / share of everybody: above 1 the value is over-represented among members. The interval "
            "is of its logarithm (delta method)."
        )
    )
    odds_ratio: Estimate = strawberry.field(
        description=(
            "The odds of being a member with the value / the odds without it, 0.5 added to each count, with Woolf's "
            "interval; the p-values are of this ratio."
        )
    )
    p_value: float = strawberry.field(
        description="How likely an odds ratio at least as far from 1 is by chance alone; never 0: at least 2.2e-308."
    )
    log10_p: float = strawberry.field(
        name="log10P", description="The common logarithm of `pValue`, however small that is."
    )
    adjusted_p: float = strawberry.field(
        description="The p-value after Benjamini and Hochberg's correction for as many values as were tested."
    )
    log10_adjusted_p: float = strawberry.field(
        name="log10AdjustedP", description="The common logarithm of `adjustedP`."
    )
    significant: bool = strawberry.field(
        description="Whether `adjustedP` is at most 0.05: of all such values at most 1 in 20 is expected to be chance."
    )


@shapes(values.SegmentTraitsAnswer)
@strawberry.type(
    description=(
        "What sets the members of a segment apart from everybody, of those with an event in the period. A subject "
        "carries every value that any of its events does. It proves no cause."
    )
)
class SegmentTraitsAnswer:
    segment: SegmentSummary = strawberry.field(description="The segment.")
    period: Period = strawberry.field(description="The period asked about, in instants.")
    previous_period: Period | None = strawberry.field(
        description=(
            "The period compared with, in which those who are members now count as members; null unless `compare` was "
            "asked for."
        )
    )
    subjects: BigInt = strawberry.field(description="How many subjects have an event, members among them.")
    members: BigInt = strawberry.field(description="How many of them are members.")
    traits: list[SegmentTrait] = strawberry.field(
        description="At most `top`: the significant ones with a lift above 1 first, each by its lift."
    )
    tested: int = strawberry.field(description="How many values were tested, shown or not.")
    untested: int = strawberry.field(
        description=(
            "How many values were not tested: fewer than 30 subjects with or without the value, or fewer than 5 "
            "members or others."
        )
    )
    lookalikes: list[BigInt] = strawberry.field(
        description=(
            "`lookalikes[i]` is how many subjects that are no members carry at least i + 1 of the significant traits "
            "shown with a lift above 1, of at most the first 10."
        )
    )
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
    explain: Explanation = strawberry.field(description="How the numbers were come by.")


def _overlap(
    context: Context,
    segments: Annotated[
        list[strawberry.ID],
        strawberry.argument(description="2 to 20 different segments, each given by its `id` or its name."),
    ],
) -> Asked[values.SegmentOverlapAnswer]:
    places = [f"segments[{index}]" for index in range(len(segments))]
    named = [InSegment(segment_reference(one, place), field=place) for one, place in zip(segments, places, strict=True)]
    seek = partial(comparisons.segment_overlap, context, named)
    return Asked(Question(PeriodRequest(last="1m")), seek, comparisons.OVERLAP_KINDS)


def _traits(
    context: Context,
    segment: Annotated[strawberry.ID, strawberry.argument(description="The segment, given by its `id` or its name.")],
    dimensions: DimensionsArgument = None,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.SegmentTraitsAnswer]:
    question = read_question(period, timezone=timezone, where=where, compare=compare, top=top)
    wanted: Sequence[str] = DIMENSIONS if dimensions is None else [one.value for one in dimensions]
    named = InSegment(segment_reference(segment, "segment"), field="segment")
    seek = partial(comparisons.segment_traits, context, named, dimensions=wanted)
    return Asked(question, seek, comparisons.TRAIT_KINDS)


SEGMENT_OVERLAP = Analysis(
    _overlap,
    SegmentOverlapAnswer,
    "How many subjects segments share: each two of them, and all together. It takes no `where`, `by` or `compare`, as "
    "it is of people and not of events: who is a member the rules of the segments say, who was one before is not kept.",
)
SEGMENT_TRAITS = Analysis(
    _traits,
    SegmentTraitsAnswer,
    "Which dimension values the members of a segment carry more often than everybody, and how many others carry them.",
    least="5s",
)


@strawberry.type
class SegmentComparisonQuery:
    segment_overlap = SEGMENT_OVERLAP.query()
    segment_traits = SEGMENT_TRAITS.query()


@strawberry.type
class SegmentComparisonSubscription:
    segment_overlap = SEGMENT_OVERLAP.subscription()
    segment_traits = SEGMENT_TRAITS.subscription()
