"""Appending to the log: many requests, one transaction, each answered after its commit."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain, islice
from typing import Any

from resolvers.analysis.events import Event
from resolvers.errors import BadInput, GatewayError, Overloaded, Unavailable
from resolvers.live.bus import CHANNEL
from resolvers.store.appending import Learnt, append, months_of
from resolvers.store.database import Database, driver, enter, translated
from resolvers.store.events import event_keys
from resolvers.store.terms import TermMemory
from resolvers.store.versions import WHOLE_LOG, hold_log

_BATCH = 10_000
_WAITING = 60_000
"""Seconds that a transaction may take; only a database that is gone without a word takes longer."""


@dataclass(frozen=True, slots=True)
class First:
    """The event that holds an id already: the item is a repeat of it, or conflicts with it."""

    same: bool
    occurred_at: datetime
    received_at: datetime


@dataclass(slots=True)
class _Request:
    tenant_id: int
    events: Sequence[Event]
    done: "asyncio.Future[list[First | None]]"


class Writer:
    """The one way into the log for a process."""

    announce: Callable[[str], None] | None = None
    """Told of each commit after it, besides NOTIFY."""

    def __init__(self, database: Database, memory: TermMemory, *, patience: float = 4.5) -> None:
        """A transaction that has not come to its end within ``patience``, in seconds, is given up."""
        self.database = database
        self.memory = memory
        self.patience = patience
        self.waiting = 0
        """Events that wait for their transaction."""
        self._queue: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._months: set[date] = set()
        self._closing = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="event writer")

    async def stop(self) -> None:
        """Refuse new requests, finish those taken; cancelling it leaves them undone."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def write(self, tenant_id: int, events: Sequence[Event]) -> list[First | None]:
        """Append events; for each, None where it is new, else the one that already holds its id.

        Returns after the commit. A caller that goes away does not undo it. Raises Overloaded where too much waits
        and Unavailable where the database is away; both may be tried again without harm.
        """
        if self._closing:
            raise Unavailable("The gateway is shutting down; try again.", retry_after=2)
        if self.waiting + len(events) > _WAITING and self._queue:
            raise Overloaded("Too many events are waiting to be stored; try again.", retry_after=1)
        request = _Request(tenant_id, events, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        self.waiting += len(events)
        self._wake.set()
        return await asyncio.shield(request.done)

    async def _run(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = self._take()
            await self._flush(batch)
            self.waiting -= sum(len(request.events) for request in batch)

    def _take(self) -> list[_Request]:
        batch = [self._queue.popleft()]
        size = len(batch[0].events)
        while self._queue and size + len(self._queue[0].events) <= _BATCH:
            batch.append(self._queue.popleft())
            size += len(batch[-1].events)
        return batch

    async def _flush(self, batch: list[_Request]) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self._partitions(batch)
                results = await self._commit(batch)
        except Exception as error:
            meaning = translated(error) or error
            # What is wrong with one request is not to cost the others.
            own = isinstance(meaning, BadInput) or not isinstance(meaning, GatewayError)
            parts = _parts(batch, alone=own)
            if len(parts) == 1 or isinstance(meaning, Unavailable):
                _fail(batch, meaning)
                return
            for part in parts:
                await self._flush(part)
            return
        for request, result in zip(batch, results, strict=True):
            if not request.done.done():
                request.done.set_result(result)

    async def _partitions(self, batch: list[_Request]) -> None:
        """Make the months that the log lacks, before and apart from the transaction that fills them."""
        months = months_of(chain.from_iterable(request.events for request in batch))
        for month in sorted(months - self._months):
            async with self.database.shared() as session:
                await (await driver(session)).execute("SELECT ensure_event_partition($1)", month)
            self._months.add(month)

    async def _commit(self, batch: list[_Request]) -> list[list[First | None]]:
        results: dict[int, list[First | None]] = {}
        learnt = Learnt()
        by_tenant: dict[int, list[int]] = {}
        for place, request in enumerate(batch):
            by_tenant.setdefault(request.tenant_id, []).append(place)
        async with self.database.shared() as session:
            # One order of tenants for every writer of every process: no two can wait for each other.
            for tenant_id, places in sorted(by_tenant.items()):
                await enter(session, tenant_id)
                events = [event for place in places for event in batch[place].events]
                outcomes = iter(await self._append(await driver(session), tenant_id, events, learnt))
                for place in places:
                    results[place] = list(islice(outcomes, len(batch[place].events)))
        for tenant_id, space, codes in learnt.codes:
            self.memory.keep(tenant_id, space, codes)
        if self.announce is not None and learnt.announcements:
            self.announce("\n".join(learnt.announcements))
        return [results[place] for place in range(len(batch))]

    async def _append(
        self, connection: Any, tenant_id: int, events: Sequence[Event], learnt: Learnt
    ) -> list[First | None]:
        version = await hold_log(connection, tenant_id)
        now = datetime.now(UTC)
        keys = event_keys([event.id for event in events])
        held = await connection.fetch(_HELD, tenant_id, keys)
        if not held and len(set(keys)) == len(keys):
            await self._insert(connection, tenant_id, version, now, keys, events, learnt)
            return [None] * len(events)
        outcomes = _told(events, keys, {row[0]: (row[1], row[2], row[3]) for row in held}, now)
        new = [place for place, first in enumerate(outcomes) if first is None]
        if new:
            fresh = [events[place] for place in new]
            await self._insert(connection, tenant_id, version, now, [keys[place] for place in new], fresh, learnt)
        return outcomes

    async def _insert(
        self,
        connection: Any,
        tenant_id: int,
        version: int,
        now: datetime,
        keys: Sequence[bytes],
        events: Sequence[Event],
        learnt: Learnt,
    ) -> None:
        found = await append(connection, self.memory, tenant_id, version, events, keys, now, learnt)
        last, kinds = version + len(events), found.tolist()
        await connection.execute(_ADVANCE, tenant_id, last, [WHOLE_LOG, *kinds])
        announcement = f"v {tenant_id} {last} {','.join(map(str, kinds))}"
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, announcement)
        learnt.announcements.append(announcement)


_HELD = "SELECT key, content, occurred_at, received_at FROM event_key WHERE tenant_id = $1 AND key = ANY($2::bytea[])"
_ADVANCE = (
    "INSERT INTO data_version (tenant_id, kind, version) SELECT $1, k, $2 FROM unnest($3::smallint[]) AS k"
    " ON CONFLICT (tenant_id, kind) DO UPDATE SET version = excluded.version"
)


def _told(
    events: Sequence[Event], keys: Sequence[bytes], held: dict[bytes, tuple[bytes, datetime, datetime]], now: datetime
) -> list[First | None]:
    """What each event is to the log, given the content and times of those that are in it, and to those before it."""
    outcomes: list[First | None] = []
    for key, event in zip(keys, events, strict=True):
        first = held.get(key)
        if first is None:
            held[key] = (event.content, event.occurred_at, now)
            outcomes.append(None)
        else:
            outcomes.append(First(first[0] == event.content, first[1], first[2]))
    return outcomes


def _parts(batch: list[_Request], *, alone: bool) -> list[list[_Request]]:
    """A failed batch by tenant, whose log alone may be held by somebody else, or ``alone`` each request."""
    parts: dict[int, list[_Request]] = {}
    for place, request in enumerate(batch):
        parts.setdefault(place if alone else request.tenant_id, []).append(request)
    return list(parts.values())


def _fail(batch: list[_Request], error: Exception) -> None:
    for request in batch:
        if not request.done.done():
            request.done.set_exception(error)
