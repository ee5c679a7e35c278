"""Upkeep by a running gateway: journeys are folded without anybody asking."""

import asyncio

import httpx2

from resolvers.live.tasks import ended
from resolvers.store.database import Database
from resolvers.store.schema_version import migrate
from resolvers.store.segments import SegmentRepository
from tests.client import Client, running_gateway
from tests.conftest import fresh_database, new_client
from tests.factories import event

FIGURES = {
    "gateway_folding_runs_total": 1,
    "gateway_folding_seconds_total": 0.001,
    "gateway_folded_events_total": 10,
    "gateway_segment_bytes": 1,
    # As of the next look.
    "gateway_unfolded_events": 1,
    "gateway_subject_segments": 1,
    "gateway_personas": 1,
    "gateway_journey_segments": 1,
}
DEFINED = """mutation {
  saveSegment(input: {name: "All", rules: {did: {where: {kind: [CONVERSION]}}}}) { __typename }
  savePersona(input: {slug: "buyer", name: "Buyer", rules: {did: {where: {kind: [CONVERSION]}}}}) { __typename }
}"""


async def scraped(http: httpx2.AsyncClient, address: str) -> dict[str, float]:
    """The figures without labels that a gateway tells."""
    text = (await http.get(f"http://{address}/metrics")).text
    plain = (line.split() for line in text.splitlines() if line.startswith("gateway_") and "{" not in line)
    return {name: float(value) for name, value in plain}


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
        answer = await client.ask(DEFINED)
        assert {one["__typename"] for one in answer.values()} == {"SaveSegmentPayload", "SavePersonaPayload"}
    async with running_gateway(url) as (address, gateway), asyncio.timeout(30):
        client.address = address
        folded = 0
        while folded < 10:
            async with gateway.services.database.tenant(principal.tenant_id) as session:
                folded = (await SegmentRepository(session).state(principal.tenant_id)).manifest.folded_to
        await client.ingest(event())
        for name, at_least in FIGURES.items():
            while (figures := await scraped(http, address)).get(name, -1.0) < at_least:
                pass
        # The segment behind the persona is none that anybody keeps.
        assert figures["gateway_subject_segments"] == figures["gateway_personas"] == 1
        assert figures["gateway_folding_failures_total"] == figures["gateway_damaged_segments_total"] == 0
    await owner.close()


async def test_a_process_that_leaves_upkeep_to_others_tells_no_figures_of_theirs(client: Client) -> None:
    figures = await scraped(client.http, client.address)
    assert figures["gateway_folding_runs_total"] == 0
    of_upkeep = {"gateway_unfolded_events", "gateway_segment_bytes", "gateway_subject_segments", "gateway_personas"}
    assert not of_upkeep & set(figures)


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
