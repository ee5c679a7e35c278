"""The chance that a treatment is better, and what is lost in expectation by choosing the worse arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincc, betaln, ndtr, xlog1py, xlogy

from resolvers.analysis.experiment_statistics import Share

Floats = NDArray[np.float64]

_REACH = 12.0
"""Standard deviations on either side of a mean beyond which next to nothing of a posterior lies."""
_TAIL = 40
_PIECES = 2
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


@dataclass(frozen=True, slots=True)
class Chances:
    """What a flat prior and the data say."""

    to_win: float
    """P(treatment > control)."""
    loss_of_treatment: float
    """E[max(control - treatment, 0)]: what choosing the treatment loses in expectation, in units of the metric."""
    loss_of_control: float


def of_shares(control: Share, treatment: Share) -> Chances:
    """By Beta posteriors from uniform priors, integrated piece by piece (Gauss-Legendre).

    P(B > A) = ∫ f_B F_A, and E[max(A - B, 0)] = ∫ P(B <= x) P(A > x) dx.
    """
    a, b = (_Beta(1 + arm.successes, 1 + arm.units - arm.successes) for arm in (control, treatment))
    edges = sorted({*a.edges, *b.edges})
    x, weight = _grid(edges)
    below_a, below_b = a.below(x), b.below(x)
    above_a, above_b = a.above(x, below_a), b.above(x, below_b)
    # By whichever is the smaller of the two: the other one is what is left of 1.
    win = float(np.sum(weight * b.density(x) * below_a))
    lose = float(np.sum(weight * a.density(x) * below_b))
    to_win = win if win < lose else 1 - lose
    return Chances(
        to_win=min(max(to_win, 0.0), 1.0),
        loss_of_treatment=float(np.sum(weight * below_b * above_a)),
        loss_of_control=float(np.sum(weight * below_a * above_b)),
    )


def of_effect(effect: float, error: float) -> Chances | None:
    """By a normal posterior of the effect (treatment - control) from a flat prior; None without variance."""
    if not error:
        return None
    z = effect / error
    density = error * np.exp(-z * z / 2) / sqrt(2 * np.pi)
    above, below = float(ndtr(z)), float(ndtr(-z))
    return Chances(
        to_win=above,
        loss_of_treatment=max(0.0, float(density - effect * below)),
        loss_of_control=max(0.0, float(density + effect * above)),
    )


@dataclass(frozen=True, slots=True)
class _Beta:
    alpha: int
    beta: int

    @property
    def edges(self) -> tuple[float, float]:
        """Next to nothing lies outside."""
        total = self.alpha + self.beta
        mean = self.alpha / total
        # Of few successes the tail is that of a gamma distribution, which deviations do not tell.
        reach = _REACH * sqrt(mean * (1 - mean) / (total + 1)) + _TAIL / total
        return max(0.0, mean - reach), min(1.0, mean + reach)

    def density(self, x: Floats) -> Floats:
        logarithm = xlogy(self.alpha - 1, x) + xlog1py(self.beta - 1, -x) - betaln(self.alpha, self.beta)
        return np.exp(logarithm)

    def below(self, x: Floats) -> Floats:
        found: Floats = betainc(self.alpha, self.beta, x)
        return found

    def above(self, x: Floats, below: Floats) -> Floats:
        """What lies above ascending x, of which ``below`` lies below: computed only where the rest of 1 would round."""
        found = 1 - below
        first = int(np.searchsorted(below, 0.5))
        rest = x[first:]
        # Of a small share 1 - x loses nothing, and the function takes a quarter of its complement's time.
        small = self.alpha < self.beta
        found[first:] = betainc(self.beta, self.alpha, 1 - rest) if small else betaincc(self.alpha, self.beta, rest)
        return found


def _grid(edges: Sequence[float]) -> tuple[Floats, Floats]:
    """Nodes and weights over what lies between the edges, each piece in parts of its own."""
    bounds = np.concatenate([np.linspace(low, high, _PIECES + 1)[:-1] for low, high in pairwise(edges)])
    bounds = np.append(bounds, edges[-1])
    half = np.diff(bounds)[:, None] / 2
    x = bounds[:-1, None] + half * (1 + _NODES)
    return x.ravel(), (half * _WEIGHTS).ravel()
