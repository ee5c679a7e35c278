"""How many units it takes, how sure one may be with those there are, and what could be seen with them.

All tests are two-sided. Sizes are of the control; the treatment has ``ratio`` times as many.
"""

from collections.abc import Callable
from enum import Enum
from math import asin, ceil, sqrt

from scipy.optimize import brentq
from scipy.special import nctdtr, ndtr, ndtri, stdtrit

MOST = 10**15
"""Units beyond which no answer is looked for."""


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
    upper, beta = float(ndtri(1 - alpha / 2)), float(ndtri(power))
    if formula is Formula.ARCSINE:
        return ((upper + beta) / _distance(a, b)) ** 2 * (1 + 1 / ratio)
    apart = a * (1 - a) + b * (1 - b) / ratio
    if formula is Formula.UNPOOLED:
        return (upper + beta) ** 2 * apart / (b - a) ** 2
    return (upper * sqrt(_together(a, b, ratio)) + beta * sqrt(apart)) ** 2 / (b - a) ** 2


def shares_power(
    a: float, b: float, *, alpha: float, units: float, ratio: float = 1.0, formula: Formula = Formula.POOLED
) -> float:
    """The chance to tell shares a and b apart with so many units of the control."""
    upper = float(ndtri(1 - alpha / 2))
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

    By the noncentral t distribution with n₁ + n₂ - 2 degrees of freedom.
    """
    freedom = units * (1 + ratio) - 2
    centre = abs(effect) / deviation * sqrt(units / (1 + 1 / ratio))
    cut = float(stdtrit(freedom, 1 - alpha / 2))
    upper = 1 - float(nctdtr(freedom, centre, cut))
    return upper + float(nctdtr(freedom, centre, -cut))


def means_size(effect: float, deviation: float, *, alpha: float, power: float, ratio: float = 1.0) -> float:
    """Units of the control by which means ``effect`` apart are told apart with that power; not rounded."""

    def missing(units: float) -> float:
        return means_power(effect, deviation, alpha=alpha, units=units, ratio=ratio) - power

    # By the normal distribution, which asks for somewhat fewer.
    rough = ((float(ndtri(1 - alpha / 2)) + float(ndtri(power))) * deviation / effect) ** 2 * (1 + 1 / ratio)
    least = (2 + 1e-6) / (1 + ratio)
    return _root(missing, max(rough * 0.5, least), max(rough * 2, least) + 10)


def detectable_share(
    a: float, *, alpha: float, power: float, units: float, ratio: float = 1.0, formula: Formula = Formula.POOLED
) -> float | None:
    """The least share above a that would be told apart from it with that power; None where not even 1 would."""

    def missing(b: float) -> float:
        return shares_power(a, b, alpha=alpha, units=units, ratio=ratio, formula=formula) - power

    return None if missing(1.0) < 0 else float(brentq(missing, a + (1 - a) * 1e-12, 1.0, xtol=1e-14))


def detectable_mean(deviation: float, *, alpha: float, power: float, units: float, ratio: float = 1.0) -> float:
    """The least difference of means that would be seen with that power."""

    def missing(effect: float) -> float:
        return means_power(effect, deviation, alpha=alpha, units=units, ratio=ratio) - power

    rough = (float(ndtri(1 - alpha / 2)) + float(ndtri(power))) * deviation * sqrt((1 + 1 / ratio) / units)
    return _root(missing, rough * 1e-3, rough * 100)


def whole(units: float) -> int:
    """So many units at least; what is a whole number but for rounding stays one."""
    return ceil(units - 1e-9 * max(1.0, units))


def _root(missing: Callable[[float], float], low: float, high: float) -> float:
    while missing(low) > 0 and low > 1e-12:
        low /= 2
        if missing(low) != missing(low):
            break
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, low, high, xtol=1e-9 * high))


def _distance(a: float, b: float) -> float:
    """Cohen's h."""
    return abs(2 * asin(sqrt(b)) - 2 * asin(sqrt(a)))


def _together(a: float, b: float, ratio: float) -> float:
    """The variance of both arms' difference, times n of the control, were there one share."""
    share = (a + ratio * b) / (1 + ratio)
    return share * (1 - share) * (1 + 1 / ratio)
