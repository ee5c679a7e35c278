"""Many WebSockets that watch one question: ``python -m benchmarks.watchers``, a process of its own.

It tells in lines of JSON when all have their first answer, and then of each answer that all have received: when (on the
machine's monotonic clock) half of them had it, and when all.
"""

import asyncio
import base64
import os
import resource
import struct
import sys
from functools import partial
from time import monotonic
from typing import cast

import orjson
import uvloop

_TEXT, _PING, _PONG = 0x1, 0x9, 0xA
_AT_ONCE = 100
"""Sockets that are opened at the same time."""


class Crowd:
    """What the watchers have received together."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._first = 0
        self._times: list[float] = []

    def received(self, answers: int) -> None:
        """A watcher has received its n-th answer."""
        if answers == 1:
            self._first += 1
            if self._first == self._count:
                _tell({"ready": self._count})
            return
        self._times.append(monotonic())
        if len(self._times) == self._count:
            _tell({"half": self._times[self._count // 2], "all": self._times[-1]})
            self._times.clear()


class Watcher(asyncio.Protocol):
    """One WebSocket that speaks just enough of graphql-transport-ws."""

    def __init__(self, crowd: Crowd, host: str, key: str, document: str) -> None:
        self._crowd = crowd
        self._key = key
        self._host = host
        self._document = document
        self._received = bytearray()
        self._upgraded = False
        self._answers = 0
        self.begun = asyncio.get_running_loop().create_future()
        """Done once the first answer is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        nonce = base64.b64encode(os.urandom(16)).decode()
        head = f"GET /graphql HTTP/1.1\r\nhost: {self._host}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        head += f"sec-websocket-version: 13\r\nsec-websocket-key: {nonce}\r\n"
        self._transport.write(f"{head}sec-websocket-protocol: graphql-transport-ws\r\n\r\n".encode())

    def connection_lost(self, _: Exception | None) -> None:
        sys.exit("a WebSocket was closed")

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if not self._upgraded:
            head = received.find(b"\r\n\r\n")
            if head < 0:
                return
            if not received.startswith(b"HTTP/1.1 101"):
                sys.exit(received[:200].decode(errors="replace"))
            del received[: head + 4]
            self._upgraded = True
            self._send({"type": "connection_init", "payload": {"Authorization": f"Bearer {self._key}"}})
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame; a server's are not masked."""
        received = self._received
        if len(received) < 2:
            return None
        length, start = received[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(received) < start:
                return None
            length = int.from_bytes(received[2:start])
        if len(received) < start + length:
            return None
        frame = received[0] & 0xF, bytes(received[start : start + length])
        del received[: start + length]
        return frame

    def _take(self, code: int, payload: bytes) -> None:
        if code == _PING:
            self._write(_PONG, payload)
        elif code == _TEXT and b'"type":"next"' in payload[:80]:
            if b'"errors":[' in payload:
                sys.exit(payload[:500].decode())
            self._answers += 1
            if not self.begun.done():
                self.begun.set_result(None)
            self._crowd.received(self._answers)
        elif code == _TEXT and b"connection_ack" in payload:
            self._send({"id": "1", "type": "subscribe", "payload": {"query": self._document}})
        else:
            sys.exit(payload[:500].decode(errors="replace"))

    def _send(self, message: object) -> None:
        self._write(_TEXT, orjson.dumps(message))

    def _write(self, code: int, payload: bytes) -> None:
        # A mask of zeros leaves the payload as it is.
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else struct.pack(">BH", 0x80 | 126, size)
        self._transport.write(bytes([0x80 | code]) + length + bytes(4) + payload)


async def _watch(host: str, port: int, key: str, count: int, document: str, alike: bool) -> None:
    crowd = Crowd(count)
    loop = asyncio.get_running_loop()
    for start in range(0, count, _AT_ONCE):
        begun = []
        for number in range(start, min(start + _AT_ONCE, count)):
            # Documents that differ in the operation's name ask the same, yet nothing but the answer can be shared.
            own = document if alike else document.replace("Watch", f"Watch{number}", 1)
            watcher = Watcher(crowd, host, key, own)
            await loop.create_connection(partial(_same, watcher), host, port)
            begun.append(watcher.begun)
        await asyncio.gather(*begun)
    await loop.create_future()


def _same(watcher: Watcher) -> Watcher:
    return watcher


def _tell(message: object) -> None:
    print(orjson.dumps(message).decode(), flush=True)


def main(host: str, port: str, key: str, count: str, document: str, alike: str) -> None:
    """Watch until a signal comes."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_watch(host, int(port), key, int(count), document, alike == "alike"))


if __name__ == "__main__":
    main(*sys.argv[1:])
