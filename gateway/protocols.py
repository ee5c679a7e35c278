"""uvicorn's HTTP protocol as the gateway runs it: with deadlines it lacks, and a door for what can be answered."""

import asyncio
from dataclasses import dataclass
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from gateway.admission import CAME, Admitted, Crowd, Ticket
from gateway.health import LIVE, LIVE_PATH
from resolvers.errors import Overloaded
from resolvers.live.rounds import Rounds

SPARE_FILES = 256
"""File descriptors kept for everything that is not a client: database, logs, the files of the pages."""
_LONGEST_HEAD = 65_536
"""Bytes of a request's head."""
_ALWAYS = (b"/health/", b"/metrics")
"""What is answered however much there is to do."""
_LEFT_TO_UVICORN = frozenset({b"connection", b"transfer-encoding"})
"""Headers that decide what becomes of a connection."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the protocols keep to; times in seconds."""

    head_seconds: float
    stall_seconds: float
    most_connections: int
    crowd: Crowd
    rounds: Rounds


class Ready:
    """An answer that is there before it is asked for: sent at once, or as an application where others come first."""

    def __init__(self, response: Response) -> None:
        self._start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        self._body = {"type": "http.response.body", "body": response.body}
        self._line = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n".encode()
        self._headers = _lines(response.raw_headers)
        self._rest = b"\r\n" + bytes(response.body)
        self.closes = response.headers.get("connection") == "close"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await send(self._start)
        await send(self._body)

    def sent(self, defaults: list[tuple[bytes, bytes]], *, closes: bool) -> bytes:
        """The answer as it stands on the wire, with the headers that each answer has."""
        closing = b"connection: close\r\n" if closes and not self.closes else b""
        return b"".join((self._line, _lines(defaults), self._headers, closing, self._rest))


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % line for line in headers])


def _refusal(message: str, **headers: str) -> Ready:
    error = {"message": message, "extensions": {"code": Overloaded.code, "retryAfter": 1}}
    return Ready(JSONResponse({"errors": [error]}, 503, headers={"retry-after": "1", **headers}))


_FULL = _refusal("The gateway has too many connections.", connection="close")
_BUSY = _refusal("The gateway has too much to do; try again.")
_LIVE, _LIVE_URL = Ready(LIVE), LIVE_PATH.encode()


def _whole_body(cycle: RequestResponseCycle) -> bytes | None:
    if cycle.more_body or cycle.disconnected or cycle.response_complete:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    cycle.message_event.clear()
    return body


class StallGuard(asyncio.Protocol):
    """Drops a peer that leaves what is sent to it unread: nothing else would ever free its buffers."""

    config: uvicorn.Config
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _stall: asyncio.TimerHandle | None = None

    @cached_property
    def figures(self) -> Figures:
        """The gateway's own figures."""
        return cast(Figures, cast(Any, self.config).figures)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._unwatch()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self, waiting: int) -> None:
        self._stall = self.loop.call_later(self.figures.stall_seconds, self._judge, waiting)

    def _unwatch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _judge(self, before: int) -> None:
        # A slow reader of a long answer makes progress, and stays.
        waiting = self.transport.get_write_buffer_size()
        if waiting < before:
            self._watch(waiting)
        else:
            self.transport.abort()


