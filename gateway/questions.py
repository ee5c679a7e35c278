"""Questions: what operations must have in common for one answer to serve them."""

from collections.abc import Hashable, Mapping
from hashlib import blake2b
from typing import Any

import orjson
from graphql import OperationDefinitionNode, OperationType

from gateway.documents import Prepared
from gateway.marks import Marks
from resolvers.context import Principal
from schema.live import STATE


class Questions:
    """Tells of operations of one schema what they ask."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def of(
        self,
        prepared: Prepared,
        node: OperationDefinitionNode,
        variables: Mapping[str, Any],
        principal: Principal | None,
    ) -> Hashable | None:
        """What an operation asks; None for one with an answer of its own."""
        if principal is None or node.operation is OperationType.MUTATION:
            return None
        if not self._marks.has(STATE, prepared, node):
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
