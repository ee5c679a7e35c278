"""What the HTTP endpoint bounds: bodies, values, time, work under way; and what survives a client that leaves."""

import asyncio
from collections.abc import AsyncIterator

from resolvers.live.turns import Turns
from tests.gateway.graphql_clients import client


async def test_variables_with_too_many_values_are_refused_unread() -> None:
    async with client(values=1_000) as c:
        response = await c.post({"query": "{ hello }", "variables": {"v": [1] * 1_001}})
        assert response.status_code == 413


async def test_a_body_over_the_limit_is_refused_by_its_length_or_on_the_way() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000

    async with client(body=10_000) as c:
        assert (await c.post(b" " * 10_001)).status_code == 413
        headers = {"content-type": "application/json", "authorization": "Bearer viewer"}
        assert (await c.http.post("/graphql", content=chunks(), headers=headers)).status_code == 413
        assert (await c.ask("{ hello }"))["data"] == {"hello": "hello world"}


async def test_a_caller_without_a_key_may_send_less() -> None:
    async with client(body_anonymous=1_000) as c:
        query = {"query": "{ hello }", "x": "y" * 1_000}
        assert (await c.post(query, key=None)).status_code == 413
        assert (await c.post(query)).status_code == 200


async def test_bodies_share_bounded_memory() -> None:
    async with client(bodies=1_000) as c:
        response = await c.post(b" " * 1_001)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        for _ in range(3):
            assert (await c.post({"query": "{ hello }", "x": "y" * 600})).status_code == 200


async def test_a_body_that_does_not_end_is_given_up() -> None:
    async with client(body_seconds=0.05) as c:
        reader, writer = await asyncio.open_connection(c.http.base_url.host, c.http.base_url.port)
        writer.write(
            b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
        )
        response = await asyncio.wait_for(reader.read(), 10)
        assert response.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in response
        writer.close()
        await writer.wait_closed()


async def test_an_operation_ends_at_its_deadline() -> None:
    async with client(operation_seconds=0.05) as c:
        response = await c.post({"query": "{ wait }"})
        assert response.status_code == 504
        assert response.json()["errors"][0]["extensions"] == {"code": "TIMEOUT"}
        await c.world.until("query cancelled")
        assert c.endpoint.sessions.tasks == 0


async def test_operations_under_way_are_bounded() -> None:
    async with client(turns=Turns(1, 0.01, shortly=0.01)) as c:
        first = asyncio.create_task(c.ask("{ wait }"))
        await c.world.until("query started")
        response = await c.post({"query": "{ hello }"})
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        c.world.gate.set()
        assert (await first)["data"] == {"wait": "query"}
        assert (await c.ask("{ hello }"))["data"] == {"hello": "hello world"}


async def test_a_query_ends_when_its_client_leaves_but_a_write_goes_on() -> None:
    async with client() as c:
        for query, started in [("{ wait }", "query started"), ("mutation { write }", "write started")]:
            request = asyncio.create_task(c.ask(query))
            await c.world.until(started)
            request.cancel()
            await asyncio.wait({request})
        await c.world.until("query cancelled")
        assert c.world.happened["write cancelled"] == 0
        c.world.gate.set()
        await c.world.until("write done")


async def test_shutdown_waits_for_a_write() -> None:
    async with client() as c:
        request = asyncio.create_task(c.ask("mutation { write }"))
        await c.world.until("write started")
        shutdown = asyncio.create_task(c.endpoint.sessions.shutdown(10))
        c.world.gate.set()
        await shutdown
        assert c.world.happened["write done"] == 1
        assert (await request)["data"] == {"write": "write"}
