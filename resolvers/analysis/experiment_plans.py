"""An experiment before it starts: how many units it takes, what those there are could show, and how long it takes."""

from dataclasses import dataclass
from math import ceil, sqrt

from scipy.special import ndtri

from resolvers.analysis.experiment_power import (
    Formula,
    detectable_mean,
    detectable_share,
    means_power,
    means_size,
    shares_power,
    shares_size,
    whole,
)
from resolvers.analysis.experiment_tests import SPARSE

FEWEST_UNITS = 2
"""In each arm: a variance cannot be told from one."""
_FORMULAS = {
    Formula.ARCSINE: "Two-proportion z test by the arcsine of the root of both shares (Cohen 1988).",
    Formula.UNPOOLED: "Two-proportion z test with the variances of both shares, each its own (unpooled).",
    Formula.POOLED: (
        "Two-proportion z test with the pooled variance where there is no effect, the unpooled one where there is "
        "(Fleiss 1981, without continuity correction)."
    ),
}


@dataclass(frozen=True, slots=True)
class PlannedShare:
    """A metric that each unit has or has not; ``baseline`` is the control's share."""

    baseline: float
    formula: Formula = Formula.POOLED


@dataclass(frozen=True, slots=True)
class PlannedMean:
    """A metric that is a number of each unit; ``baseline`` is the control's mean, None where it is not known."""

    deviation: float
    baseline: float | None = None


PlannedMetric = PlannedShare | PlannedMean


@dataclass(frozen=True, slots=True)
class Terms:
    """How an experiment is laid out; ``alpha`` is that of all comparisons together, ``ratio`` treatment to control."""

    alpha: float = 0.05
    power: float = 0.8
    ratio: float = 1.0
    treatments: int = 1
    comparisons: int = 1

    @property
    def each(self) -> float:
        """The α of each comparison, by Bonferroni."""
        return self.alpha / self.comparisons


