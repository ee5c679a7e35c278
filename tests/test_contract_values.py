"""The contract with the values behind the schema: every type matches them, and nothing is left out unawares."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
)
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField

from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.intake import camel
from schema import schema
from schema.shapes import SHAPES
from tests.contract import (
    FIELDS_MADE_BY_THE_SCHEMA,
    MADE_BY_THE_SCHEMA,
    NOT_SHOWN,
    OBJECTS,
    SCALARS,
    TYPES,
    fields_of,
)


def shaped() -> Iterator[tuple[str, StrawberryField, tuple[type, ...]]]:
    """Each field that is read off a value as it is, with the classes that may have it."""
    for graphql_type, values in SHAPES.items():
        definition = get_object_definition(graphql_type, strict=True)
        for field in definition.fields:
            if (
                field.base_resolver is None
                and f"{definition.name}.{field.python_name}" not in FIELDS_MADE_BY_THE_SCHEMA
            ):
                yield definition.name, field, values


def fits(graphql_type: Any, hint: Any) -> bool:
    """Whether every value of a Python type is one that the GraphQL type can carry, nulls included."""
    optional = get_origin(hint) is UnionType and NoneType in get_args(hint)
    if optional:
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    if isinstance(graphql_type, GraphQLNonNull) is optional:
        return False
    inner = graphql_type.of_type if isinstance(graphql_type, GraphQLNonNull) else graphql_type
    match inner:
        case GraphQLList():
            item, *rest = get_args(hint)
            return get_origin(hint) is tuple and rest == [...] and fits(inner.of_type, item)
        case GraphQLEnumType():
            values = {value.value for value in inner.values.values()}
            return hint is inner.wrapped_cls or (hint is str and all(type(value) is str for value in values))
        case GraphQLScalarType(name="JSON"):
            return get_origin(hint) is Mapping
        case GraphQLScalarType():
            return hint is SCALARS[inner.name]
        case GraphQLObjectType(name="EventDimensions"):
            return hint == Mapping[str, str]
        case GraphQLObjectType():
            return any(
                values[0] is hint and get_object_definition(shape, strict=True).name == inner.name
                for shape, values in SHAPES.items()
            )
    return False


@pytest.mark.parametrize(
    ("name", "field", "values"), [pytest.param(*of, id=f"{of[0]}.{of[1].name}") for of in shaped()]
)
def test_a_field_is_there_on_the_value_behind_it(name: str, field: StrawberryField, values: tuple[type, ...]) -> None:
    hints = [get_type_hints(value) | properties(value) for value in values]
    (hint,) = {known[field.python_name] for known in hints if field.python_name in known}
    graphql_type = fields_of(name)[schema.config.name_converter.from_field(field)].type
    assert fits(graphql_type, hint), f"{graphql_type} does not fit {hint}"


def properties(value: type) -> dict[str, Any]:
    """What a value makes when it is asked for."""
    made = {name: one.fget for name, one in vars(value).items() if isinstance(one, property)}
    return {name: get_type_hints(one)["return"] for name, one in made.items()}


@pytest.mark.parametrize("graphql_type", SHAPES, ids=lambda graphql_type: graphql_type.__name__)
def test_nothing_of_a_value_is_left_out_unawares(graphql_type: type) -> None:
    definition = get_object_definition(graphql_type, strict=True)
    shown = {field.python_name for field in definition.fields}
    for value in SHAPES[graphql_type]:
        hidden = {name for name in get_type_hints(value) if name not in shown}
        assert hidden == {name for name in hidden if f"{value.__name__}.{name}" in NOT_SHOWN}


def test_every_type_has_a_value_behind_it() -> None:
    names = {get_object_definition(graphql_type, strict=True).name for graphql_type in SHAPES}
    assert names | MADE_BY_THE_SCHEMA == set(OBJECTS)
    assert not names & MADE_BY_THE_SCHEMA


@pytest.mark.parametrize("name", ["EventDimensions", "DimensionsInput"])
def test_every_dimension_can_be_read_and_sent(name: str) -> None:
    assert list(TYPES[name].fields) == [camel(dimension) for dimension in DIMENSIONS]  # type: ignore[attr-defined]
