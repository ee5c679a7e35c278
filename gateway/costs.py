"""What an operation may make the gateway produce: its fields, each list counted with the size asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
_TOTALS = 32
_DEFAULT = object()


class Costs:
    """The costs of one valid document's operations; linear in its size, as a fragment is summed once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = ordered_fragments(document)
        self._known: dict[int, _Known] = {}

    def of(self, operation: OperationDefinitionNode, variables: Mapping[str, object]) -> int:
        """The number of fields the answer may hold with these ``variables`` (as sent, not coerced)."""
        # Nodes compare by value, which walks the whole tree; they are looked up by identity.
        known = self._known.get(id(operation))
        sizes = () if known is None else known.sizes(variables)
        if known is not None and sizes in known.totals:
            return known.totals[sizes]
        sum_ = _Sum(self._schema, operation, variables)
        for fragment in self._fragments:
            condition = self._schema.get_type(fragment.type_condition.name.value)
            sum_.fragments[fragment.name.value] = sum_.selections(fragment.selection_set, condition)
        total = sum_.selections(operation.selection_set, self._schema.get_root_type(operation.operation))
        if known is None:
            known = self._known[id(operation)] = _Known(tuple(sorted(sum_.names)))
        if len(known.totals) >= _TOTALS:
            known.totals.clear()
        known.totals[known.sizes(variables)] = total
        return total


@dataclass(frozen=True, slots=True)
class _Known:
    """What an operation costs with some values of the variables that sizes are taken from."""

    names: tuple[str, ...]
    totals: dict[tuple[object, ...], int] = field(default_factory=dict)

    def sizes(self, variables: Mapping[str, object]) -> tuple[object, ...]:
        """What tells the values apart, as far as they count."""
        if not self.names:
            return ()
        given = [variables.get(name, _DEFAULT) for name in self.names]
        return tuple([value if value is _DEFAULT or isinstance(value, int) else None for value in given])


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
        self.names: set[str] = set()

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
        definition = self._schema.get_field(parent, node.name.value) if is_composite_type(parent) else None
        if definition is None:
            return 1
        inner = self.selections(node.selection_set, get_named_type(definition.type))
        return 1 + inner * self._size(node, definition)

    def _size(self, node: FieldNode, definition: GraphQLField) -> int:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        size = 1
        for name in _SIZES:
            if (argument := definition.args.get(name)) is not None:
                value = self._value(given[name], argument.default_value) if name in given else argument.default_value
                size *= value if isinstance(value, int) and value > 0 else 1
        return size

    def _value(self, node: ValueNode, default: object) -> object:
        if isinstance(node, VariableNode):
            name = node.name.value
            self.names.add(name)
            if name in self._variables:
                return self._variables[name]
            fallback = self._defaults.get(name)
            return default if fallback is None else self._value(fallback, default)
        return int(node.value) if isinstance(node, IntValueNode) else default
