"""Tests of experiments from sums: against scipy on the raw values, by simulation, and at the edges."""

import warnings
from decimal import Decimal
from fractions import Fraction
from math import isfinite, log10, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from resolvers.analysis.experiment_bayes import of_effect, of_shares
from resolvers.analysis.experiment_cuped import Adjusted, Theta, cuped
from resolvers.analysis.experiment_probabilities import CERTAIN, critical, log_tail, two_sided
from resolvers.analysis.experiment_sequential import always, error_of_means, error_of_ratios, error_of_shares
from resolvers.analysis.experiment_statistics import Arm, PairedArm, Share
from resolvers.analysis.experiment_tests import Comparison, Method, Refusal, ratios, two_proportions, welch
from resolvers.analysis.multiplicity import benjamini_hochberg, holm

whole_values = st.lists(st.integers(-1_000, 1_000), min_size=2, max_size=30)
pairs = st.lists(st.tuples(st.integers(0, 50), st.integers(-50, 50)), min_size=3, max_size=30)
p_values = st.lists(st.floats(1e-12, 1), min_size=1, max_size=20)


def arm(values: list[int]) -> Arm:
    return Arm(len(values), sum(values), sum(value * value for value in values))


def paired(values: list[tuple[int, int]]) -> PairedArm:
    return PairedArm(
        len(values),
        sum(x for x, _ in values),
        sum(x * x for x, _ in values),
        sum(y for _, y in values),
        sum(y * y for _, y in values),
        sum(x * y for x, y in values),
    )


def compared(found: Comparison | Refusal) -> Comparison:
    assert isinstance(found, Comparison), found
    return found


@given(whole_values, whole_values)
def test_welch_is_that_of_the_raw_values(a: list[int], b: list[int]) -> None:
    found = welch(arm(a), arm(b))
    if isinstance(found, Refusal):
        assert len(set(a)) == len(set(b)) == 1
        return
    with warnings.catch_warnings():
        # One arm may be of a single value, which scipy warns of.
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = stats.ttest_ind(b, a, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (found.statistic, found.p.value) == (
        pytest.approx(expected.statistic, rel=1e-9, abs=1e-12),
        pytest.approx(expected.pvalue, rel=1e-9),
    )
    assert [found.low, found.high] == pytest.approx([interval.low, interval.high], rel=1e-8, abs=1e-7)


def test_means_keep_their_digits_far_from_zero() -> None:
    near, far = [1, 2, 3], [2, 3, 5]
    offset = 10**12
    plain = compared(welch(arm(near), arm(far)))
    moved = compared(welch(arm([x + offset for x in near]), arm([x + offset for x in far])))
    assert (plain.statistic, plain.p, plain.effect) == (moved.statistic, moved.p, moved.effect)
    assert Arm(2, Decimal("0.3"), Decimal("0.05")).variance == pytest.approx(0.005, rel=1e-15)


@given(st.integers(1, 400), st.integers(1, 400), st.data())
def test_proportions(n_a: int, n_b: int, data: st.DataObject) -> None:
    a, b = Share(n_a, data.draw(st.integers(0, n_a))), Share(n_b, data.draw(st.integers(0, n_b)))
    found = compared(two_proportions(a, b))
    assert found.low <= found.effect <= found.high
    assert found.low >= -1
    assert found.high <= 1
    assert 0 < found.p.value <= 1
    table = [[one.successes, one.units - one.successes] for one in (a, b)]
    if found.method is Method.FISHER_EXACT:
        assert found.p.value == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-9)
    else:
        assert found.p.value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)
    mirrored = compared(two_proportions(b, a))
    assert (mirrored.effect, mirrored.low, mirrored.high) == pytest.approx((-found.effect, -found.high, -found.low))
    chances, other = of_shares(a, b), of_shares(b, a)
    assert chances.to_win == pytest.approx(1 - other.to_win, abs=1e-9)
    # E[max(B - A, 0)] - E[max(A - B, 0)] = E[B - A], of posteriors with means (x + 1) / (n + 2).
    posterior = (b.successes + 1) / (b.units + 2) - (a.successes + 1) / (a.units + 2)
    assert chances.loss_of_control - chances.loss_of_treatment == pytest.approx(posterior, abs=1e-9)


