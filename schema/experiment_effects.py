"""What became of a metric of an experiment: each variant, and how it stands against the control."""

from datetime import datetime
from decimal import Decimal

import strawberry

from resolvers.analysis import experiment_answers as values
from resolvers.analysis.experiment_decisions import Guard
from resolvers.analysis.experiment_tests import Method
from resolvers.analysis.experiments import MetricRole
from schema.common import Estimate, Interval
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    Guard,
    "How a guardrail stands against its margin.",
    {
        "HOLDS": "It is shown not to be worse than the margin.",
        "BROKEN": "It is shown to be worse than the control.",
        "OPEN": "Neither is shown yet: nothing is shipped before it is.",
        "NOT_BROKEN": "It has no margin, and is not shown to be worse: it keeps nothing from being shipped.",
    },
    name="GuardrailStatus",
)
enumerate_in_schema(
    Method,
    "How a p-value was come by.",
    {
        "TWO_PROPORTION_Z_POOLED": "Two-proportion z test with the pooled variance.",
        "FISHER_EXACT": "Fisher's exact test, where so few convert that the z test would mislead.",
        "WELCH_T": "Welch's t test of two means.",
        "DELTA_RATIO_Z": "z test of two ratios of sums, their variances by the delta method.",
    },
    name="ExperimentTest",
)


@shapes(values.ExperimentArm)
@strawberry.type(description="A variant in a metric.")
class ExperimentArm:
    variant: str = strawberry.field(description="The variant's key.")
    estimate: Estimate = strawberry.field(description="The metric among the variant's subjects.")


_LOGARITHM = "Common logarithm, also where it underflows to 0, of"


@shapes(values.CupedEffect)
@strawberry.type(
    description="An effect with what subjects were like before their exposure taken out of it (CUPED), Welch's t test."
)
class CupedEffect:
    theta: float = strawberry.field(
        description="The coefficient of the covariate, by the total covariance of both variants."
    )
    variance_cut: float = strawberry.field(
        description="Which share of the effect's variance is gone by it; below 0 where there is more."
    )
    effect: Decimal = strawberry.field(description="The adjusted variant - the adjusted control.")
    interval: Interval = strawberry.field(description="Of the adjusted effect.")
    p_value: float = strawberry.field(description="Two-sided.")
    log10_p: float = strawberry.field(name="log10P", description="Its common logarithm, also where that underflows.")


@shapes(values.PlannedEffect)
@strawberry.type(
    description=(
        "An effect in the planned sample alone, with the covariate taken out where there is one: what decides once "
        "subjects came after that sample, however often somebody looks."
    )
)
class PlannedEffect:
    effect: Decimal = strawberry.field(description="Variant - control, in the metric's unit.")
    interval: Interval = strawberry.field(description="Of the effect, of a fixed horizon.")
    p_value: float = strawberry.field(description="Two-sided, before any correction.")
    log10_p: float = strawberry.field(name="log10P", description="Its common logarithm, also where that underflows.")


