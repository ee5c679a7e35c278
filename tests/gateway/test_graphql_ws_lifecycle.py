"""How operations and sockets end, who ends them, and that nothing of them is left behind."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from gateway.sessions import Kind, Sessions
from resolvers.context import Role
from tests.gateway.graphql_clients import INIT, opened, ready
from tests.gateway.graphql_world import Record, World, make_endpoint, serving

pytestmark = pytest.mark.usefixtures("either_server")


async def test_completing_an_operation_ends_it_silently() -> None:
    world, record = World(), Record()
    async with ready(make_endpoint(world, observer=record)) as socket:
        await socket.subscribe("1", "subscription { forever }")
        await socket.receive()
        await socket.send({"id": "1", "type": "complete"})
        await socket.send({"id": "unknown", "type": "complete"})
        await world.until("cleaned up")
        assert (await socket.ask("{ hello }"))[0]["payload"] == {"data": {"hello": "hello world"}}
        assert record.open_subscriptions == 0


async def test_completing_a_write_does_not_stop_it() -> None:
    world = World()
    async with ready(make_endpoint(world)) as socket:
        await socket.subscribe("1", "mutation { write }")
        await world.until("write started")
        await socket.send({"id": "1", "type": "complete"})
        await socket.ask("{ hello }")
        world.gate.set()
        await world.until("write done")
        assert [message["type"] for message in await socket.ask("{ hello }")] == ["next", "complete"]


async def test_leaving_ends_reads_and_streams_but_no_write() -> None:
    world, record = World(), Record()
    endpoint = make_endpoint(world, observer=record)
    async with serving(endpoint) as host:
        async with opened(host) as socket:
            await socket.send(INIT)
            await socket.receive()
            await socket.subscribe("1", "{ wait }")
            await socket.subscribe("2", "mutation { write }")
            await socket.subscribe("3", "subscription { forever }")
            await world.until("query started")
            await world.until("write started")
            await socket.receive()
            socket.connection.transport.abort()
        await world.until("query cancelled")
        await world.until("cleaned up")
        world.gate.set()
        await world.until("write done")
        await endpoint.sessions.shutdown()
        assert world.happened["write cancelled"] == 0
        assert (endpoint.sessions.count(), endpoint.sessions.tasks) == (0, 0)
        assert (record.open_subscriptions, record.closed_subscriptions) == (0, 1)


async def test_operations_of_one_socket_are_bounded() -> None:
    async with ready(make_endpoint(subscriptions=2)) as socket:
        for id_ in ("1", "2"):
            await socket.subscribe(id_, "subscription { forever }")
            await socket.receive()
        await socket.subscribe("3", "{ hello }")
        error = await socket.receive()
        assert (error["id"], error["type"]) == ("3", "error")
        assert error["payload"][0]["extensions"]["code"] == "OVERLOADED"


async def test_a_flood_of_subscriptions_leaves_nothing_behind() -> None:
    record = Record()
    endpoint = make_endpoint(observer=record)
    async with ready(endpoint) as socket:
        for number in range(500):
            await socket.subscribe(str(number), "subscription { forever }")
            await socket.send({"id": str(number), "type": "complete"})
        await socket.send({"type": "ping"})
        while (await socket.receive())["type"] != "pong":
            pass
    await endpoint.sessions.shutdown()
    assert (endpoint.sessions.count(), endpoint.sessions.tasks, record.open_subscriptions) == (0, 0, 0)


async def test_each_operation_has_its_own_context() -> None:
    world = World()
    async with ready(make_endpoint(world)) as socket:
        await socket.ask("{ hello }")
        await socket.ask("subscription { count(to: 2) }")
        assert len({id(context) for context in world.contexts}) == 2


async def test_the_key_is_checked_at_each_operation() -> None:
    world = World()
    async with ready(make_endpoint(world)) as socket:
        world.keys["viewer"] = world.keys["admin"]
        assert (await socket.ask("{ whoami }"))[0]["payload"]["data"] == {"whoami": Role.ADMIN.name}
        del world.keys["viewer"]
        await socket.subscribe("1", "{ hello }")
        assert await socket.closed() == (4403, "Forbidden")


async def test_revoking_a_key_closes_its_sockets_at_once() -> None:
    world = World()
    endpoint = make_endpoint(world)
    async with ready(endpoint) as socket:
        await socket.subscribe("1", "subscription { forever }")
        await socket.receive()
        assert endpoint.sessions.revoke(world.keys["admin"].key_id) == 0
        assert endpoint.sessions.revoke(world.keys["viewer"].key_id) == 1
        assert await socket.closed() == (4403, "Forbidden")
        await world.until("cleaned up")


async def test_a_revocation_nobody_heard_of_is_found() -> None:
    world = World()
    endpoint = make_endpoint(world)
    async with ready(endpoint) as socket:
        assert await endpoint.sessions.recheck(endpoint.authenticate) == 0
        del world.keys["viewer"]
        assert await endpoint.sessions.recheck(endpoint.authenticate) == 1
        assert await socket.closed() == (4403, "Forbidden")


async def test_shutdown_closes_sockets_and_opens_no_more() -> None:
    world = World()
    endpoint = make_endpoint(world)
    async with serving(endpoint) as host, opened(host) as socket:
        await socket.send(INIT)
        await socket.receive()
        await socket.subscribe("1", "subscription { forever }")
        await socket.receive()
        await endpoint.sessions.shutdown()
        assert await socket.closed() == (1012, "Service restart")
        assert world.happened["cleaned up"] == 1
        with pytest.raises(InvalidStatus) as caught:
            async with opened(host):
                pass
        assert caught.value.response.status_code == 503


async def test_shutdowns_do_not_wait_for_one_another() -> None:
    sessions = Sessions()
    shutdowns = [sessions.keep(sessions.shutdown(3_600)) for _ in range(2)]
    await asyncio.wait_for(sessions.shutdown(3_600), 10)
    await asyncio.wait_for(asyncio.gather(*shutdowns), 10)
    assert sessions.tasks == 0


@pytest.mark.parametrize("bound", ["connections_per_key", "connections_per_tenant"])
async def test_sockets_are_bounded_by_key_and_tenant(bound: str) -> None:
    endpoint = make_endpoint(**{bound: 1})
    async with serving(endpoint) as host, opened(host) as first, opened(host) as second:
        await first.send(INIT)
        await first.receive()
        await second.send(INIT)
        assert (await second.closed())[0] == 1013


@pytest.mark.parametrize("bound", ["connections", "connections_anonymous"])
async def test_sockets_are_bounded_before_they_say_whose_they_are(bound: str) -> None:
    async with serving(make_endpoint(**{bound: 1})) as host, opened(host):
        with pytest.raises(InvalidStatus) as caught:
            async with opened(host):
                pass
        assert caught.value.response.status_code == 503


async def test_a_client_that_does_not_read_is_closed() -> None:
    world, record = World(), Record()
    endpoint = make_endpoint(world, observer=record, send_seconds=0.05)
    async with serving(endpoint) as host, opened(host, max_queue=1, compression=None) as socket:
        await socket.send(INIT)
        await socket.subscribe("1", "subscription { flood }")
        await world.until("cleaned up")
        await asyncio.wait_for(endpoint.sessions.shutdown(), 5)
        assert endpoint.sessions.count(Kind.WEBSOCKET) == 0
        assert record.open_subscriptions == 0
        socket.connection.transport.abort()
