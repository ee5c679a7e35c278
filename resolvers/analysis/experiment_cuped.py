"""CUPED: what was known of units before they were exposed, taken out of what they did after.

A. Deng, Y. Xu, R. Kohavi, T. Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing
Pre-Experiment Data", WSDM 2013. The covariate has to be of the time strictly before exposure; it is centred on its mean
over both arms, so that the adjusted means are of the same size as the plain ones.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from resolvers.analysis.experiment_statistics import Arm, PairedArm, exact, pooled, scatter
from resolvers.analysis.experiment_tests import Comparison, Refusal, welch


class Theta(Enum):
    """Where the coefficient is taken from."""

    TOTAL_COVARIANCE = "total_covariance"
    """The covariance over both arms as one, as in the paper."""
    WITHIN_ARM = "within_arm"
    """The covariances within the arms, as an analysis of covariance has it."""


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A comparison of adjusted means."""

    comparison: Comparison
    theta: float
    theta_from: Theta
    variance_cut: float
    """The part of the effect's variance that the covariate took away; below 0 where it added some."""
    control: Arm
    treatment: Arm


def cuped(
    control: PairedArm, treatment: PairedArm, theta_from: Theta = Theta.TOTAL_COVARIANCE, level: float = 0.95
) -> Adjusted | Refusal:
    """The adjusted comparison of y by x; without variance in x it is the plain one, with θ 0."""
    plain = welch(control.values, treatment.values, level)
    if isinstance(plain, Refusal):
        return plain
    both = pooled([control, treatment])
    theta = _theta([both] if theta_from is Theta.TOTAL_COVARIANCE else [control, treatment])
    centre = exact(both.x) / both.units
    before, after = control.adjusted(theta, centre), treatment.adjusted(theta, centre)
    comparison = welch(before, after, level)
    if isinstance(comparison, Refusal):
        return Refusal("The covariate tells the value of every unit: no variance is left to hold the effect against.")
    cut = 1 - (comparison.error / plain.error) ** 2
    return Adjusted(comparison, float(theta), theta_from, cut, before, after)


def _theta(arms: list[PairedArm]) -> Fraction:
    below = sum((scatter(arm.units, arm.x, arm.x, arm.x_squares) for arm in arms), Fraction())
    above = sum((scatter(arm.units, arm.x, arm.y, arm.products) for arm in arms), Fraction())
    return above / below if below else Fraction()
