"""How far apart a control and a treatment are, and whether chance alone would do it: tests of a fixed horizon.

Each gives an absolute effect (treatment - control) with its interval and two-sided p-value, and the same relative to
the control. Where a test is undefined the answer is a refusal with the reason, never an infinite or missing number.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf, sqrt

import numpy as np
from scipy.special import logsumexp

from resolvers.analysis.experiment_probabilities import PValue, critical, two_sided
from resolvers.analysis.experiment_statistics import Arm, PairedArm, Share, exact

SPARSE = 5
"""Expected units in a cell of the two by two table below which the normal approximation is not relied upon.

W. G. Cochran, "Some Methods for Strengthening the Common χ² Tests", Biometrics 10 (1954).
"""

_SAME = 1e-7
"""By how much logarithms of equal probabilities may differ for their rounding."""


class Method(Enum):
    """How a p-value was come by."""

    TWO_PROPORTION_Z_POOLED = "two_proportion_z_pooled"
    FISHER_EXACT = "fisher_exact"
    WELCH_T = "welch_t"
    DELTA_RATIO_Z = "delta_ratio_z"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no result, in a sentence for whoever asked."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lift:
    """An effect relative to the control, (treatment - control) / |control|, by the delta method.

    To the first order a treatment without variance that is 0 has an error of 0, however few its units: then there is
    neither an interval nor a p-value.
    """

    value: float
    error: float
    low: float | None
    high: float | None
    p: PValue | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A treatment held against a control."""

    method: Method
    effect: float
    """Treatment - control."""
    error: float
    """The standard error of the effect, without assuming that there is none."""
    statistic: float | None
    """The t or pooled z, which ``p`` is of unless the test is exact; None where it is undefined."""
    freedom: float
    """Degrees of freedom; infinite for a z."""
    p: PValue
    low: float
    high: float
    interval: str
    """What the interval is called."""
    unpooled_z: float | None = None
    unpooled_p: PValue | None = None
    lift: Lift | None = None
    """None where the control is 0."""


def two_proportions(control: Share, treatment: Share, level: float = 0.95) -> Comparison | Refusal:
    """The pooled two-proportion z test with Newcombe's interval; Fisher's exact test where cells are sparse.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17
    (1998), method 10, without continuity correction.
    """
    if not (control.units and treatment.units):
        return Refusal("Both arms need a unit.")
    effect = treatment.mean - control.mean
    together = (control.successes + treatment.successes) / (control.units + treatment.units)
    pooled = sqrt(together * (1 - together) * (1 / control.units + 1 / treatment.units))
    error = sqrt(_of_mean(control) + _of_mean(treatment))
    z = effect / pooled if pooled else None
    sparse = min(together, 1 - together) * min(control.units, treatment.units) < SPARSE
    method = Method.FISHER_EXACT if sparse else Method.TWO_PROPORTION_Z_POOLED
    (low_a, high_a), (low_b, high_b) = _wilson(control, level), _wilson(treatment, level)
    a, b = control.mean, treatment.mean
    return Comparison(
        method=method,
        effect=effect,
        error=error,
        statistic=z,
        freedom=inf,
        p=_fisher(control, treatment) if sparse or z is None else two_sided(z),
        low=effect - sqrt((b - low_b) ** 2 + (high_a - a) ** 2),
        high=effect + sqrt((high_b - b) ** 2 + (a - low_a) ** 2),
        interval="Newcombe",
        unpooled_z=effect / error if error else None,
        unpooled_p=two_sided(effect / error) if error else None,
        lift=_lift(
            a,
            effect,
            _of_mean(control),
            _of_mean(treatment),
            _freedom(_of_mean(control), control.units, _of_mean(treatment), treatment.units),
            level,
        ),
    )


