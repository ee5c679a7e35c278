"""A server in the test's own loop, and what a client sends and reads there byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from gateway import server
from gateway.admission import Crowd
from gateway.settings import load_settings
from resolvers.live.rounds import Rounds

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
LIVE = GET.replace(b" / ", b" /health/live ")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(
    app: Starlette, crowd: Crowd | None = None, rounds: Rounds | None = None, **given: float
) -> AsyncIterator[int]:
    """The port where the application is served, with these settings."""
    settings = load_settings(**given)
    ready, stopped = asyncio.Event(), asyncio.Event()
    running = server.Server(server.ServerConfig(app, settings, crowd, rounds), ready.set, stopped.set)
    with server.bind("127.0.0.1", 0) as listener:
        task = asyncio.create_task(running.serve([listener]))
        await ready.wait()
        try:
            yield listener.getsockname()[1]
        finally:
            running.should_exit = True
            await task
    assert stopped.is_set()


async def connected(port: int, sent: bytes = b"") -> Streams:
    """A connection on which so much was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    return reader, writer


async def everything(streams: Streams) -> bytes:
    """Everything up to the end of the connection."""
    reader, writer = streams
    try:
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
