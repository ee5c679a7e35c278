"""BG/NBD: how often customers without a contract will buy again, and whether they still will at all.

P. S. Fader, B. G. S. Hardie and K. L. Lee, "Counting your customers the easy way: an alternative to the Pareto/NBD
model", Marketing Science 24 (2005): while a customer is alive, purchases are Poisson with a rate that is gamma(r, α)
among customers; after each purchase the customer leaves with a probability that is beta(a, b) among them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, digamma, expit, gammaln, hyp2f1

Floats = NDArray[np.float64]

Objective = Callable[[Floats], tuple[float, Floats]]
"""Gives the value at a point, to be made small, and its gradient."""

LOWEST, HIGHEST = 1e-4, 1e4
"""Between which every parameter is looked for; beyond them the data say nothing of its size."""
_STARTS = ((1.0, 1.0, 1.0, 1.0), (0.3, 5.0, 0.8, 2.5), (3.0, 10.0, 0.1, 3.0))
_SAME = 1e-5
"""By what part log-likelihoods of equally good maxima may differ."""
_EDGE = 1.01


@dataclass(frozen=True, slots=True, eq=False)
class Purchases:
    """What is known of customers: ``repeats`` purchases after the first, the last of them ``recency`` after it, and the
    ``age`` at which they are looked at since the first; in any unit of time. recency = 0 exactly where repeats = 0.
    """

    repeats: Floats
    recency: Floats
    age: Floats

    def rows(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Purchases":
        """Some of them."""
        return Purchases(self.repeats[rows], self.recency[rows], self.age[rows])


@dataclass(frozen=True, slots=True)
class BgNbd:
    """A fitted model; ``alpha`` is in the unit of time of the purchases it was fitted to."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    converged: bool
    """Whether at least two starts ended at this maximum, each saying that it is one."""
    at_bound: bool
    """Whether a parameter ran to the end of its range, so that the data do not determine it."""

    @property
    def dropout(self) -> float:
        """The mean probability of leaving after a purchase, a / (a + b)."""
        return self.a / (self.a + self.b)

    def probability_alive(self, of: Purchases) -> Floats:
        """P(alive | repeats, recency, age); 1 for who has not bought again, as leaving follows a purchase only.

        P. S. Fader, B. G. S. Hardie and K. L. Lee, "Computing P(alive) using the BG/NBD model" (2008), equation 7.
        """
        alive: Floats = expit(-self._log_odds_gone(of))
        return alive

    def expected_purchases(self, of: Purchases, horizon: float) -> Floats:
        """E[purchases in the ``horizon`` after ``age``], the paper's equation 10.

        Its hypergeometric function is taken after Euler's transformation,
        F(A, B; C; z) = (1-z)^(C-A-B) F(C-A, C-B; C; z), which stays within floats where A and C are hundreds.
        """
        # The expression has a removable singularity at a = 1.
        a = self.a + 1e-7 if abs(self.a - 1) < 1e-7 else self.a
        z = horizon / (self.alpha + of.age + horizon)
        c = a + self.b + of.repeats - 1
        c = np.where(np.abs(c - np.round(c)) < 1e-7, c + 1e-7, c)
        with np.errstate(over="ignore", invalid="ignore"):
            series = hyp2f1(a + self.b - 1 - self.r, a - 1, c, z)
            expected = c / (a - 1) * (1 - (1 - z) ** (a - 1) * series)
        # Where a and b are thousands, floats do not hold it; everybody then leaves with nearly the same probability.
        dropout = self.a / (self.a + self.b + of.repeats)
        shape = self.r + of.repeats
        limit = -np.expm1(-shape * np.log1p(dropout * horizon / (self.alpha + of.age))) / dropout
        expected = np.where(np.isfinite(expected), expected, limit)
        most = shape / (self.alpha + of.age) * horizon
        return np.clip(expected, 0.0, most) * self.probability_alive(of)

    def _log_odds_gone(self, of: Purchases) -> Floats:
        """log[(a/(b+x-1)) ((α+T)/(α+tₓ))^(r+x)]; minus infinity where x = 0."""
        again = of.repeats > 0
        odds = np.full(of.repeats.shape, -np.inf)
        x = of.repeats[again]
        stretch = np.log(self.alpha + of.age[again]) - np.log(self.alpha + of.recency[again])
        odds[again] = np.log(self.a) - np.log(self.b + x - 1) + (self.r + x) * stretch
        return odds


