"""AI ROI: whether AI pays for itself, in all, by provider, model, feature … and over time."""

from functools import partial
from typing import Annotated

import strawberry

from resolvers import roi
from resolvers.analysis import roi as values
from resolvers.analysis.attribution import Model
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context
from schema.arguments import (
    LAST_30_DAYS,
    ByArgument,
    CompareArgument,
    GranularityArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    read_question,
    read_span,
)
from schema.attribution import HalfLifeArgument, LookbackArgument
from schema.conditions import read_filter
from schema.filters import FilterInput
from schema.live import Analysis, Asked
from schema.roi_answers import RoiAnswer

ConversionArgument = Annotated[
    FilterInput | None,
    strawberry.argument(
        description="Which conversions are valued; those of any name but `churn` and `refund` where absent. For those "
        "alone that were sent as assisted: `{flag: {flag: ASSISTED, is: true}}`."
    ),
]
RivalsArgument = Annotated[
    FilterInput | None,
    strawberry.argument(
        description="Which other events share in the credit for conversions, e.g. `{kind: TOUCHPOINT}`. Where absent "
        "none do: what follows an AI interaction is owed to AI alone, which is the most it can be."
    ),
]
ModelArgument = Annotated[
    Model,
    strawberry.argument(
        description="How the credit for a conversion is split among the AI interactions and rivals before it: "
        "LINEAR, FIRST_TOUCH, LAST_TOUCH, POSITION, J_SHAPED, INVERSE_J or TIME_DECAY; BAD_USER_INPUT for others."
    ),
]
CallsArgument = Annotated[
    FilterInput | None,
    strawberry.argument(
        description="Which AI interactions are asked about; all where absent. The others keep their part of the credit."
    ),
]
ResamplesArgument = Annotated[
    int,
    strawberry.argument(description="Of how many resamples to make the intervals, 0 (no intervals) to 2,000."),
]

ExperimentArgument = Annotated[
    str | None,
    strawberry.argument(
        description="The key of an experiment with one treatment, which had the AI, and a metric of money per exposed "
        "subject. The value of the total is then what it measured since it began: the difference per subject times the "
        "subjects of the treatment. Ask for the `period` in which it ran and, by `where`, for the AI interactions "
        "that only the treatment had, so that cost and value are of the same. Groups stay attributed."
    ),
]


def read_definition(
    conversion: FilterInput | None,
    rivals: FilterInput | None,
    model: Model,
    lookback: object,
    half_life: object,
    resamples: int,
    experiment: str | None = None,
) -> values.RoiDefinition:
    """How value is to be attributed; BadInput on the argument that cannot be read."""
    return values.RoiDefinition(
        conversion=CONVERSIONS if conversion is None else read_filter(conversion, "conversion"),
        rivals=None if rivals is None else read_filter(rivals, "rivals"),
        model=model,
        lookback=read_span(lookback, "lookback"),
        half_life=read_span(half_life, "halfLife"),
        resamples=resamples,
        experiment=experiment,
    )


def _roi(
    context: Context,
    conversion: ConversionArgument = None,
    rivals: RivalsArgument = None,
    model: ModelArgument = Model.LINEAR,
    lookback: LookbackArgument = "30d",
    half_life: HalfLifeArgument = "7d",
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    where: CallsArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
    resamples: ResamplesArgument = 1_000,
    experiment: ExperimentArgument = None,
) -> Asked[values.RoiAnswer]:
    definition = read_definition(conversion, rivals, model, lookback, half_life, resamples, experiment)
    question = read_question(
        period, timezone=timezone, granularity=granularity, by=by, where=where, compare=compare, top=top
    )
    return Asked(question, partial(roi.roi, context, definition), roi.kinds(definition))


ROI = Analysis(
    _roi,
    RoiAnswer,
    "Whether AI pays for itself: what AI interactions cost, what the conversions that followed them brought in, "
    "return, payback and break-even; by the dimensions of the interactions and over time. CORRELATIONAL, what goes "
    "with AI, unless an `experiment` in which chance decided who had AI is named: then CAUSAL, what AI caused.",
)


@strawberry.type
class RoiQuery:
    ai_roi = ROI.query()


@strawberry.type
class RoiSubscription:
    ai_roi = ROI.subscription()
