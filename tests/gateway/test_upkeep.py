"""Upkeep by a running gateway: journeys are folded without anybody asking."""

import asyncio

import httpx2

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
