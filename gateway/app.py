"""The gateway put together: the one place that knows every part."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from gateway import background
from gateway.admission import Crowd
from gateway.callers import Callers
from gateway.cors import cross_origin
from gateway.downloads import Downloads
from gateway.endpoint import Endpoint
from gateway.exports import Exports
from gateway.flags import Flags
from gateway.folding_metrics import FoldingCollector
from gateway.health import health_routes
from gateway.ingest import ingest_route
from gateway.memory import Reclaiming
from gateway.operations import Operations
from gateway.pages import page_routes
from gateway.routes import ShortWay, graphql_routes, schema_route
from gateway.sessions import Kind, Sessions
from gateway.settings import Settings
from gateway.telemetry import Metrics, TelemetryMiddleware
from resolvers.analysis.events import Receipt
from resolvers.context import Context, Principal, Services
from resolvers.errors import GatewayError, Unavailable
from resolvers.events import ingest
from resolvers.export_links import ExportLinks
from resolvers.keys import Authenticator, pepper
from resolvers.live.bus import Bus
from resolvers.live.cache import Cache
from resolvers.live.relay import Relay
from resolvers.live.rounds import Rounds
from resolvers.live.shared import RedisState, SharedMemory
from resolvers.live.tasks import ended
from resolvers.live.turns import Turns
from resolvers.sharing import shared_memory, sharing
from resolvers.store.database import Database, connect
from resolvers.store.schema_version import revision_gap
from resolvers.store.terms import TermMemory
from resolvers.store.turns import Heavy
from resolvers.store.versions import VersionReader, connect_reader
from resolvers.store.writer import Writer
from schema import schema

_UPKEEP_SECONDS = 20.0
_LAST_SECONDS = 2.0
"""How long the end waits for a database that does not answer."""
_RESERVED = 2
"""Of the pool's connections, those for writing and authentication."""
_HEAVY = 2
"""Questions over journeys that a process answers at a time."""

log = structlog.get_logger(__name__)


