"""Server-sent events: an operation's answers as a stream, in the distinct-connections mode that clients know.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.types import Receive, Send

from gateway.answers import Answer, refuse
from gateway.endpoint import Endpoint
from gateway.http_requests import EVENT_STREAM, disconnected
from gateway.sessions import REVOKED, Session
from resolvers.errors import Unauthenticated

_HEADERS = [
    (b"content-type", f"{EVENT_STREAM}; charset=utf-8".encode()),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
    (b"x-accel-buffering", b"no"),
]
_COMMENT = b":\n\n"
# Browsers pass on no event without a data line.
_COMPLETE = b"event: complete\ndata: \n\n"


class EventStream:
    """One response of ``text/event-stream``."""

    def __init__(self, endpoint: Endpoint, receive: Receive, send: Send) -> None:
        self._endpoint = endpoint
        self._receive = receive
        self._send = send

    async def single(self, answer: Answer) -> None:
        """Respond with one answer."""
        await self._start()
        await self._write(_next(answer) + _COMPLETE, more=False)

    async def run(self, session: Session, answers: AsyncGenerator[Answer, None]) -> None:
        """Respond with ``answers`` until they end, the client leaves or the session is ended."""
        sessions = self._endpoint.sessions
        # A task of its own, so that its clean-up is not cut short with the request it serves.
        producer = sessions.keep(self._produce(answers))
        gone = asyncio.create_task(disconnected(self._receive))
        try:
            await self._relay(session, producer, gone)
        except OSError:
            # The client has left, or (a timeout) reads no more: returning closes its connection.
            return
        finally:
            gone.cancel()
            producer.cancel()
            producer.add_done_callback(lambda _: sessions.close(session))

    async def _relay(self, session: Session, producer: asyncio.Task[None], gone: asyncio.Task[None]) -> None:
        await self._start()
        heartbeat = self._endpoint.limits.heartbeat_seconds
        waiting: set[asyncio.Future[Any]] = {producer, gone, session.ended}
        while not producer.done():
            await asyncio.wait(waiting, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return
            if session.ended.done():
                producer.cancel()
                await asyncio.wait({producer}, timeout=self._endpoint.limits.send_seconds)
                await self._write(_farewell(session), more=False)
                return
            if not producer.done():
                await self._write(_COMMENT)
        producer.result()
        await self._write(_COMPLETE, more=False)

    async def _produce(self, answers: AsyncGenerator[Answer, None]) -> None:
        async with aclosing(answers):
            async for answer in answers:
                await self._write(_next(answer))

    async def _start(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        # Some browsers wait for a first byte before they open the stream.
        await self._write(_COMMENT)

    async def _write(self, body: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(self._endpoint.limits.send_seconds):
            await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _next(answer: Answer) -> bytes:
    # JSON holds no line break, so one data line carries it.
    return b"event: next\ndata: " + answer.body + b"\n\n"


def _farewell(session: Session) -> bytes:
    # Without a ``complete`` clients take the end for a fault and connect again, as they should after a restart.
    if session.ended.result().code != REVOKED:
        return b""
    return _next(refuse(Unauthenticated("The key is no longer valid."))) + _COMPLETE
