"""uvicorn as the gateway runs it: with protocols of its own, bounded connections and an orderly end."""

import contextlib
import logging
import resource
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from gateway.admission import Crowd
from gateway.protocols import SPARE_FILES, Figures, HttpProtocol
from gateway.settings import Settings
from gateway.websocket_protocol import WebSocketProtocol
from resolvers.live.rounds import Rounds

_ACCEPTED_AT_ONCE = 32
"""Connections taken in a round of the event loop: it takes one from a listening socket, so there are as many of it."""


class ServerError(Exception):
    """The server cannot listen; the message says why and what to do."""


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration with the gateway's own figures beside it."""

    def __init__(
        self, app: ASGIApp, settings: Settings, crowd: Crowd | None = None, rounds: Rounds | None = None
    ) -> None:
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
        self.figures = Figures(
            settings.head_seconds,
            settings.stall_seconds,
            _allow_files(settings.max_connections),
            crowd or Crowd(settings.max_requests),
            rounds or Rounds(),
        )


class Server(uvicorn.Server):
    """uvicorn's server, telling when it takes requests and when it stops to."""

    def __init__(self, config: ServerConfig, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._listeners: list[socket.socket] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._listeners = [listener.dup() for listener in sockets or () for _ in range(_ACCEPTED_AT_ONCE)]
        await super().startup(self._listeners)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown([*(sockets or ()), *self._listeners])
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
    rounds: Rounds | None = None,
    on_ready: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGINT or SIGTERM; ``on_ready`` when requests are taken, ``on_stop`` before they are refused.

    The requests under way are those of ``crowd``, which others may join, and they begin in ``rounds``.

    Requests under way get ``shutdown_seconds``, WebSockets close with 1012. Raises ServerError where the application
    does not start.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = Server(ServerConfig(app, settings, crowd, rounds), on_ready, on_stop)
    try:
        server.run([listener])
    except SystemExit as failure:
        raise ServerError("The gateway did not start; the log says why.") from failure


def _allow_files(connections: int) -> int:
    """Raise the limit on open files towards ``connections``; how many connections it really allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - SPARE_FILES))
