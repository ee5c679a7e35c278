"""Looks: one look shared by all who ask for the present state of something at about the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Looks(Generic[T]):
    """Looks no more than once at a time, and tells nobody what was seen before they asked.

    Whoever asks gets a look that begins afterwards: so what they know to have happened is in it. Those who ask while
    one is under way share the next. ``start`` runs looks in a task, one after the other until nobody waits.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[T]],
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] = asyncio.create_task,
    ) -> None:
        self._look = look
        self._start = start
        self._task: asyncio.Task[None] | None = None
        self._present: list[asyncio.Future[T]] = []
        """Those who wait for the look that is under way."""
        self._next: list[asyncio.Future[T]] = []

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The task that looks, as long as anybody waits."""
        return set() if self._task is None or self._task.done() else {self._task}

    async def fresh(self) -> T:
        """What is seen from now on; raises what the look raises."""
        seen: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._next.append(seen)
        if self._task is None or self._task.done():
            self._task = self._start(self._run())
            self._task.add_done_callback(self._ended)
        try:
            return await seen
        finally:
            # What is raised knows this frame: with what was seen it would be a cycle, and a crowd that is refused
            # would leave so many that collecting them takes longer than anybody should wait.
            del seen

    async def _run(self) -> None:
        while self._next:
            self._present, self._next = self._next, []
            try:
                found = await self._look()
            except Exception as error:
                self._tell(asyncio.Future.set_exception, error)
            else:
                self._tell(asyncio.Future.set_result, found)

    def _tell(self, tell: Callable[[asyncio.Future[T], Any], None], what: Any) -> None:
        """Tell those who wait for the look that was under way, and let go of them."""
        for waiting in self._present:
            if not waiting.done():
                tell(waiting, what)
        self._present = []

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Where it was cancelled, maybe before it began, some still wait.
        if task is self._task:
            for waiting in (*self._present, *self._next):
                waiting.cancel()
            self._present, self._next = [], []
