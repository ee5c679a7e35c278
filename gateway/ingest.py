"""POST /ingest: events in bulk over plain HTTP, a line of JSON each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.endpoint import Authenticate
from gateway.handshakes import address_of
from gateway.ingest_body import (
    UNREADABLE,
    BodyLimits,
    BodyRefused,
    Items,
    Memory,
    drop_rest,
    read_document,
    read_lines,
)
from resolvers.analysis.events import Receipt
from resolvers.context import Principal, Role
from resolvers.errors import Forbidden, GatewayError, Unauthenticated

Ingest = Callable[[Principal, Sequence[Mapping[str, Any]]], Awaitable[Receipt]]

_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_DOCUMENT = "application/json"
_STATUS = {
    "BAD_USER_INPUT": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "RATE_LIMITED": 429,
    "OVERLOADED": 503,
    "UNAVAILABLE": 503,
    "TIMEOUT": 504,
}


def ingest_route(
    authenticate: Authenticate, ingest: Ingest, *, path: str = "/ingest", limits: BodyLimits | None = None
) -> Route:
    """The route that stores the events of a request's body.

    The body is newline-delimited JSON (``application/x-ndjson``), a JSON array or one JSON object
    (``application/json``), packed by gzip or not. The answer is ``{accepted, duplicates, conflicts, rejected}``;
    the index of an item counts from 0 and leaves out empty lines. What is refused as a whole is answered
    ``{"error": {code, message, field?, retryAfter?}}``, and nothing of it is stored.

    ``authenticate`` takes the bearer token and the address; ``ingest`` stores objects, and what it began to store it
    finishes, even if the client goes away.
    """
    door = _Door(authenticate, ingest, limits or BodyLimits())
    return Route(path, door.answer, methods=["POST"])


class _Door:
    def __init__(self, authenticate: Authenticate, ingest: Ingest, limits: BodyLimits) -> None:
        self._authenticate = authenticate
        self._ingest = ingest
        self._limits = limits
        self._memory = Memory(limits)
        self._writes: set[asyncio.Future[Receipt]] = set()

    async def answer(self, request: Request) -> Response:
        try:
            principal = await self._principal(request)
            with self._memory.share() as share:
                lines, packed = _form(request)
                read = read_lines if lines else read_document
                items = await read(request, packed, self._limits, share)
                receipt = await self._store(principal, items)
        except BodyRefused as refused:
            if refused.status == 413:
                await drop_rest(request, self._limits)
            return _error(refused.status, refused.code, refused.message, retry_after=refused.retry_after)
        except GatewayError as error:
            status = _STATUS.get(error.code, 500)
            return _error(status, error.code, error.message, field=error.field, retry_after=error.retry_after)
        except ClientDisconnect:
            return Response(status_code=400)
        except asyncio.CancelledError:
            # The server cancels what is not done when its time to shut down is over.
            message = (
                "The gateway shuts down before it knows what became of the events; send them again under their ids."
            )
            return _error(503, "UNAVAILABLE", message, retry_after=2)
        return _json(_shown(receipt, items))

    async def _principal(self, request: Request) -> Principal:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        principal = await self._authenticate(
            token.strip() if scheme.lower() == "bearer" else None, address_of(request.scope)
        )
        if principal is None:
            raise Unauthenticated("A key is needed: send it as `Authorization: Bearer KEY`.")
        if principal.role is Role.VIEWER:
            raise Forbidden("This key may not write events.")
        return principal

    async def _store(self, principal: Principal, items: Items) -> Receipt:
        if not items.good:
            return Receipt()
        write = asyncio.ensure_future(self._ingest(principal, items.good))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        return await asyncio.shield(write)


def _form(request: Request) -> tuple[bool, bool]:
    """Whether the body is lines rather than one document, and whether it is packed."""
    media_type, *parameters = request.headers.get("content-type", "").lower().replace(" ", "").split(";")
    charsets = {parameter.partition("=")[2].strip('"') for parameter in parameters if parameter[:8] == "charset="}
    if (media_type not in _LINES and media_type != _DOCUMENT) or charsets - {"utf-8"}:
        raise BodyRefused(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Send application/x-ndjson, a JSON object a line, or application/json, in UTF-8.",
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip", ""):
        raise BodyRefused(415, "UNSUPPORTED_MEDIA_TYPE", "The body may be packed by gzip or not at all.")
    return media_type in _LINES, coding in ("gzip", "x-gzip")


def _shown(receipt: Receipt, items: Items) -> dict[str, Any]:
    rejected = [(index, UNREADABLE, message) for index, message in items.bad.items()]
    rejected += [(items.indexes[bad.index], bad.field, bad.message) for bad in receipt.rejected]
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "conflicts": [
            {
                "index": items.indexes[conflict.index],
                "id": conflict.id,
                "message": "Another event has this id; it stands unchanged.",
                "firstOccurredAt": _time(conflict.first_occurred_at),
                "firstReceivedAt": _time(conflict.first_received_at),
            }
            for conflict in receipt.conflicts
        ],
        "rejected": [
            {"index": index, "field": field, "message": message} for index, field, message in sorted(rejected)
        ],
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _error(
    status: int, code: str, message: str, *, field: str | None = None, retry_after: float | None = None
) -> Response:
    said = {"code": code, "message": message, "field": field, "retryAfter": retry_after}
    response = _json({"error": {name: value for name, value in said.items() if value is not None}}, status)
    if status in (429, 503):
        response.headers["retry-after"] = str(max(1, ceil(retry_after or 1)))
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if status == 415:
        response.headers["accept-encoding"] = "gzip"
    if status in (408, 413):
        # The rest of the body is not read, so the connection cannot carry another request.
        response.headers["connection"] = "close"
    return response


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type=_DOCUMENT)
