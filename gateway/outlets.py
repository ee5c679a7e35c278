"""Where a WebSocket's messages go out, and what notices that nobody takes them."""

import asyncio
from collections.abc import Callable
from struct import pack

from starlette.types import Send

Frames = Callable[[bytes], bool]
"""Sends one frame, whole as it stands on the wire, if that can be done at once."""


def text_frame(payload: bytes) -> bytes:
    """The frame of a text, as UTF-8 (RFC 6455, 5.2: final, text, not masked, the length in 7, 16 or 64 bits)."""
    size = len(payload)
    if size < 126:
        return pack("!BB", 0x81, size) + payload
    return (pack("!BBH", 0x81, 126, size) if size <= 0xFFFF else pack("!BBQ", 0x81, 127, size)) + payload


class LastFrame:
    """The frame made last: thousands of sockets that use the same id send the very same one after the other."""

    def __init__(self) -> None:
        self._head = self._body = self._frame = b""

    def of(self, head: bytes, body: bytes) -> bytes:
        """The frame of a message that is ``head``, an answer and a brace."""
        if body is not self._body or head != self._head:
            self._head, self._body = head, body
            self._frame = text_frame(head + body + b"}")
        return self._frame


LAST_FRAME = LastFrame()


class Gone(Exception):
    """The peer has left."""


class Outlet:
    """Sends text; calls ``stalled``, once, when messages wait and none has left for ``seconds`` or up to twice that.

    One timer, while there is something to look after: a deadline for each message would cost more than sending it.
    """

    __slots__ = ("_check", "_frames", "_loop", "_progress", "_seconds", "_send", "_stalled", "_waiting")

    def __init__(self, send: Send, frames: Frames | None, seconds: float, stalled: Callable[[], None]) -> None:
        self._send = send
        self._frames = frames
        self._seconds = seconds
        self._stalled = stalled
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._progress = 0.0
        self._check: asyncio.TimerHandle | None = None

    def write_now(self, frame: bytes) -> bool:
        """Send a frame, unless the server cannot at once or other messages wait."""
        return self._frames is not None and not self._waiting and self._frames(frame)

    async def write(self, message: bytes) -> None:
        """Send a text frame, as clients read no binary ones; raises Gone where there is nobody to read it."""
        if self._frames is not None and not self._waiting and self._frames(text_frame(message)):
            return
        if not self._waiting:
            self._progress = self._loop.time()
        self._waiting += 1
        if self._check is None:
            self._check = self._loop.call_later(self._seconds, self._look)
        try:
            await self._send({"type": "websocket.send", "text": message.decode()})
            self._progress = self._loop.time()
        except OSError:
            raise Gone from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Look no more."""
        if self._check is not None:
            self._check.cancel()

    def _look(self) -> None:
        self._check = None
        if not self._waiting:
            return
        if self._loop.time() - self._progress >= self._seconds:
            self._stalled()
        else:
            self._check = self._loop.call_later(self._seconds, self._look)
