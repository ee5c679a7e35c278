"""Gateway, PostgreSQL and a rebuild killed at random moments under load: nothing acknowledged is lost or doubled.

``FAULT_ROUNDS=20 pytest -s tests/gateway/test_crashes.py`` is the long run; it says what it saw.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import httpx2
import pytest

from gateway.embedded import EmbeddedPostgres
from resolvers.store.database import Database, connect
from resolvers.store.folding import fold
from resolvers.store.segments import SegmentRepository
from tests.factories import event
from tests.processes import KEY, Serving, command, postmaster_there

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "4"))
WRITERS = 6
VICTIMS = ("gateway", "PostgreSQL", "rebuild", "gateway and PostgreSQL")
_NOT_THERE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Load:
    """Writers that send until they are told to stop; some try again what failed, some leave it at that."""

    def __init__(self, gateway: Serving, random: Random) -> None:
        self.gateway = gateway
        self.random = random
        self.acknowledged: set[str] = set()
        self.given_up: set[str] = set()
        """Events of which nobody knows."""
        self.outcomes = Counter[str]()
        self.stopping = False
        self._made = 0

    async def write(self, http: httpx2.AsyncClient) -> None:
        sent: list[dict[str, Any]] = []
        while not self.stopping:
            again = self.random.sample(sent, min(len(sent), 5))
            new = [self._event() for _ in range(self.random.choice([1, 20, 200]))]
            sent = [*sent[-500:], *new] if await self._send(http, [*new, *again, new[0]]) else sent

    async def _send(self, http: httpx2.AsyncClient, batch: list[dict[str, Any]]) -> bool:
        ids = {one["id"] for one in batch}
        stubborn = self.random.random() < 0.8
        while True:
            outcome = await self._sent(http, batch)
            self.outcomes[outcome] += 1
            if outcome == "200":
                self.acknowledged |= ids
                return True
            if not stubborn or self.stopping:
                self.given_up |= ids
                return False
            await asyncio.sleep(0.05)

    async def _sent(self, http: httpx2.AsyncClient, batch: list[dict[str, Any]]) -> str:
        """The status of an answer, or that there was none."""
        url, headers = f"http://{self.gateway.address}/ingest", {"authorization": f"Bearer {KEY}"}
        try:
            response = await http.post(url, json=batch, headers=headers)
        except httpx2.TransportError:
            return "none"
        if response.status_code == 200:
            receipt = response.json()
            assert receipt["accepted"] + receipt["duplicates"] == len(batch), receipt
        else:
            assert response.status_code in (429, 503), response.text
            assert int(response.headers["retry-after"]) >= 1
        return str(response.status_code)

    def _event(self) -> dict[str, Any]:
        self._made += 1
        # Most are of these days, some come late.
        days = self.random.choice([0, 0, 0, 1, 20, 50])
        at = datetime(2026, 3, 20, tzinfo=UTC) - timedelta(days=days, seconds=self.random.randrange(50_000))
        fields: dict[str, Any] = {"dimensions": {"channel": self.random.choice("abc")}} if self._made % 3 else {}
        if self._made % 5 == 0:
            fields |= {"kind": "CONVERSION", "name": "buy", "amount": "9.99", "currency": "USD"}
        return event(id=f"e{self._made}", subject=f"s{self.random.randrange(300)}", occurredAt=at, **fields)


class Rebuilds:
    """``gateway rebuild`` again and again beside a gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stopping = False
        self.welcome = asyncio.Event()
        """Set while there is a gateway; a command that starts without one would take over the database."""
        self.outcomes = Counter[int]()
        self.running: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        while not self.stopping:
            await self.welcome.wait()
            self.running = await command("rebuild", "--data-dir", str(self.folder))
            said, _ = await self.running.communicate()
            code = self.running.returncode or 0
            # Where the database goes away under it, it says so.
            assert code in (0, -signal.SIGKILL) or (code == 1 and b"Traceback" not in said), (code, said.decode())
            self.outcomes[code] += 1


async def stored(url: str) -> Counter[str]:
    """How often each id is in the log, as soon as the database can tell."""
    async with asyncio.timeout(60):
        while True:
            with suppress(*_NOT_THERE):
                connection = await connect(url)
                try:
                    return Counter(
                        {row[0]: row[1] for row in await connection.fetch("SELECT id, count(*) FROM event GROUP BY 1")}
                    )
                finally:
                    connection.terminate()
            await asyncio.sleep(0.1)


