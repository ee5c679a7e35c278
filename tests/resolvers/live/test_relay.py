"""Word of commits over Redis: heard where NOTIFY is not, instead of it never, and by no stranger's doing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from resolvers.context import Context, Principal, Services
from resolvers.events import ingest
from resolvers.live.bus import CHANNEL, Bus
from resolvers.live.relay import Relay
from resolvers.live.shared import SharedMemory
from resolvers.store.database import connect
from tests.factories import event, running_services, store
from tests.redis_server import RedisServer, eventually

PRODUCT, SPEND = frozenset({5}), frozenset({6})
SECRET = b"s" * 32


@asynccontextmanager
async def relaying(redis: RedisServer, bus: Bus, secret: bytes = SECRET) -> AsyncIterator[Relay]:
    """A relay that listens."""
    shared = SharedMemory(redis.url, "ours", secret)
    relay = Relay(shared, bus.relayed)
    async with redis.client() as client:

        async def listening() -> int:
            return int((await client.pubsub_numsub(shared.channel))[0][1])

        async def more() -> bool:
            return await listening() > before

        before = await listening()
        shared.start()
        relay.start()
        await eventually(more)
    try:
        yield relay
    finally:
        await relay.stop()
        await shared.stop()


@asynccontextmanager
async def deaf(database_url: str) -> AsyncIterator[Bus]:
    """A bus whose listening connection hears nothing, and does not know it."""
    opened: list[asyncpg.Connection] = []

    async def open_one() -> asyncpg.Connection:
        opened.append(await connect(database_url))
        return opened[-1]

    bus = Bus(open_one)
    bus.start()
    await bus.ready.wait()
    await opened[0].execute("UNLISTEN *")
    try:
        yield bus
    finally:
        await bus.stop()


async def test_a_commit_wakes_who_does_not_hear_of_it_from_the_database(
    redis: RedisServer, database_url: str, principal: Principal
) -> None:
    async with (
        running_services(database_url) as one,
        deaf(database_url) as other,
        relaying(redis, one.bus) as relay,
        relaying(redis, other),
    ):
        one.writer.announce = relay.announce
        with other.listen(principal.tenant_id) as mine, other.listen(principal.tenant_id + 1) as theirs:
            unconcerned = [asyncio.create_task(theirs.wait(PRODUCT)), asyncio.create_task(mine.wait(SPEND))]
            with other.listen(principal.tenant_id) as concerned:
                for _ in range(3):
                    await store(Context(one, principal), event())
                    async with asyncio.timeout(10):
                        await concerned.wait(PRODUCT)
            assert not any(task.done() for task in unconcerned)
            for task in unconcerned:
                task.cancel()


async def test_what_stores_nothing_is_not_announced(services: Services, principal: Principal) -> None:
    announced: list[str] = []
    services.writer.announce = announced.append
    try:
        context, same = Context(services, principal), event(id="1")
        await store(context, same)
        for other in (same, event(id="1", name="another")):
            assert (await ingest(context, [other])).accepted == 0
    finally:
        del services.writer.announce
    mine = [word for word in "\n".join(announced).split("\n") if word.startswith(f"v {principal.tenant_id} ")]
    assert mine == [f"v {principal.tenant_id} 1 5"]


async def test_what_came_by_notify_does_not_come_again_and_the_other_way_round_it_does() -> None:
    bus = Bus(lambda: connect("unused"))
    with bus.listen(1) as mailbox:
        bus._heard(None, 0, CHANNEL, "v 1 7 5")
        await mailbox.wait(PRODUCT)
        bus.relayed("v 1 7 5")
        again = asyncio.create_task(mailbox.wait(PRODUCT))
        await asyncio.sleep(0)
        assert not again.done()
        # Whoever knows the words beforehand keeps nobody from hearing of the commit.
        bus.relayed("v 1 8 5")
        await again
        bus._heard(None, 0, CHANNEL, "v 1 8 5")
        await mailbox.wait(PRODUCT)


async def test_only_word_of_commits_is_relayed_and_little_is_remembered() -> None:
    revoked: list[int] = []
    bus = Bus(lambda: connect("unused"), revoked=revoked.append)
    for word in ("k 1", "", "v", "v 1 2", "x" * 9_999, "v 1 7 a"):
        bus.relayed(word)
    assert not revoked
    for number in range(5_000):
        bus._heard(None, 0, CHANNEL, f"v 1 {number} 5")
    assert len(bus._notified) == 1_000


async def test_strangers_are_not_heard_and_redis_may_come_and_go(redis: RedisServer) -> None:
    ours, theirs = Bus(lambda: connect("unused")), Bus(lambda: connect("unused"))
    async with relaying(redis, ours) as relay, relaying(redis, theirs, b"t" * 32) as stranger:
        with ours.listen(1) as mailbox:
            stranger.announce("v 1 1 6")
            async with redis.client() as client:
                for said in ("", "v 1 1 6", "x" * 1_000, b"\xff" * 100):
                    await client.publish("gateway:ours", said)
            relay.announce("v 1 2 5\nv 2 1 5")
            async with asyncio.timeout(10):
                await mailbox.wait(PRODUCT | SPEND)
            assert not mailbox._anything
            await redis.kill()
            relay.announce("v 1 3 5")
            await redis.start()
            again = asyncio.create_task(mailbox.wait(PRODUCT))

            def heard() -> bool:
                relay.announce("v 1 4 5")
                return again.done()

            await eventually(heard)
