"""What an experiment's results are made of."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum

from resolvers.analysis.estimates import Estimate, Interval
from resolvers.analysis.experiment_decisions import Decision, Guard
from resolvers.analysis.experiment_srm import SampleRatioMethod
from resolvers.analysis.experiment_tests import Method
from resolvers.analysis.experiment_units import Uncounted
from resolvers.analysis.experiments import MetricRole, MultipleExposures, Status
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue


@dataclass(frozen=True, slots=True)
class ExperimentArm:
    """A variant in a metric."""

    variant: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class CupedEffect:
    """An effect with what units were like before taken out of it."""

    theta: float
    """The coefficient of the covariate, of the total covariance of both arms."""
    variance_cut: float
    effect: Decimal
    interval: Interval
    p_value: float
    log10_p: float


@dataclass(frozen=True, slots=True)
class PlannedEffect:
    """An effect by the planned sample alone, of a fixed horizon; adjusted where there is a covariate."""

    effect: Decimal
    interval: Interval
    p_value: float
    log10_p: float


@dataclass(frozen=True, slots=True)
class ExperimentEffect:
    """A variant held against the control, in one metric.

    What is undefined is None, and ``undefined`` says why. ``significant`` is by what the experiment is decided by,
    after Holm's correction.
    """

    variant: str
    method: Method | None = None
    effect: Decimal | None = None
    interval: Interval | None = None
    lift: Decimal | None = None
    lift_interval: Interval | None = None
    statistic: float | None = None
    p_value: float | None = None
    log10_p: float | None = None
    unpooled_p_value: float | None = None
    unpooled_log10_p: float | None = None
    cuped: CupedEffect | None = None
    planned: PlannedEffect | None = None
    sequential_interval: Interval | None = None
    sequential_p_value: float | None = None
    sequential_log10_p: float | None = None
    holm_p_value: float | None = None
    holm_log10_p: float | None = None
    benjamini_hochberg_p_value: float | None = None
    benjamini_hochberg_log10_p: float | None = None
    significant: bool = False
    chance_to_win: float | None = None
    expected_loss: Decimal | None = None
    power: float | None = None
    units_needed: int | None = None
    days_to_go: float | None = None
    guard: Guard | None = None
    margin: Decimal | None = None
    undefined: str | None = None


@dataclass(frozen=True, slots=True)
class EffectSeries:
    """How a variant's effect came about: over units first exposed up to the end of each day, in columns."""

    variant: str
    at: tuple[datetime, ...]
    """The first instant of each day on which a unit was first exposed."""
    units: tuple[int, ...]
    """Of the variant, up to and including that day."""
    value: tuple[float | None, ...]
    control: tuple[float | None, ...]
    effect: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    p_value: tuple[float | None, ...]
    lift: tuple[float | None, ...]
    lift_low: tuple[float | None, ...]
    lift_high: tuple[float | None, ...]
    sequential_low: tuple[float | None, ...]
    sequential_high: tuple[float | None, ...]
    sequential_p_value: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ExperimentMetricAnswer:
    """What became of a metric."""

    slug: str
    role: MetricRole
    definition: str
    arms: tuple[ExperimentArm, ...]
    effects: tuple[ExperimentEffect, ...]
    """One for each variant but the control."""
    family: int
    """How many tests its p-values were adjusted for."""
    cap: Decimal | None
    """The most that a unit's value counted as; None without a bound."""
    series: tuple[EffectSeries, ...] = ()


@dataclass(frozen=True, slots=True)
class ExperimentGroup:
    """Results among the units of one value of the dimension broken down by; ``other`` sums up the rest."""

    keys: tuple[DimensionValue, ...]
    other: bool
    units: int
    metrics: tuple[ExperimentMetricAnswer, ...]


@dataclass(frozen=True, slots=True)
class ExperimentSegment:
    """Results among the units that were members of a segment at an instant."""

    segment: int
    name: str
    members_as_of: datetime = field(compare=False)
    units: int
    metrics: tuple[ExperimentMetricAnswer, ...]


@dataclass(frozen=True, slots=True)
class ExperimentUnits:
    """How many units a variant has, and should have by its weight."""

    variant: str
    units: int
    expected: float | None


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether the variants are as large as their weights say: Pearson's χ², its p-value by ``method``, and one that is
    valid at any look.
    """

    method: SampleRatioMethod
    statistic: float
    freedom: int
    p_value: float
    log10_p: float
    sequential_p_value: float
    sequential_log10_p: float
    unexpected: int
    suspicious: bool


@dataclass(frozen=True, slots=True)
class UncountedUnits:
    """How many subjects have exposures none of which counts, by why the first does not."""

    reason: Uncounted
    units: int


class WarningCode(Enum):
    """What is to be minded when results are read."""

    SAMPLE_RATIO_MISMATCH = "sample_ratio_mismatch"
    SAMPLE_RATIO_DOUBTFUL = "sample_ratio_doubtful"
    UNEXPECTED_VARIANT = "unexpected_variant"
    MULTIPLE_EXPOSURES = "multiple_exposures"
    UNCOUNTED_EXPOSURES = "uncounted_exposures"
    PEEKING = "peeking"
    LATE_LOOK = "late_look"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class ExperimentWarning:
    """Something to mind, in a sentence."""

    code: WarningCode
    message: str


@dataclass(frozen=True, slots=True)
class PlannedSample:
    """The units that had come when runtime, sample and power were as planned, and how many came later."""

    through: datetime | None
    """The end of the day on which they were; None where nobody came after it."""
    units: int
    later: int


@dataclass(frozen=True, slots=True)
class ExperimentAnswer:
    """The results of an experiment."""

    experiment: str
    status: Status
    phase: int | None
    """The phase whose units these are; None for all."""
    multiple_exposures: MultipleExposures
    units: tuple[ExperimentUnits, ...]
    sample_ratio: SampleRatio | None
    multiple: Estimate
    """The share of units that saw several variants."""
    uncounted: tuple[UncountedUnits, ...]
    """Subjects with exposures none of which counts, by why; reasons that are nobody's are left out."""
    days: float
    planned_end_reached: bool
    planned_sample: PlannedSample | None
    """None before the planned end is reached."""
    decision: Decision
    why: str
    ship: str | None
    """The variant to ship; None where none is."""
    warnings: tuple[ExperimentWarning, ...]
    metrics: tuple[ExperimentMetricAnswer, ...]
    groups: tuple[ExperimentGroup, ...]
    group_count: int
    segments: tuple[ExperimentSegment, ...]
    as_of: datetime = field(compare=False)
    explain: Explanation
