"""What downloads need beside the endpoint: contexts of one moment for lists, and holders of links."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from gateway.callers import Callers
from resolvers.context import Context, Principal, Services
from resolvers.export_links import ExportLink
from resolvers.live.cache import Cache
from resolvers.store.database import Database, Moment, take_time
from resolvers.store.presence_cache import PresenceCache
from resolvers.store.rollup_days import RollupDays
from resolvers.store.versions import MomentVersions


class Downloads:
    """Has a pool of its own: a list may take minutes, and nobody else is to wait for its connection."""

    def __init__(self, database: Database, services: Services, callers: Callers) -> None:
        self._database = database
        self._services = services
        self._callers = callers

    async def linked(self, text: str, address: str) -> tuple[Principal, ExportLink]:
        """Whom a link is for, and what it says; raises Unauthenticated and RateLimited."""
        return await self._callers.linked(self._services.links, text, address, self._services.now())

    @asynccontextmanager
    async def moment(self, principal: Principal) -> AsyncIterator[Context]:
        """A context all of whose answers are of the moment at which it is entered, however long they take."""
        async with self._database.snapshot(principal.tenant_id) as session:
            await take_time(session)
            moment = Moment(self._database, session, principal.tenant_id)
            # What it keeps is of that moment too, and nothing that others may be given.
            own = replace(
                self._services,
                database=moment,
                versions=MomentVersions(moment),
                cache=Cache(),
                presence=PresenceCache(),
                days=RollupDays(),
            )
            context = Context(own, principal)
            context.found = {}
            yield context

    async def close(self) -> None:
        """Leave the database."""
        await self._database.close()
