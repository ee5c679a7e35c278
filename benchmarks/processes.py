"""Processes beside the benchmark: gateways and bare servers, found, watched and ended."""

import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.bench import PATIENT, Log
from gateway.settings import Settings, variable

_ROOT = Path(__file__).parent.parent
_ADDRESS = re.compile(rb"http://(127\.0\.0\.1):(\d+)")
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_FOLD_SECONDS = 1_800.0


@dataclass(frozen=True, slots=True)
class Served:
    """A server on loopback."""

    host: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that is asked and answers in lines of JSON."""

    process: asyncio.subprocess.Process

    async def ask(self, question: Any, seconds: float = 600) -> Any:
        """The answer to a question."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        return await self.hear(seconds)

    async def hear(self, seconds: float = 120) -> Any:
        """The next line; raises RuntimeError where the process has ended."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the benchmark ended")
        return json.loads(line)


@asynccontextmanager
async def gateway(url: str, settings: Mapping[str, float] = PATIENT) -> AsyncIterator[Served]:
    """A gateway process as the command line starts it, over a database."""
    outside = {name: value for name, value in os.environ.items() if name not in map(variable, Settings.model_fields)}
    given = {variable(name): str(value) for name, value in settings.items()}
    environment = {**outside, **given, "DATABASE_URL": url, "GATEWAY_LOG_LEVEL": "error"}
    async with _server("-m", "gateway", "serve", "--port", "0", environment=environment) as served:
        yield served


@asynccontextmanager
async def bare_server(url: str, log: Log) -> AsyncIterator[Served]:
    """The bare server that a dashboard is held against."""
    async with _server("-m", "benchmarks.bare", url, str(log.principal.tenant_id)) as served:
        yield served


@asynccontextmanager
async def _server(*arguments: str, environment: dict[str, str] | None = None) -> AsyncIterator[Served]:
    async with process(*arguments, environment=environment) as running:
        async with asyncio.timeout(_START_SECONDS):
            address = await _address(running)
        if address is None:
            raise RuntimeError(f"python {' '.join(arguments)} does not serve")
        yield Served(*address, running.pid)


async def _address(running: asyncio.subprocess.Process) -> tuple[str, int] | None:
    assert running.stdout is not None
    async for line in running.stdout:
        if found := _ADDRESS.search(line):
            return found[1].decode(), int(found[2])
    return None


@asynccontextmanager
async def process(
    *arguments: str, environment: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process, ended with the block; what it complained of is told where the block fails."""
    with tempfile.TemporaryFile() as complaints, tempfile.TemporaryDirectory() as folder:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            # Away from any .env file.
            cwd=folder,
            env={**(environment or os.environ), "PYTHONPATH": os.pathsep.join(paths)},
        )
        try:
            yield running
        except BaseException as error:
            complaints.seek(0)
            error.add_note(complaints.read()[-4_000:].decode(errors="replace"))
            raise
        finally:
            await _ended(running)


async def _ended(running: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        running.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await running.communicate()
        except TimeoutError:
            running.kill()
            await running.wait()


def most_memory(served: Served) -> float:
    """The most resident memory that a server has had so far, in MiB."""
    status = Path(f"/proc/{served.pid}/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """What a process of this machine has computed so far, to the nanosecond where Linux tells."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            spent += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return spent / 1e9


async def settled(log: Log) -> None:
    """Return once a running gateway has brought everything it derives in the background up to the log."""
    connection = await asyncpg.connect(log.url)
    try:
        if await connection.fetchval("SELECT to_regclass('journey_state') IS NULL"):
            return
        behind = (
            "SELECT coalesce((SELECT folded_to FROM journey_state WHERE tenant_id = $1), 0) < version"
            " FROM data_version WHERE tenant_id = $1 AND kind = 0"
        )
        async with asyncio.timeout(_FOLD_SECONDS):
            while await connection.fetchval(behind, log.principal.tenant_id):  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.2)
    finally:
        await connection.close()
