"""Ledgers lose nothing, however they are merged and packed, and exchange money to the last digit."""

from dataclasses import fields, replace
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.attribution_sales import UNIT
from resolvers.analysis.columns import Coded, Coding
from resolvers.analysis.events import Kind
from resolvers.analysis.exchange_rates import DAY_US, Rates
from resolvers.analysis.filters import EVERYTHING, All, DimensionIs, NameIs, Not, Op
from resolvers.analysis.journeys import Selection
from resolvers.analysis.ledgers import Entries, Ledger, converted, currencies, joined_entries, number_of
from resolvers.store.segment_codec import pack_ledger, unpack_ledger
from tests.resolvers.analysis.ledger_entries import HOUR_US, ROWS, Row, entries

EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
PLACE = Decimal(1).scaleb(-12)


def same(one: Entries, other: Entries, *, but: tuple[str, ...] = ()) -> bool:
    names = [column.name for column in fields(Entries) if column.name not in but]
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@given(st.lists(ROWS), st.randoms(use_true_random=False), st.integers(1, 4))
def test_what_is_merged_and_packed_comes_back(rows: list[Row], random: object, parts: int) -> None:
    rows = sorted((replace(row, steps=0) for row in rows), key=lambda row: (row.subject, row.at))
    part = [random.randrange(parts) for _ in rows]  # type: ignore[attr-defined]
    chosen = [[place for place, of in enumerate(part) if of == one] for one in range(parts)]
    ledgers = [Ledger.of(np.arange(len(of)), entries([rows[place] for place in of]), 0) for of in chosen]
    packed = [unpack_ledger(memoryview(pack_ledger(one))) for one in ledgers]
    places = [3 * np.array(of, np.int64) + 1 for of in chosen]
    found = unpack_ledger(memoryview(pack_ledger(Ledger.merged(packed, places))))
    assert found.row.codes.tolist() == [3 * place + 1 for place in range(len(rows))]
    assert same(found.entries(), entries(rows))
    assert found.differing(Ledger.of(found.row.codes, entries(rows), 0)) == 0


@given(st.lists(ROWS, min_size=1), st.data())
def test_a_change_of_an_entry_is_told(rows: list[Row], data: st.DataObject) -> None:
    rows.sort(key=lambda row: row.subject)
    changed = list(rows)
    place = data.draw(st.integers(0, len(rows) - 1))
    changed[place] = replace(rows[place], units=(rows[place].units or 0) + 1)
    one, other = (Ledger.of(np.arange(len(rows)), entries(of), 0) for of in (rows, changed))
    assert one.differing(other) == 1


@given(
    st.lists(st.tuples(ROWS, st.integers(0, 2), st.booleans())),
    st.integers(-5, 95).map(lambda hours: hours * HOUR_US),
    st.integers(-5, 95).map(lambda hours: hours * HOUR_US),
)
def test_a_selection_is_what_a_walk_finds(events: list[tuple[Row, int, bool]], start_us: int, end_us: int) -> None:
    """Rows are of a run in which every other event is none of the ledger's."""
    events = sorted(events, key=lambda one: one[0].subject)
    rows = [row for row, _, _ in events]
    ledger = Ledger.of(2 * np.arange(len(rows)), entries(rows), 0)
    channel = np.zeros(2 * len(rows), np.int32)
    channel[::2] = [code for _, code, _ in events]
    asked = Selection(
        start_us,
        end_us,
        All((Not(NameIs(("other",))), DimensionIs("channel", Op.MISSING))),
        (NameIs(("buy",)), DimensionIs("channel", Op.IN, ("a", "b")), EVERYTHING),
        ("plan", "channel"),
    )
    if events and events[0][2]:
        asked = replace(asked, where=Not(NameIs(("other",))))
    coding = Coding({"buy": 1, "other": 2, "a": 1, "b": 2}, {})
    columns = {"channel": Coded.of(channel), "plan": None}
    # Some of them at a time.
    cuts = [0, len(rows) // 3, len(rows)]
    found = joined_entries(
        [ledger.selected(Kind.CONVERSION, asked, coding, columns, None, *some) for some in pairwise(cuts)]
    )
    kept = [
        (row, code)
        for row, code, _ in events
        if start_us <= row.at < end_us and row.name != 2 and (code == 0 or asked.where == Not(NameIs(("other",))))
    ]
    assert same(found, entries([row for row, _ in kept]), but=("steps", "dimensions"))
    assert found.step(0).tolist() == [row.name == 1 for row, _ in kept]
    assert found.step(1).tolist() == [code > 0 for _, code in kept]
    assert found.step(2).all()
    assert found.dimensions.tolist() == [[0 for _ in kept], [code for _, code in kept]]


@given(st.lists(ROWS), st.lists(st.integers(0, 10**30), min_size=3, max_size=3))
def test_money_is_exchanged_by_the_rate_of_its_day_and_rounded_once(rows: list[Row], digits: list[int]) -> None:
    # JPY has no rate on the second day, and none has one later than the third.
    factors = {
        "EUR": dict(enumerate(Decimal(digit).scaleb(-25) for digit in digits)),
        "JPY": {0: Decimal(digits[0]).scaleb(-27), 2: Decimal(1)},
    }
    found = converted(entries(rows), "USD", Rates(factors))
    for place, row in enumerate(rows):
        factor = Decimal(1) if row.currency == "USD" else factors[row.currency].get(row.at // DAY_US)
        known = factor is not None and row.units is not None
        expected = Decimal(0)
        if factor is not None and row.units is not None:
            expected = EXACT.multiply(row.amount, factor).quantize(PLACE, context=EXACT)
        assert found.known[place] == known
        assert int(found.whole[place]) * UNIT + int(found.fraction[place]) == int(expected.scaleb(12, EXACT))
        assert 0 <= found.fraction[place] < UNIT


def test_currencies_are_those_of_stated_amounts() -> None:
    rows = [Row(), Row(currency="EUR"), Row(currency="JPY", units=None), Row(currency="EUR")]
    assert currencies(entries(rows)) == {"USD": number_of("USD"), "EUR": number_of("EUR")}
    assert currencies(joined_entries([entries([]), entries([])])) == {}
