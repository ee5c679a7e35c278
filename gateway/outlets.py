"""Where a WebSocket's messages go out, and what notices that nobody takes them."""

import asyncio
from collections.abc import Callable

from starlette.types import Send

FRAMES = "gateway.frames"
"""The key in a scope under which the gateway's own server takes text frames past its queues: a ``Frames``."""

Frames = Callable[..., bool]
"""Sends the parts of one text frame, as UTF-8, if that can be done at once."""


class Gone(Exception):
    """The peer has left."""


class Outlet:
    """Sends text; calls ``stalled``, once, when messages wait and none has left for ``seconds`` or up to twice that.

    One timer a socket: a deadline for each message would cost more than sending it.
    """

    def __init__(self, send: Send, frames: Frames | None, seconds: float, stalled: Callable[[], None]) -> None:
        self._send = send
        self._frames = frames
        self._seconds = seconds
        self._stalled = stalled
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._progress = 0.0
        self._check = self._loop.call_later(seconds, self._look)

    def write_now(self, *parts: bytes) -> bool:
        """Send the parts of one message, unless the server cannot at once or other messages wait."""
        return self._frames is not None and not self._waiting and self._frames(*parts)

    async def write(self, message: bytes) -> None:
        """Send a text frame, as clients read no binary ones; raises Gone where there is nobody to read it."""
        if not self._waiting:
            self._progress = self._loop.time()
        self._waiting += 1
        try:
            await self._send({"type": "websocket.send", "text": message.decode()})
            self._progress = self._loop.time()
        except OSError:
            raise Gone from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Look no more."""
        self._check.cancel()

    def _look(self) -> None:
        if self._waiting and self._loop.time() - self._progress >= self._seconds:
            self._stalled()
        else:
            self._check = self._loop.call_later(self._seconds, self._look)
