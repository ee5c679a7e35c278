"""Answers kept for as long as they are true: bounded, and computed once however many ask at the same time.

A key names everything that an answer depends on, data versions included, so an entry never has to be invalidated: a
commit changes the key. aiocache holds the entries; the bound and the single flight are ours, because its in-memory
backend has neither.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from aiocache.backends.memory import SimpleMemoryBackend
from aiocache.serializers import NullSerializer

T = TypeVar("T")


class BoundedMemory(SimpleMemoryBackend):  # type: ignore[misc]  # aiocache has no types
    """aiocache's memory, holding the ``size`` entries used last, of at most ``weight`` together.

    An entry is a pair of a value and its weight.
    """

    def __init__(self, size: int, weight: int) -> None:
        super().__init__(serializer=NullSerializer(), timeout=None)
        self._cache: OrderedDict[str, Any] = OrderedDict()
        self._size = size
        self._weight = weight

    async def _get(self, key: str, encoding: str = "utf-8", _conn: Any = None) -> Any:
        if key in self._cache:
            self._cache.move_to_end(key)
        return self._cache.get(key)

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        stored = await super()._set(key, value, ttl=ttl, _cas_token=_cas_token, _conn=_conn)
        self._cache.move_to_end(key)
        self._weight -= value[1]
        while len(self._cache) > self._size or self._weight < 0:
            oldest = next(iter(self._cache))
            self._weight += self._cache[oldest][1]
            await self._delete(oldest)
        return bool(stored)


@dataclass(slots=True)
class _Flight:
    """A computation under way, and how many wait for it."""

    task: asyncio.Task[Any]
    waiting: int = 0


class Cache:
    """Computes an answer at most once at a time for a key, and keeps it."""

    def __init__(self, size: int = 2_000, weight: int = 250_000) -> None:
        self._entries = BoundedMemory(size, weight)
        self._flights: dict[str, _Flight] = {}
        self.hits = 0
        self.misses = 0

    async def answer(self, key: str, compute: Callable[[], Awaitable[T]], *, weight: int = 1) -> T:
        """The answer under ``key``, computed where it is not there.

        Those who ask while it is computed wait for the same computation; one of them going away does not stop it for
        the others, and the last one does. A computation that raises is not kept, and raises for all who waited.
        """
        kept = await self._entries.get(key)
        if kept is not None:
            self.hits += 1
            return cast(T, kept[0])
        flight = self._flights.get(key)
        if flight is None:
            self.misses += 1
            flight = self._flights[key] = _Flight(asyncio.ensure_future(self._compute(key, compute, weight)))
        flight.waiting += 1
        try:
            return cast(T, await asyncio.shield(flight.task))
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()
                # By now another may be under way.
                if self._flights.get(key) is flight:
                    del self._flights[key]

    async def _compute(self, key: str, compute: Callable[[], Awaitable[T]], weight: int) -> T:
        value = await compute()
        await self._entries.set(key, (value, weight))
        return value
