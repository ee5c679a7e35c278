"""Logs have one form and one id a request; metrics have a bounded number of series."""

import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.endpoint import Observer
from gateway.telemetry import MAX_OPERATION_NAMES, Metrics, TelemetryMiddleware, configure_logging


def _text(metrics: Metrics) -> str:
    return bytes(metrics.response().body).decode()


async def _item(request: Request) -> Response:
    structlog.get_logger("app").info("working", item=request.path_params["item"])
    return PlainTextResponse("ok")


async def _broken(request: Request) -> Response:
    raise RuntimeError("broken")


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close(4400)


async def _patient(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive()


async def _refused(websocket: WebSocket) -> None:
    await websocket.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def client(metrics: Metrics) -> TestClient:
    routes = [
        Route("/items/{item}", _item),
        Route("/broken", _broken),
        Route("/metrics", metrics.endpoint),
        WebSocketRoute("/socket", _socket),
        WebSocketRoute("/refused", _refused),
        WebSocketRoute("/patient", _patient),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(TelemetryMiddleware, metrics=metrics)])
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return [line for line in lines if not line["logger"].startswith("httpx")]


def test_requests_are_counted_by_template(client: TestClient, metrics: Metrics) -> None:
    for item in range(5):
        client.get(f"/items/{item}")
    client.request("BREW", "/items/1")
    client.get("/nowhere/1")
    client.get("/broken")
    text = client.get("/metrics").text
    assert 'gateway_requests_total{method="GET",route="/items/{item}",status="200"} 5.0' in text
    assert 'gateway_requests_total{method="OTHER",route="/items/{item}",status="405"} 1.0' in text
    assert 'gateway_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'gateway_requests_total{method="GET",route="/broken",status="500"} 1.0' in text


def test_sockets_are_counted_by_how_they_end(client: TestClient, metrics: Metrics) -> None:
    with client.websocket_connect("/socket") as socket:
        assert socket.receive()["code"] == 4400
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/refused"):
        pass
    text = _text(metrics)
    assert 'gateway_requests_total{method="WEBSOCKET",route="/socket",status="4400"} 1.0' in text
    assert 'gateway_requests_total{method="WEBSOCKET",route="/refused",status="403"} 1.0' in text


@pytest.mark.parametrize(("code", "counted"), [(1000, "1000"), (1001, "1001"), (3456, "4000")])
def test_a_socket_that_its_peer_closes_is_counted_by_its_code(
    client: TestClient, metrics: Metrics, code: int, counted: str
) -> None:
    with client.websocket_connect("/patient") as socket:
        socket.close(code)
    assert f'route="/patient",status="{counted}"}} 1.0' in _text(metrics)


def test_operation_names_are_capped(metrics: Metrics) -> None:
    for number in range(MAX_OPERATION_NAMES + 50):
        metrics.operation(f"Q{number}", "query", 0.01, None)
    metrics.operation(None, "query", 0.01, None)
    metrics.operation("Q3", "query", 0.01, "BAD_USER_INPUT")
    text = _text(metrics)
    assert 'gateway_operations_total{code="OK",name="other",type="query"} 50.0' in text
    assert 'gateway_operations_total{code="OK",name="anonymous",type="query"} 1.0' in text
    assert 'gateway_operations_total{code="BAD_USER_INPUT",name="Q3",type="query"} 1.0' in text


def test_subscriptions_are_open_while_they_are(metrics: Metrics) -> None:
    observer: Observer = metrics
    observer.subscription_opened("Live")
    observer.subscription_opened(None)
    assert "gateway_subscriptions 2.0" in _text(metrics)
    observer.subscription_closed("Live", 60.0, None)
    observer.subscription_closed(None, 1.0, "UNAUTHENTICATED")
    assert "gateway_subscriptions 0.0" in _text(metrics)
    assert 'code="UNAUTHENTICATED",name="anonymous",type="subscription"} 1.0' in _text(metrics)


def test_every_line_of_a_request_carries_its_id(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")
    response = client.get("/items/7?key=secret", headers={"x-request-id": "trace-1"})
    client.get("/items/8")
    first, second, other, *_ = _lines(capsys)
    assert response.headers["x-request-id"] == "trace-1"
    assert (first["event"], first["item"], first["request_id"]) == ("working", "7", "trace-1")
    assert (second["event"], second["path"], second["status"]) == ("request", "/items/7", 200)
    assert second["request_id"] == "trace-1"
    assert other["request_id"] not in {"trace-1", ""}


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "a\tb"])
def test_an_unfit_request_id_is_replaced(client: TestClient, given: str) -> None:
    assert len(client.get("/items/1", headers={"x-request-id": given}).headers["x-request-id"]) == 32


def test_a_path_cannot_forge_a_line(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console", "info")
    client.get("/items/1%0a2026-01-01%20forged")
    assert not any(line.startswith("2026-01-01") for line in capsys.readouterr().err.splitlines())


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "warning")
    logging.getLogger("library.part").warning("slow %s", "start")
    logging.getLogger("library.part").info("chatter")
    (line,) = _lines(capsys)
    assert (line["event"], line["level"], line["logger"]) == ("slow start", "warning", "library.part")


async def test_a_client_that_leaves_is_counted_apart(metrics: Metrics) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "headers": []}
    await TelemetryMiddleware(app, metrics)(scope, receive, send)
    assert 'status="499"} 1.0' in _text(metrics)


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_traceback_shows_no_values(style: Literal["console", "json"], capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(style, "info")

    def fail(secret: str) -> None:
        raise ValueError(len(secret))

    try:
        fail("mg_" + "s3cret")
    except ValueError:
        structlog.get_logger("part").exception("failed")
    written = capsys.readouterr().err
    assert "ValueError" in written
    assert "mg_s3cret" not in written
