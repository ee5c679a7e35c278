"""``where``: what its inputs mean, and what is refused with the path of the fault."""

from decimal import Decimal
from typing import Any

import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from resolvers.analysis.events import DIMENSIONS, Event, Kind
from resolvers.analysis.filters import (
    EVERYTHING,
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
from resolvers.analysis.filters import Any as AnyOf
from resolvers.errors import BadInput
from schema.conditions import MAX_TEXT, read_filter, write_filter
from schema.dimensions import Dimension
from schema.filters import MAX_ALL_VALUES, MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES, FilterInput, Flag, Measure
from schema.nodes import encode
from schema.scalars import SCALARS


@strawberry.type
class Probe:
    @strawberry.field
    def read(self, info: strawberry.Info[list[Filter], None], where: FilterInput | None = None) -> bool:
        info.context.append(read_filter(where))
        return True


PROBE = strawberry.Schema(Probe, config=StrawberryConfig(scalar_map=SCALARS))


def read(where: dict[str, Any] | None) -> Filter:
    """What a filter means that a client sends as a variable."""
    found: list[Filter] = []
    result = PROBE.execute_sync(
        "query ($where: FilterInput) { read(where: $where) }", variable_values={"where": where}, context_value=found
    )
    if result.errors:
        raise result.errors[0].original_error or result.errors[0]
    return found[0]


def refused(where: dict[str, Any]) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read(where)
    assert caught.value.message.startswith(str(caught.value.field))
    return caught.value


@pytest.mark.parametrize(
    ("where", "meaning"),
    [
        (None, EVERYTHING),
        ({"all": []}, All(())),
        ({"any": []}, AnyOf(())),
        ({"kind": "CONVERSION"}, KindIs((Kind.CONVERSION,))),
        ({"kind": ["SPEND", "PRODUCT"]}, KindIs((Kind.SPEND, Kind.PRODUCT))),
        ({"name": "purchase"}, NameIs(("purchase",))),
        ({"subject": ["a", "b"]}, SubjectIs(("a", "b"))),
        ({"not": {"name": []}}, Not(NameIs(()))),
        ({"segment": {"in": encode("Segment", "7")}}, InSegment(7)),
        (
            {"segment": {"in": ["A", "B"], "notIn": "C"}},
            All((AnyOf((InSegment("A"), InSegment("B"))), InSegment("C", Op.NOT_IN))),
        ),
        ({"flag": {"flag": "SUCCESS", "is": False}}, FlagIs("success", False)),
        (
            {"dimension": {"dimension": "REQUEST_TYPE", "in": "chat"}},
            DimensionIs("request_type", Op.IN, ("chat",)),
        ),
        ({"dimension": {"dimension": "PLAN", "exists": False}}, DimensionIs("plan", Op.MISSING)),
        (
            {"dimension": {"dimension": "PLAN", "notIn": ["free"], "exists": True}},
            All((DimensionIs("plan", Op.NOT_IN, ("free",)), DimensionIs("plan", Op.EXISTS))),
        ),
        (
            {"measure": {"measure": "AMOUNT", "gte": "10.50", "lt": 20}},
            All(
                (
                    MeasureIs("amount", Op.GTE, Decimal("10.50")),
                    MeasureIs("amount", Op.LT, Decimal(20)),
                )
            ),
        ),
        (
            {"property": {"path": "plan", "in": ["pro", True, 3, 0.1]}},
            PropertyIs(("plan",), Op.IN, ("pro", True, 3, Decimal("0.1"))),
        ),
        ({"property": {"path": ["a", "b"], "gt": "-1e3"}}, PropertyIs(("a", "b"), Op.GT, (Decimal("-1e3"),))),
        (
            {"all": [{"any": [{"name": "x"}]}, {"kind": "PRODUCT"}]},
            All((AnyOf((NameIs(("x",)),)), KindIs((Kind.PRODUCT,)))),
        ),
    ],
)
def test_meaning(where: dict[str, Any] | None, meaning: Filter) -> None:
    assert read(where) == meaning


def test_a_number_in_the_document_is_exact() -> None:
    found: list[Filter] = []
    query = "{ read(where: {measure: {measure: COST, gt: 0.1000000000000000055511151231257827}}) }"
    assert PROBE.execute_sync(query, context_value=found).errors is None
    assert found == [MeasureIs("cost", Op.GT, Decimal("0.1000000000000000055511151231257827"))]


def deep(levels: int, leaf: dict[str, Any]) -> dict[str, Any]:
    for _ in range(levels - 1):
        leaf = {"not": leaf}
    return leaf


NAME = {"name": "x"}


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ({"any": [NAME, NAME, {"dimension": {"dimension": "PLAN"}}]}, "where.any[2].dimension"),
        ({"measure": {"measure": "COST"}}, "where.measure"),
        ({"property": {"path": "a"}}, "where.property"),
        ({"property": {"path": [], "exists": True}}, "where.property.path"),
        ({"property": {"path": ["a"] * 9, "exists": True}}, "where.property.path"),
        ({"property": {"path": "a", "in": ["b", ["c"]]}}, "where.property.in[1]"),
        ({"property": {"path": "a", "in": [{"b": 1}]}}, "where.property.in[0]"),
        ({"property": {"path": "a", "notIn": [float("inf")]}}, "where.property.notIn[0]"),
        ({"measure": {"measure": "COST", "gt": "NaN"}}, "where.measure.gt"),
        ({"measure": {"measure": "COST", "gt": "1e999999999"}}, "where.measure.gt"),
        ({"measure": {"measure": "COST", "gt": True}}, "where.measure.gt"),
        ({"measure": {"measure": "COST", "gt": "1_0"}}, "where.measure.gt"),
        ({"measure": {"measure": "COST", "gt": "x"}}, "where.measure.gt"),
        ({"measure": {"measure": "COST", "gt": 10**50}}, "where.measure.gt"),
        ({"not": {"name": ["ok", "nul\x00"]}}, "where.not.name[1]"),
        ({"subject": ["\ud800"]}, "where.subject[0]"),
        ({"name": "x" * (MAX_TEXT + 1)}, "where.name[0]"),
        ({"name": ["x"] * (MAX_VALUES + 1)}, "where.name"),
        (deep(MAX_DEPTH + 1, NAME), "where" + ".not" * MAX_DEPTH),
        (
            deep(MAX_DEPTH, {"measure": {"measure": "COST", "gt": 1, "lt": 2}}),
            "where" + ".not" * (MAX_DEPTH - 1),
        ),
        ({"all": [NAME] * (MAX_CONDITIONS + 1)}, f"where.all[{MAX_CONDITIONS}]"),
        ({"all": [{"name": ["a"] * MAX_VALUES}] * (MAX_ALL_VALUES // MAX_VALUES)}, "where.all[4]"),
    ],
)
def test_refusals_name_the_path(where: dict[str, Any], field: str) -> None:
    assert refused(where).field == field


def test_the_limits_themselves_are_taken() -> None:
    read(deep(MAX_DEPTH, NAME))
    read({"all": [NAME] * MAX_CONDITIONS})
    read({"name": ["x" * MAX_TEXT] * MAX_VALUES})


@pytest.mark.parametrize("where", [{}, {"kind": None}, {"kind": "SPEND", "name": "x"}, {"all": [{}]}])
def test_a_condition_is_exactly_one(where: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"exactly one key|must be non-null"):
        read(where)


def test_every_dimension_measure_and_flag_of_an_event_can_be_named() -> None:
    assert tuple(dimension.value for dimension in Dimension) == DIMENSIONS
    assert {measure.value for measure in Measure} < set(Event.__dataclass_fields__)
    assert {flag.value for flag in Flag} < set(Event.__dataclass_fields__)


TEXTS = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=("Cs",)), max_size=8)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4)
SMALL = st.floats(-1e9, 1e9).filter(lambda number: number == 0 or abs(number) > 1e-9)
SCALARS_OF_JSON = TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | SMALL.map(lambda number: Decimal(repr(number)))
SETS, ORDERS, PRESENCE = (Op.IN, Op.NOT_IN), (Op.GT, Op.GTE, Op.LT, Op.LTE), (Op.EXISTS, Op.MISSING)
PATHS = st.lists(TEXTS, min_size=1, max_size=3).map(tuple)


