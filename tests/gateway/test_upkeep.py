"""Upkeep by a running gateway: journeys are folded without anybody asking."""

import asyncio

import httpx2

from gateway.app import ended
from resolvers.store.database import Database
from resolvers.store.schema_version import migrate
from resolvers.store.segments import SegmentRepository
from tests.client import running_gateway
from tests.conftest import fresh_database, new_client
from tests.factories import event


async def test_a_gateway_folds_what_is_behind(postgres_url: str, http: httpx2.AsyncClient) -> None:
    url = await fresh_database(postgres_url, "gateway_upkeep")
    await migrate(url)
    owner = await Database.open(url, owner=True, pool_size=1)
    async with running_gateway(url) as (address, gateway):
        client = await new_client(address, owner, http)
        principal = await gateway.authenticate(client.key)
        assert principal is not None
    # Events that were there when a gateway starts are folded at once.
    async with running_gateway(url, upkeep=False) as (address, _):
        client.address = address
        await client.ingest(*(event() for _ in range(10)))
    async with running_gateway(url) as (_, gateway), asyncio.timeout(20):
        folded = 0
        while folded < 10:
            async with gateway.services.database.tenant(principal.tenant_id) as session:
                folded = (await SegmentRepository(session).state(principal.tenant_id)).manifest.folded_to
    await owner.close()


async def test_upkeep_ends_even_where_a_cancellation_gets_lost() -> None:
    ends = 0

    async def stubborn() -> None:
        nonlocal ends
        while ends < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends += 1

    tasks = [asyncio.create_task(stubborn())]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await ended(tasks)
    assert tasks[0].done()
