"""``gateway demo``: the gateway with a made-up company in it, of which more is told while somebody watches."""

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gateway import demo, demo_definitions, server
from gateway.app import Gateway, create_app
from gateway.commands.common import CommandError, DataDirOption, console, database, errors, owner, pepper
from gateway.commands.importing import patient_gateway, persistently, writer_of
from gateway.commands.serving import HostOption, PortOption, address, orderly_end, start_up, unhurried_end
from gateway.settings import Settings
from gateway.telemetry import configure_logging
from resolvers import keys, tenants
from resolvers.analysis.events import Receipt
from resolvers.context import Principal, Role
from resolvers.errors import GatewayError

SEED = 1
TENANT = "demo"
BATCH = 5_000
_NOTED = 100
"""Live events between two notes of how far the story was told."""

_log = structlog.get_logger("gateway.demo")


PeopleOption = Annotated[
    int | None,
    typer.Option(
        min=100,
        max=1_000_000,
        help="How many people arrive: some 25 events each, so that 400000 make ten million events.",
        show_default=f"{demo.PEOPLE}",
    ),
]


@dataclass(slots=True)
class Progressed:
    """How far a data folder's story was told, so that a later start goes on with it."""

    end: str
    """Until when the story of the past goes, and from when the live one."""
    key: str
    people: int = demo.PEOPLE
    loaded: bool = False
    defined: bool = False
    """Whether the company has its segments, experiments and so on; what is deleted later does not come again."""
    told: int = 0
    """Live events that were certainly sent; those sent after it are recognised by their ids."""

    @classmethod
    def read(cls, file: Path, people: int | None) -> "Progressed":
        """What the file says, or the beginning; CommandError where it tells of another number of people."""
        if not file.exists():
            key = f"demo_{secrets.token_urlsafe(18)}"
            return cls(datetime.now(UTC).isoformat(), key, demo.PEOPLE if people is None else people)
        found = cls(**json.loads(file.read_text(encoding="utf-8")))
        if people not in (None, found.people):
            raise CommandError(
                f"{file.parent} holds a demo of {found.people:,} people; choose another folder by --data-dir."
            )
        return found

    def write(self, file: Path) -> None:
        """Replace the file as a whole; it holds a key, so nobody else may read it."""
        draft = file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.replace(file)


def demo_command(
    host: HostOption = None, port: PortOption = None, data_dir: DataDirOption = None, people: PeopleOption = None
) -> None:
    """Show what the gateway does: a made-up company's 90 days, and live events while you watch.

    Everything is in a data folder of its own; DATABASE_URL is not used. A second start goes on where the first ended.
    """
    settings = start_up(host, port, data_dir)
    folder = data_dir or settings.data_dir / "demo"
    settings = settings.model_copy(update={"data_dir": folder, "database_url": None})
    if "log_level" not in settings.model_fields_set:
        configure_logging(settings.log_format, "warning")
    with (
        server.bind(settings.host, settings.port) as listener,
        orderly_end(),
        database(settings, share=False) as url,
        unhurried_end(),
    ):
        port = listener.getsockname()[1]
        note = folder / "demo.json"
        progressed = Progressed.read(note, people)
        progressed.write(note)
        asyncio.run(ensure_tenant(url, settings, progressed.key))
        if not progressed.loaded:
            asyncio.run(load(url, settings, progressed))
            progressed.write(note)
        if not progressed.defined:
            asyncio.run(define(url, settings, progressed))
            progressed.write(note)
        app = create_app(settings, url)
        live = Live(app.state.gateway, progressed, note)

        def announce() -> None:
            live.start()
            console.print(
                "The demo runs, with a few live events a second. Open this address to ask it something:", soft_wrap=True
            )
            console.print(f"  {address(settings, port)}/graphiql#key={progressed.key}", soft_wrap=True)
            console.print("Ctrl-C ends it; the data stays for the next start.")

        crowd, rounds = app.state.gateway.crowd, app.state.gateway.rounds
        server.run(app, settings, listener, crowd=crowd, rounds=rounds, on_ready=announce, on_stop=live.stop)


