"""Intervals and p-values that hold at any look: whoever peeks and stops early is not fooled.

Asymptotic confidence sequences after I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52 (2024), theorem 2.2: with probability
1 - α the interval covers the effect at every sample size at once.
"""

from dataclasses import dataclass
from math import log, log1p, sqrt

from resolvers.analysis.experiment_probabilities import PValue

TUNING = 5_000
"""The number of units at which the interval is tightest; equation 161 of the preprint arXiv:2103.06476v7."""


@dataclass(frozen=True, slots=True)
class Always:
    """An interval, and the p-value that goes with it, both valid at any look."""

    low: float
    high: float
    p: PValue


def widest(control: int, treatment: int) -> float:
    """The greatest standard error that a difference of two shares can have, whatever they are; of arms with a unit.

    A share has no greater variance than 1/4, and is sub-Gaussian by it (W. Hoeffding, "Probability Inequalities for
    Sums of Bounded Random Variables", JASA 58, 1963). Where neither arm varies, as none or all of its units did it,
    an estimate of the variance is 0 and would make a handful of units certain. By this one the sequence is the normal
    mixture of H. Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm", Annals of Mathematical
    Statistics 41 (1970), which for arms of one size holds from the first unit on (S. R. Howard, A. Ramdas,
    J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49,
    2021).
    """
    return sqrt((1 / control + 1 / treatment) / 4)


def always(effect: float, error: float, units: int, level: float = 0.95, tuning: int = TUNING) -> Always | None:
    """The sequence at ``units`` units of both arms, from an effect and its standard error; None without variance."""
    if not (error and units):
        return None
    alpha = 1 - level
    rho_square = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / tuning
    grown = units * rho_square + 1
    half = error * sqrt(2 * grown * log(sqrt(grown) / alpha) / (units * rho_square))
    # The mixture martingale that the interval inverts, at no effect: by Ville's inequality its inverse is a p-value.
    log_evidence = units * rho_square * (effect / error) ** 2 / (2 * grown) - log1p(units * rho_square) / 2
    return Always(effect - half, effect + half, PValue.of(-log_evidence))
