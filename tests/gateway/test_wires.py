"""WebSockets that stay open after the application has returned, and what stands in for asyncio's queue and event."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from structlog.contextvars import get_contextvars
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.limits import Limits
from gateway.server import ServerConfig
from gateway.sessions import Kind, Sessions
from gateway.settings import load_settings
from gateway.sockets import Close, Socket
from gateway.telemetry import Metrics, TelemetryMiddleware
from gateway.wires import Gate, Inbox


class Echo(Socket):
    """Answers each text with the id of its request, or with what the text asks for."""

    async def handle(self, message: Message) -> None:
        match message["text"]:
            case "close":
                raise Close(4000, "as asked")
            case "break":
                raise RuntimeError("broken")
        await self.outlet.write(get_contextvars()["request_id"].encode())

    def drop(self) -> None:
        pass


class Service:
    """An application whose sockets echo."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.sessions = Sessions()
        self.returned = asyncio.Event()
        self.returns = asyncio.Event()
        self.returns.set()
        self.fails = False
        route = WebSocketRoute("/", self)
        self.app = Starlette(routes=[route], middleware=[Middleware(TelemetryMiddleware, metrics=self.metrics)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        session = self.sessions.open(Kind.WEBSOCKET, None)
        socket = Echo(self.sessions, session, Limits(), scope, receive, send)
        await socket.run(None, 60)
        await self.returns.wait()
        self.returned.set()
        if self.fails:
            raise RuntimeError("broken")

    def counted(self) -> list[str]:
        lines = bytes(self.metrics.response().body).decode().splitlines()
        return [line for line in lines if line.startswith("gateway_requests_total{")]


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    config = ServerConfig(service.app, load_settings())
    config.port, config.lifespan = 0, "off"
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        await service.sessions.shutdown(2)
        await server.shutdown()


def _count(status: int) -> str:
    return f'gateway_requests_total{{method="WEBSOCKET",route="/",status="{status}"}} 1.0'


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_socket_outlives_the_application_and_is_counted_at_its_end(code: int) -> None:
    service = Service()
    async with serving(service) as url:
        async with connect(url, additional_headers={"X-Request-ID": "mine"}) as client:
            await service.returned.wait()
            for _ in range(3):
                await client.send("who")
                assert await client.recv() == "mine"
            assert service.counted() == []
            assert service.sessions.count() == 1
            await client.close(code)
        await service.sessions.shutdown(10)
        assert service.counted() == [_count(code)]
        assert (service.sessions.count(), service.sessions.tasks) == (0, 0)


@pytest.mark.parametrize(
    ("text", "code", "reason"), [("close", 4000, "as asked"), ("break", 1011, "Internal server error")]
)
async def test_a_socket_is_closed_by_what_handles_its_messages(text: str, code: int, reason: str) -> None:
    service = Service()
    async with serving(service) as url:
        async with connect(url) as client:
            await client.send(text)
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)
        await service.sessions.shutdown(10)
        assert service.counted() == [_count(code)]


async def test_what_comes_before_the_application_returns_is_heard_and_its_failure_closes() -> None:
    service = Service()
    service.returns.clear()
    service.fails = True
    async with serving(service) as url:
        async with connect(url, additional_headers={"X-Request-ID": "mine"}) as client:
            await client.send("who")
            assert await client.recv() == "mine"
            service.returns.set()
            with suppress(ConnectionClosed):
                await client.recv()
        await service.sessions.shutdown(10)
        assert service.sessions.count() == 0
        assert len(service.counted()) == 1


async def test_messages_come_in_order_to_one_who_waits_and_to_one_who_does_not() -> None:
    inbox = Inbox()
    heard: list[bool] = []
    inbox.heard = lambda: heard.append(inbox.empty())
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    for number in range(3):
        inbox.put_nowait(number)
    assert [await waiting, await inbox.get(), await inbox.get()] == [0, 1, 2]
    assert inbox.empty()
    assert heard == [False] * 3
    cancelled = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    inbox.put_nowait(3)
    assert await inbox.get() == 3


async def test_a_gate_lets_all_pass_once_it_is_set_and_a_cancelled_one_keeps_nobody() -> None:
    gate = Gate()
    await gate.wait()
    gate.clear()
    gate.clear()
    waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    assert not gate.is_set()
    assert not waiting[1].done()
    gate.set()
    gate.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting[1:])
    assert gate.is_set()
