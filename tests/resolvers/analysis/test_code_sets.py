"""Sets of codes against Python's own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from resolvers.analysis.code_sets import EMPTY, CodeSet, shared, union

codes = st.one_of(
    st.frozensets(st.integers(0, 300), max_size=200),
    st.frozensets(st.integers(0, 1 << 20), max_size=30),
    st.frozensets(st.integers(5_000, 5_200), min_size=100),
    st.integers(0, 10_000).map(lambda first: frozenset(range(first, first + 500))),
)


def made(of: frozenset[int]) -> CodeSet:
    return CodeSet.of(np.array(sorted(of), np.int64))


@given(st.lists(codes, max_size=6))
def test_a_union_has_what_any_of_its_parts_has(parts: list[frozenset[int]]) -> None:
    whole = frozenset[int]().union(*parts)
    found = union([made(part) for part in parts])
    assert found.size == len(whole)
    assert found.high >= max(whole, default=-1)
    # Unions are made of unions.
    assert union([found, made(whole), EMPTY]).size == len(whole)
    assert union([found, made(frozenset({1 << 21}))]).size == len(whole) + 1
    if whole:
        assert union([found, made(frozenset({max(whole)}))]).size == len(whole)
        assert union([made(whole), found, made(frozenset({min(whole)}))]).size == len(whole)


@given(codes)
def test_a_set_takes_no_more_room_than_its_codes(of: frozenset[int]) -> None:
    assert made(of).nbytes <= 8 * (len(of) + 1)


@given(codes, codes)
def test_what_two_sets_share_is_what_is_in_both(one: frozenset[int], other: frozenset[int]) -> None:
    found = shared(made(one), made(other))
    assert found.listed().tolist() == sorted(one & other)
    assert found.size == len(one & other)
    bitmap = CodeSet.where(_table(one))
    assert shared(bitmap, made(other)).listed().tolist() == sorted(one & other)


@given(st.lists(codes, min_size=1, max_size=4))
def test_codes_in_any_order_make_the_set_that_sorted_ones_do(parts: list[frozenset[int]]) -> None:
    given_codes = np.array([code for part in reversed(parts) for code in sorted(part, reverse=True)], np.int64)
    found, expected = CodeSet.holding(given_codes), made(frozenset[int]().union(*parts))
    assert found.listed().tolist() == expected.listed().tolist()
    assert (found.size, found.nbytes) == (expected.size, expected.nbytes)


@given(codes)
def test_a_table_of_truths_makes_the_set_of_its_true_places(of: frozenset[int]) -> None:
    found = CodeSet.where(_table(of))
    assert found.listed().tolist() == sorted(of)
    assert found.size == len(of)


def _table(of: frozenset[int]) -> NDArray[np.bool_]:
    table = np.zeros(max(of, default=0) + 1, np.bool_)
    table[sorted(of)] = True
    return table
