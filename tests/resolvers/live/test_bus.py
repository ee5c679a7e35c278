"""The bus: hears of commits of any process, and comes back by itself."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text

from resolvers.context import Context, Principal, Services
from resolvers.live.bus import CHANNEL, Bus
from resolvers.store import writer
from resolvers.store.database import Database, connect
from tests.factories import event, new_principal, running_services, store

PRODUCT = frozenset({5})


async def test_writers_announce_where_the_bus_listens() -> None:
    assert writer.CHANNEL == CHANNEL


async def test_a_commit_wakes_every_process_that_waits_for_its_kind(
    context: Context, principal: Principal, database_url: str
) -> None:
    async with running_services(database_url) as other, asyncio.timeout(10):
        with context.services.bus.listen(principal.tenant_id) as here, other.bus.listen(principal.tenant_id) as there:
            await store(context, event())
            await asyncio.gather(here.wait(PRODUCT), there.wait(PRODUCT))
        assert other.bus.listening == 0


async def test_other_tenants_and_kinds_do_not_wake(context: Context, principal: Principal, owner: Database) -> None:
    stranger, tenant_id = await new_principal(owner), principal.tenant_id
    with context.services.bus.listen(tenant_id) as mine, context.services.bus.listen(stranger.tenant_id) as theirs:
        await store(context, event())
        async with asyncio.timeout(10):
            await mine.wait(PRODUCT)
        waiting = [
            asyncio.create_task(mine.wait(frozenset({6}))),
            asyncio.create_task(theirs.wait(PRODUCT)),
        ]
        await store(context, event())
        async with asyncio.timeout(10):
            await mine_again(context, tenant_id)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()


async def mine_again(context: Context, tenant_id: int) -> None:
    """Return after one more commit was heard of, so that the earlier ones were heard too."""
    with context.services.bus.listen(tenant_id) as mailbox:
        await store(context, event())
        await mailbox.wait(PRODUCT)


async def test_what_comes_while_nobody_looks_is_not_missed(context: Context, principal: Principal) -> None:
    with context.services.bus.listen(principal.tenant_id) as mailbox:
        for _ in range(3):
            await store(context, event())
        await mine_again(context, principal.tenant_id)
        async with asyncio.timeout(10):
            await mailbox.wait(PRODUCT)


async def test_after_a_lost_connection_everything_may_have_changed(database_url: str) -> None:
    resumed = asyncio.Event()
    opened: list[asyncpg.Connection] = []

    async def open_one() -> asyncpg.Connection:
        opened.append(await connect(database_url))
        return opened[-1]

    bus = Bus(open_one, resumed=resumed.set)
    bus.start()
    async with asyncio.timeout(20):
        await resumed.wait()
        resumed.clear()
        with bus.listen(1) as mailbox:
            killer = await connect(database_url)
            await killer.execute("SELECT pg_terminate_backend($1)", opened[0].get_server_pid())
            await killer.close()
            await mailbox.wait(PRODUCT)
            await resumed.wait()
    assert len(opened) == 2
    await bus.stop()
    assert bus.listening == 0


@pytest.mark.parametrize("payload", ["", "v", "x 1 2", "v 1", "k"])
async def test_words_it_does_not_know_do_no_harm(services: Services, database_url: str, payload: str) -> None:
    connection = await connect(database_url)
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
    await connection.close()
    assert services.bus.ready.is_set()


async def test_what_is_no_word_of_ours_is_passed_over(context: Context, principal: Principal, owner: Database) -> None:
    async with owner.shared() as session:
        connection = await session.connection()
        for word in ("", "v", "v x y z", "v 1 2 a,b", "v 1 5 ,", "k x", "k", "v 1 2 3 4", "x" * 7_000):
            await connection.execute(text("SELECT pg_notify(:channel, :word)"), {"channel": CHANNEL, "word": word})
    async with asyncio.timeout(10):
        with context.services.bus.listen(principal.tenant_id) as mailbox:
            await store(context, event())
            await mailbox.wait(PRODUCT)


async def test_a_failure_of_any_kind_is_not_the_end(database_url: str) -> None:
    failures: list[Exception] = [asyncpg.InternalClientError("confused"), OSError("away"), RuntimeError("a defect")]

    async def unlucky() -> asyncpg.Connection:
        if failures:
            raise failures.pop()
        return await connect(database_url)

    bus = Bus(unlucky)
    bus.start()
    async with asyncio.timeout(10):
        await bus.ready.wait()
    await bus.stop()
