"""What upkeep costs: how fast stored events become sets and segments, against how fast they are stored."""

from contextlib import AsyncExitStack
from time import perf_counter

from benchmarks.bench import Bench, new_log
from benchmarks.ratios import Line, Ratio, Reach, in_turns, thousands
from benchmarks.writing import Sender
from resolvers.store.database import Database
from resolvers.store.folding import fold
from resolvers.store.segments import SegmentRepository
from resolvers.store.terms import TermMemory
from resolvers.store.writer import Writer

_BATCHES = 10
"""Batches that are stored, and then folded, at a time."""


async def upkeep(bench: Bench) -> list[Line]:
    """Folding of a log by one process while nobody writes, against its writer while nobody folds, in turns."""
    url = await bench.fresh("upkeep")
    tenant_id, sender = (await new_log(url, "company")).principal.tenant_id, Sender()
    async with AsyncExitStack() as stack:
        database = await Database.open(url, pool_size=2, statement_seconds=120, lock_seconds=0)
        stack.push_async_callback(database.close)
        writer = Writer(database, TermMemory())
        writer.start()
        stack.push_async_callback(writer.stop)

        async def stored() -> float:
            lots = [sender.events(bench.batch) for _ in range(_BATCHES)]
            started = perf_counter()
            for events in lots:
                await writer.write(tenant_id, events)
            return _BATCHES * bench.batch / (perf_counter() - started)

        async def folded() -> float:
            started = perf_counter()
            count = await fold(database, tenant_id)
            took = perf_counter() - started
            assert count == _BATCHES * bench.batch, "not all that was stored was folded"
            return count / took

        tick = bench.ticks("Upkeep", bench.rounds + 1)
        under, over = await in_turns(bench.rounds, tick, stored, folded)
        async with database.tenant(tenant_id) as session:
            state = await SegmentRepository(session).state(tenant_id)
        assert state.manifest.folded_to == state.version, "what was stored is not folded"
    detail = f"{thousands(over)} folded against {thousands(under)} stored, {_BATCHES * bench.batch:,} at a time"
    return [Ratio.of("upkeep", over, under, Reach(1), detail)]