async def revive(gateway: Serving) -> None:
    """Start a gateway again; a command that was first to take over the database hands it on at its end."""
    async with asyncio.timeout(120):
        while True:
            if await gateway.start():
                return
            await asyncio.sleep(0.1)


async def strike(victim: str, gateway: Serving, rebuilds: Rebuilds) -> None:
    rebuilds.welcome.clear()
    match victim:
        case "gateway":
            await gateway.kill()
            await revive(gateway)
        case "PostgreSQL":
            os.kill(await postmaster_there(gateway.folder), signal.SIGKILL)
        case "gateway and PostgreSQL":
            server = await postmaster_there(gateway.folder)
            await gateway.kill()
            os.kill(server, signal.SIGKILL)
            await revive(gateway)
        case _ if rebuilds.running is not None and rebuilds.running.returncode is None:
            rebuilds.running.kill()
    rebuilds.welcome.set()


async def proven(folder: Path) -> str:
    """What ``gateway verify`` says, which must find nothing."""
    process = await command("verify", "--data-dir", str(folder))
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode().strip().splitlines()[-1]


@asynccontextmanager
async def killed_at_the_end(gateway: Serving) -> AsyncIterator[Serving]:
    try:
        yield gateway
    finally:
        await gateway.kill()
        with EmbeddedPostgres(gateway.folder):
            pass


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a name short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="gateway-crash-") as name:
        yield Path(name)


@pytest.mark.timeout(120 + 60 * ROUNDS)
async def test_what_was_acknowledged_survives_any_death(folder: Path) -> None:
    random = Random()
    gateway, rebuilds = Serving(folder), Rebuilds(folder)
    load = Load(gateway, random)
    async with killed_at_the_end(gateway), httpx2.AsyncClient(timeout=20) as http:
        await revive(gateway)
        rebuilds.welcome.set()
        url = EmbeddedPostgres(folder).url
        tasks = [asyncio.create_task(load.write(http)) for _ in range(WRITERS)]
        tasks.append(asyncio.create_task(rebuilds.run()))
        recoveries = []
        for number in range(ROUNDS):
            await asyncio.sleep(random.uniform(0.5, 4))
            before = set(load.acknowledged)
            victim = VICTIMS[number] if number < len(VICTIMS) else random.choice(VICTIMS)
            began = time.monotonic()
            await strike(victim, gateway, rebuilds)
            there = await stored(url)
            lost = [one for one in before if there[one] != 1]
            assert not lost, (victim, lost[:10])
            reached = len(load.acknowledged)
            async with asyncio.timeout(60):
                while len(load.acknowledged) == reached:
                    finished = [task for task in tasks if task.done()]
                    assert not finished, finished
                    await asyncio.sleep(0.02)
            recoveries.append(time.monotonic() - began)
            print(
                f"round {number + 1}: {victim} killed; {len(before):,} acknowledged by then are there once; "
                f"writing again after {recoveries[-1]:.1f} s"
            )
        rebuilds.stopping = load.stopping = True
        await asyncio.gather(*tasks)
        there = await stored(url)
        assert set(there.values()) == {1}
        assert load.acknowledged <= set(there) <= load.acknowledged | load.given_up
        print(await proven(folder))
        await _folded(url, len(there))
        print(await proven(folder))
        print(
            f"{len(load.acknowledged):,} events acknowledged, {len(set(there) - load.acknowledged):,} others stored; "
            f"requests by outcome {dict(load.outcomes)}; rebuilds by exit code {dict(rebuilds.outcomes)}"
        )
        assert await gateway.stop() == 0
    assert "Traceback" not in gateway.log()


async def _folded(url: str, events: int) -> None:
    """Let upkeep come to its end: every event is in a segment then."""
    database = await Database.open(url, pool_size=2)
    try:
        async with asyncio.timeout(60):
            reach = 0
            while reach < events:
                await fold(database, 1)
                async with database.tenant(1) as session:
                    state = await SegmentRepository(session).state(1)
                reach = state.manifest.folded_to
        assert (state.version, reach, state.manifest.behind) == (events, events, {})
    finally:
        await database.close()
