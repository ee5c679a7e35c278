"""uvicorn's WebSocket protocol as the gateway runs it: with a deadline it lacks, and lean while nothing comes."""

from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

from gateway.protocols import StallGuard
from gateway.wires import WIRE, Gate, Inbox


class WebSocketProtocol(StallGuard, WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol that drops peers who do not read, and is a ``Wire``: it takes text to send without a
    task's help, and stays open without the application's frames.
    """

    # Objects share the names of up to thirty attributes; with all that uvicorn gives it, each socket would have a
    # dictionary of its own, the largest part of it.
    __slots__ = (
        "_told",
        "close_timer",
        "frames",
        "last_ping_rtt",
        "pending_ping_payload",
        "ping_sent_at",
        "ping_timer",
        "pong_timer",
        "queue",
        "request",
        "response",
        "scope",
        "writable",
    )

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.queue: Any = Inbox()
        self.writable: Any = Gate()
        self._told: Callable[[], None] | None = None
        """Called when a socket that is kept is released."""

    async def run_asgi(self) -> None:
        cast(dict[str, object], self.scope)[WIRE] = self
        kept = False
        try:
            await self.app(self.scope, self.receive, self.send)
            kept = self.queue.heard is not None
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
        if not self.handshake_complete:
            self.send_500_response()
        if not kept:
            self._finish()
        # What the opening has left; the parser would keep the request.
        self.scope = cast(Any, {})
        for opening in (self.request, self.response):
            opening.headers.clear()

    def _finish(self) -> None:
        if self.close_timer is None:
            self.transport.close()

    def send_frame(self, frame: bytes) -> bool:
        """Send a frame; False where it would have to wait, or there is nobody to read it."""
        if self.conn.state is not OPEN or self.transport.is_closing() or not self.writable.is_set():
            return False
        self.transport.write(frame)
        return True

    def keep(self, heard: Callable[[], None]) -> None:
        """Stay open, and call ``heard`` whenever a message is there."""
        self.queue.heard = heard
        if self.waits():
            heard()

    def waits(self) -> bool:
        """Whether a message is there."""
        return not self.queue.empty()

    def at_release(self, told: Callable[[], None]) -> bool:
        """Have it ``told``, if the socket is kept."""
        if self.queue.heard is not None:
            self._told = told
        return self.queue.heard is not None

    def release(self) -> None:
        """Tell that the application is done, and close what it has not closed."""
        self.queue.heard = None
        told, self._told = self._told, None
        if told is not None:
            told()
        self._finish()
