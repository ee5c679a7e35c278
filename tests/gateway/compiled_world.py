"""A schema with every kind of type, values that fit it or do not, and documents: for the compiled selections."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLObjectType, get_named_type, is_abstract_type, is_leaf_type
from hypothesis import strategies as st
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from resolvers.errors import BadInput
from schema.scalars import SCALARS, BigInt


@strawberry.enum
class Colour(Enum):
    RED = "red"
    GREEN = "green"
    PALE = strawberry.enum_value("blue", name="BLUE")


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Leaf(Named):
    text: str
    text_or_null: str | None
    number: int
    real: float
    flag: bool | None
    key: strawberry.ID
    big: BigInt
    exact: Decimal
    exact_or_null: Decimal | None
    at: datetime
    span: timedelta | None
    colour: Colour
    json: JSON
    texts: list[str]
    texts_or_null: list[str | None] | None
    grid: list[list[int]]
    colours: list[Colour]
    instants: list[datetime]


@strawberry.type
class Bough(Named):
    leaf: Leaf
    leaf_or_null: Leaf | None
    leaves: list[Leaf]
    leaves_or_null: list[Leaf | None] | None
    named: Named
    nameds: list[Named | None]
    either: "Either"
    eithers: "list[Either]"

    @strawberry.field
    async def shadow(self, times: int = 1) -> Leaf | None:
        return None if times == 2 else self.leaf

    @strawberry.field
    def refused(self) -> str:
        raise BadInput("No.")


Either = Annotated[Leaf | Bough, strawberry.union("Either")]


@strawberry.type
class Query:
    @strawberry.field
    async def bough(self, info: strawberry.Info[Any, None]) -> Bough:
        return info.context()

    @strawberry.field
    def boughs(self, info: strawberry.Info[Any, None]) -> list[Bough | None] | None:
        return [info.context(), None, info.context()]

    @strawberry.field
    async def either(self, info: strawberry.Info[Any, None]) -> Either | None:
        return info.context().either

    @strawberry.field
    def text(self) -> str:
        return "text"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def bough(self, info: strawberry.Info[Any, None], times: int = 2) -> AsyncIterator[Bough]:
        for _ in range(times):
            yield info.context()


SCHEMA = strawberry.Schema(
    query=Query, subscription=Subscription, config=StrawberryConfig(scalar_map=SCALARS), types=[Leaf, Bough]
)


class Odd:
    """What fits no type of the schema."""

    def __repr__(self) -> str:
        return "odd"


class Once:
    """Stands for an iterator over ``items``, made anew for each execution."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items


class Word(str):
    """A text of a class of its own."""


MISSING = object()
_ODD = st.sampled_from([None, Odd(), RuntimeError("a value"), "text", 7, 2**60, 1.5, float("nan"), True, [1], MISSING])
_INSTANT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _mostly(good: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], faults: bool) -> st.SearchStrategy[Any]:
    return st.integers(0, 30).flatmap(lambda chance: odd if chance == 0 else good) if faults else good


def _listed(items: st.SearchStrategy[Any], faults: bool) -> st.SearchStrategy[Any]:
    some = st.lists(items, max_size=3)
    return st.one_of(some, some.map(tuple), some.map(Once), some.map(lambda of: {"a": of})) if faults else some


def leaves(faults: bool) -> st.SearchStrategy[Leaf]:
    """Leaves, some with values that do not fit where ``faults`` are wanted."""
    text = st.sampled_from(["", "word", "ü", Word("own")])
    number, exact = st.sampled_from([0, -7, 2**31 - 1]), st.sampled_from([Decimal("1.50"), Decimal("1E+3"), Decimal(0)])
    colour = st.sampled_from([*Colour, "red", "blue"] if faults else [*Colour])
    instant = st.sampled_from([_INSTANT, _INSTANT.replace(microsecond=7)])
    good: dict[str, st.SearchStrategy[Any]] = {
        "name": text,
        "text": text,
        "text_or_null": st.none() | text,
        "number": number,
        "real": st.sampled_from([0.5, -0.0, 3, 1e300]),
        "flag": st.none() | st.booleans(),
        "key": text,
        "big": st.sampled_from([0, 2**40]),
        "exact": exact,
        "exact_or_null": st.none() | exact,
        "at": instant,
        "span": st.none() | st.just(timedelta(hours=3)),
        "colour": colour,
        "json": st.sampled_from([{"a": [1, None]}, [1], "x", 0]),
        "texts": _listed(text, faults),
        "texts_or_null": st.none() | _listed(st.none() | text, faults),
        "grid": _listed(_listed(_mostly(number, _ODD, faults), faults), faults),
        "colours": _listed(_mostly(colour, _ODD, faults), faults),
        "instants": _listed(_mostly(instant, _ODD, faults), faults),
    }
    return st.builds(Leaf, **{name: _mostly(values, _ODD, faults) for name, values in good.items()})


