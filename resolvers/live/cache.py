"""Answers kept for as long as they are true: bounded, and computed once however many ask at the same time.

There is one entry a question: its last answer, with the state of the log and the clock that it is true of. A commit
changes the state, so nothing has to be invalidated, and an entry that is true no longer can still serve who accepts an
older answer. aiocache holds the entries; the bound and the single flight are ours, because its in-memory backend has
neither.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

import orjson
import structlog
from aiocache.backends.memory import SimpleMemoryBackend
from aiocache.serializers import NullSerializer

T = TypeVar("T")

LASTING = timedelta(hours=1)
"""How long other processes can have an answer at least."""
_WRITING = 32
"""Answers on their way to other processes at a time; beyond them, answers are not shared."""
# What is plain no more would come back as something else.
_STRICTLY = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """An answer, the ``state`` it is true of, and an instant not later than it was read."""

    state: str
    at: datetime
    value: T
    weight: int


class Shared(Protocol):
    """What several processes share: bytes under a key for a while. It may forget, and never raises or keeps waiting."""

    async def get(self, key: str) -> bytes | None:
        """What was last put there by a process that knows the secret."""

    async def put(self, key: str, value: bytes, lasting: timedelta) -> None:
        """Have the others find ``value`` for so long."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Where answers are shared, and how they are written as plain JSON values and read back."""

    shared: Shared
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]

    async def get(self, key: str) -> Kept[Any] | None:
        """The answer that a process computed last."""
        found = await self.shared.get(key)
        if found is None:
            return None
        try:
            state, at, weight, plain = orjson.loads(found)
            return Kept(state, datetime.fromisoformat(at), self.read(plain), weight)
        except Exception:
            log.exception("cache.unreadable")
            return None

    async def put(self, key: str, kept: Kept[Any], lasting: timedelta) -> None:
        """Offer an answer to the others."""
        try:
            value = await asyncio.to_thread(self._written, kept)
        except Exception:
            log.exception("cache.unwritable")
            return
        await self.shared.put(key, value, lasting)

    def _written(self, kept: Kept[Any]) -> bytes:
        envelope = [kept.state, kept.at.isoformat(), kept.weight, self.write(kept.value)]
        return orjson.dumps(envelope, option=_STRICTLY)


class BoundedMemory(SimpleMemoryBackend):  # type: ignore[misc]  # aiocache has no types
    """aiocache's memory, holding the ``size`` entries used last, of at most ``weight`` together."""

    def __init__(self, size: int, weight: int) -> None:
        super().__init__(serializer=NullSerializer(), timeout=None)
        self._cache: OrderedDict[str, Kept[Any]] = OrderedDict()
        self._size = size
        self._weight = weight

    def __len__(self) -> int:
        return len(self._cache)

    def present(self, key: str) -> Kept[Any] | None:
        """The entry under ``key``, now the one used last; ``get`` without what aiocache does around it."""
        if key in self._cache:
            self._cache.move_to_end(key)
        return self._cache.get(key)

    async def _get(self, key: str, encoding: str = "utf-8", _conn: Any = None) -> Any:
        return self.present(key)

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        if key in self._cache:
            self._weight += self._cache[key].weight
        stored = await super()._set(key, value, ttl=ttl, _cas_token=_cas_token, _conn=_conn)
        self._cache.move_to_end(key)
        self._weight -= value.weight
        while len(self._cache) > self._size or self._weight < 0:
            oldest = next(iter(self._cache))
            self._weight += self._cache[oldest].weight
            await self._delete(oldest)
        return bool(stored)


@dataclass(slots=True)
class _Flight:
    """A computation under way, and how many wait for it."""

    task: asyncio.Task[Any]
    waiting: int = 0


class Cache:
    """Computes an answer at most once at a time, and keeps it; through ``sharing`` other processes have it too."""

    def __init__(self, size: int = 2_000, weight: int = 250_000, *, sharing: Sharing | None = None) -> None:
        self.entries = BoundedMemory(size, weight)
        self._sharing = sharing
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self.hits = 0
        self.misses = 0
        self.shared_hits = 0

    async def answer(
        self,
        key: str,
        state: str,
        now: datetime,
        compute: Callable[[], Awaitable[T]],
        *,
        weight: int = 1,
        lasting: timedelta = LASTING,
    ) -> Kept[T]:
        """The answer to the question ``key`` that is true of ``state``, computed where there is none.

        Those who ask while it is computed wait for the same computation; one of them going away does not stop it for
        the others, and the last one does. A computation that raises is not kept, and raises for all who waited.
        """
        kept: Kept[T] | None = self.entries.present(key)
        if kept is not None and kept.state == state:
            self.hits += 1
            return kept
        name = key, state
        flight = self._flights.get(name)
        if flight is None:
            work = self._sought(key, state, now, compute, weight, lasting)
            flight = self._flights[name] = _Flight(asyncio.ensure_future(work))
        flight.waiting += 1
        try:
            sought: Kept[T] = await asyncio.shield(flight.task)
            return sought
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()
                # By now another may be under way.
                if self._flights.get(name) is flight:
                    del self._flights[name]

    async def recent(self, key: str, since: datetime, now: datetime) -> Kept[Any] | None:
        """The last answer to the question ``key``, of whatever state, where it was read from ``since`` to ``now``."""
        kept: Kept[Any] | None = self.entries.present(key)
        if kept is not None and since <= kept.at <= now:
            self.hits += 1
            return kept
        kept = await self._sharing.get(key) if self._sharing is not None else None
        if kept is None or not since <= kept.at <= now:
            return None
        self.shared_hits += 1
        await self._keep(key, kept)
        return kept

    async def settled(self) -> None:
        """Wait until no answer is on its way to other processes."""
        while self._writing:
            await asyncio.wait(self._writing)

    async def _sought(
        self, key: str, state: str, now: datetime, compute: Callable[[], Awaitable[T]], weight: int, lasting: timedelta
    ) -> Kept[T]:
        shared = await self._sharing.get(key) if self._sharing is not None else None
        if shared is not None and shared.state == state:
            self.shared_hits += 1
            await self._keep(key, shared)
            return shared
        self.misses += 1
        kept = Kept(state, now, await compute(), weight)
        await self._keep(key, kept)
        if self._sharing is not None and len(self._writing) < _WRITING:
            # Nobody waits for it.
            task = asyncio.create_task(self._sharing.put(key, kept, lasting))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        return kept

    async def _keep(self, key: str, kept: Kept[Any]) -> None:
        present: Kept[Any] | None = self.entries.present(key)
        # A computation that took long does not drive out what was read after it.
        if present is None or present.at <= kept.at:
            await self.entries.set(key, kept)
