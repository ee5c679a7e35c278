"""What befalls the gateway from below: lost connections, a crowd of questions, a database that does not answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.keys import create_key, pepper
from resolvers.store.database import Database, connect
from resolvers.store.schema_version import migrate
from tests.client import Client, running_gateway
from tests.conftest import fresh_database
from tests.factories import event, new_principal
from tests.processes import KEY, postmaster, postmaster_there, serving, silence

PERIOD = '{from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
COUNT = f'metric(slug: "events", period: {PERIOD}) {{ estimate {{ value }} }}'


@pytest.fixture
async def url(postgres_url: str) -> str:
    """URL of a database of the test's own, whose connections it may cut."""
    url = await fresh_database(postgres_url, "gateway_faults")
    await migrate(url)
    return url


@pytest.fixture
async def faulty(url: str, http: httpx2.AsyncClient) -> AsyncIterator[tuple[Client, Gateway]]:
    """An admin of a gateway with the smallest pool."""
    owner = await Database.open(url, owner=True, pool_size=1)
    principal = await new_principal(owner)
    key = (await create_key(owner, principal.tenant_id, Role.ADMIN, "test", pepper=await pepper(owner))).secret
    await owner.close()
    async with running_gateway(url, pool_size=3) as (address, gateway):
        yield Client(address, key, http), gateway


async def cut(cutter: asyncpg.Connection) -> None:
    """End every other connection to the database."""
    await cutter.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def send(client: Client, name: str) -> None:
    """Send an event until it is acknowledged, as a careful sender does."""
    while True:
        response = await client.http.post(
            f"http://{client.address}/ingest", json=event(id=name, subject=name), headers=client.headers
        )
        if response.status_code == 200:
            assert not response.json()["conflicts"]
            return
        assert response.status_code == 503, response.text


async def test_cut_connections_lose_nothing_double_nothing_and_end_no_watch(
    url: str, faulty: tuple[Client, Gateway]
) -> None:
    client, _ = faulty
    cutter = await connect(url)
    async with client.socket() as socket:
        every = COUNT.replace("period:", 'every: "100ms", period:')
        await socket.subscribe(f"subscription {{ {every} }}", id="count")
        await socket.subscribe("subscription { events { eventId } }", id="events")
        counted, seen = [int((await socket.next())["metric"]["estimate"]["value"])], []
        await client.ingest(event(id="first"))
        writers = [asyncio.create_task(send(client, f"e{n}")) for n in range(60)]
        for _ in range(5):
            await cut(cutter)
            await asyncio.sleep(0)
        await asyncio.gather(*writers)
        async with asyncio.timeout(15):
            while counted[-1] < 61 or len(seen) < 61:
                answer = await socket.next()
                if "metric" in answer:
                    counted.append(int(answer["metric"]["estimate"]["value"]))
                else:
                    seen += [one["eventId"] for one in answer["events"]]
    assert counted == sorted(counted)
    assert sorted(seen) == sorted({"first", *(f"e{n}" for n in range(60))})
    assert await cutter.fetchval("SELECT count(*) FROM event") == 61
    await cutter.close()


async def test_questions_that_take_every_connection_keep_no_event_out(faulty: tuple[Client, Gateway]) -> None:
    client, gateway = faulty
    async with gateway.services.database.tenant(1):
        refused = await client.http.post(
            f"http://{client.address}/graphql", json={"query": f"{{ {COUNT} }}"}, headers=client.headers
        )
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        kind = {"kind": "AI_INTERACTION", "name": "chat", "dimensions": {"provider": "openai", "model": "gpt-4o"}}
        assert (await client.ingest(event(), event(**kind)))["accepted"] == 2
        ready = await client.http.get(f"http://{client.address}/health/ready")
        assert ready.status_code == 200
    assert (await client.ask(f"{{ {COUNT} }}"))["metric"]["estimate"]["value"] == "2"


async def test_the_end_does_not_wait_for_a_database_that_does_not_answer(
    url: str, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(10), running_gateway(url, shutdown_seconds=1) as (_, gateway):
        monkeypatch.setattr(gateway.services.writer, "stop", forever)
    # A process would end here; what it left open is closed for the tests that follow.
    monkeypatch.undo()
    await gateway._finish()


async def test_a_stop_while_the_database_is_silent_leaves_no_sender_in_doubt(
    tmp_path: Path, http: httpx2.AsyncClient
) -> None:
    async with serving(tmp_path, GATEWAY_SHUTDOWN_SECONDS="1") as gateway:
        client = Client(gateway.address, KEY, http)
        assert (await client.ingest(event(id="first")))["accepted"] == 1
        silence(await postmaster_there(tmp_path))
        sending = [
            asyncio.create_task(
                http.post(f"http://{gateway.address}/ingest", json=event(id=f"e{n}"), headers=client.headers)
            )
            for n in range(3)
        ]
        # Its answer says that the requests before it have been taken.
        assert (await http.get(f"http://{gateway.address}/health/live")).status_code == 200
        assert await gateway.stop() == 0
        for response in await asyncio.gather(*sending):
            assert response.status_code == 503, response.text
            assert response.json()["error"]["code"] == "UNAVAILABLE"
            assert int(response.headers["retry-after"]) >= 1
    assert postmaster(tmp_path) is None
