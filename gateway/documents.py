"""Documents, read once: parsed, guarded and validated, and kept for the next request that sends the same
text.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    ObjectValueNode,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    SelectionSetNode,
    ValidationContext,
    VariableNode,
    VisitorAction,
    parse,
    specified_rules,
    validate,
)
from graphql.type import GraphQLNamedType
from graphql.validation.validate import ValidationAbortedError
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from gateway.answers import ErrorPayload, error_payload
from gateway.compiled import Compiled
from gateway.costs import Costs
from gateway.direct import Direct
from gateway.limits import Limits, guard
from gateway.places import Places


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What a source text turned out to be: either ``errors``, or operations ready to execute."""

    tokens: int
    errors: tuple[ErrorPayload, ...] = ()
    document: DocumentNode | None = None
    costs: Costs | None = None
    introspects: bool = False
    operations: Mapping[str, OperationDefinitionNode] = field(default_factory=dict)
    """By name; one without a name is under the empty string."""
    compiled: Compiled | None = None
    direct: Mapping[int, Direct | None] = field(default_factory=dict)
    """How an operation, by its node's identity, is answered without an executor; None where it cannot be."""
    marks: dict[tuple[str, int], bool] = field(default_factory=dict)
    """Whether all that an operation, by its node's identity, asks for at the root has a mark of the schema."""


class Documents:
    """The prepared documents of one schema, the least recently used dropped first.

    Bounded in number and in tokens together, since a document's memory is that of its tokens.
    """

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self._schema = schema
        self._limits = limits
        self._rules = _rules(limits.merges)
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        self._tokens = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, source: str) -> Prepared:
        """The prepared document of ``source``; never raises for what a caller may send."""
        prepared = self._kept.get(source)
        if prepared is None:
            prepared = self._prepare(source)
            self._keep(source, prepared)
        else:
            self._kept.move_to_end(source)
        return prepared

    def _keep(self, source: str, prepared: Prepared) -> None:
        limits = self._limits
        if prepared.tokens > limits.cached_tokens:
            return
        self._kept[source] = prepared
        self._tokens += prepared.tokens
        while len(self._kept) > limits.cached_documents or self._tokens > limits.cached_tokens:
            _, dropped = self._kept.popitem(last=False)
            self._tokens -= dropped.tokens

    def _prepare(self, source: str) -> Prepared:
        limits = self._limits
        # The text takes memory too, long strings and comments above all: 64 characters count as a token.
        weight = 1 + len(source) // 64
        try:
            document = parse(
                source,
                max_lexical_tokens=limits.tokens,
                max_comments=limits.tokens,
                max_source_length=limits.source,
            )
        except GraphQLError as error:
            return Prepared(weight, (error_payload(error, "GRAPHQL_PARSE_FAILED"),))
        weight += document.token_count or 0
        try:
            introspects = guard(document, limits)
            errors = validate(self._schema, document, self._rules, max_errors=limits.validation_errors)
        except GraphQLError as error:
            errors = [error]
        except RecursionError:
            errors = [GraphQLError("The document is nested too deeply.")]
        if errors:
            places = Places(document)
            return Prepared(
                weight, tuple(error_payload(error, "GRAPHQL_VALIDATION_FAILED", places) for error in errors)
            )
        operations = {
            node.name.value if node.name else "": node
            for node in document.definitions
            if isinstance(node, OperationDefinitionNode)
        }
        costs, compiled = Costs(self._schema, document), Compiled(document)
        direct = {id(node): Direct.of(self._schema, node, compiled) for node in operations.values()}
        return Prepared(weight, (), document, costs, introspects, operations, compiled, direct)


class _OneOfInputs(OneOfInputValidationRule):
    """Strawberry's rule, for variables that may be null; what is written out GraphQL's own rules check.

    It leaves alone the variables it has not seen. Those are undefined, which another rule reports, or stand in a
    fragment, where the variable's value is checked when it is coerced.
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.variable_definitions = {}

    def leave_operation_definition(self, *_: object) -> VisitorAction:
        self.variable_definitions = {}
        return None

    def validate_one_of(self, node: ObjectValueNode, type: GraphQLNamedType) -> None:
        names = [field.value.name.value for field in node.fields if isinstance(field.value, VariableNode)]
        if len(node.fields) == 1 and self.variable_definitions.keys() >= set(names) != set():
            super().validate_one_of(node, type)


def _rules(merges: int) -> tuple[type[ASTValidationRule], ...]:
    class MergeableFields(OverlappingFieldsCanBeMergedRule):
        # It compares fields in pairs, which is quadratic; the standard budget lasts for a second and more.
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self.rule_context.remaining_complexity_budget = merges

        def enter_selection_set(self, selection_set: SelectionSetNode, *rest: Any) -> None:
            try:
                super().enter_selection_set(selection_set, *rest)
            except ValidationAbortedError:
                raise ValidationAbortedError("The document selects the same fields too often.", selection_set) from None

    standard = (rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule)
    return (*standard, MergeableFields, MaybeNullValidationRule, _OneOfInputs)