def tuples(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


DIMENSION = st.sampled_from(DIMENSIONS)
MEASURE = st.sampled_from([measure.value for measure in Measure])
LEAVES = st.one_of(
    st.builds(KindIs, tuples(st.sampled_from(Kind))),
    st.builds(NameIs, tuples(TEXTS)),
    st.builds(SubjectIs, tuples(TEXTS)),
    st.builds(FlagIs, st.sampled_from([flag.value for flag in Flag]), st.booleans()),
    st.builds(DimensionIs, DIMENSION, st.sampled_from(SETS), tuples(TEXTS)),
    st.builds(InSegment, st.integers(1, 10**9 - 1) | TEXTS, st.sampled_from(SETS)),
    st.builds(DimensionIs, DIMENSION, st.sampled_from(PRESENCE)),
    st.builds(MeasureIs, MEASURE, st.sampled_from(ORDERS), NUMBERS),
    st.builds(MeasureIs, MEASURE, st.sampled_from(PRESENCE)),
    st.builds(PropertyIs, PATHS, st.sampled_from(SETS), tuples(SCALARS_OF_JSON)),
    st.builds(PropertyIs, PATHS, st.sampled_from(ORDERS), st.tuples(NUMBERS)),
    st.builds(PropertyIs, PATHS, st.sampled_from(PRESENCE)),
)


def trees(levels: int) -> st.SearchStrategy[Filter]:
    if levels == 0:
        return LEAVES
    below = trees(levels - 1)
    return st.one_of(LEAVES, st.builds(All, tuples(below)), st.builds(AnyOf, tuples(below)), st.builds(Not, below))


@given(trees(3))
def test_a_filter_that_is_written_reads_back_as_itself(where: Filter) -> None:
    assert read(write_filter(where)) == where
