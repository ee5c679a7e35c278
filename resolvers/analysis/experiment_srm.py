"""Whether arms came out as large as their weights say: the sample ratio mismatch, first of all things to look at.

Told by two tests. Pearson's χ² is that of everybody else's tools, and holds if looked at once. What holds at any look
is a Bayes factor: M. Lindon, A. Malek, "Anytime-Valid Inference for Multinomial Count Data", Advances in Neural
Information Processing Systems 35 (2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import exp, lgamma, log, log1p, sqrt

from scipy.special import betainc, betaincc, gammaincc

from resolvers.analysis.experiment_probabilities import CERTAIN, PValue, two_sided

UNLIKELY = 0.001
"""The p-value of a fixed horizon below which a mismatch is warned of. A. Fabijan and others, "Diagnosing Sample Ratio
Mismatch in Online Controlled Experiments", KDD 2019. Two to three of a hundred sound experiments that are looked at all
the time come below it sometime."""
SUSPICIOUS = 0.01
"""The p-value valid at any look below which results are not to be trusted: at most one of a hundred sound experiments
ever comes below it."""
SPARSE = 5
"""Expected units of an arm below which the χ² distribution is not relied upon: three units where a third of one was
expected would be a mismatch of p 10⁻⁶."""
_CONCENTRATIONS = tuple(10.0**power for power in range(7))
"""Of the Dirichlet priors of a mismatch. One that is centred on the weights with a concentration of k finds best what
shows at some multiple of k units; so that gross mismatches are found at once and slight ones at all, the average over
several is taken, which is a prior too."""
_SMALL = 1e-250


class SampleRatioMethod(Enum):
    """How the p-value of a sample ratio was come by."""

    CHI_SQUARED = "chi_squared"
    BINOMIAL = "binomial"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Pearson's χ² of observed units against those expected by weight.

    Where an arm expects fewer than five, the p-value is twice the least binomial tail of an arm, times the number of
    arms (Bonferroni).
    """

    method: SampleRatioMethod
    statistic: float
    freedom: int
    p: PValue
    always: PValue
    """The one valid at any look, and for any number of units: the inverse of the Bayes factor against the weights."""
    expected: tuple[float, ...]
    unexpected: int
    """Units of arms whose weight is 0, as after one was closed; they are in no other figure."""

    @property
    def unlikely(self) -> bool:
        """By the test of a fixed horizon."""
        return self.p.value < UNLIKELY

    @property
    def suspicious(self) -> bool:
        """By what holds at any look."""
        return self.always.value < SUSPICIOUS


def mismatch(units: Sequence[int], weights: Sequence[float]) -> Mismatch | None:
    """The test over arms with a weight above 0; None without units, or with fewer than two such arms."""
    weighed = [(observed, weight) for observed, weight in zip(units, weights, strict=True) if weight > 0]
    total = sum(observed for observed, _ in weighed)
    if total == 0 or len(weighed) < 2:
        return None
    whole = sum(weight for _, weight in weighed)
    statistic = sum((observed - total * w / whole) ** 2 / (total * w / whole) for observed, w in weighed)
    expected = tuple(total * weight / whole for weight in weights)
    freedom = len(weighed) - 1
    method = SampleRatioMethod.CHI_SQUARED
    if total * min(weight for _, weight in weighed) / whole < SPARSE:
        method = SampleRatioMethod.BINOMIAL
        tails = [_binomial(observed, total, weight / whole) for observed, weight in weighed]
        # Of two arms, one says all that the other does.
        p = PValue.of(min(tails) + log(2 * len(weighed) if freedom > 1 else 2))
    else:
        p = _tail(statistic, freedom)
    always = _always([observed for observed, _ in weighed], [weight / whole for _, weight in weighed])
    return Mismatch(method, statistic, freedom, p, always, expected, sum(units) - total)


def _always(units: Sequence[int], shares: Sequence[float]) -> PValue:
    """The inverse of the Bayes factor of any shares, by a Dirichlet prior about those there should be, against these.

    A nonnegative martingale of mean 1 as units come, so that it exceeds 1/α at any time with a chance of α at most
    (Ville); equations 3 and 4 of the paper, without the minimum over former looks, which are not kept.
    """
    total = sum(units)
    expected = sum(observed * log(share) for observed, share in zip(units, shares, strict=True))
    factors = [
        lgamma(k)
        - lgamma(k + total)
        + sum(lgamma(k * share + observed) - lgamma(k * share) for observed, share in zip(units, shares, strict=True))
        - expected
        for k in _CONCENTRATIONS
    ]
    greatest = max(factors)
    return PValue.of(log(len(factors)) - greatest - log(sum(exp(factor - greatest) for factor in factors)))


def _binomial(observed: int, total: int, share: float) -> float:
    """The natural logarithm of the smaller tail, the observed number included."""
    if observed > total * share:
        tail = float(betainc(observed, total - observed + 1, share))
        falls = (total - observed) / (observed + 1) * share / (1 - share)
    else:
        tail = 1.0 if observed == total else float(betaincc(observed + 1, total - observed, share))
        falls = observed / (total - observed + 1) / share * (1 - share)
    if tail > _SMALL:
        return log(tail)
    # Too small for a float: the terms fall faster than a geometric series.
    ways = lgamma(total + 1) - lgamma(observed + 1) - lgamma(total - observed + 1)
    return ways + observed * log(share) + (total - observed) * log1p(-share) - log1p(-falls)


def _tail(statistic: float, freedom: int) -> PValue:
    """P(χ² >= x), by its logarithm where it is small."""
    if statistic <= 0:
        return CERTAIN
    if freedom == 1:
        return two_sided(sqrt(statistic))
    a, x = freedom / 2, statistic / 2
    tail = float(gammaincc(a, x))
    if tail > _SMALL:
        return PValue.of(log(tail))
    # Γ(a, x) ~ x^(a-1) e^-x Σ (a-1)…(a-k) / x^k; NIST Digital Library of Mathematical Functions, 8.11.2.
    series = term = 1.0
    for k in range(1, freedom):
        term *= (a - k) / x
        series += term
    return PValue.of((a - 1) * log(x) - x + log(series) - lgamma(a))
