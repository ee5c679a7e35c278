"""What a request's body, and the request as a whole, leaves behind in the server."""

import asyncio
import gc

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from gateway.admission import WHOLE_BODY
from gateway.http_requests import BadRequest, Buffer, disconnected, json_of
from gateway.limits import Limits
from tests.gateway.served import GET, LIVE, connected, everything, serving


async def test_a_body_is_read_alike_whether_it_comes_with_its_head_or_in_pieces() -> None:
    buffer, taken = Buffer(Limits()), list[bool]()

    async def echo(request: Request) -> Response:
        taken.append(request.scope[WHOLE_BODY] is not None)
        try:
            with buffer.reservation(60) as reservation:
                return JSONResponse(await json_of(request.scope, request.receive, Limits(), reservation))
        except BadRequest as error:
            return PlainTextResponse(error.message, error.status)

    def post(body: bytes) -> tuple[bytes, bytes]:
        head = f"POST / HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode(), body

    app = Starlette(routes=[Route("/", echo, methods=["POST"])])
    async with serving(app) as port:
        reader, writer = await connected(port)
        head, body = post(b'{"a":[1,2]}')
        # Two at once, the second of which waits for its turn; then one whose body follows piece by piece.
        writer.write(head + body + head + b'{"b":[3,4]}')
        assert (await reader.readuntil(b'{"a":[1,2]}')).startswith(b"HTTP/1.1 200")
        assert (await reader.readuntil(b'{"b":[3,4]}')).startswith(b"HTTP/1.1 200")
        for piece in (head, body[:4], body[4:]):
            writer.write(piece)
            await everything(await connected(port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
        assert (await reader.readuntil(body)).startswith(b"HTTP/1.1 200")
        for body, whole in ((b'"' + b"x" * 60 + b'"', True), (b'"' + b"x" * 60 + b'"', False)):
            head, body = post(body)
            writer.write(head + body if whole else head)
            if not whole:
                writer.write(body)
            assert (await reader.readuntil(b"larger than 60 bytes.")).startswith(b"HTTP/1.1 413")
        writer.close()
    assert len(taken) == 5


async def test_who_leaves_after_a_whole_body_was_taken_is_noticed() -> None:
    gone = asyncio.Event()

    async def wait(request: Request) -> Response:
        body = request.scope[WHOLE_BODY]()
        await disconnected(request.receive)
        if body == b"{}":
            gone.set()
        return PlainTextResponse("too late")

    async with serving(Starlette(routes=[Route("/", wait, methods=["POST"])])) as port:
        _, writer = await connected(port, b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}")
        await everything(await connected(port, LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
        writer.close()
        await asyncio.wait_for(gone.wait(), 20)


async def test_a_request_leaves_nothing_to_the_collector_of_cycles() -> None:
    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope[WHOLE_BODY]() == b"{}"
        await PlainTextResponse("ok")(scope, receive, send)

    post = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}"
    async with serving(Starlette(routes=[Mount("/", whole)])) as port:
        reader, writer = await connected(port)

        async def asked(times: int) -> int:
            gc.collect()
            gc.disable()
            try:
                for _ in range(times):
                    writer.write(post)
                    await reader.readuntil(b"ok")
                return gc.collect()
            finally:
                gc.enable()

        await asked(1)
        assert await asked(100) < 100
        writer.close()
