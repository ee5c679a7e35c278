"""What a feature flag is made of, as it is shown."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

import strawberry
from strawberry.scalars import JSON

from resolvers import flag_upkeep
from resolvers.analysis import flag_times
from resolvers.analysis import flags as values
from resolvers.analysis.intake_values import Invalid, money
from schema.access import Info
from schema.conditions import write_filter
from schema.errors import refusal
from schema.flag_guardrails import FlagGuardrail, FlagVerdict
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.FlagType,
    "What the values of a flag's variations are.",
    {
        "BOOLEAN": "True or false.",
        "STRING": "Text.",
        "NUMBER": "A number, whole or not.",
        "JSON": "An object or a list.",
    },
)
enumerate_in_schema(
    values.RampState,
    "Whether a ramp goes on.",
    {
        "RUNNING": "It goes on by itself, or will once it starts.",
        "PAUSED": "It stays where it is until it is resumed.",
        "ROLLED_BACK": "It reaches nobody until it is restarted.",
    },
    name="FlagRampState",
)


def percentage(parts: int) -> Decimal:
    """Parts of the whole as a percentage."""
    return Decimal(parts) / (values.WHOLE // 100)


def read_parts(given: object, field: str) -> int:
    """A percentage as parts of the whole; BadInput on ``field`` where it is none."""
    try:
        parts = money(given) * (values.WHOLE // 100)
    except Invalid:
        parts = Decimal(-1)
    if not 0 <= parts <= values.WHOLE or parts != int(parts):
        raise refusal(field, "must be 0 to 100 with at most two decimal places, such as 12.5")
    return int(parts)


def _value(root: strawberry.Parent[values.Variation]) -> object:
    return root.value


@shapes(values.Variation)
@strawberry.type(description="One of the values that a flag can have.")
class FlagVariation:
    key: str = strawberry.field(description="Its name in rules and in the dimension `variant`, e.g. `on`.")
    name: str | None = strawberry.field(description="Its name for people; null where it has none.")

    value: object = strawberry.field(
        resolver=_value, graphql_type=JSON, description="The value that the application is given, of the flag's type."
    )


def _share(root: strawberry.Parent[values.Share]) -> Decimal:
    return percentage(root.parts)


@shapes(values.Share)
@strawberry.type(description="The share of people that get a variation.")
class FlagShare:
    variation: str = strawberry.field(description="The variation's key.")
    percentage: Decimal = strawberry.field(resolver=_share, description="The share in percent, e.g. `12.5`.")


def _reached(root: strawberry.Parent[values.RampStep]) -> Decimal:
    return percentage(root.parts)


@shapes(values.RampStep)
@strawberry.type(description="A step of a ramp.")
class FlagRampStep:
    percentage: Decimal = strawberry.field(resolver=_reached, description="The share that it reaches, in percent.")
    lasting: timedelta = strawberry.field(
        description="How long it lasts until the next one; of the last one, how long guardrails go on watching."
    )


def _ramp_reached(root: strawberry.Parent[values.Ramp], info: Info) -> Decimal:
    return percentage(flag_times.ramp_reached(root, info.context.services.now()))


def _next_step(root: strawberry.Parent[values.Ramp], info: Info) -> datetime | None:
    return flag_times.next_step(root, info.context.services.now())


async def _verdicts(root: strawberry.Parent[values.Ramp], info: Info) -> list[FlagVerdict]:
    now = info.context.services.now()
    found = [await flag_upkeep.verdict_of(info.context, one, root, now) for one in root.guardrails]
    return cast(list[FlagVerdict], found)


@shapes(values.Ramp)
@strawberry.type(
    description=(
        "A share that grows by itself on a timetable. What it has come to follows from the time alone, so that every "
        "gateway and every local evaluation agrees at the same instant. Nobody it has reached loses it by its growing."
    )
)
class FlagRamp:
    starts_at: datetime = strawberry.field(description="When its first step begins.")
    steps: list[FlagRampStep] = strawberry.field(description="Its steps, each above the one before.")
    guardrails: list[FlagGuardrail] = strawberry.field(description="What may stop it.")
    state: values.RampState = strawberry.field(description="Whether it goes on.")
    since: datetime | None = strawberry.field(description="When it was paused or rolled back; null while it goes on.")
    percentage: Decimal = strawberry.field(
        resolver=_ramp_reached, description="The share that it has reached now, in percent; 0 before it starts."
    )
    next_step_at: datetime | None = strawberry.field(
        resolver=_next_step, description="When it goes on to its next step; null where it does not by itself."
    )
    verdicts: list[FlagVerdict] = strawberry.field(
        resolver=_verdicts, description="What each of the guardrails says now, in their order."
    )


def _where(root: strawberry.Parent[values.Rule]) -> object:
    return write_filter(root.where)


def _rule_reached(root: strawberry.Parent[values.Rule], info: Info) -> Decimal:
    return percentage(flag_times.reached(root, info.context.services.now()))


@shapes(values.Rule)
@strawberry.type(description="Who gets what. Rules are tried in order; whom one does not take goes on to the next.")
class FlagRule:
    name: str | None = strawberry.field(description="Its name for people; null where it has none.")
    serve: list[FlagShare] = strawberry.field(description="What those get whom it takes: shares of 100 % in all.")
    ramp: FlagRamp | None = strawberry.field(
        description="The timetable on which its share grows; null where the share stays as it is."
    )
    where: object = strawberry.field(
        resolver=_where, graphql_type=JSON, description="Whom it is for, as the JSON of a `FilterInput`."
    )
    percentage: Decimal = strawberry.field(
        resolver=_rule_reached,
        description="The share, in percent, of those it is for that it takes now; by the ramp where it has one.",
    )


@shapes(values.Prerequisite)
@strawberry.type(description="Another flag that must have one of some variations in the same environment.")
class FlagPrerequisite:
    flag: str = strawberry.field(description="The other flag's key.")
    variations: list[str] = strawberry.field(description="Keys of the variations of which it must have one.")


@shapes(values.ScheduledStep)
@strawberry.type(description="The flag goes on or off by itself at an instant.")
class FlagScheduledStep:
    at: datetime = strawberry.field(description="When.")
    on: bool = strawberry.field(description="Whether it goes on.")


def _is_on(root: strawberry.Parent[values.FlagEnvironment], info: Info) -> bool:
    return flag_times.is_on(root, info.context.services.now())


@shapes(values.FlagEnvironment)
@strawberry.type(description="How a flag is set up in one environment.")
class FlagEnvironment:
    name: str = strawberry.field(description="The environment's name, e.g. `production`.")
    on: bool = strawberry.field(
        resolver=_is_on, description="Whether it is on now, by its schedule if that says; off, all get `offVariation`."
    )
    off: str = strawberry.field(
        name="offVariation",
        description="The variation that everybody gets while it is off, or where a prerequisite is not met.",
    )
    default: list[FlagShare] = strawberry.field(
        description="What those get whom no rule takes: shares of 100 % in all."
    )
    rules: list[FlagRule] = strawberry.field(description="Who gets what, tried in this order.")
    prerequisites: list[FlagPrerequisite] = strawberry.field(
        description="Other flags that decide first whether this one is on."
    )
    schedule: list[FlagScheduledStep] = strawberry.field(
        description="When it goes on or off by itself, ascending; steps that came are dropped soon after."
    )
    changed_at: datetime = strawberry.field(description="When it was last changed.")
