"""What may stop a ramp: a metric beyond a limit, or a service level objective that burns too fast."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import strawberry
from strawberry.scalars import JSON

from resolvers.analysis import flag_guards
from resolvers.analysis import flags as values
from resolvers.analysis.filters import All, DimensionIs, Filter, Op
from resolvers.analysis.intake_values import Invalid, money
from resolvers.analysis.slos import Severity
from schema.arguments import read_span
from schema.conditions import plain_text, read_filter, write_filter
from schema.errors import refusal
from schema.filters import FilterInput
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.GuardAction,
    "What a guardrail that fires does to the ramp.",
    {
        "PAUSE": "The ramp stays where it is.",
        "ROLL_BACK": "The ramp reaches nobody any more.",
    },
    name="FlagGuardAction",
)
enumerate_in_schema(
    values.Bound,
    "On which side of its limit a guardrail fires.",
    {
        "ABOVE": "Where the figure is greater than the limit.",
        "BELOW": "Where the figure is less than the limit.",
    },
    name="FlagGuardBound",
)
enumerate_in_schema(
    flag_guards.GuardState,
    "What a guardrail says.",
    {
        "FIRING": "The figure is beyond the limit, or the SLO calls for what is watched for.",
        "QUIET": "The figure is within the limit, or the SLO does not call for it.",
        "TOO_FEW": "There are fewer observations than the minimum or no figure to compare; an SLO has too few events.",
    },
    name="FlagGuardState",
)


def _of(name: str) -> Callable[[values.Guard], Any]:
    """What a guardrail of one sort says of itself; null of the other sort."""

    def found(root: strawberry.Parent[values.Guard]) -> Any:
        return getattr(root, name, None)

    return found


def _exposed(root: strawberry.Parent[values.Guard]) -> object | None:
    return write_filter(root.exposed) if isinstance(root, values.Guardrail) else None


def _control(root: strawberry.Parent[values.Guard]) -> object | None:
    found = root.control if isinstance(root, values.Guardrail) else None
    return None if found is None else write_filter(found)


@shapes(values.Guard, values.Guardrail, values.SloGuardrail)
@strawberry.type(
    description=(
        "A metric that must not go beyond a limit, or an SLO that must not burn too fast, while a ramp runs. The "
        "gateway reads it about every 30 seconds, from the start of the ramp until its last step has lasted."
    )
)
class FlagGuardrail:
    metric: str | None = strawberry.field(
        resolver=_of("metric"),
        graphql_type=str | None,
        description="The metric's `slug` in `metricCatalogue`; null where an SLO is watched, as are its other parts.",
    )
    slo: str | None = strawberry.field(
        resolver=_of("slo"), graphql_type=str | None, description="The SLO's key; null where a metric is watched."
    )
    severity: Severity | None = strawberry.field(
        resolver=_of("severity"),
        graphql_type=Severity | None,
        description="From which on the SLO stops the ramp; null where a metric is watched.",
    )
    bound: values.Bound | None = strawberry.field(
        resolver=_of("bound"),
        graphql_type=values.Bound | None,
        description="On which side of the limit it fires; null with an SLO.",
    )
    limit: Decimal | None = strawberry.field(
        resolver=_of("limit"),
        graphql_type=Decimal | None,
        description=(
            "In the metric's unit; with a `control`, of the change (exposed - control) / |control|: 0.1 is 10 %. Null "
            "with an SLO."
        ),
    )
    minimum_sample: int | None = strawberry.field(
        resolver=_of("minimum_sample"),
        graphql_type=int | None,
        description=(
            "Observations below which it is silent, among the exposed and in the control alike; null with an SLO, "
            "which has a minimum of its own."
        ),
    )
    window: timedelta | None = strawberry.field(
        resolver=_of("window"),
        graphql_type=timedelta | None,
        description="How far back it looks, though never to before the start of the ramp; null with an SLO.",
    )
    action: values.GuardAction = strawberry.field(description="What it does where it fires.")
    exposed: object | None = strawberry.field(
        resolver=_exposed,
        graphql_type=JSON | None,
        description="Whose events are read, as the JSON of a `FilterInput`; null with an SLO, which says so itself.",
    )
    control: object | None = strawberry.field(
        resolver=_control,
        graphql_type=JSON | None,
        description="Whose events they are compared with, as the JSON of a `FilterInput`; null where with none.",
    )


@shapes(flag_guards.Verdict)
@strawberry.type(description="What a guardrail says now.")
class FlagVerdict:
    state: flag_guards.GuardState = strawberry.field(description="Whether it fires.")
    message: str = strawberry.field(description="The figures that it says it of, in English.")


@strawberry.input(
    description=(
        "What must not happen while a ramp runs; exactly one of `metric` and `slo` is given. Of a metric it is going "
        "beyond a limit: one of `above` and `below`. Of an SLO it is burning its error budget so fast that it calls "
        "for a page, or for a ticket: `severity` and `action` are all there is to say of it."
    )
)
class FlagGuardrailInput:
    metric: str | None = strawberry.field(
        default=None,
        description="The metric's `slug` in `metricCatalogue`; with `compare` a rate, a mean or a quantile.",
    )
    slo: str | None = strawberry.field(
        default=None,
        description=(
            "The SLO's key. It is read as it stands: of all events that it is about, those before the ramp included. "
            "One that calls for what is watched for when the ramp starts stops it at once."
        ),
    )
    severity: Severity | None = strawberry.field(
        default=None,
        description="From which on the SLO stops the ramp: `PAGE` where absent; `TICKET` is either.",
    )
    above: object | None = strawberry.field(
        graphql_type=Decimal | None, default=None, description="It fires where the figure is greater than this."
    )
    below: object | None = strawberry.field(
        graphql_type=Decimal | None, default=None, description="It fires where the figure is less than this."
    )
    compare: bool = strawberry.field(
        default=False,
        description=(
            "Whether the figure is the relative change of the metric against the control, 0.1 being 10 %, instead of "
            "the metric itself."
        ),
    )
    exposed: FilterInput | None = strawberry.field(
        default=None,
        description=(
            "Whose events are read. Where absent: those whose dimension `feature` is the flag's key and `variant` one "
            "of the variations that the rule serves, as `recordFlagExposures` stores them and applications may."
        ),
    )
    control: FilterInput | None = strawberry.field(
        default=None,
        description=(
            "Whose events they are compared with. Where absent, with `compare`: those whose dimension `feature` is the "
            "flag's key and `variant` another variation."
        ),
    )
    minimum_sample: int | None = strawberry.field(
        default=None,
        description="Observations below which it is silent, among the exposed and in the control alike: 100 if absent.",
    )
    window: object | None = strawberry.field(
        graphql_type=timedelta | None,
        default=None,
        description=(
            "How far back it looks, `1m` to `31d`, though never to before the start of the ramp: `1h` where absent."
        ),
    )
    action: values.GuardAction = strawberry.field(
        default=values.GuardAction.ROLL_BACK, description="What it does where it fires."
    )


_OF_METRICS = ("above", "below", "exposed", "control", "minimum_sample", "window")
_SPELT = {"minimum_sample": "minimumSample"}


def read_guardrail(key: str, given: FlagGuardrailInput, serve: values.Serve, field: str) -> values.Guard:
    """What may stop a ramp of a rule that serves ``serve``, of the flag of a key; BadInput on the part at fault."""
    if given.slo is not None and given.metric is None:
        found = [name for name in _OF_METRICS if getattr(given, name) is not None] + ["compare"] * given.compare
        if found:
            raise refusal(
                f"{field}.{_SPELT.get(found[0], found[0])}", "must not be given beside slo, which says so itself"
            )
        return values.SloGuardrail(given.slo, given.severity or Severity.PAGE, given.action)
    if given.metric is None or given.slo is not None:
        raise refusal(field, "must give exactly one of metric and slo")
    if given.severity is not None:
        raise refusal(f"{field}.severity", "must not be given beside metric: above or below says when it fires")
    bounds = [(values.Bound.ABOVE, given.above), (values.Bound.BELOW, given.below)]
    limits = [(bound, limit) for bound, limit in bounds if limit is not None]
    if len(limits) != 1:
        raise refusal(field, "must give exactly one of above and below")
    if given.control is not None and not given.compare:
        raise refusal(f"{field}.control", "must not be given without compare")
    ((bound, limit),) = limits
    served = tuple(share.variation for share in serve if share.parts)
    feature = DimensionIs("feature", Op.IN, (plain_text(key, "key"),))
    exposed: Filter = All((feature, DimensionIs("variant", Op.IN, served)))
    control: Filter | None = All((feature, DimensionIs("variant", Op.NOT_IN, served))) if given.compare else None
    return values.Guardrail(
        metric=given.metric,
        bound=bound,
        limit=_signed(limit, f"{field}.{bound.value}"),
        exposed=exposed if given.exposed is None else read_filter(given.exposed, f"{field}.exposed"),
        control=control if given.control is None else read_filter(given.control, f"{field}.control"),
        minimum_sample=100 if given.minimum_sample is None else given.minimum_sample,
        window=read_span("1h" if given.window is None else given.window, f"{field}.window"),
        action=given.action,
    )


def _signed(given: object, field: str) -> Decimal:
    if isinstance(given, str) and given.startswith("-"):
        return -_amount(given[1:], field)
    negative = isinstance(given, int | float) and given < 0
    return -_amount(-given, field) if negative else _amount(given, field)  # type: ignore[operator]


def _amount(given: object, field: str) -> Decimal:
    try:
        return money(given)
    except Invalid as bad:
        raise refusal(field, bad.message) from None
