"""Questions: what operations must have in common for one answer to serve them."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gateway.documents import Prepared
from resolvers.context import Principal
from schema.live import STATE


class Questions:
    """Tells of operations of one schema what they ask."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema

    def of(
        self,
        prepared: Prepared,
        node: OperationDefinitionNode,
        variables: Mapping[str, Any],
        principal: Principal | None,
    ) -> Hashable | None:
        """What an operation asks; None for one with an answer of its own."""
        if principal is None or prepared.document is None or node.operation is OperationType.MUTATION:
            return None
        # Nodes compare by value, which walks the whole tree; they are looked up by identity.
        shared = prepared.states.get(id(node))
        if shared is None:
            shared = prepared.states[id(node)] = _is_state(self._schema, prepared.document, node)
        if not shared:
            return None
        names = [definition.variable.name.value for definition in node.variable_definitions or ()]
        given = {name: variables[name] for name in names if name in variables}
        try:
            canonical = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            return None
        # All of the caller that an answer can depend on: whose data, which role, currency and time zone.
        caller = (principal.tenant_id, principal.tenant, principal.currency, principal.timezone, principal.role)
        return caller, prepared, id(node), blake2b(canonical, digest_size=16).digest()


def _is_state(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> bool:
    """Whether all that a valid operation asks for at the root is marked by the schema as state."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    root = schema.get_root_type(operation.operation)
    fields = root.fields if root is not None else {}
    names = set(_root_fields(operation.selection_set.selections, fragments)) - {"__typename"}
    return all(name in fields and _is_marked(fields[name]) for name in names)


def _is_marked(definition: GraphQLField) -> bool:
    field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return field is not None and bool(field.metadata.get(STATE))


def _root_fields(selections: Iterable[SelectionNode], fragments: dict[str, FragmentDefinitionNode]) -> Iterator[str]:
    for node in selections:
        if isinstance(node, FieldNode):
            yield node.name.value
            continue
        within = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
        if isinstance(within, InlineFragmentNode | FragmentDefinitionNode):
            yield from _root_fields(within.selection_set.selections, fragments)
