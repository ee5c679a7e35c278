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
