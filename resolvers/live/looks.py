"""Looks: one look shared by all who ask for the present state of something at about the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Looks(Generic[T]):
    """Looks no more than once at a time, and tells nobody what was seen before they asked.

    Whoever asks gets a look that begins afterwards: so what they know to have happened is in it. Those who ask while
    one is under way share the next. ``start`` runs a look in a task.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[T]],
        start: Callable[[Coroutine[Any, Any, T]], asyncio.Task[T]] = asyncio.create_task,
    ) -> None:
        self._look = look
        self._start = start
        self._present: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    @property
    def tasks(self) -> set[asyncio.Task[T]]:
        """The looks that are under way or wait to begin."""
        return {task for task in (self._present, self._next) if task is not None and not task.done()}

    async def fresh(self) -> T:
        """What is seen from now on; raises what the look raises."""
        if self._next is None:
            self._next = self._start(self._run(self._present))
            self._next.add_done_callback(_observe)
        return await asyncio.shield(self._next)

    async def _run(self, before: asyncio.Task[T] | None) -> T:
        # To wait for what is done takes a turn of the loop.
        if before is not None and not before.done():
            await asyncio.wait({before})
        self._present, self._next = self._next, None
        return await self._look()


def _observe(task: asyncio.Task[Any]) -> None:
    # Those who asked may all have gone.
    if not task.cancelled():
        task.exception()
