"""Parts of runs as folding has them: read one column at a time, worked on in one thread."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_

from resolvers.store.events import EVENT
from resolvers.store.segment_cache import Decoded, decoded
from resolvers.store.segment_codec import Damaged
from resolvers.store.segments import Run, SegmentRepository, month_bounds

T = TypeVar("T")
Events = NDArray[np.void]

_WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="folding")
"""One thread, as each keeps hold of much of the memory that it has used."""


class BrokenError(Exception):
    """A run that was to be merged is damaged or gone."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.run = run


def within(month: date) -> ColumnElement[bool]:
    """Which events lie in a month."""
    start, end = month_bounds(month)
    return and_(EVENT.occurred_at >= start, EVENT.occurred_at < end)


def between(after: int, through: int, month: date) -> list[ColumnElement[bool]]:
    """Which events lie in a month and have after < position <= through."""
    return [EVENT.position > after, EVENT.position <= through, within(month)]


async def aside(work: Callable[..., T], *arguments: Any) -> T:
    """What comes of the work, done in the thread of folding."""
    return await asyncio.get_running_loop().run_in_executor(_WORKER, work, *arguments)


async def parts_of(segments: SegmentRepository, tenant_id: int, runs: Sequence[Run], name: str) -> list[Decoded]:
    """One column of each run; raises BrokenError."""
    found = []
    for run in runs:
        sealed = await segments.sealed(tenant_id, run, [name])
        if sealed is None:
            raise BrokenError(run)
        try:
            found.append(await aside(decoded, sealed[name], name, run, tenant_id))
        except Damaged as damage:
            raise BrokenError(run) from damage
    return found
