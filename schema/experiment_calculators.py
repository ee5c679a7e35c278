"""Calculators for experiments that are being planned: pure arithmetic, the same for every tenant."""

from typing import Annotated

import strawberry

from resolvers import experiment_calculators
from resolvers.analysis import experiment_plans as values
from resolvers.analysis.experiment_plans import PlannedMean, PlannedMetric, PlannedShare, Terms
from resolvers.analysis.experiment_power import Formula
from resolvers.analysis.intake_values import Invalid, count
from resolvers.context import Role
from resolvers.experiment_calculators import MOST_COMPARISONS, MOST_TREATMENTS, PlannedEffect
from schema.access import field
from schema.errors import refusal
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    Formula,
    "Which formula the power of a two-proportion z test is reckoned by. They differ by a few units in ten thousand.",
    {
        "ARCSINE": "By 2·asin(√share) of both shares, whose variance is the same for all (Cohen 1988).",
        "UNPOOLED": "By the variances of both shares, each its own.",
        "POOLED": (
            "By the pooled variance where there is no effect and the unpooled one where there is (Fleiss 1981, without "
            "continuity correction): that of the test that results are told by."
        ),
    },
    name="PowerFormula",
)


@strawberry.input(description="A metric that each unit has or has not, such as a conversion.")
class PlannedShareInput:
    baseline: float = strawberry.field(description="The control's share, between 0 and 1: 0.1 is ten percent.")
    formula: Formula = strawberry.field(default=Formula.POOLED, description="The formula to reckon by.")


@strawberry.input(description="A metric that is a number of each unit, such as its revenue.")
class PlannedMeanInput:
    deviation: float = strawberry.field(
        description="The standard deviation of units' values, above 0; after CUPED times √(1 - variance cut)."
    )
    baseline: float | None = strawberry.field(
        default=None, description="The control's mean; needed for relative effects."
    )


@strawberry.input(one_of=True, description="What the experiment is to be judged by: exactly one of these.")
class PlannedMetricInput:
    share: PlannedShareInput | None = strawberry.field(
        default=strawberry.UNSET, description="A share of units, held against another by a two-proportion z test."
    )
    mean: PlannedMeanInput | None = strawberry.field(
        default=strawberry.UNSET, description="A mean over units, held against another by a t test."
    )


@strawberry.input(one_of=True, description="The least effect that is worth finding: exactly one of these.")
class PlannedEffectInput:
    relative: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="As a part of the control's value: 0.1 is a tenth more, -0.1 a tenth less.",
    )
    absolute: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="Treatment - control: of a share 0.01 is one percentage point more; of a mean in its own unit.",
    )


_FORMULA = "The formula, with its source."
_MEANING = "What it means, in a sentence."
_ALPHA = "The α of each comparison: the one asked for, divided by `comparisons`."
_TOTAL = "Units of the control and of all treatments."


@shapes(values.SampleSize)
@strawberry.type(description="How many units an experiment takes.")
class SampleSize:
    control: BigInt = strawberry.field(description="Units of the control, rounded up.")
    treatment: BigInt = strawberry.field(description="Units of each treatment, rounded up.")
    total: BigInt = strawberry.field(description=_TOTAL)
    power: float = strawberry.field(description="The power that these whole numbers of units have.")
    alpha: float = strawberry.field(description=_ALPHA)
    formula: str = strawberry.field(description=_FORMULA)
    meaning: str = strawberry.field(description=_MEANING)


@shapes(values.ExperimentPower)
@strawberry.type(description="How likely an experiment finds an effect.")
class ExperimentPower:
    power: float = strawberry.field(
        description="The share of experiments, 0 to 1, that would find the effect significant."
    )
    total: BigInt = strawberry.field(description=_TOTAL)
    alpha: float = strawberry.field(description=_ALPHA)
    formula: str = strawberry.field(description=_FORMULA)
    meaning: str = strawberry.field(description=_MEANING)


@shapes(values.DetectableEffect)
@strawberry.type(description="The least effect that an experiment would find with the power asked for.")
class DetectableEffect:
    absolute: float | None = strawberry.field(
        description="Treatment - control; null where not even a rise to 100 % would be found."
    )
    relative: float | None = strawberry.field(
        description="The same divided by the control's value; null also without a baseline, or over one of 0."
    )
    reached: float | None = strawberry.field(description="What the treatment comes to; null also without a baseline.")
    total: BigInt = strawberry.field(description=_TOTAL)
    alpha: float = strawberry.field(description=_ALPHA)
    formula: str = strawberry.field(description=_FORMULA)
    meaning: str = strawberry.field(description=_MEANING)


@shapes(values.ExperimentDuration)
@strawberry.type(description="How long an experiment takes.")
class ExperimentDuration:
    days: BigInt = strawberry.field(description="Days until the units are there, rounded up.")
    weeks: BigInt = strawberry.field(description="The same in whole weeks, rounded up, as days of the week differ.")
    days_of_whole_weeks: BigInt = strawberry.field(description="7 times `weeks`.")
    size: SampleSize = strawberry.field(description="The units it takes.")
    formula: str = strawberry.field(description="How days come of units, and units of the rest.")
    meaning: str = strawberry.field(description=_MEANING)


