"""What the gateway says about itself: structured logs, Prometheus metrics, and the middleware that fills
both.
"""

import logging
import re
import secrets
import sys
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Literal

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.tallies import Counts, Times
from gateway.wires import WIRE, Wire

MAX_OPERATION_NAMES = 100
"""Clients choose operation names; the label keeps the first hundred and calls the rest ``other``."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics", "/assets"})
_CLOSE_CODES = range(1000, 1016)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# Local variables hold keys and people's data; to print them would also take seconds a traceback.
_traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)

_access = logging.getLogger("gateway.access")
_log = structlog.get_logger(_access.name)


def configure_logging(style: Literal["console", "json"], level: str) -> None:
    """Send every log line of the process, libraries' included, to standard error in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.ExceptionRenderer(_traceback), structlog.processors.JSONRenderer()]
        if style == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # Each look at the database's schema would say that it is PostgreSQL.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    # The middleware's line has the request id and the duration; uvicorn's would only repeat the rest.
    logging.getLogger("uvicorn.access").disabled = True
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


class Metrics:
    """Every Prometheus metric of a gateway, in a registry of its own; no label takes its values from a
    client.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._names: set[str] = set()
        self.requests = Counts("gateway_requests_total", "Requests finished.", ("method", "route", "status"), registry)
        self.request_seconds = Times(
            "gateway_request_seconds", "Time to a response's end.", ("route",), _SECONDS, registry
        )
        self._operations = Counts(
            "gateway_operations_total", "GraphQL operations finished.", ("type", "name", "code"), registry
        )
        self._operation_seconds = Times(
            "gateway_operation_seconds", "Time of an operation.", ("type",), _SECONDS, registry
        )
        self.events = Counter(
            "gateway_events_total",
            "Events received, by what became of them.",
            ["kind", "outcome"],
            registry=registry,
        )
        self.pool_size = Gauge("gateway_pool_size", "Database connections allowed.", registry=registry)
        self.pool_in_use = Gauge("gateway_pool_in_use", "Database connections in use.", registry=registry)
        self.answers = Gauge(
            "gateway_answers",
            "Analyses answered since the start, by where the answer came from.",
            ["source"],
            registry=registry,
        )
        self.subscriptions = Gauge("gateway_subscriptions", "Subscriptions open.", registry=registry)
        self.sockets = Gauge("gateway_sockets", "WebSockets open.", registry=registry)
        self.under_way = Gauge("gateway_requests_under_way", "Requests without an answer.", registry=registry)
        self.waiting = Gauge("gateway_questions_waiting", "Questions that wait to be computed.", registry=registry)

    def watch_redis(self, answers: Callable[[], bool]) -> None:
        """Show whether Redis ``answers``: only where one is configured."""
        gauge = Gauge("gateway_redis_up", "Whether Redis answers.", registry=self.registry)
        gauge.set_function(answers)

    def operation(self, name: str | None, kind: str, seconds: float, code: str | None) -> None:
        """Count one finished operation; ``code`` is that of its first error, None if it has none."""
        self._operations.add(kind, self._bounded(name), code or "OK")
        self._operation_seconds.add(seconds, kind)

    def subscription_opened(self, name: str | None) -> None:
        """A subscription began to run."""
        self.subscriptions.inc()

    def subscription_closed(self, name: str | None, seconds: float, code: str | None) -> None:
        """A subscription ended, for whatever reason."""
        self.subscriptions.dec()
        self._operations.add("subscription", self._bounded(name), code or "OK")

    def response(self) -> Response:
        """What ``/metrics`` answers."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    async def endpoint(self, request: Request) -> Response:
        """``/metrics`` as a Starlette endpoint."""
        return self.response()

    def _bounded(self, name: str | None) -> str:
        if not name:
            return "anonymous"
        if len(self._names) < MAX_OPERATION_NAMES and len(name) <= 64:
            self._names.add(name)
        return name if name in self._names else "other"


class TelemetryMiddleware:
    """Gives each request and each WebSocket an id, one access line and its metrics.

    A caller's own ``X-Request-ID`` is taken over if it is a plain word; the id is in the response and,
    through structlog's context, in every line logged meanwhile.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self.metrics)
        bound = structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception:
            exchange.fail()
            raise
        finally:
            wire: Wire | None = scope.get(WIRE)
            route = _route(scope)
            if wire is None or not wire.at_release(partial(copy_context().run, exchange.finish, route)):
                exchange.finish(route)
            structlog.contextvars.reset_contextvars(**bound)


class _Exchange:
    """One request or WebSocket from its first message to its last."""

    # A WebSocket keeps it: what its scope holds besides is not needed for so long.
    __slots__ = (
        "_accepted",
        "_began",
        "_closed",
        "_method",
        "_metrics",
        "_path",
        "_receive",
        "_send",
        "_status",
        "request_id",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, metrics: Metrics) -> None:
        self.request_id = _request_id(scope)
        self._method: str | None = scope["method"] if scope["type"] == "http" else None
        self._path: bytes = scope.get("raw_path", b"")
        self._receive = receive
        self._send = send
        self._metrics = metrics
        self._began = time.perf_counter()
        self._status = 1006 if self._method is None else 499
        self._accepted = False
        self._closed = False

    async def receive(self) -> Message:
        """Take a message in, noting how a peer closed its WebSocket."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and not self._closed:
            code = message.get("code", 1005)
            # Codes of its own are the peer's to choose; they count as one.
            self._status = code if code in _CLOSE_CODES else 4000
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on, noting what it says about the outcome."""
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._status = message["status"]
            _add_request_id(message, self.request_id)
        elif kind == "websocket.accept":
            self._accepted = True
            _add_request_id(message, self.request_id)
        elif kind == "websocket.close":
            self._closed = True
            self._status = message.get("code", 1000) if self._accepted else 403
        await self._send(message)

    def fail(self) -> None:
        """The application raised: what the client gets is a 500 of the server's."""
        self._status = 1011 if self._method is None else 500

    def finish(self, route: str) -> None:
        """Count and log the exchange, however it ended."""
        seconds = time.perf_counter() - self._began
        method = self._method or "WEBSOCKET"
        self._metrics.requests.add(method if method in _METHODS else "OTHER", route, str(self._status))
        if self._method is not None:
            self._metrics.request_seconds.add(seconds, route)
        level = logging.DEBUG if route in _QUIET else logging.INFO
        # structlog puts a line together before it sees that nobody wants it.
        if _access.isEnabledFor(level):
            _log.log(level, "request", **self._line(method), milliseconds=round(seconds * 1000, 2))

    def _line(self, method: str) -> dict[str, Any]:
        # The path as it came, percent-encoded and without its query: it can neither break a line nor hold a
        # key.
        path = self._path.partition(b"?")[0].decode("ascii", "replace")
        return {"method": method, "path": path[:200], "status": self._status}


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: str = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(given):
                return given
            break
    return secrets.token_hex(16)


def _add_request_id(message: Message, request_id: str) -> None:
    message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode("ascii"))]


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", None) or "unmatched"
