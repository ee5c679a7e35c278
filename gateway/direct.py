"""Direct answers: a query for one field, asked of its resolver without an executor.

An executor is made for whatever a document may hold, and making and running one takes several times as long as it takes
to answer from memory. Arguments are read, resolvers called and errors placed as graphql-core's executor does it; the
value is completed by the completer that an earlier execution left with the document. Where there is none, or where
anything is not as plain as that, the executor does its work.
"""

from typing import Any, cast

from graphql import (
    ExecutionResult,
    FieldNode,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    is_non_null_type,
    located_error,
)
from graphql.pyutils import Path, is_awaitable

from gateway.compiled import Compiled
from gateway.resolving import Resolving


class Direct:
    """A query with one field at the root, and neither fragments nor directives beside it."""

    def __init__(
        self,
        schema: GraphQLSchema,
        root: GraphQLObjectType,
        operation: OperationDefinitionNode,
        node: FieldNode,
        resolving: Resolving,
        compiled: Compiled,
    ) -> None:
        self._schema = schema
        self._root = root
        self._operation = operation
        self._node = node
        self._definition = root.fields[node.name.value]
        self._resolving = resolving
        self._compiled = compiled
        self._name = node.alias.value if node.alias else node.name.value
        self._path = Path(None, self._name, root.name)

    @classmethod
    def of(cls, schema: GraphQLSchema, operation: OperationDefinitionNode, compiled: Compiled) -> "Direct | None":
        """How a valid operation is answered directly; None for one that cannot be."""
        selections, root = operation.selection_set.selections, schema.query_type
        if operation.operation is not OperationType.QUERY or operation.directives or len(selections) != 1:
            return None
        (node,) = selections
        if root is None or not isinstance(node, FieldNode) or node.directives or node.name.value not in root.fields:
            return None
        resolving = Resolving.of(schema, operation, root.fields[node.name.value], node)
        return None if resolving is None else cls(schema, root, operation, node, resolving, compiled)

    async def answer(self, variables: dict[str, Any], context: object) -> ExecutionResult | None:
        """What the executor would answer; None where it has to."""
        node, type_ = self._node, self._definition.type
        completer = self._compiled.kept(type_, node)
        if completer is None:
            return None
        try:
            values = self._resolving.variables(variables)
            arguments = self._resolving.arguments(values)
        except Exception:
            # What cannot be read, the executor reports.
            return None
        info = self._info(values.coerced, context)
        try:
            value = self._resolving(arguments, info)
            value = await value if is_awaitable(value) else value
        except Exception as raised:
            error = located_error(raised, [node], self._path.as_list())
            return ExecutionResult(None if is_non_null_type(type_) else {self._name: None}, [error])
        if value is None:
            return None
        try:
            return ExecutionResult({self._name: completer(value, info)}, None)
        except Exception:
            # Whatever it is, the executor meets it again and reports it.
            return None

    def _info(self, variables: dict[str, Any], context: object) -> GraphQLResolveInfo[Any]:
        """What the resolver is told: as from the executor, but for its helpers, which nobody uses."""
        return GraphQLResolveInfo(
            self._node.name.value,
            [self._node],
            self._definition.type,
            self._root,
            self._path,
            self._schema,
            {},
            None,
            self._operation,
            cast(Any, variables),
            context,
            cast(Any, is_awaitable),
            None,
            cast(Any, None),
        )
