"""Kaplan-Meier and log-rank: a published trial, oracles, and what must hold of any data."""

from math import exp, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from resolvers.analysis.survival import grouped, kaplan_meier, log10_chi2, log_rank

# Remission of leukaemia in weeks (E. J. Freireich and others, Blood 21, 1963), the textbook example of both methods.
TREATED = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
RELAPSED = [True] * 9 + [False] * 12
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]

spells = st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=40)


def arrays(found: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([days for days, _ in found], float), np.array([left for _, left in found], bool)


def test_a_published_trial() -> None:
    curve = kaplan_meier(np.array(TREATED, float), np.array(RELAPSED))
    published = {6: 0.8571, 7: 0.8067, 10: 0.7529, 13: 0.6902, 16: 0.6275, 22: 0.5378, 23: 0.4482}
    for week, survival in published.items():
        assert curve.survival_at(week) == pytest.approx(survival, abs=5e-5)
    # Standard errors as published: .0764 at 6, .0963 at 10, .1346 at 23.
    errors = dict(zip(curve.at, np.sqrt(curve.variance), strict=True))
    assert [errors[week] for week in (6, 10, 23)] == pytest.approx([0.0764, 0.0963, 0.1346], abs=5e-5)
    assert curve.median == 23
    assert kaplan_meier(np.array(PLACEBO, float), np.ones(21, bool)).median == 8


def test_the_published_comparison() -> None:
    found = log_rank(
        np.array(TREATED + PLACEBO, float), np.array(RELAPSED + [True] * 21), np.array([0] * 21 + [1] * 21)
    )
    assert found is not None
    assert found.freedom == 1
    assert found.statistic == pytest.approx(16.79, abs=0.005)
    assert found.log10_p == pytest.approx(log10(found.p), abs=1e-12)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_without_censoring_it_is_the_share_that_is_left(days: list[int]) -> None:
    curve = kaplan_meier(np.array(days, float), np.ones(len(days), bool))
    for time in range(-1, 14):
        assert curve.survival_at(time) == pytest.approx(sum(day > time for day in days) / len(days), abs=1e-12)
    assert curve.restricted_mean(max(days)) == pytest.approx(sum(days) / len(days))


@given(spells)
def test_rows_add_up(found: list[tuple[int, bool]]) -> None:
    curve = kaplan_meier(*arrays(found))
    survival = 1.0
    for at, at_risk, events, censored, shown, low, high in zip(
        curve.at, curve.at_risk, curve.events, curve.censored, curve.survival, curve.low, curve.high, strict=True
    ):
        assert at_risk == sum(days >= at for days, _ in found)
        assert events == sum(days == at and left for days, left in found)
        assert censored == sum(days == at and not left for days, left in found)
        survival *= 1 - events / at_risk
        assert shown == pytest.approx(survival, abs=1e-12)
        assert np.isnan(low) == np.isnan(high) == (not 0 < shown < 1)
        assert np.isnan(low) or 0 <= low <= shown <= high <= 1
    below = [at for at, shown in zip(curve.at, curve.survival, strict=True) if shown <= 0.5]
    assert curve.median == (below[0] if below else None)


@given(st.lists(spells, min_size=2, max_size=4))
def test_the_test_is_that_of_its_definition(groups: list[list[tuple[int, bool]]]) -> None:
    rows = [(days, left, place) for place, group in enumerate(groups) for days, left in group]
    days, left = arrays([row[:2] for row in rows])
    group = np.array([row[2] for row in rows], np.int64)
    found = log_rank(days, left, group)
    labels = np.unique(group)
    difference, covariance = np.zeros(labels.size), np.zeros((labels.size, labels.size))
    for time in np.unique(days[left]):
        died, total = np.sum(left & (days == time)), np.sum(days >= time)
        risk = np.array([np.sum((days >= time) & (group == label)) for label in labels]) / total
        difference += [np.sum(left & (days == time) & (group == label)) for label in labels] - died * risk
        if total > 1:
            covariance += died * (total - died) / (total - 1) * (np.diag(risk) - np.outer(risk, risk))
    if found is None:
        assert np.allclose(covariance, 0)
    else:
        assert found.statistic == pytest.approx(difference @ np.linalg.pinv(covariance, rcond=1e-10) @ difference)
        assert found.freedom == np.linalg.matrix_rank(covariance, tol=1e-10)
        assert 0 < found.p <= 1


def test_there_may_be_nothing_to_compare() -> None:
    days, group = np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1])
    assert log_rank(days, np.zeros(3, bool), group) is None
    assert log_rank(days, np.ones(3, bool), np.zeros(3, np.int64)) is None
    assert log_rank(np.empty(0), np.empty(0, bool), np.empty(0, np.int64)) is None
    curve = kaplan_meier(np.empty(0), np.empty(0, bool))
    assert curve.at.size == curve.at_risk.size == 0
    assert curve.median is None


@pytest.mark.parametrize("freedom", [1, 2, 3, 7])
def test_small_probabilities_keep_their_size(freedom: int) -> None:
    for statistic in (0.5, 30.0, 800.0):
        assert log10_chi2(statistic, freedom) == pytest.approx(chi2.logsf(statistic, freedom) / np.log(10), rel=1e-6)
    # On both sides of the border between the two ways: one continues the other.
    edge = chi2.isf(1e-289, freedom)
    slope = log10_chi2(edge + 1, freedom) - log10_chi2(edge, freedom)
    assert log10_chi2(edge + 20, freedom) == pytest.approx(log10_chi2(edge, freedom) + 20 * slope, rel=1e-4)
    assert log10_chi2(1e5, 2) == pytest.approx(-5e4 / np.log(10))
    assert exp(log10_chi2(0.0, freedom)) == 1


@given(st.lists(st.integers(0, 4), max_size=30))
def test_rows_of_groups(group: list[int]) -> None:
    found = grouped(np.array(group, np.int64), 5)
    assert [rows.tolist() for rows in found] == [[row for row, of in enumerate(group) if of == one] for one in range(5)]
