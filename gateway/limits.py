"""How much one caller may ask: the figures of the GraphQL endpoint, and the guard that holds them.

The guard runs before validation, because validation itself is dear for hostile documents. Each fragment is
measured once and its measure reused at every spread, so the guard's time is linear in the size of the
document however its fragments spread one another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})

# What a list of introspection multiplies the answer by, on a logarithmic scale. The query that every tool
# sends reaches 4: types, their fields, the arguments of those. Lists of fields count double, so that a second
# one can only be reached from a single named type, never from the list of all types.
_INTROSPECTION_WEIGHTS = {
    "types": 1,
    "directives": 1,
    "args": 1,
    "enumValues": 1,
    "fields": 2,
    "inputFields": 2,
    "interfaces": 2,
    "possibleTypes": 2,
}
_INTROSPECTION_WEIGHT = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures of the GraphQL endpoint; times in seconds, sizes in bytes."""

    tokens: int = 2_000
    """Lexical tokens of a document; as many comments are allowed beside them."""
    source: int = 262_144
    """Characters of a document."""
    operations: int = 10
    """Operations of a document, of which a request executes one."""
    depth: int = 10
    """Nested fields, leaves included."""
    introspection_depth: int = 20
    """The same inside ``__schema`` and ``__type``; the deepest common tool asks for 15."""
    aliases: int = 30
    """Aliased fields after fragments are expanded."""
    directives: int = 20
    """Directives after fragments are expanded."""
    selections: int = 5_000
    """Fields and spreads after fragments are expanded."""
    merges: int = 50_000
    """Comparisons that the check for conflicting fields may spend on a document."""
    cost: int = 25_000
    """Fields an answer may hold, each list counted with the size asked for."""
    validation_errors: int = 20
    """Errors reported of one document."""

    cached_documents: int = 1_000
    """Documents kept parsed and validated."""
    cached_tokens: int = 60_000
    """Tokens of all kept documents together; a token takes about 0.6 kB."""

    whole_answers: int = 32 * 2**20
    """Bytes of the answers that are kept to be given again."""
    persisted_characters: int = 4 * 2**20
    """Characters of the documents kept for clients to refer to by their hash."""

    body: int = 8 * 2**20
    """An HTTP request's body."""
    body_anonymous: int = 65_536
    """The same without a key."""
    bodies: int = 64 * 2**20
    """The bodies of all requests under way."""
    url: int = 16_384
    """A GET request's query string."""
    values: int = 250_000
    """Separators and brackets in a JSON body: bounds its memory and the time to coerce its variables."""
    body_seconds: float = 5.0
    """From the first byte of a body to its last."""
    operation_seconds: float = 5.0
    """A query or mutation, from its start to its answer."""
    requests: int = 1_000
    """Requests under way in the process, and operations on WebSockets; fewer where they take long."""
    key_rate: float = 2_000
    """Requests a second of one key, on WebSockets operations; 0, here and below, is without limit."""
    tenant_rate: float = 5_000
    """Requests a second of all keys of a tenant."""
    key_cost_rate: float = 500_000
    """Fields a second that are computed for one key, counted as ``cost`` does."""
    address_rate: float = 100
    """Requests a second of one address without a key; one with a wrong key counts as ten."""

    exports: int = 4
    """Lists that are being exported, of which each holds a database connection of its own."""
    exports_per_tenant: int = 2
    export_seconds: float = 900.0
    """How long the export of a list may take."""

    message: int = 65_536
    """A WebSocket message."""
    init_seconds: float = 10.0
    """From the opening of a WebSocket to ``connection_init``."""
    send_seconds: float = 10.0
    """How long a peer that does not read may hold up a message before it is closed."""
    heartbeat_seconds: float = 12.0
    """Between the comments that keep an event stream alive."""
    subscriptions: int = 100
    """Operations in flight on one WebSocket."""

    subscriptions_per_tenant: int = 50_000
    """Subscriptions open for one tenant, over all its connections."""
    questions_per_tenant: int = 2_000
    """Different subscriptions among them: each is computed, however many watch it."""

    connections: int = 20_000
    """Open WebSockets and event streams of the process."""
    connections_per_tenant: int = 15_000
    connections_per_key: int = 10_000
    connections_anonymous: int = 1_000
    """Those that presented no key, or none yet."""