class HttpProtocol(StallGuard, HttpToolsProtocol):
    """uvicorn's HTTP protocol that drops peers who do not read or do not finish a request's head in time.

    It answers at once, without a task, who is refused and who asks whether the gateway lives. All other requests begin
    in the rounds of the loop that have room for them.
    """

    _head: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _ticket: Ticket | None = None
    _within = False
    """Whether a request's head has come and its body may not have."""
    _answered = False
    """Whether that request has its answer already, from here."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        # Beyond this no answer can be given: each one waits for a head, and heads are what does not come.
        if len(self.connections) > self.figures.most_connections + SPARE_FILES // 2:
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for _, app in self.pipeline:
            if isinstance(app, Admitted):
                app.drop()
        self._head_came()
        super().connection_lost(exc)
        # It and its last request would keep one another until the collector comes, which for a crowd that leaves takes
        # longer than anybody should wait.
        self.app, self.cycle = cast(ASGIApp, self.config.loaded_app), cast(Any, None)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Mostly a head comes whole. Where nothing has come of the data, there is no other time to wait for more.
        if self._head is None and self.timeout_keep_alive_task is None and self.parser and self._is_idle():
            self._expect_head()
        if self._head is not None and not self._within:
            self._head_bytes += len(data)
            if self._head_bytes > _LONGEST_HEAD:
                self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # As when a connection is lost: it and its parser would keep one another until the collector comes.
        self.parser = cast(Any, None)

    def on_headers_complete(self) -> None:
        self._head_came()
        self._within, self._ticket = True, None
        app = self._door()
        if isinstance(app, Ready) and self._is_idle() and not self.flow.write_paused:
            self._answer(app)
            return
        self.app = app
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._within = False
        # Only now, or requests that never become whole would keep others out.
        if self._ticket is not None:
            self._ticket.enter()
        if self._answered or self._head is not None:
            # The answer came before the end of the request, and what was left had its time.
            self._answered = False
            self._head_came()
            self.on_response_complete()
        else:
            super().on_message_complete()

    def _is_idle(self) -> bool:
        """Whether every request so far has its answer."""
        return self.cycle is None or self.cycle.response_complete

    def _door(self) -> ASGIApp:
        """What answers the request whose head has come."""
        if len(self.connections) > self.figures.most_connections:
            return _FULL
        app = cast(ASGIApp, self.config.loaded_app)
        # A WebSocket is no request: its operations are.
        if self.parser.should_upgrade() and self._should_upgrade():
            return app
        if self.url.startswith(_ALWAYS):
            return _LIVE if self.url == _LIVE_URL and self.parser.get_method() == b"GET" else app
        try:
            self._ticket = self.figures.crowd.ticket()
        except Overloaded:
            self.figures.rounds.refused()
            return _BUSY
        cast(dict[str, object], self.scope)[CAME] = self._ticket.came
        return Admitted(app, self._ticket, self.figures.rounds.wasted)

    def _answer(self, answer: Ready) -> None:
        self._answered = True
        closes = answer.closes or self.expect_100_continue or not self.parser.should_keep_alive()
        self.transport.write(answer.sent(self.server_state.default_headers, closes=closes))
        if closes:
            self.transport.close()
        else:
            # What is left of the request, a body, has no more time than another head.
            self._expect_head()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]  # as above
        if isinstance(app, Admitted):
            self.figures.rounds.join(partial(self._begin, cycle, app), partial(self._refuse, cycle, app))
        else:
            super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _begin(self, cycle: RequestResponseCycle, app: Admitted) -> None:
        if cycle.disconnected:
            app.drop()
        else:
            app.whole = partial(self._send_whole, cycle)
            app.body = partial(_whole_body, cycle)
            super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _refuse(self, cycle: RequestResponseCycle, app: Admitted) -> None:
        """Answer a request that has waited too long for its task."""
        app.drop()
        if self.transport.is_closing():
            return
        closes = cycle.waiting_for_100_continue or not cycle.keep_alive
        self._finish(cycle, _BUSY.sent(self.server_state.default_headers, closes=closes), closes=closes)

    def _send_whole(self, cycle: RequestResponseCycle, start: Message, body: Message) -> bool:
        """Send a whole answer in one piece, as uvicorn would in two; False for one that takes more thought."""
        headers: list[tuple[bytes, bytes]] = start["headers"]
        named, content = dict(headers), body.get("body", b"")
        if cycle.disconnected or self.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        if named.get(b"content-length") != str(len(content)).encode() or not _LEFT_TO_UVICORN.isdisjoint(named):
            return False
        if HEADER_VALUE_RE.search(b"".join(named.values())):
            return False
        lines = STATUS_LINE[start["status"]], _lines(self.server_state.default_headers), _lines(headers)
        closing = b"" if cycle.keep_alive else b"connection: close\r\n"
        self._finish(cycle, b"".join((*lines, closing, b"\r\n", content)), closes=not cycle.keep_alive)
        return True

    def _finish(self, cycle: RequestResponseCycle, answer: bytes, *, closes: bool) -> None:
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        self.transport.write(answer)
        cycle.message_event.set()
        if closes:
            self.transport.close()
        self.on_response_complete()

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head = self.loop.call_later(self.figures.head_seconds, self.transport.abort)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
