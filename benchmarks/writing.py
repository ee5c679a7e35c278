"""How fast events are stored: one by one against a transaction each, in batches against bare COPY."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import asyncpg

from benchmarks.bench import Bench, gateway_within, new_log
from benchmarks.company import Company
from benchmarks.ratios import Line, Ratio, Reach, in_turns, thousands
from gateway.app import Gateway
from resolvers.analysis.events import Event
from resolvers.analysis.intake import validate
from resolvers.events import ingest
from resolvers.store.database import Database
from resolvers.store.terms import TermMemory
from resolvers.store.writer import Writer

_POOL = 8
"""Connections over which transactions of one event are spread."""
_PACE = 10_000_000
"""Events lie as densely as so many in ninety days, whatever is asked for: rollups cost by the hours they touch."""
_BATCHES = 3
"""Batches that one measurement takes."""


class Sender:
    """Takes a company's events from the first on, so that none is sent twice."""

    def __init__(self) -> None:
        self._items = Company(_PACE).items()

    def items(self, count: int) -> list[dict[str, Any]]:
        """The next events as a client sends them."""
        return list(itertools.islice(self._items, count))

    def events(self, count: int) -> list[Event]:
        """The next events as the intake hands them on."""
        return [accepted(item) for item in self.items(count)]


def accepted(item: dict[str, Any]) -> Event:
    """The event that an item is taken for; raises ValueError where it is refused."""
    found = validate(item, now=datetime.now(UTC), new_id=str)
    if not isinstance(found, Event):
        raise ValueError(f"{found.field} {found.message}")
    return found


async def _begin(gateway: Gateway, url: str, senders: Mapping[int, Sender], batch: int) -> None:
    """A first batch for each tenant, and statistics of it: a log is new for a minute only, then autovacuum knows it."""
    for tenant_id, sender in senders.items():
        await gateway.services.writer.write(tenant_id, sender.events(batch))
    connection = await asyncpg.connect(url)
    await connection.execute("ANALYZE")
    await connection.close()


async def single_events(bench: Bench) -> list[Line]:
    """Concurrent requests of one event each through one writer, against writers that have one request each."""
    url = await bench.fresh("writing")
    together, apart = [(await new_log(url, slug)).principal.tenant_id for slug in ("together", "apart")]
    senders = {tenant: Sender() for tenant in (together, apart)}
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(gateway_within(url))
        await _begin(gateway, url, senders, bench.batch)
        pool = await Database.open(url, pool_size=_POOL, wait_seconds=60, lock_seconds=0)
        stack.push_async_callback(pool.close)
        memory = TermMemory()
        writers = [Writer(pool, memory) for _ in range(_POOL)]
        for writer in writers:
            writer.start()
            stack.push_async_callback(writer.stop)

        async def one_writer() -> float:
            events = senders[together].events(bench.singles)
            started = perf_counter()
            await asyncio.gather(*(gateway.services.writer.write(together, [event]) for event in events))
            return bench.singles / (perf_counter() - started)

        async def a_transaction_each() -> float:
            events = iter(senders[apart].events(bench.singles))

            async def work(writer: Writer) -> None:
                for event in events:
                    await writer.write(apart, [event])

            started = perf_counter()
            await asyncio.gather(*map(work, writers))
            return bench.singles / (perf_counter() - started)

        tick = bench.ticks("Single events", bench.rounds + 1)
        ours, theirs = await in_turns(bench.rounds, tick, one_writer, a_transaction_each)
    await _equal(url, together, apart)
    detail = f"{thousands(ours)} against {thousands(theirs)}, {bench.singles:,} at a time"
    return [Ratio.of("single events", ours, theirs, Reach(8), detail)]


