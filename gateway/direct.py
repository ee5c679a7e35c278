"""Direct answers: a query for one field, asked of its resolver without an executor.

An executor is made for whatever a document may hold, and making and running one takes several times as long as it takes
to answer from memory. Arguments are read by graphql-core, resolvers called and errors placed as its executor does it;
the value is completed by the completer that an earlier execution left with the document. Where there is none, or where
anything is not as plain as that, the executor does its work.
"""

from collections.abc import Callable
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
from graphql.execution.values import get_argument_values, get_variable_values
from graphql.pyutils import Path, is_awaitable

from gateway.compiled import Compiled


class Direct:
    """A query with one field at the root, and neither fragments nor directives beside it."""

    def __init__(
        self,
        schema: GraphQLSchema,
        root: GraphQLObjectType,
        operation: OperationDefinitionNode,
        node: FieldNode,
        resolve: Callable[..., Any],
        compiled: Compiled,
    ) -> None:
        self._schema = schema
        self._root = root
        self._operation = operation
        self._node = node
        self._definition = root.fields[node.name.value]
        self._resolve = resolve
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
        resolve = root.fields[node.name.value].resolve
        return None if resolve is None else cls(schema, root, operation, node, resolve, compiled)

    async def answer(self, variables: dict[str, Any], context: object) -> ExecutionResult | None:
        """What the executor would answer; None where it has to."""
        node, type_ = self._node, self._definition.type
        completer = self._compiled.kept(type_, node)
        values = get_variable_values(self._schema, self._operation.variable_definitions or (), variables)
        if completer is None or isinstance(values, list):
            return None
        info = self._info(values.coerced, context)
        try:
            value = self._resolve(None, info, **get_argument_values(self._definition, node, values))
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
