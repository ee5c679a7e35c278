"""The demo's data comes once, and its story goes on where it ended."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from gateway import demo
from gateway.app import Gateway
from gateway.commands import demonstration
from gateway.commands.common import CommandError
from gateway.commands.demonstration import Live, Progressed, ensure_tenant, load
from gateway.commands.importing import writer_of
from gateway.settings import Settings, load_settings
from resolvers.analysis.events import Receipt
from resolvers.analysis.filters import EVERYTHING
from resolvers.context import Principal, Role
from resolvers.events import events
from resolvers.store.schema_version import migrate
from tests.conftest import fresh_database


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A story of three days, told without pauses."""
    generate, trickle = demo.generate, demo.trickle
    monkeypatch.setattr(demo, "DAYS", 3)
    monkeypatch.setattr(demo, "PEOPLE", 60)
    monkeypatch.setattr(demo, "generate", partial(generate, days=3))
    monkeypatch.setattr(demo, "trickle", partial(trickle, days=3, rate=1e6))
    monkeypatch.setattr(demonstration, "BATCH", 100)


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
async def url(postgres_url: str) -> str:
    made = await fresh_database(postgres_url, "gateway_demo")
    await migrate(made)
    return made


@pytest.fixture
async def gateway(settings: Settings, url: str) -> AsyncIterator[Gateway]:
    running = Gateway(settings, url)
    await running.start()
    yield running
    await running.stop()


async def _ids(gateway: Gateway) -> list[str]:
    context = gateway.context(replace(await writer_of(gateway.database_url, "demo"), role=Role.VIEWER))
    found: list[str] = []
    after = None
    while True:
        page = await events(context, where=EVERYTHING, first=500, after=after)
        found += [stored.event.id for stored in page.events]
        if not page.has_next:
            return found
        after = page.cursors[-1]


def test_progress_is_kept_where_nobody_else_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    begun = Progressed.read(file, None)
    begun.told = 7
    begun.write(file)
    assert Progressed.read(file, None) == begun
    assert file.stat().st_mode & 0o077 == 0


def test_a_folder_tells_of_as_many_people_as_it_began_with(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    Progressed.read(file, 500).write(file)
    assert Progressed.read(file, None).people == 500
    assert Progressed.read(file, 500).people == 500
    with pytest.raises(CommandError, match="500 people"):
        Progressed.read(file, 501)


async def test_loading_again_adds_nothing(gateway: Gateway, settings: Settings, url: str, tmp_path: Path) -> None:
    progressed = Progressed.read(tmp_path / "demo.json", None)
    await ensure_tenant(url, settings, progressed.key)
    await load(url, settings, progressed)
    assert progressed.loaded
    first = await _ids(gateway)
    assert len(first) > 200
    await ensure_tenant(url, settings, progressed.key)
    await load(url, settings, progressed)
    assert await _ids(gateway) == first


class _Recorder:
    """Stands in for a running gateway: keeps what it is sent, and knows which ids it has."""

    def __init__(self, known: list[str], wanted: int) -> None:
        self.sent: list[str] = []
        self.known = known
        self.stopping = False
        self._wanted = wanted
        self.done = asyncio.Event()

    async def authenticate(self, key: str) -> Principal:
        return Principal(1, "demo", "USD", "UTC", 1, Role.ADMIN)

    async def ingest(self, principal: Principal, items: list[dict[str, str]]) -> Receipt:
        (identifier,) = (item["id"] for item in items)
        self.sent.append(identifier)
        fresh = identifier not in self.known
        if fresh:
            self.known.append(identifier)
        if len(self.known) == self._wanted:
            self.done.set()
            await asyncio.Event().wait()
        return Receipt(accepted=int(fresh))

    def begin_stop(self) -> None:
        self.stopping = True


async def _tell(progressed: Progressed, file: Path, known: list[str], wanted: int) -> list[str]:
    recorder = _Recorder(known, wanted)
    live = Live(cast(Gateway, recorder), progressed, file)
    live.start()
    await recorder.done.wait()
    live.stop()
    assert recorder.stopping
    return recorder.sent


async def test_the_story_goes_on_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    known: list[str] = []
    first = await _tell(Progressed.read(file, None), file, known, 5)
    assert len(first) == 5
    noted = Progressed.read(file, None)
    assert noted.told == 4
    second = await _tell(noted, file, known, 9)
    assert second[0] == first[4]
    assert len(known) == len(set(known)) == 9


async def test_a_lost_note_is_made_up_for(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    known: list[str] = []
    progressed = Progressed.read(file, None)
    await _tell(progressed, file, known, 5)
    progressed.told = 0
    again = await _tell(progressed, file, known, 8)
    assert again == known
