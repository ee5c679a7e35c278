"""Parameters: a GraphQL request as it was sent, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.persisted import referred
from resolvers.errors import GatewayError


class Malformed(GatewayError):
    """A request that is no GraphQL request."""

    code = "BAD_REQUEST"


@dataclass(frozen=True, slots=True)
class Parameters:
    """A GraphQL request as it was sent."""

    query: str
    """Empty where only ``digest`` was sent."""
    operation_name: str | None
    variables: Mapping[str, Any]
    digest: str | None = None
    """The hash by which the document is or shall be known."""


def read_parameters(payload: object) -> Parameters:
    """The parameters in a decoded JSON ``payload``; ``Malformed`` if any is missing or of another type."""
    if isinstance(payload, list):
        raise Malformed("Batches are not supported: send one operation in a JSON object.")
    if not isinstance(payload, dict):
        raise Malformed("The request must be a JSON object.")
    query, name = payload.get("query"), payload.get("operationName")
    variables, extensions = payload.get("variables"), payload.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise Malformed("'extensions' must be an object.", field="extensions")
    try:
        digest = referred(extensions or {}, query)
    except ValueError as bad:
        raise Malformed(str(bad), field="extensions") from None
    if query is None and digest is not None:
        query = ""
    elif not isinstance(query, str) or not query:
        raise Malformed("'query' must be a string that holds a GraphQL document.", field="query")
    if name is not None and not isinstance(name, str):
        raise Malformed("'operationName' must be a string.", field="operationName")
    if variables is not None and not isinstance(variables, dict):
        raise Malformed("'variables' must be an object.", field="variables")
    return Parameters(query, name or None, variables or {}, digest)
