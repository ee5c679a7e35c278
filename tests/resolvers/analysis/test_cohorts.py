"""Cohort grids: what is unknown is None, what is known is as a walk counts it."""

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.code_sets import CodeSet
from resolvers.analysis.cohorts import Cell, CohortBasis, grid, repeated, returns, returns_among

STARTS = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
NOW = datetime(2026, 3, 9, tzinfo=UTC)


def test_what_lies_beyond_the_observed_range_is_unknown_and_what_lies_within_is_0() -> None:
    cells = [Cell(0, 0, 4, Decimal(40)), Cell(0, 2, 1, Decimal("2.5")), Cell(1, 1, 2, Decimal(-7))]
    first, second, third = grid(STARTS, 3, cells)
    assert (first.at, first.size, first.retained) == (STARTS[0], 4, (4, 0, 1))
    assert first.rate == (1, 0, Decimal("0.25"))
    assert (first.revenue, first.cumulative) == ((40, 0, Decimal("2.5")), (40, 40, Decimal("42.5")))
    assert first.per_member == (10, 10, Decimal("10.625"))
    assert (second.retained, second.cumulative) == ((2, 0, None), (-7, -7, None))
    assert second.per_member == (Decimal("-3.5"), Decimal("-3.5"), None)
    assert (third.size, third.retained, third.rate) == (0, (0, None, None), (None, None, None))


def test_buckets_that_have_not_begun_are_no_cohorts() -> None:
    found = grid(STARTS, 2, [Cell(0, 0, 4), Cell(0, 2, 1), Cell(2, 2, 1)])
    assert [cohort.retained for cohort in found] == [(4, 0), (0, None)]
    assert grid(STARTS, 0, []) == ()


def test_a_share_over_nobody_is_none() -> None:
    assert repeated(CohortBasis.REVENUE, 0, 0, NOW).value is None
    assert repeated(CohortBasis.ACTIVITY, 4, 1, NOW).value == Decimal("0.25")


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 12))))
def test_returns_are_those_of_a_walk(seen: list[tuple[int, int]]) -> None:
    edges = [3, 6, 7, 11]
    subject, at = np.array(seen, np.int64).reshape(-1, 2).T
    found = returns(subject.astype(np.int32), at, edges)
    buckets = {who: set[int]() for who, _ in seen}
    for who, when in seen:
        if when < edges[-1]:
            buckets[who].add(sum(edge <= when for edge in edges) - 1)
    expected = np.zeros((3, 4), np.int64)
    for places in buckets.values():
        if places and min(places) >= 0:
            for place in places:
                expected[min(places), place] += 1
            expected[min(places), 3] += len(places) > 1
    assert found.tolist() == expected.tolist()


@given(
    st.lists(st.sets(st.integers(0, 400), max_size=40), min_size=2, max_size=6)
    | st.lists(st.sets(st.integers(0, 4_000), max_size=3), min_size=10, max_size=16)
)
def test_returns_among_sets_are_those_of_events(sets: list[set[int]]) -> None:
    events = sorted((who, place) for place, whom in enumerate(sets) for who in whom)
    subject, at = np.array(events, np.int64).reshape(-1, 2).T
    before, *there = (CodeSet.of(np.array(sorted(whom), np.int64)) for whom in sets)
    expected = returns(subject.astype(np.int32), at, list(range(1, len(sets) + 1)))
    assert returns_among(before, there).tolist() == expected.tolist()
