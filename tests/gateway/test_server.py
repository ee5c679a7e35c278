"""The server keeps its deadlines and bounds against clients that do not behave, and ends in order."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway import server
from gateway.admission import Crowd
from gateway.settings import load_settings
from resolvers.live.rounds import Rounds
from tests.gateway.served import GET, LIVE, connected, everything, serving


def _app(endpoint: Callable[[Request], Awaitable[Response]] | None = None) -> Starlette:
    async def answer(request: Request) -> Response:
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", endpoint or answer)])


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ", b"\r\n\r\n"])
async def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    async with serving(_app(), head_seconds=0.05) as port:
        assert await everything(await connected(port, sent)) == b""


async def test_a_head_without_end_is_cut_off() -> None:
    async with serving(_app()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"x: " + b"y" * 9_000 + b"\r\n")
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_the_second_head_of_a_connection_has_the_same_deadline() -> None:
    async with serving(_app(), head_seconds=0.05) as port:
        reader, writer = await connected(port, GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(GET[:-2])
        assert await everything((reader, writer)) == b""


async def test_an_answer_may_take_longer_than_a_head() -> None:
    may_answer = asyncio.Event()

    async def slow(request: Request) -> Response:
        await may_answer.wait()
        return PlainTextResponse("late", headers={"connection": "close"})

    async with serving(_app(slow), head_seconds=0.05) as port:
        patient = await connected(port, GET)
        await everything(await connected(port))
        may_answer.set()
        assert (await everything(patient)).endswith(b"late")


async def test_a_peer_that_does_not_read_is_dropped() -> None:
    dropped = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        async def flood() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

        await receive()
        flooding = asyncio.create_task(flood())
        await receive()
        flooding.cancel()
        dropped.set()

    async with serving(Starlette(routes=[Mount("/", endless)]), stall_seconds=0.05) as port:
        _, writer = await connected(port, GET)
        await asyncio.wait_for(dropped.wait(), 30)
        writer.close()


async def test_a_socket_that_does_not_read_is_dropped() -> None:
    dropped = asyncio.Event()

    async def endless(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text("x" * 65536)
        except WebSocketDisconnect:
            dropped.set()

    app = Starlette(routes=[WebSocketRoute("/", endless)])
    async with serving(app, stall_seconds=0.05) as port:
        _, writer = await connected(
            port,
            b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        await asyncio.wait_for(dropped.wait(), 30)
        writer.close()


async def test_connections_beyond_the_limit_are_told_to_come_back() -> None:
    async with serving(_app(), max_connections=1) as port:
        first = await connected(port)
        refused = await everything(await connected(port, GET))
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        assert b'"code":"OVERLOADED"' in refused
        first[1].write(GET)
        assert (await first[0].readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        first[1].close()


async def test_whether_it_lives_is_answered_at_once_while_every_place_is_taken_and_nothing_may_begin() -> None:
    crowd, rounds = Crowd(1), Rounds(most=1)
    rounds._left = -(10**9)
    async with serving(_app(), crowd, rounds) as port:
        waiting = await connected(port, GET)
        async with asyncio.timeout(20):
            while not rounds.waiting:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
        reader, writer = await connected(port, LIVE * 3)
        for _ in range(3):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(17) == b'{"status":"live"}'
        writer.write(GET + LIVE)
        refused = await reader.readuntil(b'"retryAfter":1}}]}')
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        writer.write(LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        last = await everything((reader, writer))
        assert last.count(b'{"status":"live"}') == 2
        assert last.lower().count(b"connection: close") == 1
        rounds._left = 0
        assert (await waiting[0].readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        waiting[1].close()


async def test_an_answer_that_is_ready_waits_for_the_request_before_it() -> None:
    may_answer = asyncio.Event()

    async def slow(request: Request) -> Response:
        await may_answer.wait()
        return PlainTextResponse("slow")

    async with serving(_app(slow)) as port:
        reader, writer = await connected(port, GET + LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await everything(await connected(port, LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
        may_answer.set()
        answers = await everything((reader, writer))
        assert answers.index(b"slow") < answers.index(b'{"status":"live"}')


async def test_a_refused_request_may_send_its_body_to_the_end_and_the_next_is_answered() -> None:
    size = 500_000
    post = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n".encode()
    crowd = Crowd(1)
    async with serving(_app(), crowd) as port:
        with crowd.inside():
            reader, writer = await connected(port, post)
            assert b"HTTP/1.1 503" in await reader.readuntil(b'"retryAfter":1}}]}')
            for _ in range(10):
                writer.write(b"x" * (size // 10))
                await writer.drain()
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(post.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        with crowd.inside():
            # The body is not asked for, so nothing can follow on this connection.
            refused = await everything((reader, writer))
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"connection: close" in refused.lower()


async def test_a_refused_request_has_no_time_without_end_for_its_body() -> None:
    crowd = Crowd(1)
    async with serving(_app(), crowd, head_seconds=0.05) as port:
        with crowd.inside():
            post = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n"
            assert (await everything(await connected(port, post))).startswith(b"HTTP/1.1 503")


async def test_who_has_waited_too_long_is_refused_and_who_left_meanwhile_is_not_begun() -> None:
    begun: list[str] = []

    async def answer(request: Request) -> Response:
        begun.append(request.url.path)
        return PlainTextResponse("ok")

    crowd, rounds = Crowd(10), Rounds(most=1, burst=3, patience=0.0)
    rounds._left = -(10**9)
    async with serving(_app(answer), crowd, rounds) as port:
        waiting = [await connected(port, GET) for _ in range(3)]
        async with asyncio.timeout(20):
            while rounds.waiting < 3:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
            waiting[0][1].transport.abort()
            for reader, writer in [*waiting[1:], await connected(port, GET)]:
                assert (await reader.readuntil(b'"retryAfter":1}}]}')).startswith(b"HTTP/1.1 503")
                # The connection is as good as before.
                writer.write(LIVE)
                assert await reader.readuntil(b'{"status":"live"}')
                writer.close()
            while crowd.under_way:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
        assert begun == []


async def test_many_connections_are_taken_in_a_round_of_the_loop() -> None:
    app = _app()
    running = server.Server(server.ServerConfig(app, load_settings()), lambda: None, lambda: None)
    with server.bind("127.0.0.1", 0) as listener:
        task = asyncio.create_task(running.serve([listener]))
        async with asyncio.timeout(20):
            while not running.started:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
        assert len(running.servers) == 32
        assert {taken.sockets[0].getsockname() for taken in running.servers} == {listener.getsockname()}
        assert await everything(await connected(listener.getsockname()[1], GET.replace(b"1.1", b"1.0")))
        running.should_exit = True
        await task


async def test_the_server_does_not_name_its_software() -> None:
    async with serving(_app()) as port:
        answer = await everything(await connected(port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
        assert b"\r\nserver:" not in answer.lower()


async def test_an_oversized_message_closes_its_socket() -> None:
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(str(len(await websocket.receive_text())))

    app = Starlette(routes=[WebSocketRoute("/", echo)])
    async with serving(app) as port, connect(f"ws://127.0.0.1:{port}/") as client:
        await client.send("x" * 65536)
        assert await client.recv() == "65536"
        await client.send("x" * 65537)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_shutdown_finishes_requests_and_closes_sockets() -> None:
    begun, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        begun.set()
        await may_answer.wait()
        return PlainTextResponse("done")

    async def idle(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    app = Starlette(routes=[Route("/", slow), WebSocketRoute("/socket", idle)])
    settings = load_settings()
    ready = asyncio.Event()
    running = server.Server(server.ServerConfig(app, settings), ready.set, may_answer.set)
    with server.bind("127.0.0.1", 0) as listener:
        task = asyncio.create_task(running.serve([listener]))
        await ready.wait()
        port = listener.getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/socket") as client:
            request = await connected(port, GET)
            await begun.wait()
            running.should_exit = True
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            assert (await everything(request)).endswith(b"done")
        await task


def test_a_taken_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(server.ServerError, match=rf"127\.0\.0\.1 port {port}: .*--port"):
            server.bind("127.0.0.1", port)