MetricArgument = Annotated[PlannedMetricInput, strawberry.argument(description="What the experiment is judged by.")]
EffectArgument = Annotated[PlannedEffectInput, strawberry.argument(description="The least effect worth finding.")]
UnitsArgument = Annotated[
    object,
    strawberry.argument(graphql_type=BigInt, description="Units of the control, 2 to 10¹²."),
]
AlphaArgument = Annotated[
    float,
    strawberry.argument(description="How often chance alone may be taken for an effect, two-sided: 0.000001 to 0.5."),
]
PowerArgument = Annotated[
    float,
    strawberry.argument(description="How often the effect is to be found: above alpha, at most 0.999999."),
]
RatioArgument = Annotated[
    float, strawberry.argument(description="Units of each treatment for one of the control: 0.0001 to 10,000.")
]
TreatmentsArgument = Annotated[
    int, strawberry.argument(description=f"How many treatments there are beside the control, 1 to {MOST_TREATMENTS}.")
]
ComparisonsArgument = Annotated[
    int,
    strawberry.argument(
        description=(
            "How many tests share alpha, each of which gets an equal part (Bonferroni): treatments × goal metrics, "
            f"where all are to hold together; 1 to {MOST_COMPARISONS:,}, 1 for no correction."
        )
    ),
]
UnitsPerDayArgument = Annotated[
    float, strawberry.argument(description="How many new units come a day, above 0, whether they take part or not.")
]
TrafficArgument = Annotated[
    float, strawberry.argument(description="The share of them that takes part, above 0, at most 1.")
]


def _metric(given: PlannedMetricInput) -> PlannedMetric:
    if given.share:
        return PlannedShare(given.share.baseline, given.share.formula)
    assert given.mean
    return PlannedMean(given.mean.deviation, given.mean.baseline)


def _effect(given: PlannedEffectInput) -> PlannedEffect:
    return PlannedEffect(
        relative=None if given.relative is strawberry.UNSET else given.relative,
        absolute=None if given.absolute is strawberry.UNSET else given.absolute,
    )


def _units(given: object) -> int:
    try:
        return count(given)
    except Invalid as bad:
        raise refusal("units", bad.message) from None


@strawberry.type
class ExperimentCalculatorQuery:
    @field(Role.VIEWER, SampleSize, "How many units an experiment takes to find an effect. Arithmetic; reads no data.")
    def sample_size(
        self,
        metric: MetricArgument,
        effect: EffectArgument,
        alpha: AlphaArgument = 0.05,
        power: PowerArgument = 0.8,
        ratio: RatioArgument = 1.0,
        treatments: TreatmentsArgument = 1,
        comparisons: ComparisonsArgument = 1,
    ) -> values.SampleSize:
        terms = Terms(alpha, power, ratio, treatments, comparisons)
        return experiment_calculators.sample_size(_metric(metric), _effect(effect), terms)

    @field(
        Role.VIEWER,
        ExperimentPower,
        "How likely an experiment with so many units finds an effect. Arithmetic; reads no data.",
    )
    def power(
        self,
        metric: MetricArgument,
        effect: EffectArgument,
        units: UnitsArgument,
        alpha: AlphaArgument = 0.05,
        ratio: RatioArgument = 1.0,
        treatments: TreatmentsArgument = 1,
        comparisons: ComparisonsArgument = 1,
    ) -> values.ExperimentPower:
        terms = Terms(alpha, ratio=ratio, treatments=treatments, comparisons=comparisons)
        return experiment_calculators.power(_metric(metric), _effect(effect), _units(units), terms)

    @field(
        Role.VIEWER,
        DetectableEffect,
        "The least rise that an experiment with so many units would find. Arithmetic; reads no data.",
    )
    def detectable_effect(
        self,
        metric: MetricArgument,
        units: UnitsArgument,
        alpha: AlphaArgument = 0.05,
        power: PowerArgument = 0.8,
        ratio: RatioArgument = 1.0,
        treatments: TreatmentsArgument = 1,
        comparisons: ComparisonsArgument = 1,
    ) -> values.DetectableEffect:
        terms = Terms(alpha, power, ratio, treatments, comparisons)
        return experiment_calculators.detectable_effect(_metric(metric), _units(units), terms)

    @field(
        Role.VIEWER,
        ExperimentDuration,
        "How many days and whole weeks an experiment takes to find an effect. Arithmetic; reads no data.",
    )
    def experiment_duration(
        self,
        metric: MetricArgument,
        effect: EffectArgument,
        units_per_day: UnitsPerDayArgument,
        traffic: TrafficArgument = 1.0,
        alpha: AlphaArgument = 0.05,
        power: PowerArgument = 0.8,
        ratio: RatioArgument = 1.0,
        treatments: TreatmentsArgument = 1,
        comparisons: ComparisonsArgument = 1,
    ) -> values.ExperimentDuration:
        terms = Terms(alpha, power, ratio, treatments, comparisons)
        return experiment_calculators.experiment_duration(
            _metric(metric), _effect(effect), terms, units_per_day, traffic
        )
