"""Gateways as processes of their own, to be killed."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.settings import Settings, variable

KEY = "the-key-of-the-first-admin"
_ADDRESS = re.compile(r"http://(127\.0\.0\.1:\d+)/graphiql")


def environment(**settings: str) -> dict[str, str]:
    """The environment of a gateway with these settings and no others."""
    outside = {name: value for name, value in os.environ.items() if name not in map(variable, Settings.model_fields)}
    return {**outside, "GATEWAY_BOOTSTRAP_KEY": KEY, **settings}


async def command(*words: str, **settings: str) -> asyncio.subprocess.Process:
    """A command just started, its output in pipes."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(**settings),
    )


def postmaster(folder: Path) -> int | None:
    """The process of the embedded PostgreSQL below a folder; None where there is none at the moment."""
    try:
        return int((folder / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
    except (FileNotFoundError, IndexError):
        return None


async def postmaster_there(folder: Path, *, other_than: int | None = None) -> int:
    """The same, as soon as there is one, or another one."""
    while True:
        found = postmaster(folder)
        if found is not None and found != other_than:
            return found
        await asyncio.sleep(0.02)


def silence(server: int) -> None:
    """Stop a PostgreSQL and all its processes where they are, by SIGSTOP."""
    os.kill(server, signal.SIGSTOP)
    for child in Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split():
        os.kill(int(child), signal.SIGSTOP)


class Serving:
    """A ``gateway serve`` that can be started again; it logs to ``serve.log`` in its folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.settings = settings
        self.address = ""
        """``host:port`` of the last start."""
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> bool:
        """Start it; return whether it came to serve."""
        with (self.folder / "serve.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", "--port", "0", "--data-dir", str(self.folder)),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment(**self.settings),
            )
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if found := _ADDRESS.search(line.decode()):
                self.address = found[1]
                return True
        await self.process.wait()
        return False

    async def kill(self) -> None:
        """End it without a word, as kill -9 does."""
        await self._ended(signal.SIGKILL)

    async def stop(self) -> int:
        """End it by SIGTERM; return its exit code."""
        return await self._ended(signal.SIGTERM)

    def log(self) -> str:
        return (self.folder / "serve.log").read_text(encoding="utf-8")

    async def _ended(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def serving(folder: Path, **settings: str) -> AsyncIterator[Serving]:
    """A gateway that serves, from start to stop."""
    gateway = Serving(folder, **settings)
    try:
        assert await gateway.start(), gateway.log()
        yield gateway
    finally:
        await gateway.stop()
