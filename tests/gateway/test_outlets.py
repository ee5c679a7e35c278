"""Messages to WebSockets: whole, in order, and not into a void."""

import asyncio
from random import Random
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from gateway.outlets import LastFrame, Outlet, text_frame
from gateway.websocket_protocol import WebSocketProtocol
from gateway.wires import WIRE, Wire
from tests.gateway import graphql_world
from tests.gateway.graphql_clients import INIT, Socket, opened
from tests.gateway.graphql_world import serving
from tests.gateway.test_fanout import LEVEL, Watched

SIZES = (1, 125, 126, 65_535, 65_536, 200_000)


async def test_a_frame_of_any_length_arrives_whole_until_the_socket_closes() -> None:
    outcomes: asyncio.Queue[list[bool]] = asyncio.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        wire: Wire = scope[WIRE]
        frames = wire.send_frame
        sent = [frames(text_frame(b"too early"))]
        await receive()
        await send({"type": "websocket.accept"})
        for size in SIZES:
            sent.append(frames(text_frame(b"x" * (size - 1) + b"y")))
            # What does not fit into the peer's window waits until it does.
            await send({"type": "websocket.send", "text": "between"})
        await send({"type": "websocket.close"})
        outcomes.put_nowait([*sent, frames(text_frame(b"too late"))])

    server = uvicorn.Server(uvicorn.Config(application, port=0, ws=WebSocketProtocol, lifespan="off", log_config=None))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as socket:
            received = [message async for message in socket if message != "between"]
        async with asyncio.timeout(10):
            early, *sent, late = await outcomes.get()
    finally:
        await server.shutdown()
    assert not early
    assert not late
    assert received == ["x" * (size - 1) + "y" for size, done in zip(SIZES, sent, strict=True) if done]
    assert all(sent[:4])


class Sender:
    """Keeps what is sent, once the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.sent: list[str] = []

    async def __call__(self, message: Any) -> None:
        await self.gate.wait()
        self.sent.append(message["text"])

    def frames(self, frame: bytes) -> bool:
        if self.gate.is_set():
            self.sent.append(frame[2:].decode())
        return self.gate.is_set()


async def test_nothing_overtakes_a_message_that_waits() -> None:
    sender = Sender()
    outlet = Outlet(sender, sender.frames, 60, lambda: None)
    waiting = asyncio.create_task(outlet.write(b"first"))
    await asyncio.sleep(0)
    sender.gate.set()
    assert not outlet.write_now(text_frame(b"second"))
    following = asyncio.create_task(outlet.write(b"third"))
    await asyncio.gather(waiting, following)
    assert outlet.write_now(text_frame(b"fourth"))
    assert sender.sent == ["first", "third", "fourth"]
    outlet.close()


async def test_messages_that_nobody_takes_are_noticed() -> None:
    stalled = asyncio.Event()
    outlet = Outlet(Sender(), None, 0.01, stalled.set)
    assert not outlet.write_now(b"no other way")
    waiting = asyncio.create_task(outlet.write(b"first"))
    async with asyncio.timeout(10):
        await stalled.wait()
    waiting.cancel()
    outlet.close()


async def receive(socket: Socket) -> Any:
    return (await socket.receive())["payload"]


@pytest.mark.usefixtures("either_server")
@pytest.mark.parametrize("quick", [True, False])
async def test_watchers_get_each_answer_by_either_way(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []

    def write_now(self: Outlet, frame: bytes) -> bool:
        taken.append(quick)
        if quick:
            head = 4 if frame[1] == 126 else 2
            waiting.add(asyncio.create_task(self.write(frame[head:])))
        return quick

    waiting: set[asyncio.Task[None]] = set()
    monkeypatch.setattr(Outlet, "write_now", write_now)
    watched = Watched()
    async with serving(watched.endpoint) as host, opened(host) as first, opened(host) as second:
        for socket in (first, second):
            await socket.send(INIT)
            await socket.receive()
            await socket.subscribe("1", LEVEL)
            assert await receive(socket) == {"data": {"level": 0}}
        for number in (1, 2):
            await watched.level.set(number)
            assert await receive(first) == await receive(second) == {"data": {"level": number}}
        await watched.level.set(3, broken=True)
        for socket in (first, second):
            assert (await socket.receive())["type"] == "error"
    assert taken[-4:] == [quick] * 4


@pytest.mark.parametrize("seed", range(3))
async def test_watchers_know_the_latest_and_leave_nothing_however_sending_and_completing_fall_together(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    monkeypatch.setattr(graphql_world, "OWN_SERVER", True)
    write_now = Outlet.write_now
    monkeypatch.setattr(Outlet, "write_now", lambda self, frame: random.random() < 0.5 and write_now(self, frame))
    watched = Watched()
    async with serving(watched.endpoint) as host, opened(host) as socket:
        await socket.send(INIT)
        await socket.receive()
        for number in range(1, 60):
            await socket.subscribe(str(number), LEVEL)
            # Sent on and completed at any step of the loop in between.
            for step in range(random.randrange(5)):
                await watched.level.set(number * 10 + step)
                for _ in range(random.randrange(4)):
                    await asyncio.sleep(0)
            if number % 3:
                await socket.send({"id": str(number), "type": "complete"})
        await watched.level.set(1_000)
        known: dict[str, Any] = {}
        async with asyncio.timeout(10):
            while list(known.values()).count({"data": {"level": 1_000}}) < 19:
                message = await socket.receive()
                known[message["id"]] = message["payload"]
    await watched.endpoint.sessions.shutdown()
    assert watched.level.open == {"level": 0}
    assert watched.record.open_subscriptions == watched.endpoint.sessions.tasks == len(watched.operations.live) == 0


def test_a_frame_is_made_once_for_those_who_send_the_same_and_never_for_others() -> None:
    last, body = LastFrame(), b'{"data":1}'
    first = last.of(b"a", body)
    assert first == text_frame(b'a{"data":1}}')
    assert last.of(b"a", body) is first
    assert last.of(b"b", body) == text_frame(b'b{"data":1}}')
    assert last.of(b"b", b'{"data":2}') == text_frame(b'b{"data":2}}')
    assert last.of(b"a", body) == first