def fit(of: Purchases) -> BgNbd:
    """The parameters of greatest likelihood, sought from several starts; there is at least one customer."""
    unit = max(float(of.age.mean()), 1e-9) / 10
    scaled = Purchases(of.repeats, of.recency / unit, of.age / unit)
    best, agreed = best_of(lambda at: _negative(scaled, at), _STARTS)
    r, alpha, a, b = np.exp(best)
    # A density in time: each repeat purchase brings a factor of the unit.
    likelihood = -_negative(scaled, best)[0] - float(of.repeats.sum()) * np.log(unit)
    edge = bool(np.any(np.exp(best) <= LOWEST * _EDGE) or np.any(np.exp(best) >= HIGHEST / _EDGE))
    return BgNbd(float(r), float(alpha * unit), float(a), float(b), float(likelihood), agreed, edge)


def best_of(objective: Objective, starts: tuple[tuple[float, ...], ...]) -> tuple[Floats, bool]:
    """The logarithms of the parameters at which an objective is least, and whether at least two starts agree on it."""
    bounds = [(np.log(LOWEST), np.log(HIGHEST))] * len(starts[0])
    found = [
        # Not L-BFGS-B, whose products of a few numbers wait for threads ten times as long as they take.
        minimize(
            objective,
            np.log(np.array(start)),
            jac=True,
            method="SLSQP",
            bounds=bounds,
            options={"maxiter": 500, "ftol": 1e-9},
        )
        for start in starts
    ]
    best = min(found, key=lambda one: float(one.fun))
    near = [one for one in found if one.success and one.fun <= best.fun + _SAME * (1 + abs(best.fun))]
    return np.asarray(best.x, np.float64), len(near) >= 2


def log_likelihood(of: Purchases, r: float, alpha: float, a: float, b: float) -> float:
    """Σ ln L(r, α, a, b | x, tₓ, T), the paper's equation 6 and its appendix."""
    return -_negative(of, np.log(np.array([r, alpha, a, b])))[0]


def _negative(of: Purchases, logs: Floats) -> tuple[float, Floats]:
    """Minus the log-likelihood, and its gradient by the logarithms of the parameters."""
    r, alpha, a, b = np.exp(logs)
    x, age, recency = of.repeats, of.age, of.recency
    again = x > 0
    # Counts are few and repeat often: what depends on them alone is taken once for each.
    counts, place = np.unique(x, return_inverse=True)
    fixed = gammaln(r + counts) - gammaln(r) + betaln(a, b + counts) - betaln(a, b)
    log_age, log_recency = np.log(alpha + age), np.log(alpha + recency)
    before = b + np.maximum(x, 1) - 1
    odds = np.where(again, np.log(a) - np.log(before) + (r + x) * (log_age - log_recency), -np.inf)
    total = np.sum(fixed[place] + r * np.log(alpha) - (r + x) * log_age + np.logaddexp(0.0, odds))
    gone = np.where(again, expit(odds), 0.0)
    by_r = (digamma(r + counts) - digamma(r))[place] + np.log(alpha) - log_age + gone * (log_age - log_recency)
    by_alpha = r / alpha - (r + x) / (alpha + age) + gone * (r + x) * (1 / (alpha + age) - 1 / (alpha + recency))
    ab = digamma(a + b) - digamma(a + b + counts)
    by_a = ab[place] + gone / a
    by_b = (ab + digamma(b + counts) - digamma(b))[place] - gone / before
    gradient = np.array([by_r.sum(), by_alpha.sum(), by_a.sum(), by_b.sum()]) * np.array([r, alpha, a, b])
    return -float(total), -gradient
