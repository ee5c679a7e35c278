"""How good predicted probabilities are, judged on outcomes that they were not made from."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtri

from resolvers.analysis import logistic
from resolvers.analysis.logistic import Bools, Floats

FOLDS = 5
_Z = float(ndtri(0.975))
_SEED = 20_260_301
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Auc:
    """The probability that a yes is ranked above a no, ties counting half, with its interval at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Predictions in ten groups of about the same size, least likely first, held against what happened.

    ``slope`` and ``intercept`` as of ``logistic.recalibration``; None where they are not defined.
    """

    predicted: tuple[float, ...]
    """The mean prediction of each group."""
    observed: tuple[float, ...]
    """The share of each group to whom it happened."""
    n: tuple[int, ...]
    slope: float | None
    intercept: float | None


@dataclass(frozen=True, slots=True)
class Validation:
    """How predictions did on ``n`` subjects, each predicted by a model that had not seen it."""

    n: int
    positives: int
    """How many of them it happened to."""
    auc: Auc
    brier: float
    """Mean of (p - y)²: G. W. Brier, Monthly Weather Review 78 (1950)."""
    baseline_brier: float
    """The same for predicting the overall share to everybody."""
    top_decile_precision: float
    """Of the tenth with the highest predictions, the share to whom it happened."""
    calibration: Calibration


def out_of_fold(features: Floats, outcome: Bools) -> Floats:
    """The probability of each row by a model of the rows of the other folds.

    The five folds hold the same share of either outcome and are drawn by a fixed seed: the same data, the same folds.
    """
    fold = folds(outcome)
    predicted = np.empty(outcome.size)
    for one in range(FOLDS):
        out = fold == one
        predicted[out] = logistic.fit(features[~out], outcome[~out]).probabilities(features[out])
    return predicted


def folds(outcome: Bools) -> NDArray[np.int64]:
    """A fold for each row, stratified by outcome."""
    rng = np.random.default_rng(_SEED)
    fold = np.empty(outcome.size, np.int64)
    for value in (False, True):
        rows = rng.permutation(np.flatnonzero(outcome == value))
        fold[rows] = np.arange(rows.size) % FOLDS
    return fold


def validated(predicted: Floats, outcome: Bools) -> Validation:
    """The figures of predictions, both outcomes being there."""
    share = float(outcome.mean())
    order = np.argsort(-predicted, kind="stable")
    top = order[: max(1, outcome.size // 10)]
    return Validation(
        n=outcome.size,
        positives=int(outcome.sum()),
        auc=auc(predicted, outcome),
        brier=float(np.mean((predicted - outcome) ** 2)),
        baseline_brier=share * (1 - share),
        top_decile_precision=float(outcome[top].mean()),
        calibration=calibration(predicted, outcome),
    )


def auc(predicted: Floats, outcome: Bools) -> Auc:
    """The area under the ROC curve, both outcomes being there.

    Interval by the variance of E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or
    more correlated receiver operating characteristic curves", Biometrics 44 (1988), from midranks as in X. Sun and
    W. Xu, IEEE Signal Processing Letters 21 (2014); cut to 0..1. Below two of an outcome it is all of 0..1.
    """
    yes, no = predicted[outcome], predicted[~outcome]
    ranks = _midranks(np.concatenate([yes, no]))
    above = (ranks[: yes.size] - _midranks(yes)) / no.size
    below = 1 - (ranks[yes.size :] - _midranks(no)) / yes.size
    value = float(above.mean())
    if min(yes.size, no.size) < 2:
        return Auc(value, 0.0, 1.0)
    error = sqrt(above.var(ddof=1) / yes.size + below.var(ddof=1) / no.size)
    return Auc(value, max(0.0, value - _Z * error), min(1.0, value + _Z * error))


def _midranks(values: Floats) -> Floats:
    """The rank of each value from 1 on; equal ones share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def calibration(predicted: Floats, outcome: Bools, groups: int = 10) -> Calibration:
    """Predictions against outcomes, in at most ``groups`` groups."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, groups) if part.size]
    found = logistic.recalibration(logit(np.clip(predicted, _LEAST, 1 - _LEAST)), outcome)
    return Calibration(
        predicted=tuple(float(predicted[part].mean()) for part in parts),
        observed=tuple(float(outcome[part].mean()) for part in parts),
        n=tuple(part.size for part in parts),
        slope=None if found is None else found[1],
        intercept=None if found is None else found[0],
    )
