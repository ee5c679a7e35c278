"""Gamma-Gamma: what a customer's purchases are worth on average, of which only a few are known.

P. S. Fader and B. G. S. Hardie, "The Gamma-Gamma model of monetary value" (2013): a customer's purchases are
gamma(p, ν), ν is gamma(q, γ) among customers, and neither depends on how often the customer buys.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from resolvers.analysis.bgnbd import HIGHEST, LOWEST, best_of

Floats = NDArray[np.float64]

_STARTS = ((2.0, 2.0, 1.0), (6.0, 4.0, 2.0), (1.0, 10.0, 5.0))
_EDGE = 1.01


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """A fitted model; ``v`` (the paper's γ) is in the unit of the amounts it was fitted to."""

    p: float
    q: float
    v: float
    log_likelihood: float
    converged: bool
    """Whether at least two starts ended at this maximum, each saying that it is one."""
    at_bound: bool
    """Whether a parameter ran to the end of its range, as where all customers spend the same."""

    @property
    def mean(self) -> float | None:
        """The mean of a purchase of a customer not known yet, p v / (q - 1); None where it is infinite (q ≤ 1)."""
        return self.p * self.v / (self.q - 1) if self.q > 1 else None

    def expected_amount(self, count: Floats, mean: Floats) -> Floats:
        """E[a purchase | ``count`` known ones of that ``mean``], the paper's equation 5; NaN where it is infinite."""
        below = self.p * count + self.q - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            expected: Floats = np.where(below > 0, self.p * (self.v + count * mean) / below, np.nan)
        return expected


def fit(count: Floats, mean: Floats) -> GammaGamma:
    """The parameters of greatest likelihood for customers with ``count`` >= 1 purchases of a ``mean`` > 0."""
    unit = float(mean.mean())
    scaled = mean / unit
    best, agreed = best_of(lambda at: _negative(count, scaled, at), _STARTS)
    p, q, v = np.exp(best)
    likelihood = -_negative(count, scaled, best)[0] - count.size * np.log(unit)
    edge = bool(np.any(np.exp(best) <= LOWEST * _EDGE) or np.any(np.exp(best) >= HIGHEST / _EDGE))
    return GammaGamma(float(p), float(q), float(v * unit), float(likelihood), agreed, edge)


def _negative(x: Floats, m: Floats, logs: Floats) -> tuple[float, Floats]:
    """Minus Σ ln f(m | p, q, v, x), the paper's equation 1a, and its gradient by the logarithms of the parameters."""
    p, q, v = np.exp(logs)
    log_v_mx = np.log(v + m * x)
    total = np.sum(
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(v)
        + (p * x - 1) * np.log(m)
        + p * x * np.log(x)
        - (p * x + q) * log_v_mx
    )
    both = digamma(p * x + q)
    by_p = x * (both - digamma(p * x) + np.log(m) + np.log(x) - log_v_mx)
    by_q = both - digamma(q) + np.log(v) - log_v_mx
    by_v = q / v - (p * x + q) / (v + m * x)
    gradient = np.array([by_p.sum(), by_q.sum(), by_v.sum()]) * np.array([p, q, v])
    return -float(total), -gradient
