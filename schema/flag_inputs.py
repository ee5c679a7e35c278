"""What a feature flag is to be, as it is given and read."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from resolvers.analysis import flags as values
from resolvers.flag_changes import EnvironmentDraft
from schema.arguments import read_instant, read_span
from schema.conditions import read_filter
from schema.errors import refusal
from schema.filters import FilterInput
from schema.flag_definitions import read_parts
from schema.flag_guardrails import FlagGuardrailInput, read_guardrail

PERCENT = "0 to 100, at most two decimal places: `12.5`."


@strawberry.input(description="One of the values that a flag can have.")
class FlagVariationInput:
    key: str = strawberry.field(
        description="Its name in rules: 1 to 100 letters and digits, and dots, hyphens and underscores between them."
    )
    value: JSON = strawberry.field(description="The value that the application is given, of the flag's type.")
    name: str | None = strawberry.field(default=None, description="Its name for people, at most 200 characters.")


@strawberry.input(description="The share of people that get a variation.")
class FlagShareInput:
    variation: str = strawberry.field(description="The variation's key.")
    percentage: object = strawberry.field(graphql_type=Decimal, description=f"The share in percent: {PERCENT}")


@strawberry.input(
    one_of=True,
    description=(
        "What people get: one variation, or a split. A split is drawn by the subject and the flag's salt: the same "
        "subject always gets the same, until the shares change."
    ),
)
class FlagServeInput:
    variation: str | None = strawberry.field(description="The key of the variation that all get.")
    split: list[FlagShareInput] | None = strawberry.field(
        description="Shares that sum up to 100 %, laid end to end in this order."
    )


@strawberry.input(description="A step of a ramp.")
class FlagRampStepInput:
    percentage: object = strawberry.field(graphql_type=Decimal, description=f"The share that it reaches: {PERCENT}")
    lasting: object = strawberry.field(
        graphql_type=timedelta,
        default="0s",
        description=(
            "How long it lasts until the next one, at most 366 days; of the last, how long guardrails go on watching."
        ),
    )


@strawberry.input(description="A share that grows by itself on a timetable, e.g. 1, 5, 25, 50 and 100 %.")
class FlagRampInput:
    steps: list[FlagRampStepInput] = strawberry.field(description="1 to 20 steps, each above the one before.")
    starts_at: object | None = strawberry.field(
        graphql_type=datetime | None,
        default=None,
        description=(
            "When the first step begins; now where absent. A ramp of the same start and steps as one that is there "
            "already is that one, and goes on."
        ),
    )
    guardrails: list[FlagGuardrailInput] = strawberry.field(
        default_factory=list, description="What may stop it, at most 5."
    )


@strawberry.input(
    description=(
        "Who gets what: those for whom `where` holds, as far as the share has reached them. Everybody else goes on to "
        "the next rule."
    )
)
class FlagRuleInput:
    serve: FlagServeInput = strawberry.field(description="What those get whom it takes.")
    where: FilterInput | None = strawberry.field(
        default=None,
        description=(
            "Whom it is for; everybody where absent. `subject` is the subject's name, a `dimension` the attribute of "
            "the context that is called like it, a `property` the attribute that its path leads to: `{property: {path: "
            '["role"], in: ["admin"]}}`. A `segment` is as it was last refreshed; one that is deleted has no members. '
            "What is about events alone is refused."
        ),
    )
    percentage: object | None = strawberry.field(
        graphql_type=Decimal | None,
        default=None,
        description=(
            f"The share of those it is for that it takes: {PERCENT} All where absent. Nobody it took loses it by its "
            "growing. Not beside `ramp`."
        ),
    )
    ramp: FlagRampInput | None = strawberry.field(default=None, description="A share that grows by itself.")
    name: str | None = strawberry.field(default=None, description="Its name for people, at most 200 characters.")


@strawberry.input(description="Another flag that must have one of some variations in the same environment.")
class FlagPrerequisiteInput:
    flag: str = strawberry.field(description="The other flag's key.")
    variations: list[str] = strawberry.field(description="Keys of the variations of which it must have one.")


@strawberry.input(description="The flag goes on or off by itself at an instant.")
class FlagScheduledStepInput:
    at: object = strawberry.field(graphql_type=datetime, description="When; yet to come.")
    on: bool = strawberry.field(description="Whether it goes on.")


@strawberry.input(description="How a flag is to be set up in an environment.")
class FlagEnvironmentInput:
    name: str = strawberry.field(
        default=values.PRODUCTION,
        description=(
            "The environment's name, yours to choose: there is an environment as soon as a flag is set up in it."
        ),
    )
    on: bool = strawberry.field(default=False, description="Whether it is on.")
    off_variation: str | None = strawberry.field(
        default=None,
        description=(
            "The variation that everybody gets while it is off or a prerequisite is not met; where absent as it was, "
            "or the last one."
        ),
    )
    default: FlagServeInput | None = strawberry.field(
        default=None,
        description=(
            "What those get whom no rule takes; where absent `offVariation`, or the first variation where there are no "
            "rules: turning the flag on then switches everybody over."
        ),
    )
    rules: list[FlagRuleInput] = strawberry.field(
        default_factory=list, description="Who gets what, tried in this order, at most 50."
    )
    prerequisites: list[FlagPrerequisiteInput] = strawberry.field(
        default_factory=list,
        description="Other flags that decide first whether this one is on, at most 10, in chains of at most 10.",
    )
    schedule: list[FlagScheduledStepInput] = strawberry.field(
        default_factory=list, description="When it goes on or off by itself, ascending, at most 20."
    )


def read_variations(given: Sequence[FlagVariationInput]) -> tuple[values.Variation, ...]:
    """The variations that are given; what they hold is judged by the resolver."""
    return tuple(values.Variation(one.key, one.value, one.name) for one in given)


def read_environment(key: str, given: FlagEnvironmentInput, now: datetime, within: str = "") -> EnvironmentDraft:
    """How the flag of a key is to be set up; BadInput on the part at fault, by its path ``within`` the input."""
    schedule = []
    for index, step in enumerate(given.schedule):
        at = read_instant(step.at, f"{within}schedule[{index}].at")
        assert at is not None
        schedule.append(values.ScheduledStep(at, step.on))
    return EnvironmentDraft(
        name=given.name,
        on=given.on,
        off=given.off_variation,
        default=None if given.default is None else _serve(given.default, f"{within}default"),
        rules=tuple(_rule(key, rule, now, f"{within}rules[{index}]") for index, rule in enumerate(given.rules)),
        prerequisites=tuple(values.Prerequisite(one.flag, tuple(one.variations)) for one in given.prerequisites),
        schedule=tuple(schedule),
        at=within,
    )


def _rule(key: str, given: FlagRuleInput, now: datetime, field: str) -> values.Rule:
    if given.ramp is not None and given.percentage is not None:
        raise refusal(f"{field}.percentage", "must not be given beside ramp")
    serve = _serve(given.serve, f"{field}.serve")
    return values.Rule(
        serve=serve,
        where=read_filter(given.where, f"{field}.where"),
        parts=values.WHOLE if given.percentage is None else read_parts(given.percentage, f"{field}.percentage"),
        ramp=None if given.ramp is None else _ramp(key, given.ramp, serve, now, f"{field}.ramp"),
        name=given.name,
    )


def _serve(given: FlagServeInput, field: str) -> values.Serve:
    if given.variation is not None:
        return values.always(given.variation)
    return tuple(
        values.Share(share.variation, read_parts(share.percentage, f"{field}.split[{index}].percentage"))
        for index, share in enumerate(given.split or ())
    )


def _ramp(key: str, given: FlagRampInput, serve: values.Serve, now: datetime, field: str) -> values.Ramp:
    steps = [
        values.RampStep(
            read_parts(step.percentage, f"{field}.steps[{index}].percentage"),
            _lasting(step.lasting, f"{field}.steps[{index}].lasting"),
        )
        for index, step in enumerate(given.steps)
    ]
    guardrails = [
        read_guardrail(key, one, serve, f"{field}.guardrails[{index}]") for index, one in enumerate(given.guardrails)
    ]
    starts_at = read_instant(given.starts_at, f"{field}.startsAt")
    return values.Ramp(now if starts_at is None else starts_at, tuple(steps), tuple(guardrails))


def _lasting(given: object, field: str) -> timedelta:
    return timedelta(0) if given == "0s" else read_span(given, field)