async def ensure_tenant(url: str, settings: Settings, key: str) -> None:
    async with owner(url) as opened:
        tenant = await tenants.tenant_by_slug(opened, TENANT) or await tenants.create_tenant(opened, TENANT)
        if not await keys.keys(opened, tenant.id):
            secret = await pepper(opened, settings)
            await keys.create_key(opened, tenant.id, Role.ADMIN, "demo", pepper=secret, secret=key)


async def load(url: str, settings: Settings, progressed: Progressed) -> None:
    """Tell the past; what an earlier start told already is recognised by its ids."""
    end = datetime.fromisoformat(progressed.end)
    first = end - timedelta(days=demo.DAYS)
    principal = await writer_of(url, TENANT)
    columns = (TextColumn("Inventing a company: {task.fields[count]:,} events"), BarColumn(), TimeElapsedColumn())
    async with patient_gateway(settings, url, upkeep=True) as gateway:
        with Progress(*columns, console=errors) as bar:
            span = (end - first).total_seconds()
            task = bar.add_task("", total=span, count=0)
            count = 0
            story = demo.generate(SEED, end, people=progressed.people)
            async for batch in _stored(story, lambda batch: persistently(gateway, principal, batch)):
                count += len(batch)
                reached = datetime.fromisoformat(batch[-1]["occurredAt"])
                bar.update(task, completed=(reached - first).total_seconds(), count=count)
            bar.update(task, completed=span)
    progressed.loaded = True


async def define(url: str, settings: Settings, progressed: Progressed) -> None:
    """Give the company what its people would have defined by now; doing so again changes nothing."""
    async with patient_gateway(settings, url) as gateway:
        principal = await gateway.authenticate(progressed.key)
        assert principal is not None
        first = demo.first_day(datetime.fromisoformat(progressed.end), demo.DAYS)
        await demo_definitions.define(gateway.context(principal), first)
    progressed.defined = True


async def _stored(
    story: Iterator[dict[str, Any]], store: Callable[[list[dict[str, Any]]], Coroutine[Any, Any, Receipt]]
) -> AsyncIterator[list[dict[str, Any]]]:
    """The batches of a story, each once it is stored; while the database stores one, the next is told and checked."""

    def tell() -> list[dict[str, Any]]:
        return list(itertools.islice(story, BATCH))

    batch = await asyncio.to_thread(tell)
    storing = asyncio.create_task(store(batch))
    try:
        while following := await asyncio.to_thread(tell):
            before, storing = storing, asyncio.create_task(store(following))
            await before
            yield batch
            batch = following
        await storing
        yield batch
    finally:
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)


class Live:
    """Sends the live events of the story from within the running gateway."""

    def __init__(self, gateway: Gateway, progressed: Progressed, note: Path) -> None:
        self._gateway = gateway
        self._progressed = progressed
        self._note = note
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="demo")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._progressed.write(self._note)
        self._gateway.begin_stop()

    async def _run(self) -> None:
        principal = await self._gateway.authenticate(self._progressed.key)
        assert principal is not None
        start, people = datetime.fromisoformat(self._progressed.end), self._progressed.people
        story = demo.trickle(SEED, start, lambda: datetime.now(UTC), people=people)
        # Telling the story up to here again takes seconds, during which the gateway answers already.
        following = await asyncio.to_thread(_after, story, self._progressed.told)
        fresh = True
        with suppress(asyncio.CancelledError):
            for delay, event in following:
                if fresh:
                    await asyncio.sleep(delay)
                fresh = await self._send(principal, event)
                self._progressed.told += 1
                if self._progressed.told % _NOTED == 0:
                    self._progressed.write(self._note)

    async def _send(self, principal: Principal, event: dict[str, Any]) -> bool:
        """Whether the event was new: otherwise an earlier run had sent it, and the story is not yet caught up with."""
        while True:
            try:
                receipt = await self._gateway.ingest(principal, [event])
            except GatewayError as error:
                _log.warning("live event delayed", reason=error.message)
                await asyncio.sleep(error.retry_after or 1)
            else:
                return receipt.accepted == 1


def _after(story: Iterator[tuple[float, dict[str, Any]]], told: int) -> Iterator[tuple[float, dict[str, Any]]]:
    """The story after its first ``told`` events, with the next one told already."""
    rest = itertools.islice(story, told, None)
    return itertools.chain([next(rest)], rest)
