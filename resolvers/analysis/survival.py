"""Survival: how long subjects stay, where many have not left yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, lgamma, log

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, ndtri

from resolvers.analysis.multiplicity import probability

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_Z = float(ndtri(0.975))
_LOG_TERMS = 60


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalCurve:
    """A Kaplan-Meier curve: row i is about the time ``at[i]``, of which there is one for each distinct duration.

    ``at_risk`` are those whose duration is at least ``at``, ``events`` those who left then, ``censored`` those of whom
    no more is known. ``survival`` is the share still there after ``at``; ``low`` and ``high`` are NaN where no interval
    is defined: before the first event, and once nobody is left.
    """

    at: Floats
    at_risk: Ints
    events: Ints
    censored: Ints
    survival: Floats
    variance: Floats
    low: Floats
    high: Floats

    def survival_at(self, time: float) -> float:
        """The share still there after ``time``; 1 before the first duration."""
        place = int(np.searchsorted(self.at, time, side="right")) - 1
        return float(self.survival[place]) if place >= 0 else 1.0

    @property
    def median(self) -> float | None:
        """The first time after which at most half are still there; None where more than half stay to the end."""
        below = np.flatnonzero(self.survival <= 0.5)
        return float(self.at[below[0]]) if below.size else None

    def restricted_mean(self, until: float) -> float:
        """The mean time there within ``until``: the area under the curve from 0 to it."""
        within = self.at < until
        edges = np.concatenate([[0.0], self.at[within], [until]])
        heights = np.concatenate([[1.0], self.survival[within]])
        return float(np.sum(np.diff(edges) * heights))


def kaplan_meier(durations: Floats, left: Bools) -> SurvivalCurve:
    """The curve of subjects who stayed for ``durations`` (at least 0) and then ``left``, or of whom no more is known.

    Who leaves and who is lost sight of at the same time: the former counts first. A duration of 0 without an event
    is at risk at 0 only.

    S(t) = Π (1 - dᵢ/nᵢ) over tᵢ ≤ t: E. L. Kaplan and P. Meier, "Nonparametric estimation from incomplete
    observations", Journal of the American Statistical Association 53 (1958). Variance S² Σ dᵢ/(nᵢ(nᵢ-dᵢ)):
    M. Greenwood, "The natural duration of cancer" (1926). Interval at 95 % on the scale of log(-log S),
    S^exp(±z σ/log S): J. D. Kalbfleisch and R. L. Prentice, "The statistical analysis of failure time data" (1980).
    """
    at, place = np.unique(durations, return_inverse=True)
    events = np.bincount(place, weights=left, minlength=at.size).astype(np.int64)
    leaving = np.bincount(place, minlength=at.size)
    at_risk = durations.size - np.cumsum(leaving) + leaving
    survival: Floats = np.cumprod(1.0 - events / at_risk, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events).astype(np.float64)))
        variance = np.where(survival > 0, survival**2 * greenwood, 0.0).astype(np.float64)
        spread = _Z * np.sqrt(greenwood) / np.log(survival)
        defined = (survival > 0) & (survival < 1)
        low = np.where(defined, survival ** np.exp(-spread), np.nan)
        high = np.where(defined, survival ** np.exp(spread), np.nan)
    return SurvivalCurve(at, at_risk, events, (leaving - events).astype(np.int64), survival, variance, low, high)


@dataclass(frozen=True, slots=True)
class LogRank:
    """The log-rank test of whether groups leave alike: ``p`` is never 0, ``log10_p`` holds below it."""

    statistic: float
    """χ² with ``freedom`` degrees of freedom."""
    freedom: int
    p: float
    log10_p: float


def log_rank(durations: Floats, left: Bools, group: Ints) -> LogRank | None:
    """Whether the groups (numbered in ``group``) leave alike; None where there is nothing to tell them apart by.

    Σ(O-E) over the times of events, held against its hypergeometric covariance: N. Mantel, "Evaluation of survival data
    and two new rank order statistics arising in its consideration", Cancer Chemotherapy Reports 50 (1966).
    """
    labels, group = np.unique(group, return_inverse=True)
    at, place = np.unique(durations, return_inverse=True)
    if labels.size < 2 or not left.any():
        return None
    shape = (at.size, labels.size)
    cells = place * labels.size + group
    ending = np.bincount(cells, minlength=at.size * labels.size).reshape(shape)
    events = np.bincount(cells, weights=left, minlength=at.size * labels.size).reshape(shape)
    at_risk = (ending[::-1].cumsum(axis=0)[::-1]).astype(np.float64)
    rows = events.any(axis=1)
    events, at_risk = events[rows], at_risk[rows]
    died, total = events.sum(axis=1), at_risk.sum(axis=1)
    share = at_risk / total[:, None]
    difference = (events - died[:, None] * share).sum(axis=0)
    weight = died * (total - died) / np.maximum(total - 1, 1)
    covariance = np.diag((weight[:, None] * share).sum(axis=0)) - (share * weight[:, None]).T @ share
    # The last group is what the others leave: its row adds nothing, and groups without variance neither.
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1] * labels.size * 1e-12
    freedom = int(kept.sum())
    if not freedom or values[-1] <= 0:
        return None
    statistic = float(np.sum((vectors[:, kept].T @ difference) ** 2 / values[kept]))
    p, log10_p = float(gammaincc(freedom / 2, statistic / 2)), log10_chi2(statistic, freedom)
    return LogRank(statistic, freedom, p or probability(log10_p * log(10)), log10_p)


def log10_chi2(statistic: float, freedom: int) -> float:
    """log10 of the probability of a χ² above ``statistic``, also where that probability underflows.

    Beyond the range of floats by Γ(a, x) ~ x^(a-1) e^-x Σ (a-1)(a-2)…(a-k)/x^k (NIST Digital Library of Mathematical
    Functions, 8.11.2), the sum cut at its least term.
    """
    a, x = freedom / 2, statistic / 2
    upper = float(gammaincc(a, x))
    if upper > 1e-290:
        return log(upper) / log(10)
    total, term, least = 1.0, 1.0, inf
    for k in range(1, _LOG_TERMS):
        term *= (a - k) / x
        if abs(term) >= least or term == 0:
            break
        least = abs(term)
        total += term
    return ((a - 1) * log(x) - x - lgamma(a) + log(total)) / log(10)


def grouped(group: Ints, count: int) -> Sequence[NDArray[np.intp]]:
    """The rows of each of ``count`` groups."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.searchsorted(group[order], np.arange(1, count)))
