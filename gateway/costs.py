"""What an operation may make the gateway produce: its fields, each list counted with the size asked for."""

from collections.abc import Mapping

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)

from gateway.limits import INTROSPECTION_FIELDS, ordered_fragments

_SIZES = ("first", "last", "top")


class Costs:
    """The costs of one valid document's operations; linear in its size, as a fragment is summed once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = ordered_fragments(document)
        self._fixed: dict[int, int] = {}

    def of(self, operation: OperationDefinitionNode, variables: Mapping[str, object]) -> int:
        """The number of fields the answer may hold with these ``variables`` (as sent, not coerced)."""
        # Nodes compare by value, which walks the whole tree; they are looked up by identity.
        known = self._fixed.get(id(operation))
        if known is not None:
            return known
        sum_ = _Sum(self._schema, operation, variables)
        for fragment in self._fragments:
            condition = self._schema.get_type(fragment.type_condition.name.value)
            sum_.fragments[fragment.name.value] = sum_.selections(fragment.selection_set, condition)
        total = sum_.selections(operation.selection_set, self._schema.get_root_type(operation.operation))
        if not sum_.variable:
            self._fixed[id(operation)] = total
        return total


class _Sum:
    def __init__(
        self, schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, object]
    ) -> None:
        self._schema = schema
        self._variables = variables
        self._defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        self.fragments: dict[str, int] = {}
        self.variable = False

    def selections(self, selection_set: SelectionSetNode, parent: GraphQLNamedType | None) -> int:
        return sum(self._selection(node, parent) for node in selection_set.selections)

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None) -> int:
        if isinstance(node, FragmentSpreadNode):
            return self.fragments.get(node.name.value, 0)
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            type_ = self._schema.get_type(condition.name.value) if condition else parent
            return self.selections(node.selection_set, type_)
        return self._field(node, parent) if isinstance(node, FieldNode) else 0

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> int:
        # Introspection has bounds of its own.
        if node.selection_set is None or node.name.value in INTROSPECTION_FIELDS:
            return 1
        field = self._schema.get_field(parent, node.name.value) if is_composite_type(parent) else None
        if field is None:
            return 1
        inner = self.selections(node.selection_set, get_named_type(field.type))
        return 1 + inner * self._size(node, field)

    def _size(self, node: FieldNode, field: GraphQLField) -> int:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        size = 1
        for name in _SIZES:
            if (argument := field.args.get(name)) is not None:
                value = self._value(given[name], argument.default_value) if name in given else argument.default_value
                size *= value if isinstance(value, int) and value > 0 else 1
        return size

    def _value(self, node: ValueNode, default: object) -> object:
        if isinstance(node, VariableNode):
            self.variable = True
            name = node.name.value
            if name in self._variables:
                return self._variables[name]
            fallback = self._defaults.get(name)
            return default if fallback is None else self._value(fallback, default)
        return int(node.value) if isinstance(node, IntValueNode) else default
