"""Probabilities that are too small for a float: their logarithms, so that no p-value is ever said to be 0."""

from dataclasses import dataclass
from math import exp, inf, isinf, log, log1p

from scipy.special import betaln, log_ndtr, ndtri, stdtr, stdtrit

_SMALL = 1e-250
"""Below it the distribution function is taken by its logarithm."""
_TINY = 1e-300
_STEPS, _SETTLED = 10_000, 1e-15


@dataclass(frozen=True, slots=True)
class PValue:
    """A two-sided p-value, and its common logarithm, which holds also where the value underflows to 0."""

    value: float
    log10: float

    @classmethod
    def of(cls, natural: float) -> "PValue":
        """From its natural logarithm."""
        natural = min(natural, 0.0)
        return cls(exp(natural), natural / log(10))


CERTAIN = PValue(1.0, 0.0)


def two_sided(statistic: float, freedom: float = inf) -> PValue:
    """P(|T| >= |t|) by Student's distribution, by the normal one without an end to the degrees of freedom."""
    return PValue.of(log(2) + log_tail(abs(statistic), freedom))


def log_tail(statistic: float, freedom: float = inf) -> float:
    """The natural logarithm of P(T >= t)."""
    if isinf(freedom):
        return float(log_ndtr(-statistic))
    if isinf(statistic):
        return -inf if statistic > 0 else 0.0
    tail = float(stdtr(freedom, -statistic))
    if tail > _SMALL:
        return log(tail)
    return _log_incomplete_beta(freedom / 2, 0.5, 2 * log(statistic) - log(freedom)) - log(2)


def critical(level: float, freedom: float = inf) -> float:
    """The value that |T| exceeds with probability 1 - ``level``."""
    upper = (1 + level) / 2
    return float(ndtri(upper)) if isinf(freedom) else float(stdtrit(freedom, upper))


def _log_incomplete_beta(a: float, b: float, log_odds: float) -> float:
    """ln I_x(a, b) at x = 1 / (1 + e^odds), far in the tail.

    By the continued fraction of the NIST Digital Library of Mathematical Functions, 8.17.22, evaluated after Lentz.
    """
    log_x, log_rest = -_log_of_sum(log_odds), -_log_of_sum(-log_odds)
    x = exp(log_x)
    front = a * log_x + b * log_rest - log(a) - float(betaln(a, b))
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        factor = 1.0
        for term in (even, odd):
            d = 1 / _apart(1 + term * d)
            c = _apart(1 + term / c)
            factor *= c * d
        fraction *= factor
        if abs(factor - 1) < _SETTLED:
            break
    return front + log(fraction)


def _apart(value: float) -> float:
    """The value, kept apart from 0."""
    return value if abs(value) > _TINY else _TINY


def _log_of_sum(power: float) -> float:
    """ln(1 + e^power)."""
    return max(power, 0.0) + log1p(exp(-abs(power)))
