"""What an experiment is, as it is sent: variants, metrics, whom it is for."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import strawberry

from resolvers.analysis import experiments as values
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.intake_values import Invalid, money
from resolvers.analysis.metrics import Direction
from resolvers.catalogue import metric as of_slug
from resolvers.errors import BadInput
from resolvers.experiment_checks import of_catalogue
from schema.arguments import read_span
from schema.conditions import read_filter
from schema.dimensions import Dimension
from schema.errors import refusal
from schema.filters import FilterInput, Measure
from schema.shapes import enumerate_in_schema

enumerate_in_schema(
    values.Status,
    "Where an experiment is in its life.",
    {
        "DRAFT": "Being defined: nobody is assigned, nothing counts.",
        "RUNNING": "Under way: subjects are assigned, and their exposures count.",
        "PAUSED": "Nobody is assigned for the moment; what counted goes on to count.",
        "COMPLETED": "Over: nobody is assigned, and exposures from its end on do not count.",
    },
    name="ExperimentStatus",
)
enumerate_in_schema(
    values.MetricRole,
    "What an experiment looks at a metric for.",
    {
        "GOAL": "It is to become better: the decision is about these.",
        "SECONDARY": "It is of interest, and decides nothing.",
        "GUARDRAIL": "It must not become worse, or not by more than its margin.",
    },
    name="ExperimentMetricRole",
)
enumerate_in_schema(
    values.MultipleExposures,
    "What becomes of a subject that was shown more than one variant.",
    {
        "FIRST": "It counts for the variant that it was shown first.",
        "EXCLUDE": "It does not count.",
    },
)

SHARE = "a share of 0 to 1 with at most four decimal places"
_CONVERTS = "1 of a subject with such an event, else 0: its mean is a conversion rate."


@strawberry.input(description="One of the things compared.")
class VariantInput:
    key: str = strawberry.field(
        description="What exposures carry in the dimension `variant`; at most 200 characters, settled at the start."
    )
    weight: object = strawberry.field(
        graphql_type=Decimal,
        description=f"How many of those who take part get it, {SHARE}; those of all variants sum to 1.",
    )
    name: str | None = strawberry.field(default=None, description="Its name to show; the key where absent.")
    control: bool = strawberry.field(
        default=False, description="Whether the others are held against it: of exactly one variant."
    )


@strawberry.input(description="The sum of a measure over the events that `where` lets through.")
class UnitSumInput:
    measure: Measure = strawberry.field(
        description="What is added up; of amounts and costs those in the tenant's currency."
    )
    where: FilterInput | None = strawberry.field(default=None, description="Which events; all where absent.")


@strawberry.input(one_of=True, description="A number that each subject has, from its own events: exactly one of these.")
class UnitMeasureInput:
    converts: FilterInput | None = strawberry.field(description=_CONVERTS)
    count: FilterInput | None = strawberry.field(description="How many such events there are.")
    sum: UnitSumInput | None = strawberry.field(description="A sum of a measure.")
    orders: FilterInput | None = strawberry.field(
        description="How many orders such events are of; one without an order id is an order by itself."
    )
    steps: list[FilterInput] | None = strawberry.field(
        description="1 where each of these 1 to 10 steps happened after the one before, else 0: a step of a funnel."
    )


@strawberry.input(one_of=True, description="How much worse a guardrail may become: exactly one of these.")
class GuardrailMarginInput:
    relative: object | None = strawberry.field(
        graphql_type=Decimal | None, description="A share of the control's value, 0 to less than 1."
    )
    absolute: object | None = strawberry.field(
        graphql_type=Decimal | None,
        description=(
            "So much of the metric itself, in its unit: of a share as a share (`0.01` is one percentage point), of "
            "money in the tenant's currency; at most 10^12."
        ),
    )


@strawberry.input(
    description=(
        "A metric of an experiment, either one of the catalogue (`metric`) or one made here (`value`, and `per` for "
        "the quotient of two sums). It is reckoned of each subject's events from its first exposure on."
    )
)
class ExperimentMetricInput:
    slug: str | None = strawberry.field(
        default=None, description="What it is called here, unique in the experiment; that of `metric` where absent."
    )
    role: values.MetricRole = strawberry.field(
        default=values.MetricRole.GOAL, description="What the experiment looks at it for."
    )
    metric: str | None = strawberry.field(
        default=None,
        description=(
            "The slug of a metric of the catalogue that says something of one subject: `conversion_rate`, `revenue`, "
            "`average_order_value`, …. Where it is a share of subjects, it is one of all who were exposed."
        ),
    )
    value: UnitMeasureInput | None = strawberry.field(default=None, description="What each subject comes to.")
    per: UnitMeasureInput | None = strawberry.field(
        default=None, description="What the sum of `value` is divided by the sum of; the number of subjects if absent."
    )
    up_is_good: bool | None = strawberry.field(
        default=None, description="Which way is better; that of `metric` where absent, else up."
    )
    window: object = strawberry.field(
        graphql_type=timedelta,
        default="7d",
        description="How long after a subject's first exposure its events count, at most 366 days.",
    )
    covariate: object | None = strawberry.field(
        graphql_type=timedelta | None,
        default=None,
        description=(
            "How long before its first exposure, and strictly before, the same is reckoned of each subject, to take "
            "out what it was like anyway (CUPED); none where absent. Not of quotients and steps."
        ),
    )
    cap: object | None = strawberry.field(
        graphql_type=Decimal | None,
        default=None,
        description="The most that a subject's value counts as, its covariate too; no bound where absent.",
    )
    cap_at: object | None = strawberry.field(
        graphql_type=Decimal | None,
        default=None,
        description=(
            "The same as a quantile of the values of all subjects, 0.5 to less than 1, interpolated linearly (type 7); "
            "the covariate is bounded by the same quantile of its own values."
        ),
    )
    margin: GuardrailMarginInput | None = strawberry.field(
        default=None,
        description=(
            "Of a guardrail: how much worse it may become. It then has to be shown not to be worse than that "
            "(non-inferiority) before anything is shipped. Where absent, it is enough that it is not shown to be worse."
        ),
    )


@strawberry.input(description="A mutually exclusive group: a subject takes part in at most one of its experiments.")
class ExclusiveGroupInput:
    name: str = strawberry.field(description="The group's name; experiments that give the same one share it.")
    share: object = strawberry.field(
        graphql_type=Decimal, description=f"How much of all subjects this experiment takes of it, {SHARE}."
    )


def read_parts(value: object, field: str) -> int:
    """A share in parts of 10,000; BadInput on ``field`` for what is none."""
    try:
        number = money(value) * values.WHOLE
    except Invalid:
        number = Decimal(-1)
    if not 0 <= number <= values.WHOLE or number != number.to_integral_value():
        raise refusal(field, f"must be {SHARE}, such as 0.5")
    return int(number)


def share(parts: int) -> Decimal:
    """Parts of 10,000 as a share."""
    return Decimal(parts) / values.WHOLE


def read_number(value: object, field: str) -> Decimal:
    """A decimal number >= 0; BadInput on ``field`` for anything else."""
    try:
        return money(value)
    except Invalid:
        raise refusal(field, "must be a number of 0 to 10^12 with at most 12 decimal places, such as 0.05") from None


def read_variants(variants: Sequence[VariantInput]) -> tuple[values.Variant, ...]:
    return tuple(
        values.Variant(one.key, one.name or one.key, read_parts(one.weight, f"variants[{index}].weight"), one.control)
        for index, one in enumerate(variants)
    )


def read_metrics(metrics: Sequence[ExperimentMetricInput]) -> tuple[values.ExperimentMetric, ...]:
    return tuple(_metric(one, f"metrics[{index}]") for index, one in enumerate(metrics))


def read_group(group: ExclusiveGroupInput | None) -> values.ExclusiveGroup | None:
    """The group, without a place in it yet."""
    return None if group is None else values.ExclusiveGroup(group.name, -1, read_parts(group.share, "group.share"))


def read_breakdowns(breakdowns: Sequence[Dimension]) -> tuple[str, ...]:
    return tuple(dimension.value for dimension in breakdowns)


def _metric(one: ExperimentMetricInput, field: str) -> values.ExperimentMetric:
    if (one.metric is None) == (one.value is None):
        raise refusal(field, "must give exactly one of metric and value")
    if one.metric is not None and one.per is not None:
        raise refusal(f"{field}.per", "goes with value; a metric of the catalogue has its own")
    slug = one.slug or one.metric
    if slug is None:
        raise refusal(f"{field}.slug", "is required of a metric that is not of the catalogue")
    direction = Direction.UP
    if one.metric is not None:
        try:
            direction, (value, per) = of_slug(one.metric).direction, of_catalogue(one.metric)
        except BadInput as bad:
            raise BadInput(bad.message, field=f"{field}.metric") from None
    else:
        assert one.value is not None
        value = _measure(one.value, f"{field}.value")
        per = None if one.per is None else _measure(one.per, f"{field}.per")
    if one.up_is_good is not None:
        direction = Direction.UP if one.up_is_good else Direction.DOWN
    return values.ExperimentMetric(
        slug=slug,
        role=one.role,
        direction=direction,
        metric=one.metric,
        of=values.UnitMetric(
            value=value,
            per=per,
            window=read_span(one.window, f"{field}.window"),
            cap=_optional(one.cap, f"{field}.cap"),
            cap_at=_optional(one.cap_at, f"{field}.capAt"),
            before=None if one.covariate is None else read_span(one.covariate, f"{field}.covariate"),
        ),
        margin=None if one.margin is None else _margin(one.margin, f"{field}.margin"),
    )


def _margin(one: GuardrailMarginInput, field: str) -> values.Margin:
    if one.relative is not None:
        return values.Margin(read_number(one.relative, f"{field}.relative"))
    return values.Margin(read_number(one.absolute, f"{field}.absolute"), absolute=True)


def _optional(value: object | None, field: str) -> Decimal | None:
    return None if value is None else read_number(value, field)


def _measure(one: UnitMeasureInput, field: str) -> values.Measure:
    match one:
        case UnitMeasureInput(steps=list(steps)):
            read = tuple(read_filter(step, f"{field}.steps[{index}]") for index, step in enumerate(steps))
            return values.Measure(values.Tally.STEPS, EVERYTHING, None, read)
        case UnitMeasureInput(sum=UnitSumInput() as added):
            where = read_filter(added.where, f"{field}.sum.where")
            return values.Measure(values.Tally.SUM, where, added.measure.value)
    given: dict[str, Any] = {
        "converts": (values.Tally.ANY, one.converts),
        "count": (values.Tally.COUNT, one.count),
        "orders": (values.Tally.ORDERS, one.orders),
    }
    name, (tally, where) = next((name, found) for name, found in given.items() if found[1] is not None)
    field_of = "amount" if tally is values.Tally.ORDERS else None
    return values.Measure(tally, read_filter(where, f"{field}.{name}"), field_of)
