"""Rollups of days in memory against sums made row by row."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.classes import EventClass
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.histograms import quantile
from resolvers.analysis.rollup_spans import Pieces
from resolvers.analysis.rollup_table import RollupTable, Row

EXACT = Context(prec=200)
CLASSES = [EventClass(kind, name, currency, 0) for kind in (1, 2) for name in (3, 4) for currency in ("", "USD")]
money = st.decimals(min_value=-(10**12), max_value=10**12, places=4) | st.sampled_from(
    [Decimal("1e25"), Decimal("-0.000000000001"), Decimal(0), Decimal("2E+3")]
)
histograms = st.none() | st.lists(
    st.builds(lambda number, n: number << 32 | n, st.sampled_from([-1_000_000, 0, 1, 2, 300]), st.integers(1, 9)),
    min_size=1,
    max_size=4,
)
counts = st.integers(0, 1 << 40)


@st.composite
def rows(draw: Callable[..., Any], first: int = 0, last: int = 9) -> list[Row]:
    key = st.tuples(st.integers(first, last), st.sampled_from([-1, 0]), st.sampled_from(CLASSES))
    held = st.tuples(counts, counts, money, counts, money, counts, histograms)
    keys = draw(st.lists(key, unique=True, max_size=25))
    return [(day, day + before, one, *draw(held)) for day, before, one in keys]


@st.composite
def pieces(draw: Callable[..., list[int]]) -> Pieces:
    cuts = sorted(draw(st.lists(st.integers(0, 10), unique=True, min_size=2, max_size=6)))
    if draw(st.booleans()):
        # Four days, one after the other.
        day = cuts[0]
        return Pieces(np.arange(day, day + 4), np.arange(day + 1, day + 5), np.arange(4), 4)
    spans = list(pairwise(cuts))[:: draw(st.sampled_from([1, 2]))]
    of = sorted(draw(st.lists(st.integers(0, 3), min_size=len(spans), max_size=len(spans))))
    first, end = np.array(spans, np.int64).T
    return Pieces(first, end, np.array(of, np.int64), 4)


def agrees(table: RollupTable, held: Sequence[Row], within: Pieces, passing: set[EventClass]) -> None:
    """Whether a table says of classes what its rows add up to."""
    mask = np.array([one in passing for one in table.classes], np.bool_)
    own: dict[int, list[Row]] = defaultdict(list)
    every = [row for row in held if any(first <= row[0] < end for first, end, _ in zip(*within[:3], strict=True))]
    for row in every:
        for first, end, bucket in zip(*within[:3], strict=True):
            if first <= row[0] < end and row[2] in passing:
                own[int(bucket)].append(row)
    assert table.rows(within) == len(every)
    for place, name in ((3, "n"), (4, "amount_n"), (6, "cost_n"), (8, "duration_n")):
        told = table.counted(name, mask, within)
        assert list(told.values) == [sum(row[place] for row in own[bucket]) for bucket in range(4)]
    for place, name in ((5, "amount_sum"), (7, "cost_sum")):
        told = table.summed(name, mask, within)
        assert list(map(Fraction, told.decimals())) == [sum(Fraction(row[place]) for row in own[n]) for n in range(4)]
        assert Fraction(told.total()) == sum(Fraction(row[place]) for each in own.values() for row in each)
    spread = table.spread(mask, within)
    for q in (0.0, 0.5, 0.95, 1.0):
        parts = [[row[9] for row in own[bucket] if row[9]] for bucket in range(4)]
        assert spread.quantile(q) == tuple(quantile(q, one) for one in parts)
        assert spread.total().quantile(q) == (quantile(q, [one for each in parts for one in each]),)


@given(rows(), pieces(), st.sets(st.sampled_from(CLASSES)))
def test_sums_are_those_of_the_rows(held: list[Row], within: Pieces, passing: set[EventClass]) -> None:
    table = RollupTable.of(held)
    for _ in range(2):
        agrees(table, held, within, passing)


@given(rows(), rows(2, 6), st.sets(st.integers(0, 9)), pieces(), st.sets(st.sampled_from(CLASSES)))
def test_days_are_replaced(
    held: list[Row], new: list[Row], gone: set[int], within: Pieces, passing: set[EventClass]
) -> None:
    days = gone | {row[0] for row in new}
    table = RollupTable.of(held).replaced(days, RollupTable.of(new))
    agrees(table, [*(row for row in held if row[0] not in days), *new], within, passing)


rates = st.dictionaries(
    st.integers(0, 9),
    st.sampled_from(list(map(Decimal, ["2", "1E+3", "0.0067", "1.084285714285714285714285714", "1E-18"]))),
)


@given(rows(), rates, pieces(), st.sets(st.sampled_from(CLASSES)))
def test_money_is_converted_by_the_rate_of_its_day(
    held: list[Row], factors: dict[int, Decimal], within: Pieces, passing: set[EventClass]
) -> None:
    told = []
    for day, dated, one, n, amount_n, amount, cost_n, cost, *more in held:
        factor = factors.get(dated) if one.currency == "USD" else None
        if factor is not None:
            one, amount, cost = (
                one._replace(currency="EUR"),
                EXACT.multiply(amount, factor),
                EXACT.multiply(cost, factor),
            )
        told.append((day, dated, one, n, amount_n, amount, cost_n, cost, *more))
    table = RollupTable.of(held)
    passing = {*passing, *(one._replace(currency="EUR") for one in passing if one.currency == "USD")}
    for _ in range(2):
        agrees(table.converted("EUR", Rates({"USD": factors})), told, within, passing)
    agrees(table, held, within, passing)
    assert table.converted("EUR", Rates({"USD": {}})).sums["amount_sum"].places == table.sums["amount_sum"].places


def test_amounts_that_do_not_fit_in_64_bits_stay_exact() -> None:
    large = Decimal("9223372036854775807.1")
    held: list[Row] = [(day, day, CLASSES[0], 1, 1, large, 0, Decimal(0), 0, None) for day in range(3)]
    table = RollupTable.of(held[:1]).replaced([], RollupTable.of(held[1:]))
    within = Pieces(np.array([0]), np.array([3]), np.array([0]), 1)
    assert table.summed("amount_sum", np.ones(1, np.bool_), within).total() == 3 * large


@pytest.mark.parametrize("held", [[], [(1, 1, CLASSES[0], 1, 0, Decimal(0), 0, Decimal(0), 0, None)]])
def test_of_no_durations_there_is_no_quantile(held: list[Row]) -> None:
    table = RollupTable.of(held)
    within = Pieces(np.array([0]), np.array([3]), np.array([0]), 1)
    spread = table.spread(np.ones(len(table.classes), np.bool_), within)
    assert spread.quantile(0.5) == spread.total().quantile(0.5) == (None,)