@given(st.integers(1, 2_000_000), st.integers(1, 2_000_000), st.data())
def test_chances_of_shares_are_those_of_what_did_not_happen_turned_round(
    n_a: int, n_b: int, data: st.DataObject
) -> None:
    # The tails of small shares and of large ones are computed by different functions.
    a, b = Share(n_a, data.draw(st.integers(0, n_a))), Share(n_b, data.draw(st.integers(0, n_b)))
    missed = [Share(one.units, one.units - one.successes) for one in (a, b)]
    chances, turned = of_shares(a, b), of_shares(*missed)
    assert chances.to_win == pytest.approx(1 - turned.to_win, abs=1e-8)
    assert chances.loss_of_treatment == pytest.approx(turned.loss_of_control, rel=1e-7, abs=1e-15)
    assert chances.loss_of_control == pytest.approx(turned.loss_of_treatment, rel=1e-7, abs=1e-15)


@given(pairs, pairs)
def test_ratios_are_the_delta_method_over_raw_values(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    found = ratios(paired(a), paired(b))
    if isinstance(found, Refusal):
        return
    expected, variance = [], 0.0
    for values in (a, b):
        x, y = np.array(values, float).T
        ratio = y.sum() / x.sum()
        expected.append(ratio)
        variance += np.var(y - ratio * x, ddof=1) / x.mean() ** 2 / x.size
    assert found.effect == pytest.approx(expected[1] - expected[0], rel=1e-9, abs=1e-9)
    assert found.error == pytest.approx(sqrt(variance), rel=1e-6, abs=1e-6)


@given(pairs, pairs, st.sampled_from(Theta))
def test_cuped_is_welch_of_adjusted_values(a: list[tuple[int, int]], b: list[tuple[int, int]], theta: Theta) -> None:
    found = cuped(paired(a), paired(b), theta)
    if isinstance(found, Refusal):
        return
    sides: list[NDArray[np.float64]] = [np.array(values, float).T for values in (a, b)]
    parts = [np.concatenate(sides, axis=1)] if theta is Theta.TOTAL_COVARIANCE else sides
    below = sum(np.sum((x - x.mean()) ** 2) for x, _ in parts)
    slope = sum(np.sum((x - x.mean()) * (y - y.mean())) for x, y in parts) / below if below else 0.0
    centre = np.concatenate(sides, axis=1)[0].mean()
    before, after = (y - slope * (x - centre) for x, y in sides)
    assert found.theta == pytest.approx(slope, rel=1e-9, abs=1e-12)
    assert found.comparison.effect == pytest.approx(after.mean() - before.mean(), rel=1e-7, abs=1e-7)
    error = sqrt(before.var(ddof=1) / before.size + after.var(ddof=1) / after.size)
    assert found.comparison.error == pytest.approx(error, rel=1e-6, abs=1e-6)


def test_a_covariate_without_variance_changes_nothing() -> None:
    a, b = [(3, 1), (3, 2), (3, 4)], [(3, 2), (3, 5), (3, 9)]
    found = cuped(paired(a), paired(b))
    assert isinstance(found, Adjusted)
    assert (found.theta, found.variance_cut) == (0, 0)
    assert found.comparison == welch(paired(a).values, paired(b).values)


def test_what_cannot_be_told_is_refused_with_the_reason() -> None:
    one, same, spread = arm([5]), arm([1, 1]), arm([1, 2])
    assert isinstance(welch(one, spread), Refusal)
    assert isinstance(welch(same, arm([2, 2])), Refusal)
    assert isinstance(two_proportions(Share(0, 0), Share(3, 1)), Refusal)
    nothing = PairedArm(2, 0, 0, 3, 5, 0)
    assert isinstance(ratios(nothing, nothing), Refusal)
    exact = paired([(1, 2), (2, 4), (5, 10)])
    assert isinstance(ratios(exact, exact), Refusal)
    assert isinstance(cuped(exact, exact), Refusal)
    assert of_effect(1.0, 0.0) is None
    assert always(1.0, 0.0, 10) is None
    # A first order knows no error of what is 0 and does not vary.
    none = compared(two_proportions(Share(10, 5), Share(10, 0))).lift
    assert none is not None
    assert (none.value, none.low, none.high, none.p) == (-1, None, None, None)
    # Of nothing, nothing is certain, and the interval says how little is known.
    zero = compared(two_proportions(Share(10, 0), Share(10, 0)))
    assert (zero.p, zero.statistic, zero.lift) == (CERTAIN, None, None)
    assert zero.high - zero.low > 0.5


@given(st.integers(1, 10**6))
def test_of_shares_that_do_not_vary_a_sequence_tells_what_is_still_likely(units: int) -> None:
    none, everybody = Share(units, 0), Share(units, units)
    found = always(0.0, error_of_shares(none, none), 2 * units)
    assert found is not None
    assert found.p == CERTAIN
    # No difference is left out by which none of an arm would still have been as likely as 5 %.
    if found.high < 1:
        assert (1 - found.high) ** units < 0.05
    apart = always(1.0, error_of_shares(none, everybody), 2 * units)
    assert apart is not None
    assert (apart.p.value < 0.05) is (apart.low > 0) is (units > 32)
    # There the share of all units is one half, which varies most.
    assert error_of_shares(none, everybody) == pytest.approx(sqrt(1 / (2 * units)))


@given(whole_values, whole_values)
def test_a_cautious_error_is_that_of_all_units_as_one(a: list[int], b: list[int]) -> None:
    spread = np.var([*a, *b], ddof=1) * (1 / len(a) + 1 / len(b))
    assert error_of_means(arm(a), arm(b)) == pytest.approx(np.sqrt(spread), rel=1e-9)
    ones = [(1, value) for value in a], [(1, value) for value in b]
    assert error_of_ratios(*map(paired, ones)) == pytest.approx(np.sqrt(spread), rel=1e-9)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.data())
