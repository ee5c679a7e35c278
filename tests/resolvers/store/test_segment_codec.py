"""Columns as bytes: nothing is lost, and nothing that changed is taken for true."""

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.columns import Coded, Moments
from resolvers.analysis.measures import Measures
from resolvers.store.segment_codec import (
    Damaged,
    opened,
    pack_coded,
    pack_measures,
    pack_moments,
    pack_subjects,
    seal,
    unpack_coded,
    unpack_measures,
    unpack_moments,
    unpack_subjects,
)


@given(st.lists(st.integers(1, 2**31 - 1)).map(sorted))
def test_subjects_come_back(subjects: list[int]) -> None:
    packed = pack_subjects(np.array(subjects, np.int32))
    assert unpack_subjects(memoryview(packed)).tolist() == subjects


@given(st.lists(st.integers(0, 2**50)), st.sampled_from([1, 1000]), st.integers(0, 2**50))
def test_times_come_back(since: list[int], unit: int, start_us: int) -> None:
    at = [start_us + value * unit for value in since]
    packed = pack_moments(Moments.of(np.array(at, np.int64), start_us))
    assert unpack_moments(memoryview(packed)).microseconds().tolist() == at


@given(st.lists(st.integers(0, 200_000), min_size=1))
def test_codes_come_back(values: list[int]) -> None:
    column = Coded.of(np.array([*values, 1], np.int32))
    assert unpack_coded(memoryview(pack_coded(column))).values().tolist() == [*values, 1]


@given(
    st.lists(
        st.tuples(
            *4
            * [
                st.just(nan)
                | st.integers(0, 10**13).map(float)
                | st.integers(-9, 10**7).map(lambda tenths: tenths / 10)
                | st.floats(allow_infinity=False)
            ]
        )
    )
)
def test_measures_come_back(rows: list[tuple[float, ...]]) -> None:
    said = np.array(rows, np.float64).reshape(-1, 4).T
    packed = pack_measures(Measures.of(said))
    assert np.array_equal(unpack_measures(memoryview(packed)).values(), said, equal_nan=True)


def test_measures_of_few_places_are_small_and_what_nobody_says_is_nothing() -> None:
    generator = np.random.default_rng(1)
    said = generator.integers(0, 30_000, (4, 10_000)).astype(np.float64)
    said[1] = np.nan
    said[2] = generator.integers(0, 2, 10_000)
    said[3] /= 1_000
    measures = Measures.of(said)
    assert measures.nbytes == 5 * 10_000
    assert len(pack_measures(measures)) < 45_000


def test_what_repeats_is_small_and_what_does_not_is_not_larger() -> None:
    generator = np.random.default_rng(1)
    same = Coded.of(np.repeat(np.arange(1, 5, dtype=np.int32), 50_000))
    assert len(pack_coded(same)) < 2_000
    times = Moments.of(generator.integers(0, 2**32, 100_000) * 1000, 0)
    assert len(pack_moments(times)) < 401_000


@pytest.mark.parametrize("place", range(60))
def test_a_changed_byte_is_found(place: int) -> None:
    sealed = bytearray(seal(b"x" * 43, "here"))
    assert opened(bytes(sealed), "here") == b"x" * 43
    sealed[place] ^= 1
    with pytest.raises(Damaged):
        opened(bytes(sealed), "here")


@pytest.mark.parametrize("length", [0, 1, 16, 17, 59])
def test_a_cut_column_is_found(length: int) -> None:
    with pytest.raises(Damaged):
        opened(seal(b"x" * 43, "here")[:length], "here")


def test_a_column_in_the_place_of_another_is_found() -> None:
    with pytest.raises(Damaged):
        opened(seal(b"x", "here"), "there")
