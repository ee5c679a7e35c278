"""Funnels: how many come how far on a way of several steps."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import funnel_checks, funnels
from resolvers.analysis import funnels as values
from resolvers.analysis.periods import Granularity
from resolvers.context import Context
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
from schema.explanations import Explanation
from schema.funnel_definitions import (
    ConstantArgument,
    CountingArgument,
    EntryArgument,
    ExclusionsArgument,
    FunnelDefinition,
    OrderArgument,
    StepsArgument,
    StrictlyLaterArgument,
    WindowArgument,
    read_definition,
)
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import shapes

ByStepArgument = Annotated[
    int | None,
    strawberry.argument(
        description=(
            "The place, from 0, of the step whose event says the values of `by`; null for the last step that each "
            "reached. Who did not reach the step has the value null."
        )
    ),
]


@shapes(values.TimeToConvert)
@strawberry.type(description="Time from one step to another, over those only who reached the latter.")
class TimeToConvert:
    converters: BigInt = strawberry.field(description="How many reached the latter step.")
    mean: Decimal | None = strawberry.field(description="The mean in seconds; null without a converter.")
    median: Decimal | None = strawberry.field(description="The median in seconds; null without a converter.")
    p90: Decimal | None = strawberry.field(description="The 90th percentile in seconds; null without a converter.")
    edges: list[float] = strawberry.field(
        description=(
            "The histogram's edges in seconds, ascending, one more than counts. They depend on the window "
            "alone, so that groups and periods compare."
        )
    )
    histogram: list[BigInt] = strawberry.field(
        description="How many took from `edges[i]` to just before `edges[i + 1]`, the last up to and including."
    )


@shapes(values.StepAnswer)
@strawberry.type(description="How many reached a step. The first step is held against itself.")
class FunnelStepAnswer:
    index: int = strawberry.field(description="The step's place, from 0.")
    name: str = strawberry.field(description="The step's name to show.")
    optional: bool = strawberry.field(
        description="Whether it may be left out: those who dropped here then only passed it by."
    )
    count: BigInt = strawberry.field(description="How many reached it.")
    dropped: BigInt = strawberry.field(description="How many reached the required step before, but not this one.")
    step_rate: Estimate = strawberry.field(
        description="count / count of the required step before, a ratio; its value is null where that is 0."
    )
    overall_rate: Estimate = strawberry.field(
        description="count / count of the first step, a ratio; its value is null where that is 0."
    )
    drop_off: Estimate = strawberry.field(
        description="1 - step rate, a ratio; its value is null where the required step before was reached by none."
    )
    time_from_previous: TimeToConvert | None = strawberry.field(
        description="Time from the required step before to this one; null for the first step."
    )


@shapes(values.FunnelGroup)
@strawberry.type(description="The funnel among those that have the same values in the dimensions broken down by.")
class FunnelGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    steps: list[FunnelStepAnswer] = strawberry.field(description="The funnel's steps among the group.")
    conversion: Estimate = strawberry.field(
        description="count of the last step / count of the first among the group, a ratio."
    )
    time_to_convert: TimeToConvert = strawberry.field(
        description="Time from the first step to the last among the group."
    )


@shapes(values.FunnelSeries)
@strawberry.type(
    description="A funnel by time of entry, in columns: `at[i]`, `conversion[i]` and `counts[k][i]` belong together."
)
class FunnelSeries:
    granularity: Granularity = strawberry.field(description="The width of the buckets.")
    timezone: str = strawberry.field(description="The IANA time zone in which the buckets begin.")
    at: list[datetime] = strawberry.field(
        description="The first instant of each bucket, ascending; each ends where the next begins."
    )
    conversion: list[float | None] = strawberry.field(
        description=(
            "Of those who entered in each bucket the share that reached the last step, whenever that was; null where "
            "none entered. That of buckets less than a window ago may still grow."
        )
    )
    counts: list[list[BigInt]] = strawberry.field(
        description="For each step, how many of those who entered in each bucket reached it."
    )


@shapes(values.FunnelAnswer)
@strawberry.type(
    description="The answer to a question about a funnel: `definition.counting` says what is counted, each once a step."
)
class FunnelAnswer:
    definition: FunnelDefinition = strawberry.field(description="The funnel asked about.")
    period: Period = strawberry.field(
        description="The period asked about, in instants: first steps lie in it, later steps may follow it."
    )
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    steps: list[FunnelStepAnswer] = strawberry.field(description="The outcome of each step, in order.")
    conversion: Estimate = strawberry.field(
        description="count of the last step / count of the first, a ratio; its value is null where that is 0."
    )
    time_to_convert: TimeToConvert = strawberry.field(description="Time from the first step to the last.")
    biggest_leak: FunnelStepAnswer | None = strawberry.field(
        description=("The required step that most dropped out at, of equals the first; null where nobody dropped out.")
    )
    series: FunnelSeries = strawberry.field(description="The funnel over time, by when its first step happened.")
    groups: list[FunnelGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, most first steps first: at most `top`, and one of all others; "
            "empty unless `by` was asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
    explain: Explanation = strawberry.field(description="How the numbers of `period` were come by.")


def ask(
    context: Context,
    definition: values.FunnelDefinition,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    by_step: ByStepArgument = 0,
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
    *,
    of_list: bool = False,
) -> Asked[values.FunnelAnswer]:
    """The question about a funnel that has been read; ``of_list`` has it read together with those asked beside it."""
    question = read_question(
        period, timezone=timezone, granularity=granularity, by=by, where=where, compare=compare, top=top
    )
    seek = partial(funnels.funnel_of_list if of_list else funnels.funnel, context, definition, by_step=by_step)
    return Asked(question, seek, funnel_checks.kinds(definition))


def _funnel(
    context: Context,
    steps: StepsArgument,
    window: WindowArgument = "7d",
    entry: EntryArgument = values.Entry.FIRST,
    order: OrderArgument = values.Order.ORDERED,
    strictly_later: StrictlyLaterArgument = False,
    exclusions: ExclusionsArgument = (),
    constant: ConstantArgument = (),
    counting: CountingArgument = values.Counting.SUBJECTS,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    by_step: ByStepArgument = 0,
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.FunnelAnswer]:
    definition = read_definition(steps, window, entry, order, strictly_later, exclusions, constant, counting)
    return ask(context, definition, period, timezone, granularity, by, by_step, where, compare, top)


FUNNEL = Analysis(
    _funnel,
    FunnelAnswer,
    "How many go through steps within a window, where they drop out, and how long they take. By default in order: "
    "each step takes the earliest event after the required step before.",
)


@strawberry.type
class FunnelQuery:
    funnel = FUNNEL.query()


@strawberry.type
class FunnelSubscription:
    funnel = FUNNEL.subscription()
