"""Intervals of credits: those of drawing conversions, and those of drawing the steps of a Markov chain."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from resolvers.analysis import attribution_bootstrap
from resolvers.analysis.attribution import Model
from resolvers.analysis.attribution_bootstrap import chain_intervals, intervals, resampled_effects
from resolvers.analysis.attribution_markov import chain, effects_of, removal_effects
from resolvers.analysis.attribution_models import WHOLE, shares_of
from resolvers.analysis.attribution_paths import CONVERTED, LOST, START, Transitions, paths_of
from tests.resolvers.analysis.attribution_oracle import (
    HALF_LIFE,
    Event,
    arrays,
    of_whole_paths,
    steps_of,
    transitions_of,
)

Ints = NDArray[np.int64]
Steps = dict[tuple[int, int], int]

BY_PATH = [model for model in Model if model is not Model.MARKOV]
CODES = 4
CHAIN = np.array(
    [
        [0, 0.3, 0.1, 0, 0.5, 0.1],
        [0.2, 0, 0.3, 0.1, 0.3, 0.1],
        [0.1, 0.1, 0, 0.2, 0.3, 0.3],
        [0, 0.2, 0.2, 0.1, 0.45, 0.05],
        [0.4, 0.3, 0.2, 0.1, 0, 0],
    ]
)
"""From each of CODES values, and the start, to each value, the lost end and the converted one."""
PATHS = st.lists(
    st.tuples(st.lists(st.integers(0, CODES - 1), min_size=1, max_size=5), st.booleans()), min_size=1, max_size=12
)


@pytest.mark.parametrize("held", [1, 1 << 22])
def test_intervals_are_those_of_drawing_conversions(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution_bootstrap, "_HELD", held)
    events = [Event(number, 1, touch=number % 4 < 3, conversion=True, code=number % 4) for number in range(80)]
    paths = paths_of(arrays(events)[0], 0, 9)
    shares = shares_of(paths, paths.code, CODES, BY_PATH, HALF_LIFE)
    for model, parts in shares.items():
        assert parts.tolist() == [WHOLE] * 60, model
    found = intervals(paths, paths.code, CODES, 3, shares, 2_000)
    # How often one of four equal parts is drawn is binomial.
    expected = binom.ppf([0.025, 0.975], 80, 0.25)
    for low, high in found.values():
        assert np.abs(low - expected[0]).max() <= 1
        assert np.abs(high - expected[1]).max() <= 1
    again = intervals(paths, paths.code, CODES, 3, shares, 2_000)
    assert all(np.array_equal(found[model], again[model]) for model in found)


def test_what_is_certain_has_no_width() -> None:
    paths = paths_of(arrays([Event(n, 1, touch=True, conversion=True, code=2) for n in range(9)])[0], 0, 9)
    shares = shares_of(paths, paths.code, CODES, BY_PATH, HALF_LIFE)
    for low, high in intervals(paths, paths.code, CODES, None, shares, 50).values():
        assert low.tolist() == high.tolist() == [0, 0, 9, 0]
    none = paths_of(arrays([])[0], 0, 9)
    for low, high in intervals(none, none.code, 0, None, shares_of(none, none.code, 0, BY_PATH, 1), 50).values():
        assert low.size == high.size == 0


def walked(random: np.random.Generator, walks: int) -> Ints:
    """How often each of so many walks of CHAIN took each of its steps."""
    taken = np.zeros((walks, *CHAIN.shape), np.int64)
    reached = np.cumsum(CHAIN[:, :-1], axis=1)
    at, going = np.full(walks, CODES), np.arange(walks)
    while going.size:
        to = (random.random((going.size, 1)) > reached[at[going]]).sum(axis=1)
        taken[going, at[going], to] += 1
        at[going] = to
        going = going[to < CODES]
    return taken


def bounds(steps: Transitions, shared: int, resamples: int = 400) -> tuple[Ints, Ints]:
    """The intervals, each value in a row of its own."""
    codes = np.unique(steps.target[steps.target >= 0])
    found = chain_intervals(steps, codes, np.arange(codes.size), codes.size, shared, resamples)
    assert found is not None
    return found


def steps_along(paths: list[tuple[list[int], bool]]) -> Steps:
    return Counter(
        step for codes, converted in paths for step in pairwise([START, *codes, CONVERTED if converted else LOST])
    )


def test_steps_of_a_chain_vary_as_whole_paths_do() -> None:
    random = np.random.default_rng(1)
    taken = walked(random, 2_000)
    counts = taken.sum(axis=0)
    shared = int(counts[:, -1].sum())
    low, high = bounds(transitions_of(counts), shared, 2_000)
    expected = shared * of_whole_paths(taken, np.ones(len(taken)), 2_000)
    width = expected[1] - expected[0]
    assert (width > 0.02 * shared).all()
    assert (np.abs(low - expected[0]) < 0.1 * width).all()
    assert (np.abs(high - expected[1]) < 0.1 * width).all()


def test_intervals_of_a_chain_cover_what_is_true_of_it() -> None:
    effects = effects_of(CHAIN * (1 - np.eye(*CHAIN.shape)))
    true = effects / effects.sum()
    random, covered = np.random.default_rng(2), []
    for _ in range(400):
        counts = walked(random, 500).sum(axis=0)
        shared = int(counts[:, -1].sum())
        low, high = bounds(transitions_of(counts), shared)
        covered.append((low <= shared * true) & (shared * true <= high))
    share = np.mean(covered, axis=0)
    assert (abs(share - 0.95) < 0.035).all(), share


@given(PATHS, st.dictionaries(st.integers(0, CODES - 1), st.integers(1, 9)))
def test_intervals_of_a_chain_hold_the_credit_and_self_loops_change_nothing(
    paths: list[tuple[list[int], bool]], loops: dict[int, int]
) -> None:
    shared = sum(converted for _, converted in paths)
    # So many that what is drawn lies about what is there.
    steps = {step: 100 * count for step, count in steps_along(paths).items()}
    low, high = bounds(steps_of(steps), shared)
    assert (low >= 0).all()
    assert (low <= high).all()
    if not shared:
        assert not high.any()
        return
    # Each resample shares out all, and one at least is within all intervals.
    assert low.sum() <= shared * (1 + 1e-9)
    assert high.sum() >= shared * (1 - 1e-9)
    codes = np.array(sorted({target for _, target in steps if target >= 0}), np.int32)
    effects = removal_effects(steps_of(steps), codes)
    point, near = shared * effects / effects.sum(), (high - low) / 2 + 1e-9
    assert (low - near <= point).all()
    assert (point <= high + near).all()
    looped = Counter(steps) + Counter({(code, code): count for code, count in loops.items() if code in codes})
    for one, other in zip((low, high), bounds(steps_of(looped), shared), strict=True):
        assert one.tolist() == other.tolist()


@given(PATHS)
def test_any_chain_can_be_resampled(paths: list[tuple[list[int], bool]]) -> None:
    codes = np.array(sorted({code for path, _ in paths for code in path}), np.int32)
    counts = chain(steps_of(steps_along(paths)), codes)
    effects = resampled_effects(counts, 50)
    assert effects.shape == (50, counts.shape[0] - 1)
    assert (effects >= -1e-9).all()
    assert (effects <= 1 + 1e-9).all()
    assert np.array_equal(effects, resampled_effects(counts, 50))


def test_one_value_gets_all_in_every_resample() -> None:
    for lost in 0, 7:
        steps = {(START, 3): 5 + lost, (3, CONVERTED): 5, (3, LOST): lost}
        low, high = bounds(steps_of({step: count for step, count in steps.items() if count}), 5)
        assert low.tolist() == high.tolist() == [5]


def test_how_many_are_held_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = walked(np.random.default_rng(3), 50).sum(axis=0)
    whole = resampled_effects(chain(transitions_of(counts), np.arange(CODES, dtype=np.int32)), 9)
    monkeypatch.setattr(attribution_bootstrap, "_HELD_STEPS", 70)
    parts = resampled_effects(chain(transitions_of(counts), np.arange(CODES, dtype=np.int32)), 9)
    assert parts.tolist() == whole.tolist()


def test_walks_that_go_round_for_ever_are_lost() -> None:
    # From 1 and 2 no step leads out, from 3 only the way to them and the lost end.
    counts = np.zeros((5, 6))
    counts[4, [0, 3]], counts[0, [1, 5]], counts[1, 2], counts[2, 1] = 2, 1, 3, 3
    counts[3, [1, 4]] = 1
    assert effects_of(counts).tolist() == [1, 0, 0, 0]
    counts[0, 5], counts[0, 3] = 0, 1
    assert effects_of(np.array([counts, counts])).tolist() == [[0, 0, 0, 0]] * 2


def test_a_chain_without_conversions_or_of_many_values_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    rare = {(START, 1): 1_000, (START, 2): 1, (1, CONVERTED): 1, (1, LOST): 999, (2, LOST): 1}
    codes, row = np.array([1, 2], np.int32), np.array([1, 0])
    found = chain_intervals(steps_of(rare), codes, row, 3, 1, 200)
    assert found is not None
    # What is drawn without the conversion would share out nothing.
    assert [one.tolist() for one in found] == [[0, 1, 0]] * 2
    never = np.zeros((1, 2))
    monkeypatch.setattr(attribution_bootstrap, "resampled_effects", lambda *_: never)
    assert chain_intervals(steps_of(rare), codes, row, 3, 1, 1) is None
    monkeypatch.setattr(attribution_bootstrap, "MOST_STATES", 1)
    assert chain_intervals(steps_of(rare), codes, row, 3, 1, 200) is None
