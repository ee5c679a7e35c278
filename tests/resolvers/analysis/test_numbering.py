"""Numbers for combinations, and counts of what differs: against sets, whether looked up in tables or sorted."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis import numbering
from resolvers.analysis.ai_calls import AiCalls
from resolvers.analysis.attribution_sales import UNIT
from resolvers.analysis.numbering import combinations, counts_among, different, ranks

FEW = st.integers(0, 6)
ROWS = st.lists(st.tuples(st.integers(0, 3), FEW), max_size=40)
MONEY = st.tuples(st.integers(0, 2**40) | st.integers(0, 3), st.integers(0, UNIT - 1) | st.just(UNIT // 4))


@pytest.fixture(params=[1 << 26, 0], ids=["looked up", "sorted"], autouse=True)
def _dense(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "_DENSE", request.param)


@given(st.lists(st.integers(-9, 9) | st.integers(-(2**31), 2**31 - 1)))
def test_ranks_are_places_among_the_different_values(values: list[int]) -> None:
    different_ones = sorted(set(values))
    for kind in np.int64, np.dtype(">i4"):
        place, count = ranks(np.array(values, kind))
        assert place.tolist() == [different_ones.index(value) for value in values]
        assert count == len(different_ones)


@given(ROWS)
def test_those_that_differ_are_counted_once(rows: list[Any]) -> None:
    row, who = (np.array([one[place] for one in rows], np.int32) for place in (0, 1))
    expected = [len({person for at, person in rows if at == place}) for place in range(4)]
    assert different(row, who, 4) == [*expected, len({person for _, person in rows})]
    chosen = np.arange(7) % 3 == 0
    counts, among = counts_among(row, who, 4, chosen)
    assert counts.tolist() == expected
    assert among.tolist() == [len({who for at, who in rows if at == place and who % 3 == 0}) for place in range(4)]


@given(st.lists(st.tuples(FEW, st.integers(0, 2**31 - 1), FEW), max_size=30), st.integers(0, 3))
def test_rows_of_one_combination_have_one_number(rows: list[Any], width: int) -> None:
    columns = [np.array([row[place] for row in rows], np.dtype(">i4")) for place in range(width)]
    number, first = combinations(columns, len(rows))
    keys = [row[:width] for row in rows]
    assert [number.tolist().index(one) for one in number] == [keys.index(key) for key in keys]
    assert first.tolist() == [number.tolist().index(one) for one in range(len(set(keys)))]


@given(st.lists(st.tuples(st.integers(0, 2), MONEY), max_size=20))
def test_costs_and_their_squares_add_up_exactly(calls: list[Any]) -> None:
    row, whole, fraction = (np.array(column, np.int64) for column in (
        [row for row, _ in calls], [whole for _, (whole, _) in calls], [part for _, (_, part) in calls]))  # fmt: skip
    nothing = np.zeros(len(calls), np.int32)
    found = AiCalls.of(
        subject=nothing,
        at=whole,
        group=nothing,
        whole=whole,
        fraction=fraction,
        known=nothing == 0,
        priced=nothing == 0,
    )
    units = [(at, whole * UNIT + part) for at, (whole, part) in calls]
    assert found.summed(row, 3) == [sum(one for at, one in units if at == place) for place in range(3)]
    assert found.squared(row, 3) == [sum(one * one for at, one in units if at == place) for place in range(3)]
