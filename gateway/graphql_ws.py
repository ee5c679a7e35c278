"""GraphQL over WebSocket: the ``graphql-transport-ws`` subprotocol.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

import orjson
from graphql import OperationType
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from gateway.answers import Answer, refuse
from gateway.endpoint import Endpoint
from gateway.handshakes import address_of, deny, init_token, is_allowed
from gateway.operations import Operations, Refused
from gateway.outlets import LAST_FRAME, Gone
from gateway.parameters import Malformed, Parameters, read_parameters
from gateway.sessions import REVOKED, Kind, Session
from gateway.sockets import Close, Socket
from gateway.watching import Watching
from resolvers.errors import GatewayError, Overloaded, Unauthenticated

PROTOCOL = "graphql-transport-ws"

_ID_LENGTH = 256


class GraphQLOverWebSocket:
    """The ASGI application behind the endpoint's WebSocket route."""

    def __init__(self, endpoint: Endpoint, operations: Operations) -> None:
        self._endpoint = endpoint
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until either side closes it, or have the server's wire serve it."""
        await receive()
        if not is_allowed(Headers(scope=scope), self._endpoint.allowed_origins):
            await deny(scope, send, HTTPStatus.FORBIDDEN)
            return
        try:
            session = self._endpoint.sessions.open(Kind.WEBSOCKET, None)
        except Overloaded:
            await deny(scope, send, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        subprotocol = PROTOCOL if PROTOCOL in scope["subprotocols"] else None
        if subprotocol is None:
            session.end(4406, "Subprotocol not acceptable")
        socket = _Socket(self._endpoint, self._operations, session, scope, receive, send)
        await socket.run(subprotocol, self._endpoint.limits.init_seconds)


class _Call:
    """One operation of a socket: it has a task, unless it rests until there is something to send."""

    __slots__ = ("_socket", "came", "dropped", "head", "id", "parameters", "task", "watching", "writes")

    def __init__(self, socket: "_Socket", id_: str, parameters: Parameters) -> None:
        self._socket = socket
        self.id = id_
        self.head = b'{"id":' + orjson.dumps(id_) + b',"type":"next","payload":'
        self.parameters: Parameters | None = parameters
        """What it asks for, until it begins."""
        self.came = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self.watching: Watching | None = None
        self.writes = False
        self.dropped = False
        """The client has lost interest: nothing more may be sent."""

    def pass_on(self, answer: Answer) -> bool:
        """Send an answer if that can be done at once."""
        return not self.dropped and self._socket.outlet.write_now(LAST_FRAME.of(self.head, answer.body))

    def wake(self) -> None:
        """Go on."""
        if not self.works():
            self._socket.work(self)

    def works(self) -> bool:
        """Whether it has a task, which may be the one that cleans up."""
        return self.task is not None and not self.task.done()


class _Socket(Socket):
    __slots__ = ("_acknowledged", "_address", "_calls", "_endpoint", "_header", "_initialised", "_open", "_operations")

    def __init__(
        self,
        endpoint: Endpoint,
        operations: Operations,
        session: Session,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        super().__init__(endpoint.sessions, session, endpoint.limits, scope, receive, send)
        self._endpoint = endpoint
        self._operations = operations
        self._header = Headers(scope=scope).get("authorization")
        self._address = address_of(scope)
        self._calls: dict[str, _Call] = {}
        """Those that the client may name."""
        self._open: set[_Call] = set()
        """Those and the ones that are being cleaned up."""
        self._initialised = self._acknowledged = False

    def drop(self) -> None:
        for call in list(self._open):
            self._drop(call)

    async def handle(self, message: Message) -> None:
        decoded = self._decode(message)
        match decoded.get("type"):
            case "connection_init":
                await self._initialise(decoded.get("payload"))
            case "ping":
                await self.outlet.write(b'{"type":"pong"}')
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(_id(decoded), decoded.get("payload"))
            case "complete":
                if (call := self._calls.pop(_id(decoded), None)) is not None:
                    self._drop(call)
            case _:
                raise Close(4400, "Unknown message type")

    def _decode(self, message: Message) -> dict[str, Any]:
        text = message.get("text")
        if text is None:
            raise Close(4400, "Messages must be text")
        if len(encoded := text.encode()) > self._endpoint.limits.message:
            raise Close(1009, "Message too big")
        try:
            decoded = orjson.loads(encoded)
        except orjson.JSONDecodeError:
            raise Close(4400, "Messages must be JSON") from None
        if not isinstance(decoded, dict):
            raise Close(4400, "Messages must be JSON objects")
        return decoded

    async def _initialise(self, payload: object) -> None:
        if self._initialised:
            raise Close(4429, "Too many initialisation requests")
        self._initialised = True
        if payload is not None and not isinstance(payload, dict):
            raise Close(4400, "The payload of connection_init must be an object")
        try:
            token = init_token(payload or {}, self._header)
            principal = await self._endpoint.authenticate(token, self._address)
            self._endpoint.sessions.identify(self.session, principal, token)
        except Unauthenticated:
            raise Close(REVOKED, "Forbidden") from None
        except GatewayError:
            raise Close(1013, "Try again later") from None
        self._acknowledged = True
        self.settled()
        await self.outlet.write(b'{"type":"connection_ack"}')

    async def _subscribe(self, id_: str, payload: object) -> None:
        if not self._acknowledged:
            raise Close(4401, "Unauthorized")
        try:
            parameters = read_parameters(payload)
        except Malformed as error:
            raise Close(4400, error.message) from None
        if id_ in self._calls:
            raise Close(4409, f"Subscriber for {id_} already exists")
        call = _Call(self, id_, parameters)
        # Those being cleaned up count too, or subscribing and completing in turn would heap them up.
        if len(self._open) >= self._endpoint.limits.subscriptions:
            most = f"A socket may run {self._endpoint.limits.subscriptions} operations at a time."
            await self._message(call, "error", refuse(Overloaded(most, retry_after=1)))
            return
        self._calls[id_] = call
        self._open.add(call)
        self.work(call)

    def work(self, call: _Call) -> None:
        """Begin a call, go on with one that has rested, or clean up after one that was dropped."""
        call.task = self.keep(self._work(call))
        call.task.add_done_callback(partial(self._pause, call))

    def _pause(self, call: _Call, task: asyncio.Task[None]) -> None:
        if call.task is not task:
            return
        call.task = None
        if call.watching is None:
            self._open.discard(call)
            self._forget(call)
        elif call.dropped:
            # It was cancelled before it began.
            self.work(call)

    def _drop(self, call: _Call) -> None:
        """Stop an operation, unless it is a write, which goes on unheard."""
        if call.dropped:
            return
        call.dropped = True
        if not call.works():
            self.work(call)
        elif call.task is not None and not call.writes:
            call.task.cancel()

    async def _work(self, call: _Call) -> None:
        try:
            if call.parameters is not None:
                await self._begin(call, call.parameters)
            if call.watching is not None:
                await self._follow(call, call.watching)
        except Unauthenticated:
            self.session.end(REVOKED, "Forbidden")
        except Gone:
            return
        except Exception as error:
            answer = error.answer if isinstance(error, Refused) else refuse(error)
            with suppress(Gone):
                await self._finish(call, answer)

    async def _begin(self, call: _Call, parameters: Parameters) -> None:
        call.parameters = None
        await self._endpoint.rounds.turn(new=True)
        principal = await self._endpoint.authenticate(self.session.token, self._address)
        operation = self._operations.match(parameters, principal, call.came)
        if operation.kind is OperationType.SUBSCRIPTION:
            call.watching = self._operations.watch(operation, call)
            return
        call.writes = operation.kind is OperationType.MUTATION
        with self._endpoint.crowd.inside():
            answer = await self._operations.known(operation) or await self._operations.execute(operation)
        if answer.executed:
            await self._message(call, "next", answer)
        await self._finish(call, answer)

    async def _follow(self, call: _Call, watching: Watching) -> None:
        """Send what comes, until there is no more or the call rests."""
        answer = None
        try:
            while not (call.dropped or watching.rest()):
                answer = await watching.take()
                if answer is None or not answer.executed:
                    break
                await self._message(call, "next", answer)
        finally:
            if call.dropped or not watching.rests:
                call.watching = None
                await watching.close()
        if call.watching is None:
            await self._finish(call, answer)

    async def _finish(self, call: _Call, answer: Answer | None) -> None:
        # Forgotten first: the client may use the id again as soon as it reads this.
        self._forget(call)
        if answer is None or answer.executed:
            await self._message(call, "complete")
        else:
            await self._message(call, "error", answer)

    def _forget(self, call: _Call) -> None:
        if self._calls.get(call.id) is call:
            del self._calls[call.id]

    async def _message(
        self, call: _Call, type_: Literal["next", "error", "complete"], answer: Answer | None = None
    ) -> None:
        if call.dropped:
            return
        if type_ == "next" and answer is not None:
            await self.outlet.write(call.head + answer.body + b"}")
            return
        payload = b"" if answer is None else b',"payload":' + orjson.dumps(answer.errors)
        head = b'{"id":' + orjson.dumps(call.id) + b',"type":"' + type_.encode()
        await self.outlet.write(head + b'"' + payload + b"}")


def _id(message: Mapping[str, Any]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= _ID_LENGTH:
        raise Close(4400, f"The id must be a string of 1 to {_ID_LENGTH} characters")
    return id_