def welch(control: Arm, treatment: Arm, level: float = 0.95) -> Comparison | Refusal:
    """Welch's t test of two means. B. L. Welch, "The generalization of Student's problem when several different
    population variances are involved", Biometrika 34 (1947)."""
    if min(control.units, treatment.units) < 2:
        return Refusal("Both arms need two units: a variance cannot be told from one.")
    variances = [control.variance / control.units, treatment.variance / treatment.units]
    if not sum(variances):
        return Refusal("All units of each arm have the same value: there is no variance to hold the effect against.")
    freedom = _freedom(variances[0], control.units, variances[1], treatment.units)
    # Of large means the difference is small: it is taken before anything is rounded.
    effect = float(exact(treatment.total) / treatment.units - exact(control.total) / control.units)
    return _difference(Method.WELCH_T, control.mean, effect, variances[0], variances[1], freedom, level)


def ratios(control: PairedArm, treatment: PairedArm, level: float = 0.95) -> Comparison | Refusal:
    """Two ratios Σy / Σx whose units are not independent in x, by the delta method."""
    if min(control.units, treatment.units) < 2:
        return Refusal("Both arms need two units: a variance cannot be told from one.")
    if not (control.x and treatment.x):
        return Refusal("The denominator of the ratio is 0 in an arm.")
    variances = [arm.ratio_variance / arm.units for arm in (control, treatment)]
    if not sum(variances):
        return Refusal("The ratio is the same for every unit: there is no variance to hold the effect against.")
    effect = float(exact(treatment.y) / exact(treatment.x) - exact(control.y) / exact(control.x))
    return _difference(Method.DELTA_RATIO_Z, control.ratio, effect, variances[0], variances[1], inf, level)


def _difference(
    method: Method, a: float, effect: float, variance_a: float, variance_b: float, freedom: float, level: float
) -> Comparison:
    error = sqrt(variance_a + variance_b)
    half = critical(level, freedom) * error
    return Comparison(
        method=method,
        effect=effect,
        error=error,
        statistic=effect / error,
        freedom=freedom,
        p=two_sided(effect / error, freedom),
        low=effect - half,
        high=effect + half,
        interval="Student t" if freedom < inf else "Wald",
        lift=_lift(a, effect, variance_a, variance_b, freedom, level),
    )


def _lift(a: float, effect: float, variance_a: float, variance_b: float, freedom: float, level: float) -> Lift | None:
    if not a:
        return None
    value = effect / abs(a)
    error = sqrt(variance_b + variance_a * (1 + effect / a) ** 2) / abs(a)
    if not error:
        return Lift(value, error, None, None, None)
    half = critical(level, freedom) * error
    return Lift(value, error, value - half, value + half, two_sided(value / error, freedom))


def _freedom(variance_a: float, units_a: int, variance_b: float, units_b: int) -> float:
    """Welch's and Satterthwaite's degrees of freedom, of variances of means."""
    whole = variance_a + variance_b
    if not whole:
        return inf
    # By parts of the whole, as squares of tiny variances are 0.
    parts = [
        (variance / whole) ** 2 / (units - 1)
        for variance, units in ((variance_a, units_a), (variance_b, units_b))
        if units > 1
    ]
    return 1 / sum(parts) if sum(parts) else inf


def _of_mean(share: Share) -> float:
    return share.mean * (1 - share.mean) / share.units


def _wilson(share: Share, level: float) -> tuple[float, float]:
    """Wilson's score interval of a share, as it stands in Newcombe's."""
    square = critical(level) ** 2
    n, p = share.units, share.mean
    centre, half = 2 * n * p + square, sqrt(square * (square + 4 * n * p * (1 - p)))
    low = 0.0 if share.successes == 0 else (centre - half) / (2 * (n + square))
    high = 1.0 if share.successes == n else (centre + half) / (2 * (n + square))
    return low, high


def _fisher(control: Share, treatment: Share) -> PValue:
    """The sum of the probabilities of all tables of the same margins that are no likelier than the one there is."""
    successes = control.successes + treatment.successes
    least, most = max(0, successes - treatment.units), min(successes, control.units)
    k = np.arange(least, most, dtype=np.float64)
    # Each probability is a simple ratio of the one before; together they are 1.
    ratios = (successes - k) * (control.units - k) / ((k + 1) * (treatment.units - successes + k + 1))
    logs = np.append(0.0, np.cumsum(np.log(ratios)))
    logs -= logsumexp(logs)
    return PValue.of(min(0.0, float(logsumexp(logs[logs <= logs[control.successes - least] + _SAME]))))
