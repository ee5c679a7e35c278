"""The results of experiments: asked once, or watched."""

from functools import partial
from typing import Annotated

import strawberry

from resolvers import experiment_results
from resolvers.analysis import experiment_answers as values
from resolvers.analysis.experiments import MultipleExposures
from resolvers.analysis.filters import InSegment
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context
from resolvers.experiment_results import MOST_SEGMENTS, Asking
from schema.arguments import TopArgument
from schema.conditions import read_filter, segment_reference
from schema.dimensions import Dimension
from schema.experiment_answers import ExperimentAnswer
from schema.experiments import KeyArgument
from schema.filters import FilterInput
from schema.live import Analysis, Asked

PhaseArgument = Annotated[
    int | None,
    strawberry.argument(description="The phase, from 1, whose subjects are asked about; the present one where absent."),
]
AllPhasesArgument = Annotated[
    bool, strawberry.argument(description="Whether to take the subjects of all phases, however they were weighed.")
]
MultipleArgument = Annotated[
    MultipleExposures | None,
    strawberry.argument(
        description="What becomes of subjects that were shown several variants; what the experiment says where absent."
    ),
]
ByArgument = Annotated[
    Dimension | None,
    strawberry.argument(description="Break the results down by this one of the experiment's `breakdowns`."),
]
OverTimeArgument = Annotated[
    bool, strawberry.argument(description="Whether to tell how each effect came about, day by day.")
]

BySegmentsArgument = Annotated[
    list[strawberry.ID] | None,
    strawberry.argument(
        description=(
            f"Up to {MOST_SEGMENTS} segments, each by its `id` or its name: tell each effect among their members, too. "
            "Members are those of now, not of when they were exposed: what a variant itself makes people do may bring "
            "them into a segment or out of it, and then its effect among them misleads. Ask about segments of what was "
            "so before."
        )
    ),
]
WhereArgument = Annotated[
    FilterInput | None,
    strawberry.argument(
        description=(
            "Which of the exposures that count in the experiment do here; all where absent. Results are those that the "
            "experiment would have if its own `where` said so as well: a subject counts from its first exposure that "
            "passes, those without one are `uncounted`, and members of segments are those of now. They are read from "
            "the log, subject by subject, which takes longer the more there are."
        )
    ),
]


def _results(
    context: Context,
    experiment: KeyArgument,
    phase: PhaseArgument = None,
    all_phases: AllPhasesArgument = False,
    multiple_exposures: MultipleArgument = None,
    by: ByArgument = None,
    top: TopArgument = 20,
    over_time: OverTimeArgument = False,
    by_segments: BySegmentsArgument = None,
    where: WhereArgument = None,
) -> Asked[values.ExperimentAnswer]:
    asking = Asking(
        experiment,
        phase,
        all_phases,
        multiple_exposures,
        None if by is None else by.value,
        over_time,
        tuple(
            InSegment(segment_reference(one, place), field=place)
            for one, place in ((one, f"bySegments[{index}]") for index, one in enumerate(by_segments or []))
        ),
        read_filter(where),
    )
    # Time goes on without events: what depends on it is looked at again each hour.
    question = Question(PeriodRequest(last="1h"), top=top)
    return Asked(question, partial(experiment_results.experiment_results, context, asking), experiment_results.KINDS)


RESULTS = Analysis(
    _results,
    ExperimentAnswer,
    "What became of an experiment: each variant in each metric, how sure that is, and what to do. A subject counts for "
    "the variant, and in the phase, of its first exposure. It is held against its control and not against another "
    "period: `overTime` tells how it came about.",
)


@strawberry.type
class ExperimentResultsQuery:
    experiment_results = RESULTS.query()


@strawberry.type
class ExperimentResultsSubscription:
    experiment_results = RESULTS.subscription()
