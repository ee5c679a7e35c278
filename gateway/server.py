"""uvicorn as the gateway runs it: with deadlines it lacks, bounded connections and an orderly end."""

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Callable
from typing import cast

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

from gateway.admission import Admitted, Crowd, Ticket
from gateway.outlets import FRAMES
from gateway.settings import Settings
from resolvers.errors import Overloaded

_SPARE_FILES = 256
"""File descriptors kept for everything that is not a client: database, logs, the files of the pages."""


_LONGEST_HEAD = 65_536
"""Bytes of a request's head."""

_ALWAYS = (b"/health/", b"/metrics")
"""What is answered however much there is to do."""


class ServerError(Exception):
    """The server cannot listen; the message says why and what to do."""


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration with the gateway's own figures beside it."""

    def __init__(self, app: ASGIApp, settings: Settings, crowd: Crowd | None = None) -> None:
        super().__init__(
            app,
            loop="uvloop",
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_max_size=settings.max_message_bytes,
            # A compressed message may unpack to any size, and each socket would keep its own window.
            ws_per_message_deflate=False,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.trusted_proxies,
            # Longer than load balancers and client pools keep an idle connection, which is some 60 s: else one of them
            # sends a request in the moment in which the gateway closes, and gets a reset for it.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=settings.shutdown_seconds,
            reset_contextvars=True,
        )
        self.head_seconds = settings.head_seconds
        self.stall_seconds = settings.stall_seconds
        self.crowd = crowd or Crowd(settings.max_requests)
        self.most_connections = _allow_files(settings.max_connections)


class _StallGuard(asyncio.Protocol):
    """Drops a peer that leaves what is sent to it unread: nothing else would ever free its buffers."""

    config: uvicorn.Config
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _stall: asyncio.TimerHandle | None = None

    @property
    def figures(self) -> ServerConfig:
        """The configuration with the gateway's own figures."""
        return cast(ServerConfig, self.config)

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


class WebSocketProtocol(_StallGuard, WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol that drops peers who do not read, and takes text to send without a task's help."""

    async def run_asgi(self) -> None:
        cast(dict[str, object], self.scope)[FRAMES] = self.send_frame
        await super().run_asgi()

    def send_frame(self, frame: bytes) -> bool:
        """Send a frame; False where it would have to wait, or there is nobody to read it."""
        if not self.handshake_complete or self.close_sent or self.disconnected or not self.writable.is_set():
            return False
        if self.conn.state is not OPEN or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True


class HttpProtocol(_StallGuard, HttpToolsProtocol):
    """uvicorn's HTTP protocol that drops peers who do not read or do not finish a request's head in time."""

    _head: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _ticket: Ticket | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        # Beyond this no answer can be given: each one waits for a head, and heads are what does not come.
        if len(self.connections) > self.figures.most_connections + _SPARE_FILES // 2:
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for _, app in self.pipeline:
            if isinstance(app, Admitted):
                app.drop()
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()
        super().data_received(data)
        if self._head is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _LONGEST_HEAD:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        self._head_came()
        self._ticket = None
        self.app = self._door()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        # Only now, or requests that never become whole would keep others out.
        if self._ticket is not None:
            self._ticket.enter()
        super().on_message_complete()

    def _door(self) -> ASGIApp:
        """What answers the request whose head has come."""
        if len(self.connections) > self.figures.most_connections:
            return _FULL
        app = cast(ASGIApp, self.config.loaded_app)
        # A WebSocket is no request: its operations are.
        if self.url.startswith(_ALWAYS) or (self.parser.should_upgrade() and self._should_upgrade()):
            return app
        try:
            self._ticket = self.figures.crowd.ticket()
        except Overloaded:
            return _BUSY
        return Admitted(app, self._ticket)

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head = self.loop.call_later(self.figures.head_seconds, self.transport.abort)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class Server(uvicorn.Server):
    """uvicorn's server, telling when it takes requests and when it stops to."""

    def __init__(self, config: ServerConfig, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)
        # uvicorn would raise the signal again, which would end the process before the database is stopped.
        self._captured_signals.clear()


def bind(host: str, port: int) -> socket.socket:
    """Take the address, without listening yet; port 0 takes a free one. Raises ServerError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        raise ServerError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port."
        ) from None
    return taken


def run(
    app: ASGIApp,
    settings: Settings,
    listener: socket.socket,
    *,
    crowd: Crowd | None = None,
    on_ready: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGINT or SIGTERM; ``on_ready`` when requests are taken, ``on_stop`` before they are refused.

    The requests under way are those of ``crowd``, which others may join.

    Requests under way get ``shutdown_seconds``, WebSockets close with 1012. Raises ServerError where the application
    does not start.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = Server(ServerConfig(app, settings, crowd), on_ready, on_stop)
    try:
        server.run([listener])
    except SystemExit as failure:
        raise ServerError("The gateway did not start; the log says why.") from failure


class _Refusal:
    """Answers every request with 503, at hardly any cost."""

    def __init__(self, message: str, **headers: str) -> None:
        error = {"message": message, "extensions": {"code": Overloaded.code, "retryAfter": 1}}
        response = JSONResponse({"errors": [error]}, 503, headers={"retry-after": "1", **headers})
        self._start = {"type": "http.response.start", "status": 503, "headers": response.raw_headers}
        self._body = {"type": "http.response.body", "body": response.body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(self._start)
        await send(self._body)


_FULL = _Refusal("The gateway has too many connections.", connection="close")
_BUSY = _Refusal("The gateway has too much to do; try again.")


def _allow_files(connections: int) -> int:
    """Raise the limit on open files towards ``connections``; how many connections it really allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - _SPARE_FILES))
