"""Flags made up for tests: of each shape, by chance."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from resolvers.analysis.filters import All, DimensionIs, Filter, Not, Op, PropertyIs, SubjectIs
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.flags import (
    WHOLE,
    Flag,
    FlagEnvironment,
    FlagType,
    Prerequisite,
    Ramp,
    RampState,
    RampStep,
    Rule,
    ScheduledStep,
    Serve,
    Share,
    Variation,
    always,
)

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SUBJECTS = ["ann", "bob", "Zoë 東京", "d4"]


def environment(**changes: Any) -> FlagEnvironment:
    """Production, on, for everybody off."""
    plain: dict[str, Any] = {"name": "production", "on": True, "off": "off", "default": always("off")}
    return FlagEnvironment(**plain | {"changed_at": NOON} | changes)


def flag(key: str = "new-search", *environments: FlagEnvironment, **changes: Any) -> Flag:
    """A switch."""
    plain: dict[str, Any] = {
        "id": 1,
        "key": key,
        "type": FlagType.BOOLEAN,
        "name": key,
        "description": None,
        "tags": (),
        "salt": key,
        "variations": (Variation("on", True), Variation("off", False)),
        "environments": {one.name: one for one in environments or (environment(),)},
        "created_at": NOON,
        "changed_at": NOON,
        "archived_at": None,
        "version": 1,
    }
    return Flag(**plain | changes)


_scalars = st.one_of(
    st.sampled_from(["a", "b", "1", "true"]), st.booleans(), st.sampled_from([0, 1, 2, 0.5, 1.0, 2.5, 0.1])
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from(["a", "b", 1]),
        "requestType": st.sampled_from(["a", "b"]),
        "role": st.one_of(_scalars, st.lists(_scalars, max_size=3), st.none()),
        "age": _scalars,
        "device": st.fixed_dictionaries({}, optional={"os": _scalars, "deep": st.just({"er": 1})}),
    },
)
_paths = st.sampled_from([("role",), ("age",), ("device", "os"), ("device", "deep", "er"), ("absent",)])
_kept = _scalars.map(lambda value: Decimal(repr(value)) if isinstance(value, float) else value)
_orders = st.sampled_from([Op.GT, Op.GTE, Op.LT, Op.LTE])
_limits = st.sampled_from([Decimal(0), Decimal(1), Decimal("0.5"), Decimal("0.1"), Decimal(2)])
leaves: st.SearchStrategy[Filter] = st.one_of(
    st.lists(st.sampled_from(SUBJECTS), max_size=2).map(lambda of: SubjectIs(tuple(of))),
    st.builds(
        lambda name, op, values: DimensionIs(name, op, tuple(values) if op in (Op.IN, Op.NOT_IN) else ()),
        st.sampled_from(["plan", "request_type", "channel"]),
        st.sampled_from([Op.IN, Op.NOT_IN, Op.EXISTS, Op.MISSING]),
        st.lists(st.sampled_from(["a", "b", "1"]), max_size=2),
    ),
    st.builds(
        lambda path, op, values: PropertyIs(path, op, tuple(values) if op in (Op.IN, Op.NOT_IN) else ()),
        _paths,
        st.sampled_from([Op.IN, Op.NOT_IN, Op.EXISTS, Op.MISSING]),
        st.lists(_kept, max_size=3),
    ),
    st.builds(lambda path, op, limit: PropertyIs(path, op, (limit,)), _paths, _orders, _limits),
)
wheres = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda of: All(tuple(of))),
        st.lists(inner, max_size=3).map(lambda of: AnyOf(tuple(of))),
        inner.map(Not),
    ),
    max_leaves=5,
)
_VARIATIONS = ("on", "off", "third")


@st.composite
def serves(draw: st.DrawFn) -> Serve:
    if draw(st.booleans()):
        return always(draw(st.sampled_from(_VARIATIONS)))
    first, second = sorted(draw(st.lists(st.integers(0, WHOLE), min_size=2, max_size=2)))
    return tuple(map(Share, _VARIATIONS, (first, second - first, WHOLE - second)))


moments = st.integers(-300, 300).map(lambda minutes: NOON + timedelta(minutes=minutes))


@st.composite
def ramps(draw: st.DrawFn) -> Ramp:
    shares = sorted(draw(st.sets(st.integers(0, WHOLE), min_size=1, max_size=4)))
    steps = tuple(RampStep(parts, timedelta(minutes=draw(st.integers(1, 90)))) for parts in shares)
    state = draw(st.sampled_from(RampState))
    since = None if state is RampState.RUNNING else draw(moments)
    held = timedelta(minutes=draw(st.integers(0, 60)))
    return Ramp(draw(moments), steps, (), state, since, held)


@st.composite
def environments(draw: st.DrawFn, needs: tuple[str, ...]) -> FlagEnvironment:
    rules = [
        Rule(
            serve=draw(serves()),
            where=draw(wheres),
            parts=draw(st.one_of(st.just(WHOLE), st.integers(0, WHOLE))),
            ramp=draw(st.one_of(st.none(), ramps())),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    prerequisites = [
        Prerequisite(key, tuple(draw(st.sets(st.sampled_from(_VARIATIONS), min_size=1))))
        for key in needs
        if draw(st.booleans())
    ]
    schedule = [ScheduledStep(at, draw(st.booleans())) for at in sorted(draw(st.sets(moments, max_size=3)))]
    return environment(
        on=draw(st.integers(0, 3)) > 0,
        off=draw(st.sampled_from(_VARIATIONS)),
        default=draw(serves()),
        rules=tuple(rules),
        prerequisites=tuple(prerequisites),
        schedule=tuple(schedule),
    )


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Flag]:
    """A few flags, of which the later ones may need the earlier ones."""
    variations = (Variation("on", 1), Variation("off", 0.5), Variation("third", 2))
    made: dict[str, Flag] = {}
    for key in ("a", "b", "c"):
        setup = draw(environments(tuple(made)))
        name = draw(st.sampled_from(["production", "production", "staging"]))
        made[key] = flag(
            key,
            FlagEnvironment(**{n: getattr(setup, n) for n in FlagEnvironment.__dataclass_fields__} | {"name": name}),
            type=FlagType.NUMBER,
            variations=variations,
            salt=draw(st.sampled_from(["s", key])),
            archived_at=draw(st.sampled_from([None, None, None, NOON])),
        )
    return made
