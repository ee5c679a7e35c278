"""Makes what tests need: tenants, running services, events."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from resolvers.context import Context, Principal, Role, Services
from resolvers.events import ingest
from resolvers.live.bus import Bus
from resolvers.live.cache import Cache
from resolvers.store.database import Database, connect
from resolvers.store.terms import TermMemory
from resolvers.store.turns import Heavy
from resolvers.store.versions import VersionReader, connect_reader
from resolvers.store.writer import Writer
from resolvers.tenants import create_tenant

_NUMBERS = itertools.count(1)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
"""When made events happen unless they say otherwise."""


async def new_principal(
    owner: Database, role: Role = Role.ADMIN, *, currency: str = "USD", timezone: str = "UTC"
) -> Principal:
    """A caller of a tenant just made; its key exists by number only."""
    number = next(_NUMBERS)
    tenant = await create_tenant(owner, f"tenant-{number}", currency=currency, timezone=timezone)
    return Principal(tenant.id, tenant.slug, tenant.currency, tenant.timezone, 1_000_000 + number, role)


@asynccontextmanager
async def running_services(url: str, cache: Cache | None = None, **changes: Any) -> AsyncIterator[Services]:
    """The services of one process, from start to stop, more patient than in earnest: what is slow is the machine."""
    database = await Database.open(url, pool_size=8, statement_seconds=30, lock_seconds=30, wait_seconds=30)
    memory = TermMemory()
    writer = Writer(database, memory, patience=60)
    bus = Bus(lambda: connect(url))
    versions = VersionReader(lambda: connect_reader(url))
    writer.start()
    bus.start()
    async with asyncio.timeout(10):
        await bus.ready.wait()
    try:
        yield Services(database, memory, writer, bus, cache or Cache(), versions, Heavy(2), **changes)
    finally:
        versions.close()
        await writer.stop()
        await bus.stop()
        await database.close()


def event(**fields: Any) -> dict[str, Any]:
    """An event as a client sends it, a page view by default; ``at`` may be a datetime."""
    made: dict[str, Any] = {"kind": "PRODUCT", "name": "page_view", "subject": "ann", "occurredAt": NOON}
    made |= fields
    if isinstance(made["occurredAt"], datetime):
        made["occurredAt"] = made["occurredAt"].isoformat()
    return made


def purchase(amount: str, **fields: Any) -> dict[str, Any]:
    return event(**{"kind": "CONVERSION", "name": "purchase", "amount": amount, "currency": "USD"} | fields)


async def store(context: Context, *events: dict[str, Any]) -> None:
    """Take events in, each of them new and sound."""
    receipt = await ingest(context, events)
    assert receipt.accepted == len(events), receipt