def test_a_cautious_error_of_shares_is_the_greater_of_both(n_a: int, n_b: int, data: st.DataObject) -> None:
    a, b = data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_b))
    found = error_of_shares(Share(n_a, a), Share(n_b, b))
    together = (a + b) / (n_a + n_b)
    null = np.sqrt(together * (1 - together) * (1 / n_a + 1 / n_b))
    added = [(of + 1) / (n + 2) for of, n in ((a, n_a), (b, n_b))]
    own = np.sqrt(sum(p * (1 - p) / (n + 2) for p, n in zip(added, (n_a, n_b), strict=True)))
    assert found == pytest.approx(max(null, own), rel=1e-12)


@pytest.mark.parametrize(("rate", "sizes"), [(0.01, (1, 9)), (0.01, (9, 1)), (0.2, (1, 9)), (0.01, (1, 1))])
def test_no_sequence_is_fooled_by_arms_that_differ_in_size(rate: float, sizes: tuple[int, int]) -> None:
    # Of rare conversions a small arm has none for long: by its own variance three of ten such experiments would seem
    # to have an effect at some look.
    chance, runs, looks = np.random.default_rng(7), 200, 150
    counts = [chance.binomial(10 * size, rate, (runs, looks)).cumsum(1) for size in sizes]
    fooled = plain = 0
    for run in range(runs):
        seen = [False, False]
        for look in range(looks):
            control, treatment = (
                Share(10 * size * (look + 1), int(count[run, look])) for size, count in zip(sizes, counts, strict=True)
            )
            effect, units = treatment.mean - control.mean, control.units + treatment.units
            own = sqrt(sum(share.mean * (1 - share.mean) / share.units for share in (control, treatment)))
            for place, error in enumerate((error_of_shares(control, treatment), own)):
                found = always(effect, error, units)
                seen[place] |= found is not None and found.p.value < 0.05
        fooled, plain = fooled + seen[0], plain + seen[1]
    assert fooled / runs <= 0.05
    assert plain / runs > 0.1 or sizes == (1, 1) or rate > 0.1


def test_no_sequence_of_means_is_fooled_either() -> None:
    chance, runs, looks = np.random.default_rng(7), 150, 100
    fooled = plain = 0
    for _ in range(runs):
        values = [
            chance.lognormal(3, 1, (looks, 10 * size)) * (chance.random((looks, 10 * size)) < 0.05) for size in (1, 9)
        ]
        sums = [(np.rint(of).sum(1).cumsum(), (np.rint(of) ** 2).sum(1).cumsum()) for of in values]
        seen = [False, False]
        for look in range(looks):
            arms = [
                Arm(10 * size * (look + 1), int(total[look]), int(squares[look]))
                for size, (total, squares) in zip((1, 9), sums, strict=True)
            ]
            found = welch(*arms)
            if isinstance(found, Refusal):
                continue
            for place, error in enumerate((max(found.error, error_of_means(*arms)), found.error)):
                told = always(found.effect, error, arms[0].units + arms[1].units)
                seen[place] |= told is not None and told.p.value < 0.05
        fooled, plain = fooled + seen[0], plain + seen[1]
    assert fooled / runs <= 0.05
    assert plain / runs > 0.1


