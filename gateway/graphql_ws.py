"""GraphQL over WebSocket: the ``graphql-transport-ws`` subprotocol.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
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
from gateway.operations import Operation, Operations, Refused
from gateway.outlets import FRAMES, LAST_FRAME, Frames, Gone, Outlet
from gateway.parameters import Malformed, Parameters, read_parameters
from gateway.sessions import REVOKED, Ending, Kind, Session
from resolvers.errors import GatewayError, Overloaded, Unauthenticated

PROTOCOL = "graphql-transport-ws"

_ID_LENGTH = 256
_REASON_BYTES = 123
_CLOSE_SECONDS = 1.0


class Close(Exception):
    """The socket must be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.ending = Ending(code, reason)


class GraphQLOverWebSocket:
    """The ASGI application behind the endpoint's WebSocket route."""

    def __init__(self, endpoint: Endpoint, operations: Operations) -> None:
        self._endpoint = endpoint
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until either side closes it."""
        await receive()
        if not is_allowed(Headers(scope=scope), self._endpoint.allowed_origins):
            await deny(scope, send, HTTPStatus.FORBIDDEN)
            return
        try:
            session = self._endpoint.sessions.open(Kind.WEBSOCKET, None)
        except Overloaded:
            await deny(scope, send, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        try:
            if PROTOCOL not in scope["subprotocols"]:
                await send({"type": "websocket.accept"})
                await _close(send, Ending(4406, "Subprotocol not acceptable"))
                return
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
            socket = _Socket(self._endpoint, self._operations, session, scope, receive, send)
            await socket.run()
        finally:
            self._endpoint.sessions.close(session)


class _Call:
    """One operation of a socket."""

    def __init__(self, id_: str, parameters: Parameters) -> None:
        self.id = id_
        self.quoted_id = orjson.dumps(id_)
        self.head = b'{"id":' + self.quoted_id + b',"type":"next","payload":'
        self.parameters = parameters
        self.came = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self.writes = False
        self.dropped = False
        """The client has lost interest: nothing more may be sent."""

    def drop(self) -> None:
        """Stop the operation, unless it is a write, which goes on unheard."""
        self.dropped = True
        if self.task is not None and not self.writes:
            self.task.cancel()


class _Socket:
    def __init__(
        self,
        endpoint: Endpoint,
        operations: Operations,
        session: Session,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._endpoint = endpoint
        self._limits = endpoint.limits
        self._operations = operations
        self._session = session
        self._header = Headers(scope=scope).get("authorization")
        self._address = address_of(scope)
        self._receive = receive
        self._send = send
        self._calls: dict[str, _Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._initialised = self._acknowledged = False
        frames: Frames | None = scope.get(FRAMES)
        self._outlet = Outlet(send, frames, self._limits.send_seconds, lambda: session.end(1013, "Too slow"))
        self._write = self._outlet.write

    async def run(self) -> None:
        """Serve the socket; on return nothing of it is left running but writes and clean-up."""
        deadline = asyncio.get_running_loop().call_later(self._limits.init_seconds, self._check_acknowledged)
        reader = asyncio.create_task(self._read())
        try:
            ended: set[asyncio.Future[Any]] = {reader, self._session.ended}
            await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        finally:
            deadline.cancel()
            self._outlet.close()
            for task in (reader, *self._tasks):
                task.cancel()
        if (ending := self._ending(reader)) is not None:
            await _close(self._send, ending)

    def _ending(self, reader: asyncio.Task[Ending | None]) -> Ending | None:
        ended = self._session.ended
        return ended.result() if ended.done() else reader.result()

    def _check_acknowledged(self) -> None:
        if not self._acknowledged:
            self._session.end(4408, "Connection initialisation timeout")

    async def _read(self) -> Ending | None:
        try:
            while (message := await self._receive())["type"] != "websocket.disconnect":
                await self._handle(self._decode(message))
        except Close as close:
            return close.ending
        except Gone:
            return None
        except Exception as error:
            # Masked as an answer would be: the log gets the rest.
            return Ending(1011, refuse(error).errors[0]["message"])
        return None

    def _decode(self, message: Message) -> dict[str, Any]:
        text = message.get("text")
        if text is None:
            raise Close(4400, "Messages must be text")
        if len(encoded := text.encode()) > self._limits.message:
            raise Close(1009, "Message too big")
        try:
            decoded = orjson.loads(encoded)
        except orjson.JSONDecodeError:
            raise Close(4400, "Messages must be JSON") from None
        if not isinstance(decoded, dict):
            raise Close(4400, "Messages must be JSON objects")
        return decoded

    async def _handle(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                await self._initialise(message.get("payload"))
            case "ping":
                await self._write(b'{"type":"pong"}')
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(_id(message), message.get("payload"))
            case "complete":
                if (call := self._calls.pop(_id(message), None)) is not None:
                    call.drop()
            case _:
                raise Close(4400, "Unknown message type")

    async def _initialise(self, payload: object) -> None:
        if self._initialised:
            raise Close(4429, "Too many initialisation requests")
        self._initialised = True
        if payload is not None and not isinstance(payload, dict):
            raise Close(4400, "The payload of connection_init must be an object")
        try:
            token = init_token(payload or {}, self._header)
            principal = await self._endpoint.authenticate(token, self._address)
            self._endpoint.sessions.identify(self._session, principal, token)
        except Unauthenticated:
            raise Close(REVOKED, "Forbidden") from None
        except GatewayError:
            raise Close(1013, "Try again later") from None
        self._acknowledged = True
        await self._write(b'{"type":"connection_ack"}')

    async def _subscribe(self, id_: str, payload: object) -> None:
        if not self._acknowledged:
            raise Close(4401, "Unauthorized")
        try:
            call = _Call(id_, read_parameters(payload))
        except Malformed as error:
            raise Close(4400, error.message) from None
        if id_ in self._calls:
            raise Close(4409, f"Subscriber for {id_} already exists")
        # Those being cleaned up count too, or subscribing and completing in turn would heap them up.
        if len(self._tasks) >= self._limits.subscriptions:
            most = f"A socket may run {self._limits.subscriptions} operations at a time."
            await self._message(call, "error", refuse(Overloaded(most, retry_after=1)))
            return
        self._calls[id_] = call
        call.task = self._endpoint.sessions.keep(self._operate(call))
        self._tasks.add(call.task)
        call.task.add_done_callback(self._tasks.discard)

    async def _operate(self, call: _Call) -> None:
        try:
            await self._endpoint.rounds.turn(new=True)
            principal = await self._endpoint.authenticate(self._session.token, self._address)
            await self._answer(call, self._operations.match(call.parameters, principal, call.came))
        except Unauthenticated:
            self._session.end(REVOKED, "Forbidden")
        except Gone:
            return
        except Exception as error:
            answer = error.answer if isinstance(error, Refused) else refuse(error)
            with suppress(Gone):
                await self._finish(call, answer)
        finally:
            self._forget(call)

    async def _answer(self, call: _Call, operation: Operation) -> None:
        if operation.kind is not OperationType.SUBSCRIPTION:
            call.writes = operation.kind is OperationType.MUTATION
            with self._endpoint.crowd.inside():
                answer = await self._operations.known(operation) or await self._operations.execute(operation)
            if answer.executed:
                await self._message(call, "next", answer)
            await self._finish(call, answer)
            return
        async with aclosing(self._operations.stream(operation, partial(self._pass_on, call))) as answers:
            async for answer in answers:
                if not answer.executed:
                    await self._finish(call, answer)
                    return
                await self._message(call, "next", answer)
        await self._finish(call, None)

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
            await self._write(call.head + answer.body + b"}")
            return
        payload = b"" if answer is None else b',"payload":' + orjson.dumps(answer.errors)
        await self._write(b'{"id":' + call.quoted_id + b',"type":"' + type_.encode() + b'"' + payload + b"}")

    def _pass_on(self, call: _Call, answer: Answer) -> bool:
        return not call.dropped and self._outlet.write_now(LAST_FRAME.of(call.head, answer.body))


def _id(message: Mapping[str, Any]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= _ID_LENGTH:
        raise Close(4400, f"The id must be a string of 1 to {_ID_LENGTH} characters")
    return id_


async def _close(send: Send, ending: Ending) -> None:
    # A close frame holds no longer reason.
    reason = ending.reason.encode()[:_REASON_BYTES].decode(errors="ignore")
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await send({"type": "websocket.close", "code": ending.code, "reason": reason})
    except (TimeoutError, OSError):
        return
