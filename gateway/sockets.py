"""A WebSocket from its acceptance to its end, whoever brings that about, whatever is spoken over it."""

import asyncio
from contextvars import copy_context
from functools import partial
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from gateway.answers import refuse
from gateway.limits import Limits
from gateway.outlets import Gone, Outlet
from gateway.sessions import Ending, Session, Sessions
from gateway.wires import WIRE, Wire

_REASON_BYTES = 123
_CLOSE_SECONDS = 1.0


class Close(Exception):
    """The socket must be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.ending = Ending(code, reason)


class Socket:
    """One WebSocket of an open ``session``.

    Over a wire it has no task while nothing comes, else one that reads.
    """

    __slots__ = (
        "_context",
        "_deadline",
        "_reader",
        "_receive",
        "_send",
        "_stopped",
        "_wire",
        "outlet",
        "session",
        "sessions",
    )

    def __init__(
        self, sessions: Sessions, session: Session, limits: Limits, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.sessions = sessions
        self.session = session
        self._receive = receive
        self._send = send
        self._wire: Wire | None = scope.get(WIRE)
        # Its tasks begin in this one, so that what they log is said of its request.
        self._context = copy_context()
        self._deadline: asyncio.TimerHandle | None = None
        self._reader: asyncio.Task[None] | None = None
        self._stopped = False
        frames = None if self._wire is None else self._wire.send_frame
        self.outlet = Outlet(send, frames, limits.send_seconds, partial(session.end, 1013, "Too slow"))

    async def handle(self, message: Message) -> None:
        """Do what a message asks for; raises Close where the socket must be closed."""
        raise NotImplementedError

    def drop(self) -> None:
        """Stop what goes on, as nobody hears of it any more."""
        raise NotImplementedError

    async def run(self, subprotocol: str | None, seconds: float) -> None:
        """Accept the socket, which must be ``settled`` within ``seconds``, and serve it; over a wire, return soon."""
        accepted = {"subprotocol": subprotocol} if subprotocol is not None else {}
        try:
            await self._send({"type": "websocket.accept", **accepted})
        except BaseException:
            self.sessions.close(self.session)
            raise
        self.session.ended.add_done_callback(self._end)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(seconds, self.session.end, 4408, "Connection initialisation timeout")
        if self._wire is not None:
            self._wire.keep(self._hear)
            return
        self._hear()
        try:
            await asyncio.wait({self.session.closed})
        finally:
            self._stop(None)

    def settled(self) -> None:
        """The peer has said whose socket it is."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def keep(self, work: Any) -> asyncio.Task[Any]:
        """Run ``work`` in a task that may outlive the socket."""
        return self._context.run(self.sessions.keep, work)

    def _end(self, ended: asyncio.Future[Ending]) -> None:
        self._stop(ended.result())

    def _stop(self, ending: Ending | None) -> None:
        """End the socket, telling the peer of an ``ending``; nothing of it is left running but writes and clean-up."""
        if self._stopped:
            return
        self._stopped = True
        self.session.ended.remove_done_callback(self._end)
        self.settled()
        self.outlet.close()
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        self.drop()
        if ending is None:
            self._leave()
        else:
            self.keep(self._close(ending))

    async def _close(self, ending: Ending) -> None:
        # A close frame holds no longer reason.
        reason = ending.reason.encode()[:_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._send({"type": "websocket.close", "code": ending.code, "reason": reason})
        except (TimeoutError, OSError):
            pass
        finally:
            self._leave()

    def _leave(self) -> None:
        self.sessions.close(self.session)
        if self._wire is not None:
            self._wire.release()

    def _hear(self) -> None:
        """Read, unless that is being done."""
        if self._reader is None and not self._stopped:
            self._reader = self._context.run(asyncio.create_task, self._read())

    async def _read(self) -> None:
        """Handle what comes; over a wire, what has come."""
        try:
            while self._wire is None or self._wire.waits():
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._stop(None)
                    return
                await self.handle(message)
        except Close as close:
            self._stop(close.ending)
        except Gone:
            self._stop(None)
        except Exception as error:
            # Masked as an answer would be: the log gets the rest.
            self._stop(Ending(1011, refuse(error).errors[0]["message"]))
        finally:
            self._reader = None
