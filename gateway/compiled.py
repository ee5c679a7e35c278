"""Execution with compiled selections: graphql-core resolves, completers shape what the resolvers return.

Everything that takes judgement (which fields there are, their order and concurrency, arguments, errors, nulls that
spread) stays with graphql-core's executor and Strawberry's resolvers. Only the value of a resolved field, where all
below it are plain fields, is completed by a completer that its document keeps.
"""

from collections.abc import Mapping
from typing import Any
from weakref import proxy

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    GraphQLIncludeDirective,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSkipDirective,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gateway.completers import Completer, Source

_VARIANTS = 8
_FIELDS_PER_TOKEN = 2
_FEWEST_FIELDS = 100

Completers = dict[tuple[object, ...], Completer | None]


class Compiled:
    """The completers of one document's selections, made when they are first needed.

    ``@skip`` and ``@include`` are settled at that time: each combination of the variables they name has completers of
    its own, up to a bound. What goes past a bound, or has resolvers below, is left to graphql-core.
    """

    def __init__(self, document: DocumentNode) -> None:
        switches = _Switches()
        visit(document, switches)
        self._switches = tuple(sorted(switches.names))
        self._variants: dict[tuple[object, ...], Completers] = {}
        self._room = max(_FEWEST_FIELDS, _FIELDS_PER_TOKEN * (document.token_count or 0))

    def __len__(self) -> int:
        """How many completers there are."""
        return sum(completer is not None for known in self._variants.values() for completer in known.values())

    def variant(self, variables: Mapping[str, Any]) -> Completers | None:
        """The completers to use with these coerced variables; None where there are too many combinations."""
        settings = tuple(variables.get(name) for name in self._switches)
        known = self._variants.get(settings)
        if known is None and len(self._variants) < _VARIANTS:
            known = self._variants[settings] = {}
        return known

    def kept(self, type_: GraphQLOutputType, node: FieldNode) -> Completer | None:
        """The completer that an execution has made for a field that stands alone; None where switches decide on it."""
        return self._variants.get((), {}).get((type_, id(node)))

    def compile(
        self, executor: "CompiledExecutor", type_: GraphQLOutputType, details: FieldDetailsList
    ) -> Completer | None:
        """A new completer of a field's value, None where it cannot be had."""
        source = Source(executor, self._room)
        try:
            return source.completer(type_, details)
        except Exception:
            # What is wrong with the selection, the executor reports in its own way.
            return None
        finally:
            self._room = max(0, source.room)


class _Switches(Visitor):
    """Collects the variables that decide which fields there are."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        if node.name.value in (GraphQLSkipDirective.name, GraphQLIncludeDirective.name):
            values = (argument.value for argument in node.arguments or ())
            self.names |= {value.name.value for value in values if isinstance(value, VariableNode)}


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, completing by ``compiled`` what can be."""

    def __init__(self, *arguments: Any, compiled: Compiled, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Bound to the executor itself, they would leave it, and all that it holds, to the collector of cycles.
        myself = proxy(self)
        self.async_helpers = GraphQLResolveInfoHelpers(
            gather=lambda work: myself.gather_async_work(work), track=lambda work: myself.track_async_work(work)
        )
        self._compiled = compiled
        self._completers = compiled.variant(self.variable_values.coerced)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """The value as it stands in the response."""
        # Of all calls for a field's value the first has the field's own type: the others are for parts of it.
        if return_type is info.return_type and self._completers is not None and result is not None:
            completer = self._completer(self._completers, return_type, field_details_list)
            if completer is not None:
                try:
                    return completer(result, info)
                except Exception:  # noqa: S110  # whatever it is, the executor meets it again and reports it
                    pass
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def _completer(self, known: Completers, type_: GraphQLOutputType, details: FieldDetailsList) -> Completer | None:
        if details[0].node.selection_set is None:
            return None
        key = (type_, *(id(part.node) for part in details))
        if key not in known:
            known[key] = self._compiled.compile(self, type_, details)
        return known[key]
