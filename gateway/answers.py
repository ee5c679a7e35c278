"""Answers as they leave: errors with Apollo's ``extensions.code``, defects masked, results as JSON bytes.

An error's code says whose fault it was and whether trying again helps. What is not known to be safe to show
is logged under a reference, and the caller gets that reference only.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import orjson
import structlog
from graphql import DocumentNode, FieldNode, GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

from gateway.places import Places
from resolvers.errors import GatewayError

INTERNAL = "INTERNAL_SERVER_ERROR"
OVERLOAD_STATUSES = {"OVERLOADED": 503, "UNAVAILABLE": 503, "RATE_LIMITED": 429}
STATUSES = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "TIMEOUT": 504,
    # Not a failure: the client sends the document now. Clients take any other status for an error of the network.
    "PERSISTED_QUERY_NOT_FOUND": 200,
    INTERNAL: 500,
    **OVERLOAD_STATUSES,
}
"""The HTTP status of an answer without data by its first error's code; 400 for any other."""

_MESSAGE = 500
_ERRORS = 100
_LOCATIONS = 10
_LOGGED = 5

_log = structlog.get_logger(__name__)


class ErrorPayload(TypedDict):
    """An error as a client sees it."""

    message: str
    locations: NotRequired[list[dict[str, int]]]
    path: NotRequired[list[str | int]]
    extensions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One result of an operation, encoded."""

    body: bytes
    """The GraphQL response as JSON; one whose operation never ran has no ``data`` entry."""
    errors: Sequence[ErrorPayload] = ()
    executed: bool = True
    """False where the operation was refused or broke off: nothing follows."""
    overload: int | None = None
    """503 or 429 where overload is the whole answer."""
    retry_after: float | None = None

    @property
    def code(self) -> str | None:
        """The first error's code."""
        return self.errors[0]["extensions"]["code"] if self.errors else None

    @property
    def status(self) -> int:
        """The HTTP status in a media type that carries meaning in its status."""
        if self.executed or self.code is None:
            return self.overload or 200
        return STATUSES.get(self.code, 400)


def refusal(errors: Sequence[ErrorPayload]) -> Answer:
    """The answer to an operation that is not executed."""
    return _answer({"errors": errors}, errors, executed=False)


def refuse(error: Exception) -> Answer:
    """The answer to an operation that ``error`` kept from being executed; masked unless it may be read."""
    return refusal(_payloads([GraphQLError(str(error), original_error=error)]))


def result(
    data: Mapping[str, Any] | None,
    errors: Sequence[GraphQLError] | None,
    document: DocumentNode | None,
    *,
    suggestions: bool,
) -> Answer:
    """The answer of an execution; ``errors`` without a path broke it off before any field was resolved."""
    if not errors:
        return _answer({"data": data}, (), executed=True)
    payloads = _payloads(errors, None if document is None else Places(document))
    if not suggestions:
        payloads = without_suggestions(payloads)
    if data is None and any(error.path is None for error in errors):
        return refusal(payloads)
    return _answer({"data": data, "errors": payloads}, payloads, executed=True)


def error_payload(error: GraphQLError, code: str, places: Places | None = None) -> ErrorPayload:
    """``error`` under ``code``, its message cut to a length that no caller can blow up.

    With the ``places`` of its document, what it blames of the input is named.
    """
    message = error.message
    payload = ErrorPayload(
        message=message if len(message) <= _MESSAGE else f"{message[:_MESSAGE]}…", extensions={"code": code}
    )
    if error.locations:
        payload["locations"] = [{"line": place.line, "column": place.column} for place in error.locations[:_LOCATIONS]]
    if error.path:
        payload["path"] = error.path
    if places is not None and (place := places.of(error)) is not None:
        payload["extensions"]["field"] = place
    return payload


def without_suggestions(errors: Sequence[ErrorPayload]) -> list[ErrorPayload]:
    """``errors`` for a caller who may not read the schema, who must not be told its names either."""
    # The library ends a message with its suggestion.
    return [ErrorPayload({**error, "message": error["message"].partition(" Did you mean ")[0]}) for error in errors]


def _payloads(errors: Sequence[GraphQLError], places: Places | None = None) -> list[ErrorPayload]:
    masked: list[GraphQLError] = []
    reference = secrets.token_hex(8)
    payloads = [_payload(error, reference, masked, places) for error in errors[:_ERRORS]]
    for error in masked[:_LOGGED]:
        _log.error(
            "operation failed",
            reference=reference,
            path=error.path,
            failures=len(masked),
            exc_info=error.original_error or error,
        )
    return payloads


def _payload(error: GraphQLError, reference: str, masked: list[GraphQLError], places: Places | None) -> ErrorPayload:
    cause = _cause(error)
    if isinstance(cause, GatewayError):
        return _gateway_payload(error, cause)
    if isinstance(cause, TimeoutError):
        return {**error_payload(error, "TIMEOUT"), "message": "The operation took too long."}
    if isinstance(code := (error.extensions or {}).get("code"), str):
        payload = error_payload(error, code)
        payload["extensions"] |= error.extensions or {}
        return payload
    if _blames_input(error, cause):
        return error_payload(error, "BAD_USER_INPUT", places)
    masked.append(error)
    payload = error_payload(error, INTERNAL)
    payload["message"] = "Internal server error"
    payload["extensions"]["reference"] = reference
    return payload


def _gateway_payload(error: GraphQLError, cause: GatewayError) -> ErrorPayload:
    payload = error_payload(error, cause.code)
    if cause.field is not None:
        payload["extensions"]["field"] = cause.field
    if cause.retry_after is not None:
        payload["extensions"]["retryAfter"] = cause.retry_after
    return payload


def _cause(error: GraphQLError) -> Exception | None:
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _blames_input(error: GraphQLError, cause: Exception | None) -> bool:
    if isinstance(error, StrawberryInputCoercionError) or isinstance(cause, StrawberryInputCoercionError):
        return True
    # What could not be read is reported at its own node, what could not be resolved or written at a field's.
    if error.nodes:
        return not isinstance(error.nodes[0], FieldNode)
    return error.original_error is None


def _answer(response: dict[str, Any], errors: Sequence[ErrorPayload], *, executed: bool) -> Answer:
    try:
        body = orjson.dumps(response, option=orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError as error:
        return refuse(error)
    overload, retry_after = _overload(response.get("data"), errors)
    return Answer(body, errors, executed, overload, retry_after)


def _overload(data: Mapping[str, Any] | None, errors: Sequence[ErrorPayload]) -> tuple[int | None, float | None]:
    codes = [error["extensions"]["code"] for error in errors]
    answered = data is not None and any(value is not None for value in data.values())
    if answered or not codes or not all(code in OVERLOAD_STATUSES for code in codes):
        return None, None
    waits = [error["extensions"].get("retryAfter") for error in errors]
    return OVERLOAD_STATUSES[codes[0]], max((wait for wait in waits if wait is not None), default=1.0)
