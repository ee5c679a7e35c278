"""Ascending codes by their distances are the codes that were put in."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis import ascending
from resolvers.analysis.ascending import Ascending

CODES = st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 300), max_size=60).map(
    lambda codes: np.array(sorted(codes), np.int32)
)


@pytest.fixture(scope="module", autouse=True)
def _marks_are_close() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ascending, "_EVERY", 7)
        yield


@given(CODES, st.integers(0, 60), st.integers(0, 60), st.integers(1, 9))
def test_codes_come_back(codes: np.ndarray[tuple[int], np.dtype[np.int32]], start: int, end: int, rows: int) -> None:
    steps = np.diff(codes, prepend=np.int32(0)).astype(np.uint32)
    for column in (Ascending.of(codes), Ascending.by_steps(steps)):
        assert column.size == codes.size
        assert column.part(start, end).tolist() == codes[start:end].tolist()
        assert column.codes.tolist() == codes.tolist()
        assert column.every(rows).tolist() == codes[rows::rows].tolist()


@given(CODES, st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 301), max_size=9))
def test_a_code_is_found_at_its_first_row(codes: np.ndarray[tuple[int], np.dtype[np.int32]], sought: list[int]) -> None:
    asked = np.array([*sought, *codes[::3].tolist()], np.int32)
    assert Ascending.of(codes).places(asked) == np.searchsorted(codes, asked).tolist()


@given(CODES, st.lists(st.integers(0, 60), max_size=5))
def test_parts_are_joined(codes: np.ndarray[tuple[int], np.dtype[np.int32]], cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), codes.size]
    parts = [Ascending.of(codes[start:end]) for start, end in pairwise(edges)]
    joined = Ascending.joined(parts)
    assert joined.codes.tolist() == codes.tolist()
    assert joined.every(5).tolist() == codes[5::5].tolist()


def test_subjects_one_after_the_other_take_a_byte_each() -> None:
    codes = np.repeat(np.arange(1_000_000, 1_001_000, dtype=np.int32), 3)
    steps = np.diff(codes, prepend=np.int32(0)).astype(np.uint32)
    assert Ascending.of(codes).steps.dtype == Ascending.by_steps(steps).steps.dtype == np.uint8
    assert Ascending.of(np.array([1, 1000, 2**31 - 1], np.int32)).part(0, 3).tolist() == [1, 1000, 2**31 - 1]
