"""What every benchmark is given: how much to measure, a PostgreSQL to measure on, and a bar to move."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from rich.progress import Progress

from benchmarks.company import DAYS, Company
from benchmarks.loading import derive, load
from gateway.app import Gateway
from gateway.settings import load_settings
from resolvers.context import Principal, Role
from resolvers.keys import create_key, pepper
from resolvers.store.database import Database
from resolvers.store.schema_version import migrate
from resolvers.tenants import create_tenant, tenant_by_slug

UNRATED = {"key_rate": 0.0, "tenant_rate": 0.0, "key_cost_rate": 0.0}
"""One key asks for everything there is."""
PATIENT = UNRATED | {
    "statement_seconds": 120.0,
    "operation_seconds": 120.0,
    "lock_seconds": 60.0,
    "pool_wait_seconds": 60.0,
    "queue_seconds": 120.0,
}
"""What is slow is to be measured, not refused."""
_GENERATION = 1
"""Changes whenever the company's events or the way they are loaded do."""
_SMALL = 100_000


@dataclass(frozen=True, slots=True)
class Log:
    """A tenant with its events, and a key to ask about them."""

    url: str
    principal: Principal
    key: str
    events: int


@dataclass(frozen=True, slots=True)
class Bench:
    """One run."""

    url: str
    """Of a PostgreSQL, under a superuser; it gets databases of its own."""
    folder: Path
    """Where what is not in PostgreSQL is kept between runs."""
    progress: Progress
    events: int = 10_000_000
    """How many events the log holds that questions are asked of."""
    rounds: int = 5
    seconds: float = 2.0
    """How long a server is asked in one round."""
    singles: int = 1_000
    """Concurrent requests with one event each."""
    batch: int = 5_000
    """Events of a batch."""
    subscribers: int = 5_000
    objects: int = 1_000
    """Length of the list."""

    @property
    def small(self) -> int:
        """The size of the log that a large one is to be no slower than."""
        return _SMALL if self.events > _SMALL else max(self.events // 10, 100)

    def ticks(self, label: str, total: int) -> Callable[[], None]:
        """A bar of so many steps; call it at each."""
        task = self.progress.add_task(label, total=total)
        return lambda: self.progress.advance(task)

    async def fresh(self, name: str) -> str:
        """An empty database at this version's schema; returns its URL."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        url = self._at(name)
        await migrate(url)
        return url

    async def log(self, events: int) -> Log:
        """A company's log of that size, loaded unless an earlier run has left it."""
        name = f"events_{events}_{_GENERATION}"
        found = await self._note(name)
        if found is None:
            url = await self.fresh(name)
            log = await new_log(url, "company", events)
            task = self.progress.add_task(f"Loading {events:,} events", total=events)
            await load(
                url, log.principal.tenant_id, Company(events), lambda done: self.progress.update(task, completed=done)
            )
        else:
            url = self._at(name)
            log = await new_log(url, "company", events)
        revision = await migrate(url)
        if revision != found:
            task = self.progress.add_task(f"Rollups of {events:,} events", total=DAYS)
            await derive(url, log.principal.tenant_id, lambda done: self.progress.update(task, completed=done))
            await self._keep(name, revision)
        return log

    def _at(self, name: str) -> str:
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    async def _note(self, name: str) -> str | None:
        """The schema at which a database was completed; None where it is not there or not complete."""
        connection = await asyncpg.connect(self.url)
        try:
            found = await connection.fetchval(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name
            )
        finally:
            await connection.close()
        return None if found is None else str(found)

    async def _keep(self, name: str, revision: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(f"COMMENT ON DATABASE \"{name}\" IS '{revision}'")
        finally:
            await connection.close()


async def new_log(url: str, slug: str, events: int = 0) -> Log:
    """A tenant of that slug, made where there is none, with a new key."""
    owner = await Database.open(url, pool_size=1, owner=True)
    try:
        tenant = await tenant_by_slug(owner, slug) or await create_tenant(owner, slug)
        made = await create_key(owner, tenant.id, Role.ADMIN, "benchmarks", pepper=await pepper(owner))
    finally:
        await owner.close()
    principal = Principal(tenant.id, tenant.slug, tenant.currency, tenant.timezone, made.key.id, Role.ADMIN)
    return Log(url, principal, made.secret, events)


@asynccontextmanager
async def gateway_within(url: str) -> AsyncIterator[Gateway]:
    """A gateway of this process that nobody listens to."""
    gateway = Gateway(load_settings().model_copy(update=PATIENT), url)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