@given(st.floats(0.1, 37), st.floats(1, 1e6))
def test_tails_are_those_of_student(t: float, freedom: float) -> None:
    expected = 2 * stats.t.sf(t, freedom)
    if expected > 1e-280:
        assert two_sided(t, freedom).value == pytest.approx(expected, rel=1e-8)


def test_p_values_too_small_for_a_float_keep_their_logarithm() -> None:
    assert two_sided(60).value == 0
    assert two_sided(60).log10 == pytest.approx(log10(2) + stats.norm.logsf(60) / np.log(10), rel=1e-12)
    logs = [two_sided(t, 40.0).log10 for t in (10.0, 1e3, 1e190, 1e193)]
    assert logs == sorted(logs, reverse=True)
    assert all(map(isfinite, logs))
    # A tail of Student's distribution falls with the power of its degrees of freedom.
    assert logs[-1] - logs[-2] == pytest.approx(-3 * 40, abs=1e-6)
    assert log_tail(0.0) == pytest.approx(np.log(0.5))
    assert critical(0.95) == pytest.approx(1.959963984540054)
    assert critical(0.95, 5.0) == pytest.approx(2.570581835636314)


@given(p_values)
def test_families_are_adjusted_as_scipy_does_and_keep_their_order(values: list[float]) -> None:
    logs = [float(np.log(value)) for value in values]
    assert np.exp(benjamini_hochberg(logs)) == pytest.approx(stats.false_discovery_control(values), rel=1e-9)
    adjusted = holm(logs)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate([values[place] * (len(values) - rank) for rank, place in enumerate(order)])
    assert [float(np.exp(adjusted[place])) for place in order] == pytest.approx(np.minimum(1, steps).tolist())
    assert all(adjusted[place] >= benjamini_hochberg(logs)[place] - 1e-12 for place in range(len(values)))


def test_variances_so_small_that_their_squares_are_0() -> None:
    tiny = Fraction(1, 10**90)
    small = [Arm(one.units, one.total * tiny, one.squares * tiny**2) for one in (arm([1, 2, 3]), arm([2, 3, 5, 5]))]
    plain, found = compared(welch(arm([1, 2, 3]), arm([2, 3, 5, 5]))), compared(welch(*small))
    assert (found.freedom, found.p.value) == (pytest.approx(plain.freedom), pytest.approx(plain.p.value))


def test_an_exact_test_keeps_its_logarithm_too() -> None:
    found = compared(two_proportions(Share(100, 100), Share(1_000_000, 0)))
    assert (found.method, found.p.value) == (Method.FISHER_EXACT, 0.0)
    # One table of (1,000,100 choose 100) is as unlikely.
    ways = sum(np.log(1_000_100 - place) - np.log(place + 1) for place in range(100))
    assert found.p.log10 == pytest.approx(-ways / np.log(10), rel=1e-9)


def test_an_experiment_without_effect_is_significant_as_rarely_as_it_says() -> None:
    chance = np.random.default_rng(20)
    runs, looks, per_look = 2_000, 20, 200
    # Standard normal values: what a look sees are sums of what came before.
    a, b = (chance.standard_normal((runs, looks, per_look)) for _ in range(2))
    n = per_look * np.arange(1, looks + 1)
    effect = (b.sum(2).cumsum(1) - a.sum(2).cumsum(1)) / n
    error = np.sqrt(2 / n)
    z = np.abs(effect / error)
    fixed_last = np.mean(z[:, -1] > critical(0.95))
    fixed_any = np.mean((z > critical(0.95)).any(1))
    widths = [always(0.0, float(one), int(2 * units)) for one, units in zip(error, n, strict=True)]
    halves = np.array([one.high for one in widths if one is not None])
    sequential = np.mean((np.abs(effect) > halves).any(1))
    assert 0.04 < fixed_last < 0.06
    assert fixed_any > 0.15
    assert sequential < 0.05
