"""The connection of a WebSocket, as the gateway's own server lends it to the application.

ASGI serves a WebSocket within one call of the application, so the frames of all that call it stay in memory for as long
as the socket is open. Over a wire the application returns once the socket is, and a task runs only while there is
something to do.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

WIRE = "gateway.wire"
"""The key in a scope under which the gateway's own server gives a WebSocket's ``Wire``."""


class Wire(Protocol):
    """What a server can do for a WebSocket beyond what ASGI says."""

    def send_frame(self, frame: bytes) -> bool:
        """Send one frame, whole as it stands on the wire, past all queues; False where that cannot be done at once."""

    def keep(self, heard: Callable[[], None]) -> None:
        """Stay open when the application has returned, until ``release``; ``heard`` tells of messages to receive."""

    def waits(self) -> bool:
        """Whether there is a message, so that ``receive`` returns at once."""

    def release(self) -> None:
        """The application is done with the socket."""

    def at_release(self, told: Callable[[], None]) -> bool:
        """Whether the socket is kept; then ``told`` is called when it is released."""


class Inbox:
    """In place of an ``asyncio.Queue`` with one reader: takes no memory to speak of while it is empty."""

    __slots__ = ("_messages", "_reader", "heard")

    def __init__(self) -> None:
        self._messages: deque[Any] | None = None
        self._reader: asyncio.Future[None] | None = None
        self.heard: Callable[[], object] | None = None
        """Called after each message that comes."""

    def empty(self) -> bool:
        """Whether no message waits."""
        return not self._messages

    def put_nowait(self, message: Any) -> None:
        """Take a message in."""
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        if self.heard is not None:
            self.heard()

    async def get(self) -> Any:
        """The next message."""
        while not self._messages:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.popleft()
        if not self._messages:
            self._messages = None
        return message


class Gate:
    """In place of an ``asyncio.Event`` that is mostly set: takes no memory to speak of while it is."""

    __slots__ = ("_opened",)

    def __init__(self) -> None:
        self._opened: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Whether nobody has to wait."""
        return self._opened is None

    def set(self) -> None:
        """Let all pass."""
        if self._opened is not None:
            self._opened.set_result(None)
            self._opened = None

    def clear(self) -> None:
        """Let nobody pass."""
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Return once it is set."""
        while self._opened is not None:
            await asyncio.shield(self._opened)
