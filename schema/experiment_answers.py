"""What the results of experiments are made of."""

from datetime import datetime
from decimal import Decimal

import strawberry

from resolvers.analysis import experiment_answers as values
from resolvers.analysis.experiment_decisions import Decision, Guard
from resolvers.analysis.experiment_tests import Method
from resolvers.analysis.experiments import MetricRole, MultipleExposures, Status
from resolvers.context import Role
from schema.access import field
from schema.common import DimensionValue, Estimate, Interval
from schema.explanations import Explanation
from schema.nodes import encode
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    Decision,
    "What an experiment's figures say is to be done.",
    {
        "SHIP": "A goal is significantly better and every guardrail holds: give everybody the variant `ship`.",
        "ROLL_BACK": "Something is significantly worse, or nothing better by the planned end: keep the control.",
        "KEEP_RUNNING": "It is too early to tell.",
        "INVALID": "Something is wrong with who is counted: no effect can be believed.",
    },
    name="ExperimentDecision",
)
enumerate_in_schema(
    Guard,
    "How a guardrail stands against its margin.",
    {
        "HOLDS": "It is shown not to be worse than the margin.",
        "BROKEN": "It is shown to be worse than the control.",
        "OPEN": "Neither is shown yet.",
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


@shapes(values.ExperimentEffect)
@strawberry.type(
    description=(
        "A variant held against the control in one metric. Intervals and p-values are of a fixed horizon unless they "
        "say otherwise: they hold if read once, when the planned end is reached."
    )
)
class ExperimentEffect:
    variant: str = strawberry.field(description="The variant's key.")
    method: Method | None = strawberry.field(description="The test; null where none is defined.")
    effect: Decimal | None = strawberry.field(description="Variant - control, in the metric's unit; null if undefined.")
    interval: Interval | None = strawberry.field(description="Of the effect; null if undefined.")
    lift: Decimal | None = strawberry.field(
        description="(variant - control) / control, a share; null where the control is 0 or nothing is defined."
    )
    lift_interval: Interval | None = strawberry.field(description="Of the lift, by the delta method; null without one.")
    statistic: float | None = strawberry.field(description="The test's z or t; null where it has none.")
    p_value: float | None = strawberry.field(description="Two-sided, before any correction; null if undefined.")
    log10_p: float | None = strawberry.field(
        name="log10P", description="Its common logarithm, also where that underflows to 0; null if undefined."
    )
    unpooled_p_value: float | None = strawberry.field(
        description="Of a share the p-value of the z test with unpooled variances; null for other metrics."
    )
    cuped: CupedEffect | None = strawberry.field(
        description="With the covariate taken out, which then decides; null without a covariate."
    )
    sequential_interval: Interval | None = strawberry.field(
        description="Of the effect that decides, valid at any look; null if undefined."
    )
    sequential_p_value: float | None = strawberry.field(description="Valid at any look; null if undefined.")
    holm_p_value: float | None = strawberry.field(
        description=(
            "What decides, corrected by Holm for the family of tests: the p-value, of a fixed horizon once the planned "
            "end is reached, else of what holds at any look; null if undefined."
        )
    )
    benjamini_hochberg_p_value: float | None = strawberry.field(
        description="The same, corrected by Benjamini and Hochberg; null if undefined."
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
    guard: Guard | None = strawberry.field(description="How a guardrail stands; null for other metrics.")
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


@shapes(values.ExperimentGroup)
@strawberry.type(description="Results among subjects whose first exposure had the same value of a dimension.")
class ExperimentGroup:
    keys: list[DimensionValue] = strawberry.field(description="The value; empty for the group of all others.")
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    units: BigInt = strawberry.field(description="Its subjects.")
    metrics: list[ExperimentMetricAnswer] = strawberry.field(description="Each metric among them.")


@shapes(values.ExperimentSegment)
@strawberry.type(
    description=(
        "Results among subjects that are in a segment now. A segment that the variants themselves lead into or out of "
        "misleads: its members are then no longer alike but for the variant."
    )
)
class ExperimentSegment:
    name: str = strawberry.field(description="The segment's name.")
    members_as_of: datetime = strawberry.field(
        description="The instant that its members are of; they are found anew every `refreshEvery` of the segment."
    )
    units: BigInt = strawberry.field(description="Its subjects in the experiment.")
    metrics: list[ExperimentMetricAnswer] = strawberry.field(
        description="Each metric among them; a subject in several segments counts in each."
    )

    @field(Role.VIEWER, strawberry.ID, "The segment's global id: `node` finds it.")
    async def segment_id(self) -> strawberry.ID:
        return strawberry.ID(encode("Segment", str(self.segment)))  # type: ignore[attr-defined]


@shapes(values.ExperimentUnits)
@strawberry.type(description="How many subjects a variant has.")
class ExperimentUnits:
    variant: str = strawberry.field(description="The variant's key.")
    units: BigInt = strawberry.field(description="Subjects whose first exposure that counts was to it.")
    expected: float | None = strawberry.field(
        description="How many it should have by its weight; null without subjects, or over phases of several weights."
    )


@shapes(values.SampleRatio)
@strawberry.type(
    description=(
        "Whether variants are as large as their weights say: Pearson's chi-squared over those with a weight, exact "
        "binomial tails where few are expected."
    )
)
class SampleRatio:
    statistic: float = strawberry.field(description="The chi-squared statistic.")
    freedom: int = strawberry.field(description="Its degrees of freedom: variants with a weight above 0, less one.")
    p_value: float = strawberry.field(description="How likely so large a mismatch is by chance.")
    log10_p: float = strawberry.field(name="log10P", description="Its common logarithm, also where that underflows.")
    unexpected: BigInt = strawberry.field(description="Subjects of variants whose weight is 0.")
    suspicious: bool = strawberry.field(description="Whether the p-value is below 0.001.")


@shapes(values.ExperimentAnswer)
@strawberry.type(description="The results of an experiment.")
class ExperimentAnswer:
    experiment: str = strawberry.field(description="The experiment's key.")
    status: Status = strawberry.field(description="Where it is in its life.")
    phase: int | None = strawberry.field(description="The phase whose subjects these are; null for all phases.")
    multiple_exposures: MultipleExposures = strawberry.field(
        description="What became of subjects that were shown several variants."
    )
    units: list[ExperimentUnits] = strawberry.field(description="The subjects of each variant.")
    sample_ratio: SampleRatio | None = strawberry.field(
        description="Whether they are as many as they should be; null without subjects, or over phases that differ."
    )
    multiple: Estimate = strawberry.field(
        description="The share of subjects that were shown several variants; its value is null without subjects."
    )
    outside: BigInt = strawberry.field(
        description="Subjects with exposures none of which counts: before the start, after the end, of no variant."
    )
    days: float = strawberry.field(description="For how many days subjects have come.")
    planned_end_reached: bool = strawberry.field(
        description="Whether runtime, sample and the power of each goal (80 %) are what was planned."
    )
    decision: Decision = strawberry.field(description="What is to be done.")
    why: str = strawberry.field(description="The sentence why.")
    ship: str | None = strawberry.field(description="The key of the variant to ship; null unless one is.")
    warnings: list[str] = strawberry.field(description="What to mind when reading this, in sentences.")
    metrics: list[ExperimentMetricAnswer] = strawberry.field(description="Each metric, in the experiment's order.")
    groups: list[ExperimentGroup] = strawberry.field(
        description="The groups of the breakdown, of most subjects first, and one of all others; empty without `by`."
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    segments: list[ExperimentSegment] = strawberry.field(
        description="Results among the members of each of `bySegments`, in their order; empty without."
    )
    as_of: datetime = strawberry.field(description="The instant at which the answer was read.")
    explain: Explanation = strawberry.field(description="How the numbers were come by.")
