"""Filters in SQL mean what their words say, as a plain reading of each event does."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers.analysis import filters
from resolvers.analysis.events import Event, Kind
from resolvers.analysis.filter_json import from_json, to_json
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
from resolvers.analysis.segments import Any as AnyOf
from resolvers.analysis.segments import Listed
from resolvers.context import Context, Services
from resolvers.events import events
from resolvers.segments import Draft, save_segment
from resolvers.store.database import Database
from tests.factories import NOON, event, new_principal, purchase, store

_CHANNELS = ["paid", "organic", "never"]
_ORDERS = [Op.GT, Op.GTE, Op.LT, Op.LTE]
_EVENTS = [
    event(id="bare"),
    event(id="paid", dimensions={"channel": "paid", "plan": "pro"}, properties={"n": 1, "deep": {"x": "y"}}),
    event(id="organic", dimensions={"channel": "organic"}, properties={"n": 1.5, "flag": True}, subject="bob"),
    event(id="text", name="click", properties={"n": "1", "flag": False, "none": None}, session="s"),
    purchase("10", id="ten", recurring=True, dimensions={"channel": "paid"}),
    purchase("0.000000000001", id="least", recurring=False, properties={"n": 2**60}),
    event(
        id="ai",
        kind="AI_INTERACTION",
        name="chat",
        success=True,
        score=0.5,
        durationMs=20,
        inputTokens=7,
        dimensions={"provider": "p", "model": "m"},
    ),
]


def holds(root: Filter, one: Event) -> bool:
    match root:
        case All(of):
            return all(holds(part, one) for part in of)
        case filters.Any(of):
            return any(holds(part, one) for part in of)
        case Not(of):
            return not holds(of, one)
        case KindIs(kinds):
            return one.kind in kinds
        case NameIs(names):
            return one.name in names
        case SubjectIs(subjects):
            return one.subject in subjects
        case InSegment(str(segment), op):
            return bool(one.subject) and (one.subject in _SEGMENTS[segment]) is (op is Op.IN)
        case DimensionIs(dimension, op, values):
            return _compare(one.dimensions.get(dimension), op, values)
        case MeasureIs(measure, op, value):
            return _compare(getattr(one, measure), op, (value,))
        case FlagIs(flag, value):
            return getattr(one, flag) is value
        case PropertyIs(path, op, values):
            found: Any = one.properties
            for step in path:
                if not isinstance(found, dict) or step not in found:
                    return op is Op.MISSING
                found = found[step]
            if op in _ORDERS and (isinstance(found, bool) or not isinstance(found, int | float)):
                return False
            if op in (Op.IN, Op.NOT_IN):
                same = any(found == value and isinstance(found, bool) == isinstance(value, bool) for value in values)
                return same is (op is Op.IN)
            return op is Op.EXISTS or (op in _ORDERS and _compare(found, op, values))


def _compare(found: Any, op: Op, values: tuple[Any, ...]) -> bool:
    if op is Op.MISSING or found is None:
        return (op is Op.MISSING) is (found is None) and op is Op.MISSING
    match op:
        case Op.IN:
            return found in values
        case Op.NOT_IN:
            return found not in values
        case Op.EXISTS:
            return True
        case _:
            value = Decimal(str(found))
            bound = values[0]
            return {Op.GT: value > bound, Op.GTE: value >= bound, Op.LT: value < bound, Op.LTE: value <= bound}[op]


_NUMBERS = st.sampled_from([Decimal("0.000000000001"), Decimal(1), Decimal("1.5"), Decimal(10), Decimal(2**60)])
_SCALARS = st.sampled_from(["1", "y", True, False, 1, Decimal("1.5"), 2**60])
_LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(KindIs, st.lists(st.sampled_from(Kind)).map(tuple)),
    st.builds(NameIs, st.lists(st.sampled_from(["page_view", "click", "never"])).map(tuple)),
    st.builds(SubjectIs, st.lists(st.sampled_from(["ann", "bob", "never"])).map(tuple)),
    st.builds(
        DimensionIs,
        st.sampled_from(["channel", "plan"]),
        st.sampled_from([Op.IN, Op.NOT_IN, Op.EXISTS, Op.MISSING]),
        st.lists(st.sampled_from(_CHANNELS)).map(tuple),
    ),
    st.builds(
        PropertyIs,
        st.sampled_from([("n",), ("deep", "x"), ("deep",), ("flag",), ("none",), ("never",)]),
        st.sampled_from([Op.IN, Op.NOT_IN, Op.EXISTS, Op.MISSING]),
        st.lists(_SCALARS, max_size=3).map(tuple),
    ),
    st.builds(PropertyIs, st.just(("n",)), st.sampled_from(_ORDERS), _NUMBERS.map(lambda value: (value,))),
    st.builds(
        MeasureIs,
        st.sampled_from(["amount", "cost", "duration_ms", "score", "input_tokens"]),
        st.sampled_from(_ORDERS),
        _NUMBERS,
    ),
    st.builds(FlagIs, st.sampled_from(["success", "assisted", "recurring"]), st.booleans()),
    st.builds(InSegment, st.sampled_from(["Some", "Nobody"]), st.sampled_from([Op.IN, Op.NOT_IN])),
)
_SEGMENTS: dict[str, tuple[str, ...]] = {"Some": ("bob", "never"), "Nobody": ()}
_FILTERS = st.recursive(
    _LEAVES,
    lambda parts: st.one_of(
        st.builds(All, st.lists(parts, max_size=3).map(tuple)),
        st.builds(filters.Any, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Not, parts),
    ),
    max_leaves=6,
)


class TestConditions:
    context: Context
    log: list[Event]

    async def test_a_filter_selects_what_its_words_say(self, services: Services, owner: Database) -> None:
        context = Context(services, await new_principal(owner))
        await store(
            context,
            *(made | {"occurredAt": (NOON - timedelta(minutes=n)).isoformat()} for n, made in enumerate(_EVENTS)),
        )
        log = [one.event for one in (await events(context, where=filters.EVERYTHING, first=500)).events]
        assert len(log) == len(_EVENTS)
        await save_segment(context, Draft("Some", Listed(_SEGMENTS["Some"])))
        await save_segment(context, Draft("Nobody", AnyOf(())))

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_FILTERS)
        def check(root: Filter) -> None:
            asked.append(root)

        asked: list[Filter] = []
        check()
        for root in asked:
            found = (await events(context, where=root, first=500)).events
            assert [one.event.id for one in found] == [one.id for one in log if holds(root, one)], root


@given(_FILTERS)
def test_a_kept_filter_comes_back_as_it_was(root: Filter) -> None:
    assert from_json(to_json(root)) == root
