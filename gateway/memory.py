"""How the process deals with memory: set once, before anything takes much of it."""

import asyncio
import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path

# Names and numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_OPTIONS = ((_ARENA_MAX, 2), (_MMAP_THRESHOLD, 4 << 20), (_TRIM_THRESHOLD, 32 << 20))

_SECONDS = 2.0
_SOME, _MUCH = 16 << 20, 64 << 20
"""Bytes by which the process has to have grown for a look at what is free: now and then, and between quick questions,
the second of which has to have its pages from the system again."""


def spare_the_collector() -> None:
    """Keep what was imported out of collections, and collect by the hundred thousand: batches of events are many
    objects and few cycles, and looking through everything for each few hundred of them costs a third of an import."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def give_memory_back() -> None:
    """Have large arrays returned to the system once they are done with, and small ones share two heaps.

    Left to itself, glibc keeps up to 32 MiB a piece for later in a heap of each thread: after questions over ten
    million events the process held a third more than it used. Elsewhere than with glibc it does nothing.
    """
    adjust = getattr(_library(), "mallopt", None)
    if adjust is not None:
        for option, value in _OPTIONS:
            adjust(option, value)


class Reclaiming:
    """Gives back what is free within heaps, where the process has grown since it last did or somebody needs much.

    What arrays of a few MiB leave behind lies between what is still used, and only this returns it: after questions
    over ten million events it was up to a quarter of all that the process held. It takes 2 to 30 milliseconds, in a
    thread. Elsewhere than with glibc on Linux it does nothing.
    """

    def __init__(self) -> None:
        self._trim = getattr(_library(), "malloc_trim", None)
        self._least = _resident()
        """What was held when least was, since then."""
        self._under_way = False

    def __call__(self, large: bool) -> "asyncio.Future[None] | None":
        """Begin to give memory back for one who holds much, or where there may be as much; called in the event loop.

        Returns what is done once it is given back; None where nothing begins.
        """
        # What was given back while somebody worked tells nothing of what they have let go of since.
        return self._begun() if large or self._grown(_MUCH) else None

    async def often(self) -> None:
        """The same time and again, for what is left behind by others than those who say so."""
        while True:
            await asyncio.sleep(_SECONDS)
            if self._grown(_SOME):
                self._begun()

    def _grown(self, growth: int) -> bool:
        held = _resident()
        grown = not self._under_way and held >= self._least + growth
        self._least = min(self._least, held)
        return grown

    def _begun(self) -> "asyncio.Future[None] | None":
        if self._trim is None:
            return None
        self._under_way = True
        return asyncio.get_running_loop().run_in_executor(None, self._return)

    def _return(self) -> None:
        assert self._trim is not None
        self._trim(0)
        self._least = _resident()
        self._under_way = False


def _resident() -> int:
    """Bytes of memory that the process takes; 0 where that cannot be told."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
