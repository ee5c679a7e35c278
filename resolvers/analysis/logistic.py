"""Logistic regression: the probability of a yes from features, by penalised maximum likelihood."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_ITERATIONS = 50
RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""The penalties that are chosen among."""
MOST_CHOSEN = 10_000
"""Rows up to which the penalty is chosen; with more it hardly matters, and the least is taken."""
_TOLERANCE = 1e-9
_HALVINGS = 30
_BLOCK = 256
"""Rows of which a product is taken at a time: few enough that it is not worth threads, which get in others' way."""


class Separation(Enum):
    """Whether features tell the two outcomes apart without error, so that no finite coefficient is the most likely.

    The terms are those of A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in logistic
    regression models", Biometrika 71 (1984).
    """

    NONE = "none"
    QUASI_COMPLETE = "quasi_complete"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """A fitted model: log(p / (1-p)) = ``intercept`` + Σ ``coefficients`` · (x - ``means``) / ``scales``."""

    intercept: float
    coefficients: Floats
    means: Floats
    scales: Floats
    ridge: float
    converged: bool
    iterations: int
    separation: Separation

    def contributions(self, features: Floats) -> Floats:
        """What each feature of each row adds to the log-odds of an average row."""
        contributions: Floats = (features - self.means) / self.scales * self.coefficients
        return contributions

    def probabilities(self, features: Floats) -> Floats:
        """The probability of a yes for each row."""
        probabilities: Floats = expit(self.intercept + self.contributions(features).sum(axis=1))
        return probabilities


def fit(features: Floats, outcome: Bools, *, ridge: float | None = None) -> Logistic:
    """The model of ``outcome`` by rows of ``features``, both outcomes being there.

    Features are standardised; one without variance gets the coefficient 0. The penalised likelihood ℓ - ``ridge``/2 Σβ²
    (S. le Cessie and J. C. van Houwelingen, "Ridge estimators in logistic regression", Applied Statistics 41, 1992; the
    intercept is not penalised) is climbed by Newton's steps, halved where they overshoot; with ``ridge`` > 0 its
    maximum is unique and finite whatever the data. Without a ``ridge``, the one of RIDGES with the least
    -2ℓ + 2 tr[(H + ridge)⁻¹ H] is taken, as that paper has it: few outcomes, small coefficients.
    """
    means = features.mean(axis=0)
    spread = features.std(axis=0)
    constant = spread <= 1e-12 * np.maximum(1.0, np.abs(means))
    scales = np.where(constant, 1.0, spread)
    design = np.column_stack([np.ones(outcome.size), np.where(constant, 0.0, (features - means) / scales)])
    ridges = (ridge,) if ridge is not None else RIDGES if outcome.size <= MOST_CHOSEN else RIDGES[:1]
    climbed = [(one, *_climb(design, outcome.astype(np.float64), _penalty(design, one))) for one in ridges]
    ridge, beta, converged, iterations = min(climbed, key=lambda one: _criterion(design, outcome, one[1], one[0]))
    beta[1:][constant] = 0.0
    separation = _separation(_linear(design, beta), features[:, ~constant], outcome)
    return Logistic(float(beta[0]), beta[1:], means, scales, ridge, converged, iterations, separation)


def _linear(design: Floats, beta: Floats) -> Floats:
    """The log-odds of each row, without the threads of a matrix product."""
    eta: Floats = np.einsum("ij,j->i", design, beta)
    return eta


def _information(design: Floats, p: Floats) -> Floats:
    """Fisher's information, Xᵀ p (1 - p) X."""
    weighted = design * (p * (1 - p))[:, None]
    information = np.zeros((design.shape[1], design.shape[1]))
    for start in range(0, p.size, _BLOCK):
        rows = slice(start, start + _BLOCK)
        information += weighted[rows].T @ design[rows]
    return information


def _penalty(design: Floats, ridge: float) -> Floats:
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0
    return penalty


def _criterion(design: Floats, outcome: Bools, beta: Floats, ridge: float) -> float:
    """Akaike's criterion, a penalised coefficient counting for as much as the data determine it."""
    eta = _linear(design, beta)
    information = _information(design, expit(eta))
    freedom = np.linalg.lstsq(information + np.diag(_penalty(design, ridge)), information, rcond=None)[0].trace()
    return float(-2 * (eta[outcome].sum() - np.logaddexp(0.0, eta).sum()) + 2 * freedom)


def _climb(design: Floats, outcome: Floats, penalty: Floats, offset: Floats | float = 0.0) -> tuple[Floats, bool, int]:
    """The coefficients of the maximum, whether it was reached, and in how many steps."""
    beta = np.zeros(design.shape[1])

    def height(at: Floats) -> float:
        eta = _linear(design, at) + offset
        return float((outcome * eta).sum() - np.logaddexp(0.0, eta).sum() - 0.5 * (penalty * at * at).sum())

    here = height(beta)
    for iteration in range(1, MOST_ITERATIONS + 1):
        p = expit(_linear(design, beta) + offset)
        gradient = np.einsum("ij,i->j", design, outcome - p) - penalty * beta
        hessian = _information(design, p) + np.diag(penalty)
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        for _ in range(_HALVINGS):
            there = height(beta + step)
            if there >= here:
                break
            step = step / 2
        else:
            return beta, True, iteration
        beta = beta + step
        if there - here <= _TOLERANCE * (1 + abs(there)) and float(np.abs(step).max()) < 1e-6 * (
            1 + float(np.abs(beta).max())
        ):
            return beta, True, iteration
        here = there
    return beta, False, MOST_ITERATIONS


def recalibration(log_odds: Floats, outcome: Bools) -> tuple[float, float] | None:
    """How predictions have to be moved to agree with outcomes: (intercept, slope); None where that is not defined.

    Slope: that of a logistic regression of the outcome on the predicted log-odds, 1 where predictions are neither too
    bold (< 1) nor too timid. Intercept: that of one with the slope held at 1, 0 where predictions are right on
    average. D. R. Cox, "Two further applications of a model for binary regression", Biometrika 45 (1958).
    """
    if outcome.all() or not outcome.any() or float(np.ptp(log_odds)) < 1e-9:
        return None
    yes = outcome.astype(np.float64)
    ones = np.ones((outcome.size, 1))
    both, sloped, _ = _climb(np.column_stack([ones, log_odds]), yes, np.zeros(2))
    level, levelled, _ = _climb(ones, yes, np.zeros(1), log_odds)
    # Predictions that separate the outcomes have no finite slope.
    if not (sloped and levelled) or abs(both[1]) > 100:
        return None
    return float(level[0]), float(both[1])


def _separation(eta: Floats, features: Floats, outcome: Bools) -> Separation:
    """COMPLETE where the log-odds part the outcomes, QUASI_COMPLETE where a two-valued feature has an empty cell.

    Quasi-complete separation by several features together is not looked for: the penalty bounds it all the same.
    """
    yes, no = eta[outcome], eta[~outcome]
    if yes.size and no.size and (yes.min() > no.max()):
        return Separation.COMPLETE
    for column in features.T:
        low, high = column.min(), column.max()
        at_high = column == high
        if np.all(at_high | (column == low)) and any(
            outcome[rows].all() or not outcome[rows].any() for rows in (at_high, ~at_high)
        ):
            return Separation.QUASI_COMPLETE
    return Separation.NONE
