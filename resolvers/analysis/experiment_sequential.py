"""Intervals and p-values that hold at any look: whoever peeks and stops early is not fooled.

Asymptotic confidence sequences after I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52 (2024), theorem 2.2: with probability
1 - α the interval covers the effect at every sample size at once. They ask for large numbers, which the first looks
have not: so the standard error that they are made of is a cautious one.
"""

from dataclasses import dataclass
from math import log, log1p, sqrt

from resolvers.analysis.experiment_probabilities import PValue
from resolvers.analysis.experiment_statistics import Arm, PairedArm, Share, exact, pooled

TUNING = 5_000
"""The number of units at which the interval is tightest; equation 161 of the preprint arXiv:2103.06476v7."""


@dataclass(frozen=True, slots=True)
class Always:
    """An interval, and the p-value that goes with it, both valid at any look."""

    low: float
    high: float
    p: PValue


def error_of_shares(control: Share, treatment: Share) -> float:
    """The standard error of the difference of two shares that a sequence is made of.

    The greater of two: that of no effect, by the share of all units, and each arm's own with one success and one
    failure added (A. Agresti, B. Caffo, "Simple and effective confidence intervals for proportions", The American
    Statistician 54, 2000). An arm of which few or none did it hardly varies, by chance alone; with its own variance
    many looks would find effects that there are none of, above all where arms differ in size.
    """
    return sqrt(max(_together(control, treatment), _own(control) + _own(treatment)))


def error_of_means(control: Arm, treatment: Arm) -> float:
    """The same of two means if there were no effect: by the variance of all units as one."""
    both = Arm(
        control.units + treatment.units,
        exact(control.total) + exact(treatment.total),
        exact(control.squares) + exact(treatment.squares),
    )
    return sqrt(both.variance * (1 / control.units + 1 / treatment.units))


def error_of_ratios(control: PairedArm, treatment: PairedArm) -> float:
    """The same of two ratios."""
    return sqrt(pooled([control, treatment]).ratio_variance * (1 / control.units + 1 / treatment.units))


def _together(control: Share, treatment: Share) -> float:
    share = (control.successes + treatment.successes) / (control.units + treatment.units)
    return share * (1 - share) * (1 / control.units + 1 / treatment.units)


def _own(arm: Share) -> float:
    share = (arm.successes + 1) / (arm.units + 2)
    return share * (1 - share) / (arm.units + 2)


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
