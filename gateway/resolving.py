"""A field's resolver and the arguments that an operation gives it, worked out once for all of the operation's requests.

graphql-core reads each variable and argument by its definition and Strawberry converts what it read: each time anew,
although most values are texts and numbers that neither changes. Here both are asked only for lists and inputs.
"""

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any

import strawberry
from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_non_null_type,
    is_required_argument,
    type_from_ast,
)
from graphql.execution.values import VariableValues, get_variable_values, input_is_nested_too_deeply
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal, coerce_input_value
from strawberry.extensions.field_extension import build_field_extension_resolvers
from strawberry.relay import GlobalID
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.base import StrawberryMaybe, StrawberryOptional
from strawberry.types.field import StrawberryField

Values = Mapping[str, Any]
Read = Callable[[Values], Any]
"""Reads a variable out of those that were sent; Undefined where it is left out."""
ReadArgument = Callable[[VariableValues], Any]
"""Reads an argument out of the variables; Undefined where it is left out."""
Convert = Callable[[Any, Any], Any]
"""Makes of a value that GraphQL has read, with Strawberry's info, what a resolver takes."""


class Unreadable(Exception):
    """Something that the executor refuses, in its own words."""


class Resolving:
    """A field at the root, as one operation asks for it."""

    def __init__(
        self, schema: GraphQLSchema, operation: OperationDefinitionNode, definition: GraphQLField, node: FieldNode
    ) -> None:
        field: StrawberryField = definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        self._field = field
        definitions = operation.variable_definitions or ()
        self._variables = [(each.variable.name.value, _variable(schema, each)) for each in definitions]
        given = {argument.name.value: argument for argument in node.arguments or ()}
        # What is within a literal, graphql-core takes from variables that it has read itself.
        within = any(isinstance(argument.value, ListValueNode | ObjectValueNode) for argument in given.values())
        self._read = partial(get_variable_values, schema, definitions) if within and definitions else None
        self._arguments = [_argument(schema, name, of, given.get(name)) for name, of in definition.args.items()]
        functions: list[Any] = build_field_extension_resolvers(field) if field.extensions else []
        self._resolve: Callable[..., Any] = reduce(lambda inner, outer: partial(outer, inner), functions, self._result)

    @classmethod
    def of(
        cls, schema: GraphQLSchema, operation: OperationDefinitionNode, definition: GraphQLField, node: FieldNode
    ) -> "Resolving | None":
        """None for a field that is resolved in another way, or whose exceptions may become results."""
        field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        resolver = field.base_resolver if isinstance(field, StrawberryField) else None
        if resolver is None or resolver.parent_parameter or resolver.root_parameter:
            return None
        return None if is_abstract_type(get_named_type(definition.type)) else cls(schema, operation, definition, node)

    def variables(self, given: dict[str, Any]) -> VariableValues:
        """The operation's variables as graphql-core reads them; raises Unreadable or whatever else it meets."""
        if self._read is None:
            found = [(name, read(given)) for name, read in self._variables]
            return VariableValues({}, {name: value for name, value in found if value is not Undefined})
        values = self._read(given)
        if isinstance(values, list):
            raise Unreadable
        return values

    def arguments(self, variables: VariableValues) -> list[tuple[str, Any, Convert | None]]:
        """By the resolver's names, the arguments as graphql-core reads them and what is to convert them; raises so."""
        found = [(name, read(variables), convert) for name, read, convert in self._arguments]
        return [one for one in found if one[1] is not Undefined]

    def __call__(self, arguments: list[tuple[str, Any, Convert | None]], info: GraphQLResolveInfo[Any]) -> Any:
        """What the resolver returns, which may have to be awaited; raises what it raises."""
        told: Any = strawberry.Info(_raw_info=info, _field=self._field)
        converted = {name: value if convert is None else convert(value, told) for name, value, convert in arguments}
        return self._resolve(None, told, **converted)

    def _result(self, source: object, info: Any, **arguments: Any) -> Any:
        resolver = self._field.base_resolver
        assert resolver is not None
        if resolver.info_parameter:
            arguments[resolver.info_parameter.name] = info
        return self._field.get_result(source, info, [source] if resolver.self_parameter else [], arguments)


def _variable(schema: GraphQLSchema, of: VariableDefinitionNode) -> Read:
    name, default = of.variable.name.value, of.default_value
    type_: Any = type_from_ast(schema, of.type)
    coerce = _coercion(get_nullable_type(type_))
    required = is_non_null_type(type_)

    def read(given: Values) -> Any:
        value = given.get(name, Undefined)
        if value is Undefined and default is not None:
            return _readable(coerce_input_literal(default, type_))
        if value is None or value is Undefined:
            return _allowed(value, required)
        return _readable(coerce(value))

    return read


def _coercion(type_: Any) -> Callable[[Any], Any]:
    if is_leaf_type(type_):
        return type_.coerce_input_value

    def coerce(value: Any) -> Any:
        return Undefined if input_is_nested_too_deeply(value, type_) else coerce_input_value(value, type_)

    return coerce


def _argument(
    schema: GraphQLSchema, name: str, of: GraphQLArgument, node: ArgumentNode | None
) -> tuple[str, ReadArgument, Convert | None]:
    argument: StrawberryArgument = of.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    return argument.python_name, _reader(of, node), _conversion(schema, name, of.type, argument)


def _reader(of: GraphQLArgument, node: ArgumentNode | None) -> ReadArgument:
    type_, required = of.type, is_non_null_type(of.type)
    if node is None:
        return lambda _: coerce_default_value(of)
    written = node.value
    if isinstance(written, ListValueNode | ObjectValueNode):
        return lambda variables: _readable(coerce_input_literal(written, type_, variables))
    if not isinstance(written, VariableNode):
        constant = coerce_input_literal(written, type_)
        return lambda _: _readable(constant)
    name, must_be_given = written.name.value, is_required_argument(of)

    def read(variables: VariableValues) -> Any:
        value = variables.coerced.get(name, Undefined)
        if value is Undefined and not must_be_given:
            return coerce_default_value(of)
        return _allowed(value, required) if value is None or value is Undefined else value

    return read


def _conversion(
    schema: GraphQLSchema, name: str, type_: GraphQLInputType, argument: StrawberryArgument
) -> Convert | None:
    """What Strawberry makes of a value; None where it leaves it as it is."""
    expected = argument.type
    if is_leaf_type(get_nullable_type(type_)) and not isinstance(expected, StrawberryMaybe):
        inner = expected.of_type if isinstance(expected, StrawberryOptional) else expected
        if inner is not GlobalID:
            return None
    converter, may_be_left = schema._strawberry_schema.schema_converter, isinstance(expected, StrawberryMaybe)  # type: ignore[attr-defined]

    def convert(value: Any, info: Any) -> Any:
        if value is None and not may_be_left:
            return None
        return convert_argument(value, expected, converter.scalar_registry, converter.config, info, path=(name,))

    return convert


def _readable(value: Any) -> Any:
    if value is Undefined:
        raise Unreadable
    return value


def _allowed(value: Any, required: bool) -> Any:
    if required:
        raise Unreadable
    return value
