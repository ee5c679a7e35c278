"""Funnels: how many subjects come how far on a way of several steps, asked ad hoc or kept under a name."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from resolvers import funnels
from resolvers.analysis import funnels as values
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import All, Filter, KindIs, NameIs
from resolvers.context import Context
from schema.arguments import (
    LAST_30_DAYS,
    ByArgument,
    CompareArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    WhereArgument,
    read_question,
    read_span,
)
from schema.common import DimensionValue, Estimate, Period
from schema.conditions import plain_text, read_filter, write_filter
from schema.errors import refusal
from schema.explanations import Explanation
from schema.filters import FilterInput
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.Entry,
    "Which of a subject's first-step events starts its clock.",
    {
        "FIRST": "The first one in the period, and no later one.",
        "ANY": "Each one is tried, and the farthest step reached from any of them counts.",
    },
    name="FunnelEntry",
)


@strawberry.input(
    description=(
        "A step of a funnel: the events that `event`, `kind` and `where` all let through. Given only `name`, "
        "it is the events of that name."
    )
)
class FunnelStepInput:
    name: str | None = strawberry.field(
        default=None,
        description="The step's name to show, at most 200 characters; where absent, `event` or the kind.",
    )
    event: str | None = strawberry.field(default=None, description="The name that the events have.")
    kind: Kind | None = strawberry.field(default=None, description="The kind that the events are of.")
    where: FilterInput | None = strawberry.field(default=None, description="What else must hold of the events.")


StepsArgument = Annotated[
    list[FunnelStepInput],
    strawberry.argument(description="2 to 20 steps in the order in which they must happen."),
]
_WINDOW = "How long after the first step the last one may happen, at most 366 days: `30m`, `24h`, `7d`."
WindowArgument = Annotated[object, strawberry.argument(graphql_type=timedelta, description=_WINDOW)]
EntryArgument = Annotated[
    values.Entry, strawberry.argument(description="Which of a subject's first-step events starts its clock.")
]


def read_definition(steps: Sequence[FunnelStepInput], window: object, entry: values.Entry) -> values.FunnelDefinition:
    """The funnel that the inputs define; BadInput on the part at fault."""
    return values.FunnelDefinition(
        steps=tuple(_step(step, f"steps[{index}]") for index, step in enumerate(steps)),
        window=read_span(window, "window"),
        entry=entry,
    )


def _step(step: FunnelStepInput, field: str) -> values.Step:
    event = step.event
    if event is None and step.kind is None and step.where is None:
        event = step.name
    parts: list[Filter] = []
    if step.kind is not None:
        parts.append(KindIs((step.kind,)))
    if event is not None:
        parts.append(NameIs((plain_text(event, f"{field}.event"),)))
    if step.where is not None:
        parts.append(read_filter(step.where, f"{field}.where"))
    if not parts:
        raise refusal(field, "must give at least one of event, kind, where and name")
    name = step.name or step.event or (step.kind.name if step.kind else None)
    if name is None:
        raise refusal(f"{field}.name", "is required of a step without event and kind")
    return values.Step(name, parts[0] if len(parts) == 1 else All(tuple(parts)))


def _where(root: strawberry.Parent[values.Step]) -> object:
    return write_filter(root.where)


@shapes(values.Step)
@strawberry.type(description="A step of a funnel's definition.")
class FunnelStep:
    name: str = strawberry.field(description="The step's name to show.")

    where: object = strawberry.field(
        resolver=_where,
        graphql_type=JSON,
        description="Which events make the step, as the JSON of a `FilterInput`: send it back as a step's `where`.",
    )


@shapes(values.FunnelDefinition)
@strawberry.type(description="What is asked of a funnel.")
class FunnelDefinition:
    steps: list[FunnelStep] = strawberry.field(description="2 to 20 steps, in order.")
    window: timedelta = strawberry.field(description="How long after the first step the last one may happen.")
    entry: values.Entry = strawberry.field(description="Which of a subject's first-step events starts its clock.")


@shapes(values.StepAnswer)
@strawberry.type(description="How many subjects reached a step. The first step is held against itself.")
class FunnelStepAnswer:
    index: int = strawberry.field(description="The step's place, from 0.")
    name: str = strawberry.field(description="The step's name to show.")
    count: BigInt = strawberry.field(description="How many subjects reached it.")
    dropped: BigInt = strawberry.field(description="How many reached the step before, but not this one.")
    step_rate: Estimate = strawberry.field(
        description="count / count of the step before, a ratio; its value is null where that is 0."
    )
    overall_rate: Estimate = strawberry.field(
        description="count / count of the first step, a ratio; its value is null where that is 0."
    )
    drop_off: Estimate = strawberry.field(
        description="1 - step rate, a ratio; its value is null where the step before was reached by none."
    )


@shapes(values.TimeToConvert)
@strawberry.type(description="Time from the first step to the last, over those who reached the last.")
class TimeToConvert:
    converters: BigInt = strawberry.field(description="How many subjects reached the last step.")
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


@shapes(values.FunnelGroup)
@strawberry.type(
    description="The funnel among the subjects whose first step has the same values in the dimensions broken down by."
)
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


@shapes(values.FunnelAnswer)
@strawberry.type(description="The answer to a question about a funnel: subjects are counted, each once a step.")
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
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.FunnelAnswer]:
    """The question about a funnel that has been read."""
    question = read_question(period, timezone=timezone, by=by, where=where, compare=compare, top=top)
    return Asked(question, partial(funnels.funnel, context, definition), funnels.kinds(definition))


def _funnel(
    context: Context,
    steps: StepsArgument,
    window: WindowArgument = "7d",
    entry: EntryArgument = values.Entry.FIRST,
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.FunnelAnswer]:
    return ask(context, read_definition(steps, window, entry), period, timezone, by, where, compare, top)


FUNNEL = Analysis(
    _funnel,
    FunnelAnswer,
    "How many subjects go through steps in order within a window: each step takes the earliest event after the "
    "step before.",
)


@strawberry.type
class FunnelQuery:
    funnel = FUNNEL.query()


@strawberry.type
class FunnelSubscription:
    funnel = FUNNEL.subscription()
