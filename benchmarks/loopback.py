"""A client that asks a server on loopback as fast as it answers, and takes little of the machine for itself."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from benchmarks.processes import Served

CONNECTIONS = 8
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def get(path: str) -> bytes:
    """A request for a path."""
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()


def post(path: str, key: str, body: bytes, content_type: str = "application/json") -> bytes:
    """A request that sends a body under a key."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def graphql(key: str, query: str, **variables: Any) -> bytes:
    """A GraphQL request."""
    return post("/graphql", key, orjson.dumps({"query": query, "variables": variables}))


@dataclass(slots=True)
class _Asking:
    """What the connections share."""

    requests: Iterator[bytes]
    until: float
    busy: int
    """Connections that are not done."""
    answered: int = 0
    last: bytes = b""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str | None = None


class _Connection(asyncio.Protocol):
    """One keep-alive connection: the next request follows the answer to the one before."""

    def __init__(self, asking: _Asking) -> None:
        self._asking = asking
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def connection_lost(self, _: Exception | None) -> None:
        if self._transport is not None:
            self._end("the server closed a connection")

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._received, 0, head)
        end = head + 4 + (int(length[1]) if length else 0)
        if len(self._received) < end:
            return
        body = bytes(self._received[head + 4 : end])
        if not self._received.startswith(b"HTTP/1.1 200") or body.startswith(b'{"errors"') or b'"errors":[' in body:
            self._end(body[:500].decode(errors="replace"))
            return
        del self._received[:end]
        self._asking.answered += 1
        self._asking.last = body
        self._next()

    def _next(self) -> None:
        assert self._transport is not None
        asking = self._asking
        # Where connecting alone took too long, one answer is waited for all the same.
        goes_on = not asking.answered or self._loop.time() < asking.until
        request = next(asking.requests, None) if goes_on else None
        if request is None:
            self._end(None)
        else:
            self._transport.write(request)

    def _end(self, failure: str | None) -> None:
        asking = self._asking
        asking.failure = asking.failure or failure
        asking.busy -= 1
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        if not asking.busy:
            asking.idle.set()


async def rate(served: Served, requests: Iterator[bytes], seconds: float, connections: int = CONNECTIONS) -> float:
    """How many requests a second a server answers; raises RuntimeError where it does not answer one."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    asking = await _asked(served, _Asking(requests, started + seconds, connections))
    return asking.answered / (loop.time() - started)


async def ask(served: Served, request: bytes) -> Any:
    """The answer to one request, decoded."""
    asking = _Asking(iter([request]), asyncio.get_running_loop().time() + 600, 1)
    return orjson.loads((await _asked(served, asking)).last)


async def _asked(served: Served, asking: _Asking) -> _Asking:
    loop = asyncio.get_running_loop()
    for _ in range(asking.busy):
        await loop.create_connection(lambda: _Connection(asking), served.host, served.port)
    await asking.idle.wait()
    if asking.failure is not None:
        raise RuntimeError(asking.failure)
    return asking
