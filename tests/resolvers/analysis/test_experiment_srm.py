"""Whether arms are as large as their weights say: by the test of a single look, and by the one valid at any."""

from collections.abc import Iterator
from math import comb, exp, log, log10, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from resolvers.analysis.experiment_answers import WarningCode
from resolvers.analysis.experiment_cells import Cells
from resolvers.analysis.experiment_srm import SUSPICIOUS, mismatch
from resolvers.analysis.experiment_warnings import warnings


def test_mismatches() -> None:
    assert mismatch([0, 0], [1, 1]) is None
    assert mismatch([5, 5], [1, 0]) is None
    found = mismatch([900, 100, 7], [1, 1, 0])
    assert found is not None
    assert (found.suspicious, found.unexpected, found.freedom) == (True, 7, 1)
    closed = mismatch([500, 500, 1], [1, 1, 0])
    assert closed is not None
    assert (closed.suspicious, closed.unexpected) == (False, 1)
    far = mismatch([1_000_000, 1, 1, 1], [1, 1, 1, 1])
    assert far is not None
    # Of four degrees of freedom the tail would be e^(-x/2) (1 + x/2); of three it is a little less.
    assert far.p.value == 0
    assert far.p.log10 == pytest.approx(-far.statistic / 2 / np.log(10), rel=1e-5)


def test_an_arm_that_expects_a_few_units_is_no_mismatch_by_one_of_them() -> None:
    found = mismatch([27, 3], [99, 1])
    assert found is not None
    # Pearson's p would be 7e-7, of three where a third of one was expected.
    assert found.p.value == pytest.approx(2 * stats.binom.sf(2, 30, 0.01))
    assert not found.suspicious
    ended = mismatch([0, 9], [1, 1])
    assert ended is not None
    assert ended.p.value == pytest.approx(stats.binomtest(0, 9).pvalue)
    three = mismatch([4, 4, 4], [98, 1, 1])
    assert three is not None
    assert three.p.value == pytest.approx(3 * 2 * stats.binom.cdf(4, 12, 0.98))
    far = mismatch([0, 20_000], [9_999, 1])
    assert far is not None
    assert (far.suspicious, far.p.value) == (True, 0)
    assert far.p.log10 == pytest.approx(-4 * 20_000 + log10(2))


@given(st.integers(0, 12), st.integers(0, 12), st.sampled_from([0.5, 0.2, 0.01]))
def test_a_mismatch_of_few_is_as_rare_as_it_says(a: int, b: int, share: float) -> None:
    found = mismatch([a, b], [1 - share, share])
    if found is None or (a + b) * share >= 5:
        return
    total = a + b
    chance = [stats.binom.pmf(count, total, share) for count in range(total + 1)]
    others = [mismatch([total - count, count], [1 - share, share]) for count in range(total + 1)]
    as_rare = sum(p for p, other in zip(chance, others, strict=True) if other and other.p.log10 <= found.p.log10 + 1e-9)
    assert as_rare <= found.p.value * (1 + 1e-6) + 1e-12


def outcomes(units: int, arms: int) -> Iterator[tuple[int, ...]]:
    """All sizes of arms of so many units."""
    if arms == 1:
        yield (units,)
        return
    for first in range(units + 1):
        for rest in outcomes(units - first, arms - 1):
            yield (first, *rest)


@given(st.integers(1, 12), st.lists(st.integers(1, 9), min_size=2, max_size=3))
def test_the_evidence_against_the_weights_is_one_on_average_whatever_they_are(units: int, weights: list[int]) -> None:
    """The mean of the Bayes factor over all outcomes, each as likely as the weights say: it is a fair bet."""
    mean = 0.0
    for sizes in outcomes(units, len(weights)):
        found = mismatch(sizes, weights)
        assert found is not None
        left, ways = units, 1
        for size in sizes:
            ways *= comb(left, size)
            left -= size
        chance = ways * prod((w / sum(weights)) ** size for w, size in zip(weights, sizes, strict=True))
        # Where there is more evidence for the weights than against them the p-value is 1, and tells less than it is.
        mean += chance * exp(-found.always.log10 * log(10)) if found.always.value < 1 else 0.0
    assert mean <= 1 + 1e-9


def test_the_evidence_is_that_of_betting_on_each_unit_as_it_comes() -> None:
    """The Bayes factor is the product of what each unit was foretold to be, against what the weights foretell."""
    shares, units = (0.2, 0.8), [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    total = 0.0
    for k in (10.0**power for power in range(7)):
        counts, factor = [k * share for share in shares], 1.0
        for unit in units:
            factor *= counts[unit] / sum(counts) / shares[unit]
            counts[unit] += 1
        total += factor / 7
    found = mismatch([units.count(0), units.count(1)], [2, 8])
    assert found is not None
    assert found.always.value == pytest.approx(1 / total, rel=1e-9)


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (1, 1, 1, 1)])
def test_whoever_looks_all_the_time_is_fooled_by_a_single_look_s_test_and_not_by_that_of_any(
    weights: tuple[int, ...],
) -> None:
    runs, chance = 500, np.random.default_rng(6)
    # 30 looks, each at a quarter more units than the one before.
    arrivals = np.diff(np.geomspace(100, 80_000, 30).astype(int), prepend=0)
    shares = np.array(weights) / sum(weights)
    sizes = np.stack([chance.multinomial(count, shares, runs) for count in arrivals], axis=1).cumsum(1)
    unlikely = suspicious = last = 0
    for run in sizes.tolist():
        found = [mismatch(look, weights) for look in run]
        unlikely += any(one is not None and one.unlikely for one in found)
        suspicious += any(one is not None and one.suspicious for one in found)
        last += found[-1] is not None and found[-1].unlikely
    assert last <= 0.006 * runs
    assert unlikely >= 0.01 * runs
    assert suspicious <= SUSPICIOUS * runs


@pytest.mark.parametrize(
    ("units", "weights", "suspicious"),
    [
        # Only one arm works: known after a handful.
        ((10, 0), (1, 1), False),
        ((13, 0), (1, 1), True),
        ((0, 80), (1, 9), True),
        # A published mismatch of 50.18 to 49.82 %, and one of 51 to 49 %.
        ((821_588, 815_482), (1, 1), True),
        ((25_600, 24_400), (1, 1), True),
        ((25_300, 24_700), (1, 1), False),
        # As the weights say, and nearly so.
        ((500_000_000, 500_000_000), (1, 1), False),
        ((500, 520, 7), (1, 1, 0), False),
    ],
)
def test_gross_mismatches_are_found_at_once_and_slight_ones_in_large_samples(
    units: tuple[int, ...], weights: tuple[int, ...], suspicious: bool
) -> None:
    found = mismatch(units, weights)
    assert found is not None
    assert found.suspicious is suspicious


def test_what_is_unlikely_at_a_single_look_alone_is_warned_of_and_stops_nothing() -> None:
    found = mismatch([10_000, 9_530], [1, 1])
    assert found is not None
    assert (found.unlikely, found.suspicious) == (True, False)
    nobody = Cells([], 2, 1, phase=1, once=False)
    (told,) = warnings(nobody, found, None, over=False, filtered=False)
    assert told.code is WarningCode.SAMPLE_RATIO_DOUBTFUL
    assert "(p 0.00077)" in told.message
    far = mismatch([11_000, 9_530], [1, 1])
    (told,) = warnings(nobody, far, None, over=False, filtered=False)
    assert told.code is WarningCode.SAMPLE_RATIO_MISMATCH
