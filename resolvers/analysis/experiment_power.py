"""How many units it takes, how sure one may be with those there are, and what could be seen with them.

All tests are two-sided, and a power is above their α. Sizes are of the control; the treatment has ``ratio`` times as
many.
"""

from collections.abc import Callable
from enum import Enum
from math import asin, ceil, pi, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammainc, ndtr, ndtri, stdtrit

_SURE = 10
"""Times the critical value beyond which an effect cannot be missed."""
_FEW = 50
"""Degrees of freedom below which the sample's deviation is far from normal."""
_MANY = 1_000
"""Units from which on the normal distribution is a good guess of how many it takes."""
_FEW_STEPS, _SETTLED = 8, 1e-10
_REACH = 9.0
_GRID = np.linspace(-_REACH, _REACH, 73)
"""Standard deviations over which a normal variable is integrated, by the trapezoidal rule: of what is as smooth as its
density, and as good as 0 at both ends, that is exact to rounding."""


class Formula(Enum):
    """Which approximation of the power of a two-proportion z test is taken."""

    ARCSINE = "arcsine"
    """J. Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), chapter 6: 2 asin √p as the scale."""
    UNPOOLED = "unpooled"
    """The variances of both shares, each its own."""
    POOLED = "pooled"
    """J. L. Fleiss, Statistical Methods for Rates and Proportions (1981), without continuity correction: the variance
    of the mean share where there is no effect, those of both shares where there is."""


def shares_size(
    a: float, b: float, *, alpha: float, power: float, ratio: float = 1.0, formula: Formula = Formula.POOLED
) -> float:
    """Units of the control by which shares a and b are told apart with that power; not rounded."""
    upper, beta = _two_sided(alpha), float(ndtri(power))
    if formula is Formula.ARCSINE:
        rough = ((upper + beta) / _distance(a, b)) ** 2 * (1 + 1 / ratio)
        # The scale has one variance, so that the chance to be significant on the wrong side can be counted too.
        return _root(
            lambda units: shares_power(a, b, alpha=alpha, units=units, ratio=ratio, formula=formula) - power,
            0.0,
            rough * 2,
        )
    apart = a * (1 - a) + b * (1 - b) / ratio
    if formula is Formula.UNPOOLED:
        return (upper + beta) ** 2 * apart / (b - a) ** 2
    # A power that is reached by no units at all is below what the unequal variances give to chance alone.
    return max(0.0, upper * sqrt(_together(a, b, ratio)) + beta * sqrt(apart)) ** 2 / (b - a) ** 2


def shares_power(
    a: float, b: float, *, alpha: float, units: float, ratio: float = 1.0, formula: Formula = Formula.POOLED
) -> float:
    """The chance to tell shares a and b apart with so many units of the control."""
    upper = _two_sided(alpha)
    if formula is Formula.ARCSINE:
        centre, cut = _distance(a, b) * sqrt(units / (1 + 1 / ratio)), upper
    else:
        error = sqrt((a * (1 - a) + b * (1 - b) / ratio) / units)
        assumed = error if formula is Formula.UNPOOLED else sqrt(_together(a, b, ratio) / units)
        if not error:
            return 1.0 if a != b else alpha
        centre, cut = abs(b - a) / error, upper * assumed / error
    return float(ndtr(centre - cut) + ndtr(-centre - cut))


def means_power(effect: float, deviation: float, *, alpha: float, units: float, ratio: float = 1.0) -> float:
    """The chance to tell means ``effect`` apart, of values with that standard deviation, by Student's t test.

    By the noncentral t distribution with n₁ + n₂ - 2 degrees of freedom: T = (Z + δ) / S, integrated over S, or over Z
    where S has few degrees of freedom. Each arm needs two units.
    """
    freedom = units * (1 + ratio) - 2
    centre = abs(effect) / deviation * sqrt(units / (1 + 1 / ratio))
    cut = -float(stdtrit(freedom, alpha / 2))
    if centre > _SURE + _SURE * cut:
        return 1.0
    if freedom < _FEW:
        # |T| > cut where S² < ((Z + δ) / cut)²; the steps follow how sharply that turns.
        step = min(0.05, max(0.01, cut / sqrt(freedom) / 4))
        z = np.arange(-_REACH, _REACH, step)
        found = gammainc(freedom / 2, freedom / 2 * ((z + centre) / cut) ** 2) * np.exp(-z * z / 2)
        return float(np.sum(found)) * step / sqrt(2 * pi)
    x = _GRID / sqrt(2 * freedom)
    # The logarithm of the density of S at 1 + x, but for a constant.
    weight = np.exp(freedom * (np.log1p(x) - x - x * x / 2) - np.log1p(x))
    found = ndtr(centre - cut * (1 + x)) + ndtr(-centre - cut * (1 + x))
    return float(np.sum(weight * found) / np.sum(weight))


