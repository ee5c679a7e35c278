"""Sets of codes against Python's own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.code_sets import EMPTY, CodeSet, union

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
