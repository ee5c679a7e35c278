"""Deadlines: ``asyncio.timeout`` for whatever there is very much of that is given the same time."""

import asyncio
from collections.abc import Iterator
from types import TracebackType


class Deadlines:
    """Gives ``seconds`` to each block that is entered by ``with deadlines():``, which raises TimeoutError past them.

    A timer for each block costs more than many a block; those that are given the same time end in the order they began,
    and one timer looks at the first of them.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._running: dict[Deadline, None] = {}
        # That has a timer for the first; None where there is no timer.
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> "Deadline":
        """One block's deadline, to be entered in a task."""
        return Deadline(self)

    def __len__(self) -> int:
        """How many blocks are running."""
        return len(self._running)

    def __iter__(self) -> "Iterator[Deadline]":
        """Those that are running, the first to end first."""
        return iter(self._running)

    def begin(self, deadline: "Deadline") -> None:
        """Count from now."""
        loop = asyncio.get_running_loop()
        deadline.at = loop.time() + self.seconds
        self._running[deadline] = None
        if self._loop is not loop:
            self._loop = loop
            loop.call_at(deadline.at, self._look, loop)

    def end(self, deadline: "Deadline") -> None:
        """Count no more."""
        self._running.pop(deadline, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._running:
            first = next(iter(self))
            if first.at > loop.time():
                loop.call_at(first.at, self._look, loop)
                return
            del self._running[first]
            first.pass_()
        self._loop = None


class Deadline:
    """The time that one block is given."""

    __slots__ = ("_before", "_of", "_passed", "_task", "at")

    def __init__(self, of: Deadlines) -> None:
        self._of = of
        self._passed = False

    def __enter__(self) -> "Deadline":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A deadline needs a task.")
        self._task: asyncio.Task[object] = task
        self._before = task.cancelling()
        self.at = 0.0
        self._of.begin(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._of.end(self)
        # Whoever cancelled the task besides is to find it cancelled.
        if self._passed and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def pass_(self) -> None:
        """The time is over."""
        self._passed = True
        self._task.cancel()