class Measure(NamedTuple):
    """What a selection set adds up to once its fragments are expanded."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    selections: int = 0
    weight: int = 0
    introspects: bool = False


def guard(document: DocumentNode, limits: Limits) -> bool:
    """Hold ``document`` to ``limits`` and say whether it asks for introspection.

    Raises ``GraphQLError`` for the first limit passed and for fragments that spread themselves. Unknown names
    are left to validation.
    """
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) > limits.operations:
        raise GraphQLError(f"The document holds more than {limits.operations} operations.", operations[-1])
    measures: dict[str, Measure] = {}
    meter = _Meter(limits, measures)
    for fragment in ordered_fragments(document):
        measures[fragment.name.value] = meter.fragment(fragment)
    introspects = any(measure.introspects for measure in measures.values())
    for operation in operations:
        introspects |= meter.operation(operation).introspects
    return introspects


def ordered_fragments(document: DocumentNode) -> list[FragmentDefinitionNode]:
    """The fragments of ``document``, each after those it spreads; ``GraphQLError`` if they form a circle."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    ordered: list[FragmentDefinitionNode] = []
    done: set[str] = set()
    for root in fragments:
        path = [] if root in done else [(root, _spreads(fragments[root].selection_set))]
        open_names = {root}
        while path:
            name, spreads = path[-1]
            spread = next((node for node in spreads if node.name.value not in done), None)
            if spread is None:
                path.pop()
                open_names.discard(name)
                done.add(name)
                ordered.append(fragments[name])
            elif (target := spread.name.value) in open_names:
                raise GraphQLError(f"Fragment '{target}' spreads itself.", spread)
            elif target in fragments:
                open_names.add(target)
                path.append((target, _spreads(fragments[target].selection_set)))
    return ordered


def _spreads(selection_set: SelectionSetNode) -> Iterator[FragmentSpreadNode]:
    stack: list[SelectionNode] = list(selection_set.selections)
    while stack:
        node = stack.pop()
        if isinstance(node, FragmentSpreadNode):
            yield node
        elif (nested := getattr(node, "selection_set", None)) is not None:
            stack.extend(nested.selections)


class _Meter:
    def __init__(self, limits: Limits, measures: dict[str, Measure]) -> None:
        self._limits = limits
        self._measures = measures

    def operation(self, node: OperationDefinitionNode) -> Measure:
        measure = self._selections(node.selection_set)
        variables = sum(len(variable.directives or ()) for variable in node.variable_definitions or ())
        directives = measure.directives + variables + len(node.directives or ())
        limits = self._limits
        _hold(node, "nests fields deeper than", measure.depth, limits.depth, "levels")
        _hold(node, "has more than", measure.aliases, limits.aliases, "aliases")
        _hold(node, "has more than", directives, limits.directives, "directives")
        return measure

    def fragment(self, node: FragmentDefinitionNode) -> Measure:
        measure = self._selections(node.selection_set)
        return measure._replace(directives=measure.directives + len(node.directives or ()))

    def _selections(self, selection_set: SelectionSetNode) -> Measure:
        depth = aliases = directives = selections = weight = 0
        introspects = False
        for node in selection_set.selections:
            part = self._selection(node)
            depth = max(depth, part.depth)
            weight = max(weight, part.weight)
            aliases += part.aliases
            directives += part.directives
            selections += part.selections
            introspects |= part.introspects
        # Held here and not at the operation: the sums of chained spreads double with each fragment.
        _hold(selection_set, "selects more than", selections, self._limits.selections, "fields")
        return Measure(depth, aliases, directives, selections, weight, introspects)

    def _selection(self, node: SelectionNode) -> Measure:
        if isinstance(node, FragmentSpreadNode):
            inner = self._measures.get(node.name.value, Measure())
        elif (nested := getattr(node, "selection_set", None)) is not None:
            inner = self._selections(nested)
        else:
            inner = Measure()
        inner = inner._replace(
            selections=inner.selections + 1, directives=inner.directives + len(node.directives or ())
        )
        return self._field(node, inner) if isinstance(node, FieldNode) else inner

    def _field(self, node: FieldNode, inner: Measure) -> Measure:
        name = node.name.value
        if name in INTROSPECTION_FIELDS:
            self._hold_introspection(node, inner)
            return inner._replace(depth=1, aliases=int(node.alias is not None), weight=0, introspects=True)
        return inner._replace(
            depth=inner.depth + 1,
            aliases=inner.aliases + (node.alias is not None),
            weight=inner.weight + _INTROSPECTION_WEIGHTS.get(name, 0),
        )

    def _hold_introspection(self, node: FieldNode, inner: Measure) -> None:
        depth = self._limits.introspection_depth
        _hold(node, "nests introspection deeper than", inner.depth + 1, depth, "levels")
        _hold(
            node,
            "has more than",
            inner.weight,
            _INTROSPECTION_WEIGHT,
            "introspection lists inside one another",
        )
        repeated = inner.aliases + (node.name.value == "__schema" and node.alias is not None)
        _hold(node, "has more than", repeated, 0, "aliases inside introspection")


def _hold(
    node: OperationDefinitionNode | SelectionSetNode | FieldNode, verb: str, value: int, limit: int, what: str
) -> None:
    if value > limit:
        raise GraphQLError(f"The document {verb} {limit} {what}.", node)
