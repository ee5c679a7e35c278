"""Inputs of which exactly one field is given, checked by GraphQL itself, whose refusals say where."""

import strawberry
from graphql import GraphQLInputObjectType
from strawberry.schema.schema_converter import GraphQLCoreConverter


def checked_by_graphql(of: strawberry.Schema) -> strawberry.Schema:
    """The schema, whose ``@oneOf`` inputs GraphQL's rules know of.

    Strawberry makes a check of its own instead, that names the type but not which of a hundred filters it is in.
    """
    for named in of._schema.type_map.values():
        if isinstance(named, GraphQLInputObjectType):
            named.is_one_of = named.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].is_one_of
            if named.is_one_of:
                named.out_type = GraphQLInputObjectType.out_type  # type: ignore[method-assign]
    return of