@shapes(values.ExperimentEffect)
@strawberry.type(
    description=(
        "A variant held against the control in one metric. Intervals and p-values are of a fixed horizon unless they "
        "say otherwise: they hold if read once, when the planned end is reached. Read earlier, or by somebody who goes "
        "on, they mislead, which `warnings` says."
    )
)
class ExperimentEffect:
    variant: str = strawberry.field(description="The variant's key.")
    method: Method | None = strawberry.field(description="The test; null where none is defined.")
    effect: Decimal | None = strawberry.field(description="Variant - control, in the metric's unit; null if undefined.")
    interval: Interval | None = strawberry.field(description="Of the effect; null if undefined.")
    lift: Decimal | None = strawberry.field(
        description="(variant - control) / |control|, a share; null where the control is 0 or nothing is defined."
    )
    lift_interval: Interval | None = strawberry.field(
        description=(
            "Of the lift, by the delta method; null without a lift, and where the variant comes to exactly 0 or "
            "neither varies, as that method then has no width to give it."
        )
    )
    statistic: float | None = strawberry.field(description="The test's z or t; null where it has none.")
    p_value: float | None = strawberry.field(description="Two-sided, before any correction; null if undefined.")
    log10_p: float | None = strawberry.field(
        name="log10P", description="Its common logarithm, also where that underflows to 0; null if undefined."
    )
    unpooled_p_value: float | None = strawberry.field(
        description="Of a share the p-value of the z test with unpooled variances; null for other metrics."
    )
    unpooled_log10_p: float | None = strawberry.field(
        name="unpooledLog10P", description=f"{_LOGARITHM} `unpooledPValue`; null where that is."
    )
    cuped: CupedEffect | None = strawberry.field(
        description="With the covariate taken out, which then decides; null without a covariate."
    )
    planned: PlannedEffect | None = strawberry.field(
        description=(
            "In the planned sample alone, without the subjects that came after it; null where none did, as it is then "
            "what is told above, before the planned end, if undefined, and in breakdowns."
        )
    )
    sequential_interval: Interval | None = strawberry.field(
        description=(
            "Of the effect that decides, valid at any look, by the greater of its standard error and that of no "
            "effect; null if undefined."
        )
    )
    sequential_p_value: float | None = strawberry.field(description="Valid at any look; null if undefined.")
    sequential_log10_p: float | None = strawberry.field(
        name="sequentialLog10P", description=f"{_LOGARITHM} `sequentialPValue`; null where that is."
    )
    holm_p_value: float | None = strawberry.field(
        description=(
            "What decides, corrected by Holm for the family of tests: once the planned end is reached the p-value of "
            "the planned sample (`planned.pValue` where subjects came later); before it, in a sequential experiment, "
            "and in breakdowns where subjects came later, what holds at any look. Null if undefined."
        )
    )
    holm_log10_p: float | None = strawberry.field(
        name="holmLog10P", description=f"{_LOGARITHM} `holmPValue`; null where that is."
    )
    benjamini_hochberg_p_value: float | None = strawberry.field(
        description="The same, corrected by Benjamini and Hochberg; null if undefined."
    )
    benjamini_hochberg_log10_p: float | None = strawberry.field(
        name="benjaminiHochbergLog10P", description=f"{_LOGARITHM} `benjaminiHochbergPValue`; null where that is."
    )
    significant: bool = strawberry.field(description="Whether `holmPValue` is below the experiment's alpha.")
    chance_to_win: float | None = strawberry.field(
        description=(
            "The probability that the variant is better, from flat priors: Beta posteriors of shares, else a normal "
            "one of the effect; null if undefined."
        )
    )
    expected_loss: Decimal | None = strawberry.field(
        description="What is lost in expectation by choosing the variant, in the metric's unit; null if undefined."
    )
    power: float | None = strawberry.field(
        description=(
            "The chance that the least effect worth finding would be found with the subjects there are; null if "
            "undefined."
        )
    )
    units_needed: BigInt | None = strawberry.field(
        description="Subjects of the control with which that chance is 80 %; null if undefined."
    )
    days_to_go: float | None = strawberry.field(
        description=(
            "Days until they are there if subjects come as they have come, and the shortest runtime is over; null if "
            "undefined."
        )
    )
    guard: Guard | None = strawberry.field(
        description=(
            "How a guardrail stands, by what decides; after the planned sample it is broken, too, where it is by what "
            "holds at any look. Null for other metrics."
        )
    )
    margin: Decimal | None = strawberry.field(
        description=(
            "How much worse a guardrail may become, in the metric's unit, by what the control comes to in what "
            "decides; null without a margin, and for other metrics."
        )
    )
    undefined: str | None = strawberry.field(description="Why nothing is defined; null where it is.")


@shapes(values.EffectSeries)
@strawberry.type(
    description=(
        "How an effect came about, in columns: among subjects first exposed up to the end of each day, with all their "
        "events so far."
    )
)
class EffectSeries:
    variant: str = strawberry.field(description="The variant's key.")
    at: list[datetime] = strawberry.field(
        description="The first instant of each day, in the tenant's time zone, on which somebody was first exposed."
    )
    units: list[BigInt] = strawberry.field(description="Subjects of the variant up to and including that day.")
    value: list[float | None] = strawberry.field(description="The metric of the variant; null over nothing.")
    control: list[float | None] = strawberry.field(description="The metric of the control; null over nothing.")
    effect: list[float | None] = strawberry.field(description="Variant - control; null if undefined.")
    low: list[float | None] = strawberry.field(description="The effect's interval from; null if undefined.")
    high: list[float | None] = strawberry.field(description="The effect's interval to; null if undefined.")
    p_value: list[float | None] = strawberry.field(
        description=(
            "Two-sided, of a fixed horizon: what a look on that day would have shown; it wanders, and falls below any "
            "threshold sometime if looked at often enough. Null if undefined."
        )
    )
    lift: list[float | None] = strawberry.field(
        description="(variant - control) / |control|, a share; null where the control is 0 or nothing is defined."
    )
    lift_low: list[float | None] = strawberry.field(description="The lift's interval from; null where it has none.")
    lift_high: list[float | None] = strawberry.field(description="The lift's interval to; null where it has none.")
    sequential_low: list[float | None] = strawberry.field(
        description="The effect's interval that holds on all days at once from; null if undefined."
    )
    sequential_high: list[float | None] = strawberry.field(description="The same to; null if undefined.")
    sequential_p_value: list[float | None] = strawberry.field(
        description="Two-sided, valid on all days at once; null if undefined."
    )


@shapes(values.ExperimentMetricAnswer)
@strawberry.type(description="What became of a metric of an experiment.")
class ExperimentMetricAnswer:
    slug: str = strawberry.field(description="What the experiment calls it.")
    role: MetricRole = strawberry.field(description="What the experiment looks at it for.")
    definition: str = strawberry.field(description="One sentence that says how it is computed.")
    arms: list[ExperimentArm] = strawberry.field(description="Each variant.")
    effects: list[ExperimentEffect] = strawberry.field(description="Each variant but the control, held against it.")
    family: int = strawberry.field(
        description=(
            "How many tests its p-values were corrected for: goals × variants, secondary metrics × variants, or the "
            "variants of a guardrail; in a breakdown × its groups or segments."
        )
    )
    cap: Decimal | None = strawberry.field(description="The most that a subject's value counted as; null without one.")
    series: list[EffectSeries] = strawberry.field(
        description="How each effect came about; empty unless `overTime` was asked for."
    )
