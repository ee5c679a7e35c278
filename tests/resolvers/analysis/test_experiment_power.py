"""Sizes, powers and least effects of experiments: against each other, the library, and a simulation."""

from math import isfinite, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import nctdtr, stdtrit

from resolvers.analysis.experiment_power import (
    Formula,
    detectable_mean,
    detectable_share,
    means_power,
    means_size,
    shares_power,
    shares_size,
)
from resolvers.analysis.experiment_probabilities import critical
from resolvers.analysis.experiment_statistics import Share
from resolvers.analysis.experiment_tests import Comparison, two_proportions


@given(
    st.floats(0.01, 0.5),
    st.floats(0.02, 0.4),
    st.sampled_from(Formula),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.sampled_from([0.7, 0.8, 0.95]),
)
def test_a_size_has_the_power_that_it_is_for(
    a: float, more: float, formula: Formula, ratio: float, power: float
) -> None:
    size = shares_size(a, a + more, alpha=0.05, power=power, ratio=ratio, formula=formula)
    reached = shares_power(a, a + more, alpha=0.05, units=size, ratio=ratio, formula=formula)
    assert reached == pytest.approx(power, abs=3e-4)
    found = detectable_share(a, alpha=0.05, power=reached, units=size, ratio=ratio, formula=formula)
    assert found == pytest.approx(a + more, abs=1e-6)


@pytest.mark.parametrize("formula", Formula)
def test_a_power_just_above_alpha_needs_next_to_nothing(formula: Formula) -> None:
    sizes = [shares_size(0.1, 0.11, alpha=0.05, power=power, formula=formula) for power in (0.050001, 0.051, 0.06)]
    assert sizes == sorted(sizes)
    if formula is Formula.ARCSINE:
        assert shares_power(0.1, 0.11, alpha=0.05, units=sizes[0], formula=formula) == pytest.approx(0.050001)
    # The mean share of arms so unequal varies less than either: chance alone comes by that power.
    assert shares_size(0.5, 0.01, alpha=0.05, power=0.2, ratio=100) == 0


@given(
    st.floats(4, 5_000),
    st.sampled_from([1e-6, 1e-4, 0.01, 0.05, 0.3, 0.5]),
    st.floats(0, 4),
    st.sampled_from([0.5, 1.0, 3.0]),
)
def test_the_power_of_a_t_test_is_that_of_the_noncentral_distribution(
    units: float, alpha: float, centre: float, ratio: float
) -> None:
    freedom = units * (1 + ratio) - 2
    found = means_power(centre, sqrt(units / (1 + 1 / ratio)), alpha=alpha, units=units, ratio=ratio)
    assert 0 <= found <= 1 + 1e-12
    cut = -float(stdtrit(freedom, alpha / 2))
    # The library gives up on some of it, and on what lies on the other side of more.
    expected = 1 - float(nctdtr(freedom, centre, cut)) + 1 - float(nctdtr(freedom, -centre, cut))
    if isfinite(expected):
        assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("units", [2, 16, 500, 1e9, 1e15])
@pytest.mark.parametrize("alpha", [1e-9, 1e-4, 0.5])
@pytest.mark.parametrize("power", [0.6, 0.99, 0.999999])
def test_sizes_of_means_are_found_at_the_edges(units: float, alpha: float, power: float) -> None:
    effect = detectable_mean(1, alpha=alpha, power=power, units=units)
    assert means_power(effect, 1, alpha=alpha, units=units) == pytest.approx(power, abs=1e-8)
    assert means_size(effect, 1, alpha=alpha, power=power) == pytest.approx(units, rel=1e-4)


@given(st.floats(1e-4, 2), st.sampled_from([0.5, 1.0, 3.0]))
def test_a_size_for_means_has_the_power_that_it_is_for(effect: float, ratio: float) -> None:
    size = means_size(effect, 1, alpha=0.05, power=0.8, ratio=ratio)
    if size > max(2.0, 2 / ratio):
        assert means_power(effect, 1, alpha=0.05, units=size, ratio=ratio) == pytest.approx(0.8, abs=1e-6)
        assert detectable_mean(1, alpha=0.05, power=0.8, units=size, ratio=ratio) == pytest.approx(effect, rel=1e-6)


@pytest.mark.parametrize("units", [2, 3, 10, 1_000, 1_000_000])
def test_what_is_detectable_is_found_for_any_number_of_units(units: int) -> None:
    effect = detectable_mean(1, alpha=0.05, power=0.8, units=units)
    assert means_power(effect, 1, alpha=0.05, units=units) == pytest.approx(0.8, abs=1e-8)
    assert means_size(1, 1, alpha=1e-6, power=0.8) > means_size(1, 1, alpha=1e-3, power=0.8)


def test_nothing_tells_so_few_units_apart() -> None:
    assert detectable_share(0.5, alpha=0.05, power=0.99, units=3) is None


def test_power_is_what_a_simulation_finds() -> None:
    chance = np.random.default_rng(21)
    a, b, units = 0.1, 0.12, 3_841
    runs = 10_000
    x_a, x_b = chance.binomial(units, a, runs), chance.binomial(units, b, runs)
    tests = [
        two_proportions(Share(units, int(p)), Share(units, int(q)))
        for p, q in zip(x_a[:2_000], x_b[:2_000], strict=True)
    ]
    found = [isinstance(test, Comparison) and test.p.value < 0.05 for test in tests]
    pooled = (x_a + x_b) / (2 * units)
    z = (x_b - x_a) / units / np.sqrt(2 * pooled * (1 - pooled) / units)
    assert np.mean(np.abs(z[:2_000]) > critical(0.95)) == np.mean(found)
    assert np.mean(np.abs(z) > critical(0.95)) == pytest.approx(shares_power(a, b, alpha=0.05, units=units), abs=0.012)
