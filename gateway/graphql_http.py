"""GraphQL over HTTP: POST, GET for queries, and event streams for subscriptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import orjson
from graphql import OperationType
from starlette.types import Receive, Scope, Send

from gateway.admission import CAME
from gateway.answers import Answer, ErrorPayload, refuse
from gateway.endpoint import Endpoint
from gateway.event_stream import EventStream
from gateway.handshakes import address_of, bearer_token
from gateway.http_requests import (
    EVENT_STREAM,
    JSON,
    RESPONSE_JSON,
    Accepted,
    BadRequest,
    Buffer,
    Disconnected,
    accepted,
    header,
    parameters_of,
    while_connected,
)
from gateway.operations import Operation, Operations, Refused
from gateway.parameters import Malformed, Parameters
from gateway.sessions import Kind
from resolvers.context import Principal

_HEADERS = {
    media_type: [
        (b"content-type", f"{media_type}; charset=utf-8".encode()),
        (b"vary", b"Accept"),
        (b"cache-control", b"no-store"),
    ]
    for media_type in (JSON, RESPONSE_JSON)
}
"""What the head of each answer says beside its length, by media type."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A request and the means to answer it."""

    scope: Scope
    receive: Receive
    send: Send
    accept: Accepted


@dataclass(frozen=True, slots=True)
class _Reply:
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class GraphQLOverHTTP:
    """The ASGI application behind the endpoint's HTTP route."""

    def __init__(self, endpoint: Endpoint, operations: Operations) -> None:
        self._endpoint = endpoint
        self._operations = operations
        self._buffer = Buffer(endpoint.limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        accept = accepted(scope)
        try:
            reply = await self._respond(_Exchange(scope, receive, send, accept))
        except Disconnected:
            return
        except BadRequest as error:
            reply = _bad_request(error, accept)
        except Exception as error:
            reply = _reply_of(refuse(error), accept)
        if reply is not None:
            await reply.send(send)

    async def _respond(self, exchange: _Exchange) -> _Reply | None:
        """The reply to send, or None where an event stream was the response."""
        if exchange.scope["method"] not in ("GET", "POST"):
            raise BadRequest(405, "Use POST, or GET for queries.", allow="GET, POST")
        if exchange.accept.json is None and not exchange.accept.stream:
            raise BadRequest(406, f"Accept {RESPONSE_JSON}, {JSON} or {EVENT_STREAM}.")
        token = bearer_token(header(exchange.scope, b"authorization"))
        principal = await self._endpoint.authenticate(token, address_of(exchange.scope))
        limits = self._endpoint.limits
        most = limits.body_anonymous if principal is None else limits.body
        with self._buffer.reservation(most) as reservation:
            parameters = await parameters_of(exchange.scope, exchange.receive, limits, reservation)
            return await self._operate(exchange, parameters, principal, token)

    async def _operate(
        self, exchange: _Exchange, parameters: Parameters, principal: Principal | None, token: str | None
    ) -> _Reply | None:
        accept = exchange.accept
        try:
            operation = self._operations.match(parameters, principal, exchange.scope.get(CAME))
            _check_method(operation, exchange.scope["method"], accept)
            if operation.kind is OperationType.SUBSCRIPTION:
                session = self._endpoint.sessions.open(Kind.EVENT_STREAM, principal, token)
                await self._stream(exchange).run(session, self._operations.stream(operation))
                return None
            # What is known comes too soon to look for whether the client is still there.
            answer = await self._operations.known(operation) if operation.question is not None else None
            if answer is None and operation.instant:
                answer = await self._operations.execute(operation)
            elif answer is None:
                work = self._endpoint.sessions.keep(self._operations.execute(operation))
                answer = await while_connected(work, exchange.receive)
        except Refused as refused:
            answer = refused.answer
        if accept.json is not None:
            return _reply_of(answer, accept)
        await self._stream(exchange).single(answer)
        return None

    def _stream(self, exchange: _Exchange) -> EventStream:
        return EventStream(self._endpoint, exchange.receive, exchange.send)


def _check_method(operation: Operation, method: str, accept: Accepted) -> None:
    if operation.kind is OperationType.MUTATION and method == "GET":
        raise BadRequest(405, "Mutations must be sent by POST.", allow="POST")
    if operation.kind is OperationType.SUBSCRIPTION and not accept.stream:
        raise BadRequest(
            406, "Subscriptions are answered as text/event-stream, which must be accepted, or over WebSocket."
        )


def _reply_of(answer: Answer, accept: Accepted) -> _Reply:
    headers: dict[str, str] = {}
    if answer.overload is not None:
        headers["retry-after"] = str(max(1, ceil(answer.retry_after or 1)))
    elif answer.code == "UNAUTHENTICATED" and not answer.executed:
        headers["www-authenticate"] = "Bearer"
    return _encoded(answer.body, _status(answer, accept), accept, headers)


def _status(answer: Answer, accept: Accepted) -> int:
    # application/json says 200 for whatever a GraphQL request led to; its body tells the rest. To who takes a stream
    # alone a body of JSON tells nothing: only a status of failure keeps it from being read as a stream without end.
    if answer.overload is None and answer.code != Malformed.code and accept.json == JSON:
        return 200
    return answer.status


def _bad_request(error: BadRequest, accept: Accepted) -> _Reply:
    payload = ErrorPayload(message=error.message, extensions={"code": Malformed.code})
    return _encoded(orjson.dumps({"errors": [payload]}), error.status, accept, error.headers)


def _encoded(body: bytes, status: int, accept: Accepted, headers: Mapping[str, str]) -> _Reply:
    more = [(name.encode(), value.encode()) for name, value in headers.items()]
    return _Reply(status, [*_HEADERS[accept.json or JSON], (b"content-length", b"%d" % len(body)), *more], body)
