"""Who came how far in a funnel, and what those who converted have in common."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

import strawberry

from resolvers import funnel_checks, funnel_subjects
from resolvers import funnel_correlations as correlations
from resolvers.analysis import funnel_correlations as values
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.funnels import Counting, Entry, FunnelDefinition, Order
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from schema import funnel_definitions
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
from schema.dimensions import Dimension
from schema.explanations import Explanation
from schema.funnel_definitions import (
    ConstantArgument,
    CountingArgument,
    EntryArgument,
    ExclusionsArgument,
    OrderArgument,
    StepsArgument,
    StrictlyLaterArgument,
    WindowArgument,
    read_definition,
)
from schema.live import Analysis, Asked
from schema.pages import After, Connection, First, open_cursor, page
from schema.scalars import BigInt
from schema.shapes import shapes
from schema.subjects import Subject

StepArgument = Annotated[int, strawberry.argument(description="The place of the step, from 0.")]
OutcomeArgument = Annotated[Outcome, strawberry.argument(description="What became of the subjects at the step.")]
DimensionsArgument = Annotated[
    Sequence[Dimension] | None,
    strawberry.argument(description="Whose values are looked at, each dimension once; all where absent."),
]


@shapes(values.Association)
@strawberry.type(description="A value of the entry event, and how conversion goes with it.")
class FunnelAssociation:
    key: DimensionValue = strawberry.field(description="The dimension and the value.")
    entered: BigInt = strawberry.field(description="How many subjects entered with the value.")
    converted: BigInt = strawberry.field(description="How many of them reached the last step.")
    rate: Estimate = strawberry.field(
        description="converted / entered, a ratio; `previous` is null where nobody entered with the value then."
    )
    rate_without: Estimate = strawberry.field(description="The same of the subjects that entered without the value.")
    odds_ratio: Estimate = strawberry.field(
        description=(
            "The odds of converting with the value / the odds without it, 0.5 added to each count (Haldane and "
            "Anscombe), with Woolf's interval: above 1 the value goes with converting, below 1 with not. `previous` is "
            "null where the value would not have been tested then."
        )
    )
    p_value: float = strawberry.field(
        description=(
            "How likely an odds ratio at least as far from 1 is by chance alone: Wald's test of its logarithm, "
            "two-sided. Never 0, but at least 2.2e-308, the least that floats hold."
        )
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


@shapes(values.FunnelCorrelationAnswer)
@strawberry.type(
    description=(
        "What goes with converting in a funnel. Subjects chose their values, or had them chosen: this proves no cause."
    )
)
class FunnelCorrelationAnswer:
    definition: funnel_definitions.FunnelDefinition = strawberry.field(description="The funnel asked about.")
    period: Period = strawberry.field(description="The period asked about, in instants.")
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    entered: BigInt = strawberry.field(description="How many subjects entered.")
    converted: BigInt = strawberry.field(description="How many of them reached the last step.")
    associations: list[FunnelAssociation] = strawberry.field(
        description="At most `top`: the significant ones first, each by how far its odds ratio is from 1 as a factor."
    )
    tested: int = strawberry.field(description="How many values were tested, shown or not.")
    untested: int = strawberry.field(
        description=(
            "How many values were not tested: fewer than 30 subjects entered with the value, or without it, or in "
            "all fewer than 5 converted, or did not."
        )
    )
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
    explain: Explanation = strawberry.field(description="How the numbers were come by.")


def ask_correlations(
    context: Context,
    definition: FunnelDefinition,
    dimensions: DimensionsArgument = None,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
    *,
    of_list: bool = False,
) -> Asked[values.FunnelCorrelationAnswer]:
    """The question what goes with converting in a funnel that has been read; ``of_list`` as of ``ask_subjects``."""
    question = read_question(period, timezone=timezone, where=where, compare=compare, top=top)
    wanted = DIMENSIONS if dimensions is None else tuple(one.value for one in dimensions)
    answer = correlations.correlations_of_list if of_list else correlations.funnel_correlations
    seek = partial(answer, context, definition, dimensions=wanted)
    return Asked(question, seek, funnel_checks.kinds(definition))


def _correlations(
    context: Context,
    steps: StepsArgument,
    window: WindowArgument = "7d",
    entry: EntryArgument = Entry.FIRST,
    order: OrderArgument = Order.ORDERED,
    strictly_later: StrictlyLaterArgument = False,
    exclusions: ExclusionsArgument = (),
    constant: ConstantArgument = (),
    dimensions: DimensionsArgument = None,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.FunnelCorrelationAnswer]:
    definition = read_definition(steps, window, entry, order, strictly_later, exclusions, constant)
    return ask_correlations(context, definition, dimensions, period, timezone, where, compare, top)


FUNNEL_CORRELATIONS = Analysis(
    _correlations,
    FunnelCorrelationAnswer,
    "Which values of the first step's event go with converting: each against all other entries, by its odds ratio.",
)


def ask_subjects(
    context: Context,
    definition: FunnelDefinition,
    step: StepArgument,
    outcome: OutcomeArgument,
    period: PeriodArgument,
    timezone: TimezoneArgument,
    where: WhereArgument,
    first: First,
    after: After,
    *,
    of_list: bool = False,
) -> Asked[Connection[Subject]]:
    """The question which subjects a funnel that has been read leaves at a step.

    ``of_list`` has it read together with those asked beside it.
    """
    cursor = open_cursor("Subject", after)
    answer = funnel_subjects.subjects_of_list if of_list else funnel_subjects.funnel_subjects

    async def seek(question: Question) -> Connection[Subject]:
        found = await answer(context, definition, question, step=step, outcome=outcome, first=first, after=cursor)
        nodes = [Subject.of(one) for one in found.subjects]
        return page("Subject", nodes, found.cursors, has_next=found.has_next, after=after)

    return Asked(read_question(period, timezone=timezone, where=where), seek, funnel_checks.kinds(definition))


def _subjects(
    context: Context,
    steps: StepsArgument,
    step: StepArgument,
    outcome: OutcomeArgument = Outcome.DROPPED,
    window: WindowArgument = "7d",
    entry: EntryArgument = Entry.FIRST,
    order: OrderArgument = Order.ORDERED,
    strictly_later: StrictlyLaterArgument = False,
    exclusions: ExclusionsArgument = (),
    constant: ConstantArgument = (),
    counting: CountingArgument = Counting.SUBJECTS,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    where: WhereArgument = None,
    first: First = 50,
    after: After = None,
) -> Asked[Connection[Subject]]:
    definition = read_definition(steps, window, entry, order, strictly_later, exclusions, constant, counting)
    return ask_subjects(context, definition, step, outcome, period, timezone, where, first, after)


FUNNEL_SUBJECTS = Analysis(
    _subjects,
    Connection[Subject],
    "The subjects that reached a step of a funnel, or dropped out at it, in the order in which they first appeared. "
    "They are whom `funnel` counts: of several walks or sessions one that reaches the step is enough.",
    least="10s",
    role=Role.ANALYST,
)


@strawberry.type
class FunnelSubjectQuery:
    funnel_correlations = FUNNEL_CORRELATIONS.query()
    funnel_subjects = FUNNEL_SUBJECTS.query()


@strawberry.type
class FunnelSubjectSubscription:
    funnel_correlations = FUNNEL_CORRELATIONS.subscription()
    funnel_subjects = FUNNEL_SUBJECTS.subscription()
