"""Marks: what the schema's metadata says of all that an operation asks for at the root."""

from collections.abc import Iterable, Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gateway.documents import Prepared


class Marks:
    """Tells of the operations of one schema's documents whether every field at the root has a mark."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema

    def has(self, mark: str, prepared: Prepared, node: OperationDefinitionNode) -> bool:
        """Whether all that a valid operation asks for at the root is marked; not where its document is not valid."""
        if prepared.document is None:
            return False
        # Nodes compare by value, which walks the whole tree; they are looked up by identity.
        key = (mark, id(node))
        found = prepared.marks.get(key)
        if found is None:
            found = prepared.marks[key] = self._has(mark, prepared.document, node)
        return found

    def _has(self, mark: str, document: DocumentNode, operation: OperationDefinitionNode) -> bool:
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        root = self._schema.get_root_type(operation.operation)
        fields = root.fields if root is not None else {}
        names = set(_root_fields(operation.selection_set.selections, fragments)) - {"__typename"}
        return all(name in fields and _is_marked(mark, fields[name]) for name in names)


def _is_marked(mark: str, definition: GraphQLField) -> bool:
    field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return field is not None and bool(field.metadata.get(mark))


def _root_fields(selections: Iterable[SelectionNode], fragments: dict[str, FragmentDefinitionNode]) -> Iterator[str]:
    for node in selections:
        if isinstance(node, FieldNode):
            yield node.name.value
            continue
        within = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
        if isinstance(within, InlineFragmentNode | FragmentDefinitionNode):
            yield from _root_fields(within.selection_set.selections, fragments)
