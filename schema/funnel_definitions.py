"""What a funnel is made of: its steps and rules, as they are given and shown."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from resolvers.analysis import funnels as values
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import All, Filter, KindIs, NameIs
from resolvers.analysis.funnel_outcomes import Outcome
from schema.arguments import read_span
from schema.conditions import plain_text, read_filter, write_filter
from schema.dimensions import Dimension
from schema.errors import refusal
from schema.filters import FilterInput
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
enumerate_in_schema(
    values.Order,
    "How the steps must follow each other.",
    {
        "ORDERED": "Each step takes the earliest event at or after the step before; others may lie between.",
        "STRICT": (
            "As ORDERED, and no other event of the subject lies at a time between two steps: none of all those that "
            "`where` lets through, whether they are of a step or not."
        ),
        "ANY": (
            "In any order: the clock starts with an event of any step, and a step is reached once it and all "
            "required steps before it in the list are done."
        ),
    },
    name="FunnelOrder",
)
enumerate_in_schema(
    values.Effect,
    "What an excluded event does to who meets it.",
    {
        "CUT": "It ends the walk: steps reached before it count, and none after.",
        "REMOVE": "It makes the walk void, as if it had not entered.",
    },
    name="FunnelExclusionEffect",
)
enumerate_in_schema(
    values.Counting,
    "What a funnel counts.",
    {
        "SUBJECTS": "Each subject once.",
        "TOTALS": (
            "Every time that a subject goes through: it enters again with its first event of the first step after it "
            "converted, ran out of time or met an exclusion. `entry` does not matter."
        ),
        "SESSIONS": "Each session of a subject once; all its steps lie within it. Read from the log itself.",
    },
    name="FunnelCounting",
)
enumerate_in_schema(
    values.Trait,
    "What an event carries beside dimensions and properties.",
    {
        "SESSION": "Its `session`.",
        "ORDER": "Its `orderId`.",
    },
    name="FunnelTrait",
)


enumerate_in_schema(
    Outcome,
    "What became of a subject at a step of a funnel.",
    {
        "REACHED": "It reached the step.",
        "DROPPED": "It reached the required step before, and never this one.",
    },
    name="FunnelOutcome",
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
    optional: bool = strawberry.field(
        default=False,
        description=(
            "Whether it may be left out. It takes the earliest event between the required steps around it, and "
            "decides nothing about them. The first and the last step are required."
        ),
    )
    within: object | None = strawberry.field(
        graphql_type=timedelta | None,
        default=None,
        description=(
            "How long after the required step before it may happen, at most 366 days: `10m`. The funnel's window "
            "holds besides. Not for the first step, nor in any order."
        ),
    )


@strawberry.input(
    description="Events that must not happen between two steps: at a time after the one and before the other."
)
class FunnelExclusionInput:
    event: str | None = strawberry.field(default=None, description="The name that the events have.")
    where: FilterInput | None = strawberry.field(default=None, description="What else must hold of the events.")
    after: int = strawberry.field(default=0, description="The place, from 0, of the required step it begins with.")
    before: int | None = strawberry.field(
        default=None, description="The place of the required step it ends with; the last where absent."
    )
    effect: values.Effect = strawberry.field(
        default=values.Effect.CUT, description="What it does to who meets it, also if the later step never comes."
    )


@strawberry.input(description="A value that must be the same in all steps: exactly one of its fields is given.")
class FunnelConstantInput:
    dimension: Dimension | None = strawberry.field(default=None, description="The value of this dimension.")
    trait: values.Trait | None = strawberry.field(default=None, description="The value of this trait.")
    property: list[str] | None = strawberry.field(
        default=None, description="The value in `properties` that this path of keys leads to."
    )


StepsArgument = Annotated[
    list[FunnelStepInput],
    strawberry.argument(description="2 to 20 steps in the order in which they must happen."),
]
_WINDOW = "How long after the first step the last one may happen, at most 366 days: `30m`, `24h`, `7d`."
WindowArgument = Annotated[object, strawberry.argument(graphql_type=timedelta, description=_WINDOW)]
EntryArgument = Annotated[
    values.Entry, strawberry.argument(description="Which of a subject's first-step events starts its clock.")
]
OrderArgument = Annotated[values.Order, strawberry.argument(description="How the steps must follow each other.")]
STRICTLY_LATER = (
    "Whether each step must be at a later time than the required one before; else simultaneous events may serve "
    "their steps in any order."
)
StrictlyLaterArgument = Annotated[bool, strawberry.argument(description=STRICTLY_LATER)]
EXCLUSIONS = "What must not happen between steps, at most 10."
ExclusionsArgument = Annotated[Sequence[FunnelExclusionInput], strawberry.argument(description=EXCLUSIONS)]
CONSTANT = (
    "At most 3 values that must be the same in all steps. Each combination is a journey of its own, for exclusions "
    "and strict order too; events that lack one of them do not count. Traits and properties are read from the log "
    "itself."
)
ConstantArgument = Annotated[Sequence[FunnelConstantInput], strawberry.argument(description=CONSTANT)]
CountingArgument = Annotated[values.Counting, strawberry.argument(description="What is counted.")]


def read_definition(
    steps: Sequence[FunnelStepInput],
    window: object,
    entry: values.Entry,
    order: values.Order = values.Order.ORDERED,
    strictly_later: bool = False,
    exclusions: Sequence[FunnelExclusionInput] = (),
    constant: Sequence[FunnelConstantInput] = (),
    counting: values.Counting = values.Counting.SUBJECTS,
) -> values.FunnelDefinition:
    """The funnel that the inputs define; BadInput on the part at fault."""
    return values.FunnelDefinition(
        steps=tuple(_step(step, f"steps[{index}]") for index, step in enumerate(steps)),
        window=read_span(window, "window"),
        entry=entry,
        order=order,
        strictly_later=strictly_later,
        exclusions=tuple(_exclusion(one, f"exclusions[{index}]") for index, one in enumerate(exclusions)),
        constant=tuple(_constant(one, f"constant[{index}]") for index, one in enumerate(constant)),
        counting=counting,
    )


def _step(step: FunnelStepInput, field: str) -> values.Step:
    event = step.event
    if event is None and step.kind is None and step.where is None:
        event = step.name
    parts: list[Filter] = []
    if step.kind is not None:
        parts.append(KindIs((step.kind,)))
    parts += _named(event, step.where, field)
    if not parts:
        raise refusal(field, "must give at least one of event, kind, where and name")
    name = step.name or step.event or (step.kind.name if step.kind else None)
    if name is None:
        raise refusal(f"{field}.name", "is required of a step without event and kind")
    within = None if step.within is None else read_span(step.within, f"{field}.within")
    return values.Step(name, _all(parts), step.optional, within)


def _exclusion(exclusion: FunnelExclusionInput, field: str) -> values.Exclusion:
    parts = _named(exclusion.event, exclusion.where, field)
    if not parts:
        raise refusal(field, "must give at least one of event and where")
    return values.Exclusion(_all(parts), exclusion.after, exclusion.before, exclusion.effect)


def _named(event: str | None, where: FilterInput | None, field: str) -> list[Filter]:
    parts: list[Filter] = []
    if event is not None:
        parts.append(NameIs((plain_text(event, f"{field}.event"),)))
    if where is not None:
        parts.append(read_filter(where, f"{field}.where"))
    return parts


def _all(parts: list[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _constant(constant: FunnelConstantInput, field: str) -> values.Constant:
    path = constant.property
    return values.Constant(
        dimension=constant.dimension and constant.dimension.value,
        trait=constant.trait,
        property=None if path is None else tuple(plain_text(key, f"{field}.property") for key in path),
    )


def _where(root: strawberry.Parent[values.Step | values.Exclusion]) -> object:
    return write_filter(root.where)


@shapes(values.Step)
@strawberry.type(description="A step of a funnel's definition.")
class FunnelStep:
    name: str = strawberry.field(description="The step's name to show.")
    optional: bool = strawberry.field(description="Whether it may be left out.")
    within: timedelta | None = strawberry.field(
        description="How long after the required step before it may happen; null where only the window holds."
    )

    where: object = strawberry.field(
        resolver=_where,
        graphql_type=JSON,
        description="Which events make the step, as the JSON of a `FilterInput`: send it back as a step's `where`.",
    )


@shapes(values.Exclusion)
@strawberry.type(description="Events that must not happen between two steps.")
class FunnelExclusion:
    after: int = strawberry.field(description="The place of the required step it begins with.")
    before: int | None = strawberry.field(description="The place of the step it ends with; null for the last.")
    effect: values.Effect = strawberry.field(description="What it does to who meets it.")

    where: object = strawberry.field(
        resolver=_where,
        graphql_type=JSON,
        description="Which events are excluded, as the JSON of a `FilterInput`: send it back as `where`.",
    )


@shapes(values.Constant)
@strawberry.type(description="A value that must be the same in all steps.")
class FunnelConstant:
    dimension: Dimension | None = strawberry.field(description="The dimension; null where it is none.")
    trait: values.Trait | None = strawberry.field(description="The trait; null where it is none.")
    property: list[str] | None = strawberry.field(
        description="The keys that lead to it in `properties`; null where it is no property."
    )


@shapes(values.FunnelDefinition)
@strawberry.type(description="What is asked of a funnel.")
class FunnelDefinition:
    steps: list[FunnelStep] = strawberry.field(description="2 to 20 steps, in order.")
    window: timedelta = strawberry.field(description="How long after the first step the last one may happen.")
    entry: values.Entry = strawberry.field(description="Which of a subject's first-step events starts its clock.")
    order: values.Order = strawberry.field(description="How the steps must follow each other.")
    strictly_later: bool = strawberry.field(description=STRICTLY_LATER)
    exclusions: list[FunnelExclusion] = strawberry.field(description=EXCLUSIONS)
    constant: list[FunnelConstant] = strawberry.field(description="Values that must be the same in all steps.")
    counting: values.Counting = strawberry.field(description="What is counted.")
