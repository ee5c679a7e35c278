"""Filters over columns mean what they mean event by event."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis import filters
from resolvers.analysis.columns import CODED, Coded, Coding, EventColumns, Moments, bound, columns_of
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import (
    All,
    DimensionIs,
    Filter,
    FlagIs,
    InSegment,
    KindIs,
    MeasureIs,
    NameIs,
    Not,
    Op,
    PropertyIs,
    SubjectIs,
)
from resolvers.analysis.members import Members

Row = dict[str, int]
TEXTS = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 300}
SUBJECTS = {"ann": 1, "bob": 2}
MEMBERS: dict[int | str, Members] = {
    7: Members(np.array([1], np.int32)),
    "both": Members(np.array([1, 2], np.int32)),
    "nobody": Members(np.array([], np.int32)),
}
COLUMNS = ("kind", "name", "success", "channel", "plan")

TEXT = st.sampled_from([*TEXTS, "never"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "subject": st.integers(1, 3),
            "kind": st.integers(1, 6),
            "name": st.sampled_from([*TEXTS.values()]),
            "success": st.integers(0, 2),
            "channel": st.sampled_from([0, *TEXTS.values()]),
            "plan": st.just(0),
        }
    ),
    max_size=12,
)
LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(KindIs, st.lists(st.sampled_from(Kind)).map(tuple)),
    st.builds(NameIs, st.lists(TEXT).map(tuple)),
    st.builds(SubjectIs, st.lists(st.sampled_from(["ann", "bob", "never"])).map(tuple)),
    st.builds(FlagIs, st.just("success"), st.booleans()),
    st.builds(
        DimensionIs,
        st.sampled_from(["channel", "plan"]),
        st.sampled_from([Op.IN, Op.NOT_IN, Op.EXISTS, Op.MISSING]),
        st.lists(TEXT).map(tuple),
    ),
    st.builds(InSegment, st.sampled_from(list(MEMBERS)), st.sampled_from([Op.IN, Op.NOT_IN])),
)
TREES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.builds(All, st.lists(parts, max_size=3).map(tuple)),
        st.builds(filters.Any, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Not, parts),
    ),
    max_leaves=6,
)


def holds(root: Filter, row: Row) -> bool:
    match root:
        case All(of):
            return all(holds(part, row) for part in of)
        case filters.Any(of):
            return any(holds(part, row) for part in of)
        case Not(of):
            return not holds(of, row)
        case KindIs(kinds):
            return row["kind"] in kinds
        case NameIs(names):
            return row["name"] in [TEXTS.get(name) for name in names]
        case SubjectIs(subjects):
            return row["subject"] in [SUBJECTS.get(who) for who in subjects]
        case FlagIs(flag, value):
            return row[flag] == 1 + value
        case InSegment(segment, op):
            return (row["subject"] in MEMBERS[segment].codes) is (op is Op.IN)
        case DimensionIs(name, op, values):
            among = row[name] in [TEXTS.get(value) for value in values]
            return {
                Op.IN: among,
                Op.NOT_IN: row[name] != 0 and not among,
                Op.EXISTS: row[name] != 0,
                Op.MISSING: row[name] == 0,
            }[op]
        case _:
            raise AssertionError(root)


def columns(rows: list[Row]) -> EventColumns:
    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return np.array([row[name] for row in rows], np.int32)

    moments = Moments.of(np.arange(len(rows)), 0)
    coded = {name: Coded.of(column(name)) for name in COLUMNS}
    return EventColumns(column("subject"), moments, {name: one for name, one in coded.items() if not one.blank})


@given(TREES, ROWS)
def test_a_filter_means_the_same_row_by_row(root: Filter, rows: list[Row]) -> None:
    log = columns(rows)
    test = bound(root, log.coded, Coding(TEXTS, SUBJECTS, MEMBERS))
    for part in (slice(0, 5), slice(5, None)):
        expected = [holds(root, row) for row in rows[part]]
        some = log.chosen(np.arange(len(rows))[part], COLUMNS)
        assert np.broadcast_to(test(some), len(expected)).tolist() == expected


@given(st.lists(st.integers(0, 70_000)))
def test_codes_come_back(values: list[int]) -> None:
    column = Coded.of(np.array(values, np.int32))
    assert column.values().tolist() == values
    assert column.part(1, 3).values().tolist() == values[1:3]
    assert column.blank is not any(values)


@given(st.lists(st.integers(0, 40 * 86_400_000_000)), st.sampled_from([1, 1000]), st.data())
def test_times_come_back_and_are_compared_exactly(since: list[int], unit: int, data: st.DataObject) -> None:
    at = [1_000_000 + value // unit * unit for value in since]
    moments = Moments.of(np.array(at, np.int64), 1_000_000)
    assert moments.microseconds().tolist() == at
    edge = st.one_of(st.sampled_from(at) if at else st.nothing(), st.integers(-(10**16), 10**16))
    start, end = (data.draw(edge) + data.draw(st.integers(-1, 1)) for _ in range(2))
    within = np.broadcast_to(moments.within(start, end), len(at)).tolist()
    assert within == [start <= value < end for value in at]


def test_whole_milliseconds_of_a_month_take_four_bytes() -> None:
    month = np.array([0, 31 * 86_400_000_000 - 1000])
    assert Moments.of(month, 0).ticks.dtype == np.uint32
    assert Moments.of(month + 1, 0).unit_us == 1


def test_filters_name_their_columns_or_are_beyond_them() -> None:
    known = [KindIs((Kind.PRODUCT,)), NameIs(("a",)), DimensionIs("plan", Op.EXISTS), FlagIs("assisted", True)]
    assert columns_of(All((*known, SubjectIs(("ann",)))), Not(known[0])) == {"kind", "name", "plan", "assisted"}
    for beyond, wrap in product((MeasureIs("amount", Op.EXISTS), PropertyIs(("x",), Op.EXISTS)), (All, filters.Any)):
        assert columns_of(*known, Not(wrap((known[0], beyond)))) is None
    assert {"kind", "name", "plan", "assisted"} < set(CODED)
