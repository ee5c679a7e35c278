"""Logistic regression and its validation: against SciPy's optimiser and plain counting, and where data degenerate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from resolvers.analysis.logistic import Separation, fit, recalibration
from resolvers.analysis.validation import FOLDS, auc, calibration, folds, out_of_fold, validated


def made(seed: int, n: int = 400, features: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features)) * 10 ** rng.uniform(-2, 3, features)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, rng.random(n) < expit(scaled @ rng.normal(size=features) - 0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 30.0]))
def test_it_is_the_maximum_that_an_optimiser_finds(seed: int, ridge: float) -> None:
    x, y = made(seed)
    found = fit(x, y, ridge=ridge)
    design = np.column_stack([np.ones(y.size), (x - x.mean(axis=0)) / x.std(axis=0)])

    def loss(beta: np.ndarray) -> float:
        eta = design @ beta
        return float(np.logaddexp(0, eta).sum() - y @ eta + ridge / 2 * (beta[1:] ** 2).sum())

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-6})
    assert found.converged
    assert [found.intercept, *found.coefficients] == pytest.approx(best.x, abs=1e-4)
    assert found.probabilities(x) == pytest.approx(expit(design @ best.x), abs=1e-4)
    assert found.separation is Separation.NONE


def test_what_a_feature_adds_sums_up_to_the_log_odds() -> None:
    x, y = made(1)
    found = fit(x, y)
    assert found.intercept + found.contributions(x).sum(axis=1) == pytest.approx(logit(found.probabilities(x)))
    assert found.contributions(x).mean(axis=0) == pytest.approx(0, abs=1e-9)


def test_a_feature_that_is_the_same_for_all_says_nothing() -> None:
    x, y = made(2)
    with_constant = fit(np.column_stack([x, np.full(y.size, 1e9)]), y)
    assert with_constant.coefficients[3] == 0
    assert with_constant.coefficients[:3] == pytest.approx(fit(x, y).coefficients)
    nothing = fit(np.ones((y.size, 2)), y)
    assert nothing.probabilities(np.ones((1, 2))) == pytest.approx(y.mean())


def test_the_same_feature_twice_shares_its_coefficient() -> None:
    x, y = made(3)
    found = fit(np.column_stack([x, x]), y)
    assert found.coefficients[:3] == pytest.approx(found.coefficients[3:])
    assert found.converged


def test_separation_is_found_and_bounded() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(200, 2)), np.arange(200) < 90
    apart = np.column_stack([x, np.where(y, 1.0, -1.0) + rng.uniform(-0.4, 0.4, 200)])
    found = fit(apart, y)
    assert found.separation is Separation.COMPLETE
    assert found.converged
    assert np.isfinite(found.coefficients).all()
    rare = np.column_stack([x, (np.arange(200) < 7).astype(float)])
    assert fit(rare, y).separation is Separation.QUASI_COMPLETE
    assert fit(x, y).separation is Separation.NONE


def test_calibration_says_how_predictions_have_to_be_moved() -> None:
    rng = np.random.default_rng(5)
    log_odds = rng.normal(size=40_000)
    y = rng.random(log_odds.size) < expit(log_odds)
    right, bold, low = (recalibration(shown, y) for shown in (log_odds, 2 * log_odds, log_odds - 1))
    assert right == pytest.approx((0, 1), abs=0.05)
    assert bold is not None
    assert bold[1] == pytest.approx(0.5, abs=0.03)
    assert low is not None
    assert low == pytest.approx((1, 1), abs=0.05)
    assert recalibration(log_odds, np.ones(log_odds.size, bool)) is None
    assert recalibration(np.zeros(log_odds.size), y) is None
    assert recalibration(np.where(y, 5.0, -5.0), y) is None


scores = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: 0 < sum(yes for _, yes in rows) < len(rows)
)


@given(scores)
def test_auc_counts_pairs(rows: list[tuple[int, bool]]) -> None:
    predicted, outcome = np.array([p for p, _ in rows], float), np.array([y for _, y in rows])
    pairs = [(a > b) + (a == b) / 2 for a, yes in rows if yes for b, other in rows if not other]
    found = auc(predicted, outcome)
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12 <= 1 + 2e-12
    assert auc(-predicted, outcome).value == pytest.approx(1 - found.value)


def test_the_interval_of_auc_covers_it() -> None:
    rng = np.random.default_rng(6)
    # P(X > Y) for normal X, Y a standard deviation apart: Φ(1/√2).
    covered = 0
    for _ in range(200):
        yes, no = rng.normal(1, 1, 60), rng.normal(0, 1, 140)
        found = auc(np.concatenate([yes, no]), np.arange(200) < 60)
        covered += found.low <= 0.76025 <= found.high
    assert 180 <= covered <= 199


@given(st.lists(st.booleans(), max_size=60))
def test_folds_are_stratified_and_the_same_again(outcome: list[bool]) -> None:
    y = np.array(outcome, bool)
    fold = folds(y)
    assert np.array_equal(fold, folds(y))
    for value in (False, True):
        sizes = np.bincount(fold[y == value], minlength=FOLDS)
        assert sizes.max() - sizes.min() <= 1


def test_nobody_is_predicted_by_a_model_that_has_seen_it() -> None:
    rng = np.random.default_rng(7)
    noise, y = rng.normal(size=(300, 60)), rng.random(300) < 0.4
    seen, unseen = auc(fit(noise, y).probabilities(noise), y), auc(out_of_fold(noise, y), y)
    assert seen.value > 0.7
    assert unseen.low < 0.5 < unseen.high + 0.02


def test_figures_of_predictions() -> None:
    predicted = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.1, 0.1, 0.2, 0.3])
    outcome = np.array([False, False, True, False, True, True, False, False, False, False])
    found = validated(predicted, outcome)
    assert (found.n, found.positives) == (10, 3)
    assert found.brier == pytest.approx(np.mean((predicted - outcome) ** 2))
    assert found.baseline_brier == pytest.approx(0.21)
    assert found.top_decile_precision == 1
    assert found.calibration.n == (1,) * 10
    assert sum(found.calibration.observed) == 3
    assert calibration(predicted[:4], outcome[:4]).predicted == pytest.approx((0.1, 0.2, 0.3, 0.4))