def means_size(effect: float, deviation: float, *, alpha: float, power: float, ratio: float = 1.0) -> float:
    """Units of the control by which means ``effect`` apart are told apart with that power; not rounded."""

    def missing(units: float) -> float:
        return means_power(effect, deviation, alpha=alpha, units=units, ratio=ratio) - power

    # By the normal distribution, which asks for somewhat fewer.
    rough = ((_two_sided(alpha) + float(ndtri(power))) * deviation / effect) ** 2 * (1 + 1 / ratio)
    if rough > _MANY and power > alpha:
        slope = abs(effect) / deviation / sqrt(1 + 1 / ratio)
        found = _approached(lambda units: missing(units) + power, power, rough, slope)
        if found is not None:
            return found
    # Two units of each arm are the fewest that a variance can be told from.
    return _root(missing, max(2.0, 2 / ratio), max(rough * 2, 4.0, 4 / ratio))


def detectable_share(
    a: float, *, alpha: float, power: float, units: float, ratio: float = 1.0, formula: Formula = Formula.POOLED
) -> float | None:
    """The least share above a that would be told apart from it with that power; None where not even 1 would."""

    def missing(b: float) -> float:
        return shares_power(a, b, alpha=alpha, units=units, ratio=ratio, formula=formula) - power

    if missing(1.0) < 0:
        return None
    low = a + (1 - a) * 1e-15
    return low if missing(low) >= 0 else float(brentq(missing, low, 1.0, xtol=1e-18))


def detectable_mean(deviation: float, *, alpha: float, power: float, units: float, ratio: float = 1.0) -> float:
    """The least difference of means that would be seen with that power."""

    def missing(effect: float) -> float:
        return means_power(effect, deviation, alpha=alpha, units=units, ratio=ratio) - power

    rough = (_two_sided(alpha) + float(ndtri(power))) * deviation * sqrt((1 + 1 / ratio) / units)
    return _root(missing, rough * 1e-3, rough * 100)


def whole(units: float) -> int:
    """So many units at least, one or more; what is a whole number but for rounding stays one."""
    return max(1, ceil(units - 1e-9 * units))


def _approached(reached: Callable[[float], float], power: float, units: float, slope: float) -> float | None:
    """Where a power is reached, from a good guess; None where a few steps do not settle it.

    The quantile of the power grows with the root of units as good as straight, by ``slope``: each step is nearly the
    last.
    """
    wanted, root = float(ndtri(power)), sqrt(units)
    for _ in range(_FEW_STEPS):
        step = (wanted - float(ndtri(reached(root * root)))) / slope
        root += step
        if not abs(step) < root:
            return None
        if abs(step) < _SETTLED * root:
            return root * root
    return None


def _root(missing: Callable[[float], float], low: float, high: float) -> float:
    """Where an ascending function crosses 0; ``low`` itself where it has done so before."""
    if missing(low) >= 0:
        return low
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, low, high, xtol=1e-10 * high))


def _two_sided(alpha: float) -> float:
    return -float(ndtri(alpha / 2))


def _distance(a: float, b: float) -> float:
    """Cohen's h."""
    return abs(2 * asin(sqrt(b)) - 2 * asin(sqrt(a)))


def _together(a: float, b: float, ratio: float) -> float:
    """The variance of both arms' difference, times n of the control, were there one share."""
    share = (a + ratio * b) / (1 + ratio)
    return share * (1 - share) * (1 + 1 / ratio)
