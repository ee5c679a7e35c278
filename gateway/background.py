"""What a gateway does by itself: folding, and keeping segments, experiments and flags up."""

import asyncio
from collections.abc import Awaitable, Callable

from resolvers.context import Services
from resolvers.experiment_upkeep import keep_experiments
from resolvers.flag_upkeep import keep_flags
from resolvers.store.database import Database
from resolvers.store.segment_upkeep import keep_refreshed
from resolvers.store.upkeep import keep_folded

Pool = Callable[[int], Awaitable[Database]]
"""Opens so many connections."""


def started(services: Services, pool: Pool) -> list[asyncio.Task[None]]:
    """The tasks, running until they are cancelled; each that reads and writes much has a connection of its own."""

    async def apart(work: Callable[[Database], Awaitable[None]]) -> None:
        own = await pool(1)
        try:
            await work(own)
        finally:
            await own.close()

    memory, segments = services.memory, services.segments
    work = {
        "folding": apart(lambda own: keep_folded(own, segments, services.folding)),
        "experiments": apart(lambda own: keep_experiments(own, memory)),
        "segments": apart(lambda own: keep_refreshed(own, memory, segments)),
        "flags": keep_flags(services),
    }
    return [asyncio.create_task(task, name=name) for name, task in work.items()]