@dataclass(frozen=True, slots=True)
class Layout:
    """The units of a whole experiment."""

    control: int
    treatment: int
    """Of each treatment."""
    treatments: int

    @property
    def total(self) -> int:
        return self.control + self.treatments * self.treatment

    @property
    def ratio(self) -> float:
        return self.treatment / self.control

    def __str__(self) -> str:
        other = "the treatment" if self.treatments == 1 else f"each of {self.treatments} treatments"
        return f"{self.control:,} units in the control and {self.treatment:,} in {other}"


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many units it takes; ``power`` is what these whole numbers reach."""

    control: int
    treatment: int
    total: int
    power: float
    alpha: float
    """Of each comparison."""
    formula: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ExperimentPower:
    """How likely an effect would be found."""

    power: float
    total: int
    alpha: float
    formula: str
    meaning: str


@dataclass(frozen=True, slots=True)
class DetectableEffect:
    """The least effect that would be found; all None where no share would be high enough."""

    absolute: float | None
    relative: float | None
    """None without a baseline too, or one of 0."""
    reached: float | None
    """What the treatment would come to; None without a baseline too."""
    total: int
    alpha: float
    formula: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ExperimentDuration:
    """How long it takes until the units are there."""

    days: int
    weeks: int
    days_of_whole_weeks: int
    size: SampleSize
    formula: str
    meaning: str


def laid_out(control: float, terms: Terms, ratio: float) -> Layout:
    """Whole units of at least so many of the control."""
    return Layout(
        max(FEWEST_UNITS, whole(control)), max(FEWEST_UNITS, whole(control * ratio)), treatments=terms.treatments
    )


def rough_root(metric: PlannedMetric, step: float, terms: Terms) -> float:
    """The root of about how many units of the control it takes, infinite at worst."""
    if isinstance(metric, PlannedShare):
        a, b = metric.baseline, metric.baseline + step
        variance = a * (1 - a) + b * (1 - b) / terms.ratio
    else:
        variance = metric.deviation * metric.deviation * (1 + 1 / terms.ratio)
    return (float(ndtri(terms.power)) - float(ndtri(terms.each / 2))) * sqrt(variance) / abs(step)


def sample_size(metric: PlannedMetric, step: float, terms: Terms) -> SampleSize:
    """The units by which an effect of ``step`` is found; what is rounded up makes the power a little more."""
    if isinstance(metric, PlannedShare):
        control = shares_size(
            metric.baseline,
            metric.baseline + step,
            alpha=terms.each,
            power=terms.power,
            ratio=terms.ratio,
            formula=metric.formula,
        )
    else:
        control = means_size(step, metric.deviation, alpha=terms.each, power=terms.power, ratio=terms.ratio)
    units = laid_out(control, terms, terms.ratio)
    meaning = (
        f"It takes {units}, {units.total:,} in all, for {_change(metric, step)} to be found in {_percent(terms.power)} "
        f"of experiments, at α {terms.each:.4g}, two-sided.{_caution(metric, step, units)}"
    )
    return SampleSize(
        units.control,
        units.treatment,
        units.total,
        _power(metric, step, units, terms),
        terms.each,
        _formula(metric),
        meaning,
    )


def power(metric: PlannedMetric, step: float, units: Layout, terms: Terms) -> ExperimentPower:
    """How likely an effect of ``step`` is found with so many units."""
    found = _power(metric, step, units, terms)
    meaning = (
        f"With {units}, {_change(metric, step)} would be found in {_percent(found)} of experiments, at α "
        f"{terms.each:.4g}, two-sided.{_caution(metric, step, units)}"
    )
    return ExperimentPower(found, units.total, terms.each, _formula(metric), meaning)


def detectable_effect(metric: PlannedMetric, units: Layout, terms: Terms) -> DetectableEffect:
    """The least rise that is found with so many units, in ``terms.power`` of experiments."""
    asked = {"alpha": terms.each, "power": terms.power, "units": units.control, "ratio": units.ratio}
    step: float | None
    if isinstance(metric, PlannedShare):
        found = detectable_share(metric.baseline, formula=metric.formula, **asked)
        step = None if found is None else found - metric.baseline
    else:
        step = detectable_mean(metric.deviation, **asked)
    base = metric.baseline
    if step is None:
        meaning = f"With {units}, not even a rise from {_percent(metric.baseline or 0.0)} to 100 % would be found."
    else:
        meaning = (
            f"With {units}, {_change(metric, step)} is the least that would be found in {_percent(terms.power)} of "
            f"experiments, at α {terms.each:.4g}, two-sided.{_caution(metric, step, units)}"
        )
    return DetectableEffect(
        absolute=step,
        relative=step / abs(base) if step is not None and base else None,
        reached=base + step if step is not None and base is not None else None,
        total=units.total,
        alpha=terms.each,
        formula=_formula(metric),
        meaning=meaning,
    )


def duration(metric: PlannedMetric, step: float, terms: Terms, per_day: float, traffic: float) -> ExperimentDuration:
    """How long it takes where so many new units come a day, and that share of them takes part."""
    size = sample_size(metric, step, terms)
    days = whole(size.total / (per_day * traffic))
    weeks = ceil(days / 7)
    return ExperimentDuration(
        days,
        weeks,
        7 * weeks,
        size,
        f"Units in all, divided by new units a day times the share of traffic, rounded up. The units: {size.formula}",
        f"At {per_day:,.10g} new units a day, {_percent(traffic)} of them in the experiment, its {size.total:,} units "
        f"take {_counted(days, 'day')}. Let it run for {_counted(weeks, 'whole week')}, {_counted(7 * weeks, 'day')}, "
        "as days of the week differ.",
    )


def _power(metric: PlannedMetric, step: float, units: Layout, terms: Terms) -> float:
    asked = {"alpha": terms.each, "units": units.control, "ratio": units.ratio}
    if isinstance(metric, PlannedShare):
        found = shares_power(metric.baseline, metric.baseline + step, formula=metric.formula, **asked)
    else:
        found = means_power(step, metric.deviation, **asked)
    return min(found, 1.0)


def _formula(metric: PlannedMetric) -> str:
    if isinstance(metric, PlannedShare):
        return _FORMULAS[metric.formula]
    return "Student's t test of two means, by the noncentral t distribution."


def _change(metric: PlannedMetric, step: float) -> str:
    word = "a rise" if step > 0 else "a fall"
    if isinstance(metric, PlannedShare):
        return f"{word} from {_percent(metric.baseline)} to {_percent(metric.baseline + step)}"
    if metric.baseline is not None:
        return f"{word} of the mean from {metric.baseline:.6g} to {metric.baseline + step:.6g}"
    return f"{word} of the mean by {abs(step):.6g}"


def _caution(metric: PlannedMetric, step: float, units: Layout) -> str:
    if isinstance(metric, PlannedMean):
        return ""
    mean = (units.control * metric.baseline + units.treatment * (metric.baseline + step)) / (
        units.control + units.treatment
    )
    if min(mean, 1 - mean) * min(units.control, units.treatment) >= SPARSE:
        return ""
    return (
        " So few units will be tested exactly (Fisher), which finds less: take the numbers for a rough guide, and "
        "rather more units."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
