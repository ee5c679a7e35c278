"""Which value stands behind which GraphQL type."""

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import strawberry
from strawberry.types.base import get_object_definition
from strawberry.types.enum import StrawberryEnumDefinition

T = TypeVar("T", bound=type)
E = TypeVar("E", bound=type[Enum])

SHAPES: dict[type, tuple[type, ...]] = {}
"""The value classes from which each GraphQL type takes the fields that have no resolver."""


def shapes(*values: type) -> Callable[[T], T]:
    """Declare that a GraphQL type is answered by instances of ``values[0]``, and its fields found on ``values``.

    A resolver then returns the value itself; it is recognised in a union or behind an interface without conversion.
    """

    def register(graphql_type: T) -> T:
        SHAPES[graphql_type] = values
        definition = get_object_definition(graphql_type, strict=True)
        if definition.is_type_of is None:
            accepted = (graphql_type, values[0])
            definition.is_type_of = lambda value, _info: isinstance(value, accepted)
        return graphql_type

    return register


def enumerate_in_schema(enum: E, description: str, values: dict[str, str], *, name: str | None = None) -> E:
    """Publish an enum of the resolvers as it is; ``values`` describes each member by its name."""
    strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = enum.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]
    return enum
