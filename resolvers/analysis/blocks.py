"""Work on long columns in blocks, side by side on the processor's cores."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

BLOCK = 1 << 20
"""Rows that are worked on at a time: few enough for memory, and so many that cores do not wait for each other."""
_WORKERS = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="blocks")


def each(work: Callable[[T], U], parts: Iterable[T]) -> list[U]:
    """The work done on every part, side by side; not to be called from within such work."""
    return list(_WORKERS.map(work, parts))