async def batches(bench: Bench) -> list[Line]:
    """Batches through the writer, and through the whole intake, against COPY of the same rows without anything else."""
    url = await bench.fresh("writing")
    written, flown, taken = [await new_log(url, slug) for slug in ("written", "flown", "taken")]
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE bare (LIKE event INCLUDING INDEXES)")
    columns = [name for (name,) in await connection.fetch(_COLUMN_NAMES)]
    senders = {log.principal.tenant_id: Sender() for log in (written, flown, taken)}
    async with gateway_within(url) as gateway:
        tenant_id = written.principal.tenant_id
        await _begin(gateway, url, senders, bench.batch)
        stored = bench.batch

        async def writer() -> float:
            lots = [senders[tenant_id].events(bench.batch) for _ in range(_BATCHES)]
            started = perf_counter()
            for events in lots:
                await gateway.services.writer.write(tenant_id, events)
            return _BATCHES * bench.batch / (perf_counter() - started)

        async def in_flight() -> float:
            lots = [senders[flown.principal.tenant_id].events(bench.batch) for _ in range(_BATCHES)]
            write = gateway.services.writer.write
            started = perf_counter()
            await asyncio.gather(*(write(flown.principal.tenant_id, events) for events in lots))
            return _BATCHES * bench.batch / (perf_counter() - started)

        async def intake() -> float:
            lots = [senders[taken.principal.tenant_id].items(bench.batch) for _ in range(_BATCHES)]
            started = perf_counter()
            for items in lots:
                await ingest(gateway.context(taken.principal), items)
            return _BATCHES * bench.batch / (perf_counter() - started)

        async def copy() -> float:
            # The rows that the writer has just stored.
            nonlocal stored
            lots = []
            for _ in range(_BATCHES):
                lots.append([tuple(row) for row in await connection.fetch(_ROWS, tenant_id, stored, bench.batch)])
                stored += bench.batch
            started = perf_counter()
            for rows in lots:
                await connection.copy_records_to_table("bare", columns=columns, records=rows)
            return _BATCHES * bench.batch / (perf_counter() - started)

        tick = bench.ticks("Batches", bench.rounds + 1)
        ours, theirs, together, whole = await in_turns(bench.rounds, tick, writer, copy, in_flight, intake)
    assert await connection.fetchval(_MISSING, tenant_id, bench.batch) == 0, "COPY stored other rows than the writer"
    await connection.close()
    await _equal(url, tenant_id, flown.principal.tenant_id, taken.principal.tenant_id)
    detail = f"{thousands(ours)} against {thousands(theirs)}, {bench.batch:,} a batch"
    at_once = f"{_BATCHES} batches in flight: {thousands(together)} against {thousands(theirs)}"
    beside = f"from plain JSON values: {thousands(whole)} against {thousands(theirs)}"
    return [
        Ratio.of("batches", ours, theirs, Reach(0.6), detail),
        Ratio.of("batches, in flight", together, theirs, None, at_once),
        Ratio.of("batches, whole intake", whole, theirs, None, beside),
    ]


_COLUMN_NAMES = (
    "SELECT attname FROM pg_attribute WHERE attrelid = 'event'::regclass AND attnum > 0 AND NOT attisdropped"
    " ORDER BY attnum"
)
_ROWS = "SELECT * FROM event WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3"
_MISSING = (
    "SELECT count(*) FROM (SELECT * FROM event WHERE tenant_id = $1 AND position > $2 EXCEPT ALL SELECT * FROM bare)"
    " AS missing"
)
_SUMS = (
    "SELECT grain, dimension, t.value, kind, n.value AS name, flags, at, sum(r.n), sum(amount_sum), sum(cost_sum)"
    " FROM rollup r JOIN term n ON (n.tenant_id, n.space, n.code) = (r.tenant_id, 0, r.name)"
    " LEFT JOIN term t ON (t.tenant_id, t.space, t.code) = (r.tenant_id, 0, r.value)"
    " WHERE r.tenant_id = $1 GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7"
)


async def _equal(url: str, *tenants: int) -> None:
    """Raises AssertionError unless the tenants' rollups say the same, and something."""
    connection = await asyncpg.connect(url)
    first, *others = [[tuple(row) for row in await connection.fetch(_SUMS, tenant)] for tenant in tenants]
    await connection.close()
    _assert_same(first, others)


def _assert_same(first: Sequence[Any], others: Sequence[Sequence[Any]]) -> None:
    assert first, "nothing was rolled up"
    assert all(other == first for other in others), "the same events were rolled up differently"