class Gateway:
    """One process of the service: its parts, from start to stop."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self.settings = settings
        self.database_url = database_url
        self.metrics = Metrics()
        self.limits = settings.limits()
        self.sessions = Sessions(self.limits)
        self.stopping = False
        self._services: Services | None = None
        self._authenticator: Authenticator | None = None
        self._callers: Callers | None = None
        self.crowd, self.writes = Crowd(self.limits.requests), Crowd(self.limits.requests)
        self.rounds = Rounds(burst=self.limits.requests, patience=settings.queue_seconds)
        self.turns = Turns(max(2, (settings.pool_size - _RESERVED) // 2), settings.queue_seconds)
        self.reclaim = Reclaiming()
        self._upkeep: list[asyncio.Task[None]] = []
        self._shared: SharedMemory | None = None
        self._relay: Relay | None = None
        self.version_reader = VersionReader(lambda: connect_reader(database_url))
        self._downloads: Downloads | None = None
        self._recheck = asyncio.Event()

    @property
    def services(self) -> Services:
        if self._services is None:
            raise _starting()
        return self._services

    def downloads(self) -> Downloads:
        if self._downloads is None:
            raise _starting()
        return self._downloads

    async def start(self) -> None:
        """Open the database and begin to write and listen; raises GatewayError where the database is away."""
        owner = await Database.open(self.database_url, pool_size=1, owner=True)
        try:
            configured = self.settings.secret
            secret = await pepper(owner, configured.get_secret_value() if configured else None)
            if self.settings.redis_url is not None:
                self._shared = await shared_memory(self.settings.redis_url, owner, secret)
        finally:
            await owner.close()
        database = await self._pool(self.settings.pool_size - _RESERVED)
        # Of its own, so that no crowd of questions keeps events from being stored or keys from being known.
        reserved = await self._pool(_RESERVED)
        memory = TermMemory()
        writer = Writer(reserved, memory)
        bus = Bus(lambda: connect(self.database_url), revoked=self._revoked, resumed=self._resumed)
        self._authenticator = Authenticator(reserved, secret)
        self._callers = Callers(self._authenticator, self.limits)
        cache = Cache(sharing=None if self._shared is None else sharing(self._shared))
        self._services = Services(
            database,
            memory,
            writer,
            bus,
            cache,
            self.version_reader,
            Heavy(_HEAVY, self.reclaim),
            self.turns,
            rounds=self.rounds,
            links=ExportLinks(secret),
            counted=self._counted,
        )
        self._downloads = Downloads(await self._pool(self.limits.exports), self._services, self._callers)
        self.metrics.registry.register(FoldingCollector(self._services.folding, self._services.segments))
        self._measure(database, reserved, cache)
        writer.start()
        bus.start()
        if self._shared is not None:
            self._relay = Relay(self._shared, bus.relayed)
            writer.announce = self._relay.announce
            self._shared.start()
            self._relay.start()
        self._upkeep = [
            asyncio.create_task(self._keep_up(), name="upkeep"),
            asyncio.create_task(self.reclaim.often(), name="memory"),
        ]
        if self.settings.upkeep:
            self._upkeep += background.started(self._services, self._pool)

    def _measure(self, database: Database, reserved: Database, cache: Cache) -> None:
        metrics, shared = self.metrics, self._shared
        metrics.pool_size.set(self.settings.pool_size)
        metrics.pool_in_use.set_function(lambda: database.in_use() + reserved.in_use())
        metrics.sockets.set_function(lambda: self.sessions.count(Kind.WEBSOCKET))
        metrics.under_way.set_function(lambda: self.crowd.under_way)
        metrics.waiting.set_function(lambda: self.turns.waiting)
        metrics.answers.labels("memory").set_function(lambda: cache.hits)
        metrics.answers.labels("redis").set_function(lambda: cache.shared_hits)
        metrics.answers.labels("computed").set_function(lambda: cache.misses)
        if shared is not None:
            metrics.watch_redis(lambda: shared.state is not RedisState.AWAY)

    def begin_stop(self) -> None:
        """Become unready and end what stays open by itself, so that the server can come to its end."""
        self.stopping = True
        self.sessions.keep(self.sessions.shutdown(self.settings.shutdown_seconds))

    async def stop(self) -> None:
        """Finish what was taken, then close everything."""
        self.stopping = True
        await self.sessions.shutdown(self.settings.shutdown_seconds)
        await ended(self._upkeep)
        await self.services.bus.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._finish()
        if self._relay is not None and self._shared is not None:
            await self._relay.stop()
            await self._shared.stop()

    async def _finish(self) -> None:
        services = self.services
        await services.writer.stop()
        with contextlib.suppress(GatewayError):
            await self._authenticated().note_use()
            await services.tallies.flush(services.database, services.now())
        self.version_reader.close()
        await services.database.close()
        await self.downloads().close()
        await services.writer.database.close()

    async def _pool(self, size: int) -> Database:
        return await Database.open(
            self.database_url,
            pool_size=size,
            statement_seconds=self.settings.statement_seconds,
            lock_seconds=self.settings.lock_seconds,
            wait_seconds=self.settings.pool_wait_seconds,
        )

    async def authenticate(self, token: str | None, address: str = "") -> Principal | None:
        if self._callers is None:
            raise _starting()
        return await self._callers.authenticate(token, address)

    def charge(self, principal: Principal | None, cost: int, *, apart: bool = False) -> None:
        if self._callers is not None:
            self._callers.charge(principal, cost, apart=apart)

    def context(self, principal: Principal | None) -> Context:
        return Context(self.services, principal)

    async def ingest(self, principal: Principal, items: Sequence[Mapping[str, Any]]) -> Receipt:
        with self.writes.inside():
            return await ingest(self.context(principal), items, limit=self.settings.max_batch)

    async def ping(self) -> bool:
        return await self.services.writer.database.ping()

    def redis(self) -> str | None:
        """How Redis does, in a word; None where none is configured."""
        return None if self._shared is None else self._shared.state.value

    async def revision_gap(self) -> str | None:
        return await revision_gap(self.database_url)

    def _authenticated(self) -> Authenticator:
        if self._authenticator is None:
            raise _starting()
        return self._authenticator

    def _revoked(self, key_id: int) -> None:
        self._authenticated().forget(key_id)
        self.sessions.revoke(key_id)

    def _resumed(self) -> None:
        self._authenticated().forget()
        self._recheck.set()

    def _counted(self, kind: str, outcome: str, count: int) -> None:
        self.metrics.events.labels(kind, outcome).inc(count)

    async def _keep_up(self) -> None:
        """Write down which keys were used, and close what a revocation that went unheard should have closed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_UPKEEP_SECONDS):
                    await self._recheck.wait()
            self._recheck.clear()
            try:
                await self.sessions.recheck(self._authenticated().authenticate)
                await self._authenticated().note_use()
                await self.services.tallies.flush(self.services.database, self.services.now())
            except GatewayError as error:
                log.warning("upkeep.delayed", reason=error.message)
            except Exception:
                log.exception("upkeep.failed")


def _starting() -> Unavailable:
    return Unavailable("The gateway is starting; try again.", retry_after=1)


def create_app(settings: Settings, database_url: str) -> Starlette:
    """The ASGI application over a database whose schema is this version's; ``state.gateway`` is its Gateway."""
    gateway = Gateway(settings, database_url)
    endpoint = Endpoint(
        schema=schema,
        authenticate=gateway.authenticate,
        context=gateway.context,
        sessions=gateway.sessions,
        limits=gateway.limits,
        observer=gateway.metrics,
        versions=gateway.version_reader.of,
        charge=gateway.charge,
        crowd=gateway.crowd,
        writes=gateway.writes,
        turns=gateway.turns,
        rounds=gateway.rounds,
        allowed_origins=frozenset(settings.allowed_origins),
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await gateway.start()
        try:
            yield
        finally:
            await gateway.stop()

    operations = Operations(endpoint)
    at_graphql = graphql_routes(endpoint, operations)
    app = Starlette(
        routes=[
            *at_graphql,
            Route("/export/{name:path}", Exports(endpoint, operations, gateway.downloads)),
            ingest_route(gateway.authenticate, gateway.ingest),
            *Flags(gateway.authenticate, gateway.context, gateway.charge, gateway.limits).routes(),
            *health_routes(gateway.ping, gateway.revision_gap, lambda: gateway.stopping, gateway.redis),
            Route("/metrics", gateway.metrics.endpoint),
            schema_route(endpoint),
            *page_routes(),
        ],
        middleware=[
            Middleware(TelemetryMiddleware, metrics=gateway.metrics),
            *cross_origin(settings.allowed_origins),
            Middleware(ShortWay, routes=at_graphql),
        ],
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    return app