def boughs(faults: bool, depth: int = 1) -> st.SearchStrategy[Bough]:
    """Boughs, with leaves and further boughs below."""
    leaf = leaves(faults)
    named = leaf if depth == 0 else st.one_of(leaf, boughs(faults, depth - 1))
    good = {
        "name": st.just("bough"),
        "leaf": leaf,
        "leaf_or_null": st.none() | leaf,
        "leaves": _listed(_mostly(leaf, _ODD, faults), faults),
        "leaves_or_null": st.none() | _listed(st.none() | leaf, faults),
        "named": named,
        "nameds": _listed(st.none() | _mostly(named, _ODD, faults), faults),
        "either": named,
        "eithers": _listed(named, faults),
    }
    return st.builds(Bough, **{name: _mostly(values, _ODD, faults) for name, values in good.items()})


def fresh(value: Any) -> Any:
    """A copy of ``value`` whose iterators have not been read, and which lacks what is to be missing."""
    if isinstance(value, Once):
        return iter([fresh(item) for item in value.items])
    if isinstance(value, list):
        return [fresh(item) for item in value]
    if not isinstance(value, Leaf | Bough):
        return value
    copy = type(value)(**{name: fresh(held) for name, held in vars(value).items()})
    for name, held in list(vars(copy).items()):
        if held is MISSING:
            delattr(copy, name)
    return copy


@st.composite
def documents(draw: st.DrawFn, operation: str = "query") -> str:
    """Valid documents: aliases, repeated fields, fragments of both kinds, conditions by literal and variable."""
    core = SCHEMA._schema
    fragments: list[str] = []
    conditions = ["", "", "", "", "@include(if: $on)", "@skip(if: $on)", "@skip(if: $off) @include(if: true)"]

    def selection(type_: Any, depth: int) -> str:
        parts = [part(type_, depth) for _ in range(draw(st.integers(1, 3)))]
        return "{" + " ".join(parts) + "}"

    def field(type_: GraphQLObjectType, depth: int) -> str:
        name = draw(st.sampled_from([*type_.fields, "__typename"]))
        condition = draw(st.sampled_from(conditions))
        if name == "__typename":
            return f"{name} {condition}"
        definition = type_.fields[name]
        below = get_named_type(definition.type)
        # What may be selected on different types under one name must be of one shape.
        alias = draw(st.sampled_from(["", f"{type_.name}_{name}:"]))
        if is_leaf_type(below):
            return f"{alias} {name} {condition}"
        return "__typename" if depth == 0 else f"{alias} {name} {condition} {selection(below, depth - 1)}"

    def part(type_: Any, depth: int) -> str:
        how = draw(st.sampled_from(["field", "field", "field", "inline", "fragment"]))
        types = core.get_possible_types(type_) if is_abstract_type(type_) else [type_]
        if how == "field":
            return "__typename" if is_abstract_type(type_) and type_.name != "Named" else field(type_, depth)
        on, condition = draw(st.sampled_from([*types])), draw(st.sampled_from(conditions))
        body = selection(on, depth)
        if how == "inline":
            return f"... on {on.name} {condition} {body}"
        name = f"F{len(fragments)}"
        fragments.append(f"fragment {name} on {on.name} {body}")
        return f"...{name} {condition} ...{name}"

    if operation == "subscription":
        body = f"{{bough {selection(core.get_type('Bough'), 1)}}}"
    else:
        body = selection(core.query_type, 2)
    variables = "($on: Boolean!, $off: Boolean = false)" if "$" in body + "".join(fragments) else ""
    return f"{operation} {variables} {body} {' '.join(fragments)}"
