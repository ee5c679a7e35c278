"""The calculators of experiments: what is asked is checked, then reckoned; nothing of a tenant's data is read."""

from dataclasses import dataclass
from math import isfinite, sqrt

from resolvers.analysis import experiment_plans as plans
from resolvers.analysis.experiment_plans import (
    FEWEST_UNITS,
    DetectableEffect,
    ExperimentDuration,
    ExperimentPower,
    Layout,
    PlannedMetric,
    PlannedShare,
    SampleSize,
    Terms,
    laid_out,
)
from resolvers.errors import BadInput

MOST_UNITS = 10**15
MOST_TREATMENTS, MOST_COMPARISONS = 100, 1_000
LEAST_ALPHA, GREATEST_ALPHA, GREATEST_POWER = 1e-6, 0.5, 0.999999
GREATEST_RATIO = 10_000
GREATEST_NUMBER, LEAST_DEVIATION = 1e12, 1e-12


@dataclass(frozen=True, slots=True)
class PlannedEffect:
    """An effect to be found: one of both."""

    relative: float | None = None
    """To the control's value, e.g. 0.1 for a tenth more."""
    absolute: float | None = None


def sample_size(metric: PlannedMetric, effect: PlannedEffect, terms: Terms) -> SampleSize:
    """How many units it takes; BadInput on whatever cannot be planned with."""
    _check_terms(terms)
    _check_metric(metric)
    step = _step(metric, effect)
    if plans.rough_root(metric, step, terms) > sqrt(MOST_UNITS):
        raise _too_many()
    size = plans.sample_size(metric, step, terms)
    if size.total > MOST_UNITS:
        raise _too_many()
    return size


def power(metric: PlannedMetric, effect: PlannedEffect, units: int, terms: Terms) -> ExperimentPower:
    """How likely an effect would be found with so many units of the control."""
    _check_terms(terms, with_power=False)
    _check_metric(metric)
    return plans.power(metric, _step(metric, effect), _layout(units, terms), terms)


def detectable_effect(metric: PlannedMetric, units: int, terms: Terms) -> DetectableEffect:
    """The least effect that would be found with so many units of the control."""
    _check_terms(terms)
    _check_metric(metric)
    return plans.detectable_effect(metric, _layout(units, terms), terms)


def experiment_duration(
    metric: PlannedMetric, effect: PlannedEffect, terms: Terms, per_day: float, traffic: float
) -> ExperimentDuration:
    """How long it takes where so many new units come a day and that share of them takes part."""
    if not 0 < per_day <= GREATEST_NUMBER:
        raise _bad("unitsPerDay", "must be above 0, at most 10^12")
    if not 0 < traffic <= 1:
        raise _bad("traffic", "must be above 0, at most 1: a share of the units that come")
    size = sample_size(metric, effect, terms)
    if size.total > MOST_UNITS * per_day * traffic:
        raise _bad("unitsPerDay", "is so small that it takes more than 10^15 days")
    return plans.duration(metric, _step(metric, effect), terms, per_day, traffic)


def _check_terms(terms: Terms, *, with_power: bool = True) -> None:
    if not 0 < terms.alpha < 1:
        raise _bad("alpha", "must lie between 0 and 1")
    if not LEAST_ALPHA <= terms.alpha <= GREATEST_ALPHA:
        raise _bad("alpha", "must be 0.000001 to 0.5")
    if with_power:
        if not 0 < terms.power < 1:
            raise _bad("power", "must lie between 0 and 1")
        if terms.power > GREATEST_POWER:
            raise _bad("power", "must be at most 0.999999")
        if terms.power <= terms.alpha:
            raise _bad("power", "must be above alpha, which chance alone comes by")
    if not 1 / GREATEST_RATIO <= terms.ratio <= GREATEST_RATIO:
        raise _bad("ratio", "must be above 0: 0.0001 to 10,000 units of a treatment for one of the control")
    if not 1 <= terms.treatments <= MOST_TREATMENTS:
        raise _bad("treatments", f"must be 1 to {MOST_TREATMENTS}")
    if not 1 <= terms.comparisons <= MOST_COMPARISONS:
        raise _bad("comparisons", f"must be 1 to {MOST_COMPARISONS:,}")


def _check_metric(metric: PlannedMetric) -> None:
    if isinstance(metric, PlannedShare):
        if not 0 < metric.baseline < 1:
            raise _bad("metric.share.baseline", "must lie between 0 and 1, both left out: 0.1 is ten percent")
        return
    if not LEAST_DEVIATION <= metric.deviation <= GREATEST_NUMBER:
        raise _bad("metric.mean.deviation", "must be above 0: 10^-12 to 10^12")
    if metric.baseline is not None and not abs(metric.baseline) <= GREATEST_NUMBER:
        raise _bad("metric.mean.baseline", "must be at most 10^12")


def _step(metric: PlannedMetric, effect: PlannedEffect) -> float:
    """Treatment - control, as the effect says."""
    field = "effect.absolute" if effect.relative is None else "effect.relative"
    base = metric.baseline
    if effect.relative is None:
        step = effect.absolute or 0.0
    elif not base:
        raise _bad(field, "needs a baseline of the mean other than 0; say the effect as `absolute`")
    else:
        step = effect.relative * abs(base)
    if not isfinite(step) or abs(step) > GREATEST_NUMBER:
        raise _bad(field, "must be at most 10^12")
    if not step or (base is not None and base + step == base):
        raise _bad(field, "must not be 0, nor too small to change the baseline")
    if isinstance(metric, PlannedShare) and not 0 < metric.baseline + step < 1:
        raise _bad(field, f"makes the treatment's share {metric.baseline + step:.6g}; it must lie between 0 and 1")
    return step


def _layout(units: int, terms: Terms) -> Layout:
    if not units >= FEWEST_UNITS:
        raise _bad("units", "must be at least 2: a variance cannot be told from one unit")
    if units * terms.ratio < FEWEST_UNITS:
        raise _bad("ratio", "leaves a treatment fewer than 2 units")
    layout = laid_out(units, terms, terms.ratio)
    if layout.total > MOST_UNITS:
        raise _bad("units", "come to more than 10^15 in all")
    return layout


def _too_many() -> BadInput:
    return _bad("effect", "is so small that it takes more than 10^15 units")


def _bad(field: str, message: str) -> BadInput:
    return BadInput(f"{field} {message}.", field=field)
