"""How the process deals with memory: set once, before anything takes much of it."""

import ctypes
import gc

# Names and numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_OPTIONS = ((_ARENA_MAX, 2), (_MMAP_THRESHOLD, 4 << 20), (_TRIM_THRESHOLD, 32 << 20))


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


def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
