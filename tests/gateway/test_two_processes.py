"""Two gateways on one database are one gateway to whoever asks, and outlive its restart."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.embedded import EmbeddedPostgres
from resolvers.store.database import connect
from resolvers.store.schema_version import migrate
from tests.client import Client
from tests.conftest import fresh_database
from tests.factories import event
from tests.processes import KEY, Serving, postmaster_there, serving

PERIOD = '{from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
COUNT = f'metric(slug: "events", period: {PERIOD}) {{ estimate {{ value }} }}'
FUNNEL = f'funnel(steps: [{{name: "page_view"}}, {{name: "signup"}}], period: {PERIOD}) {{ steps {{ count }} }}'
LIVE = "subscription {{ {} }}"


@pytest.fixture
async def url(postgres_url: str) -> str:
    url = await fresh_database(postgres_url, "gateway_two_processes")
    await migrate(url)
    return url


@pytest.fixture
async def pair(url: str, tmp_path: Path, http: httpx2.AsyncClient) -> AsyncIterator[tuple[Client, Client]]:
    """The same admin at either of two processes."""
    async with AsyncExitStack() as stack:
        # The first of them makes the tenant and its key.
        both = [await stack.enter_async_context(serving(tmp_path / name, DATABASE_URL=url)) for name in "ab"]
        one, other = (Client(process.address, KEY, http) for process in both)
        yield one, other


def count(answer: dict[str, Any]) -> int:
    return int(answer["metric"]["estimate"]["value"])


async def test_a_write_through_one_is_seen_through_the_other_at_once(pair: tuple[Client, Client]) -> None:
    one, other = pair
    async with other.socket() as socket:
        await socket.subscribe(LIVE.format(COUNT.replace("period:", 'every: "100ms", period:')), id="count")
        await socket.subscribe(LIVE.format("events { eventId }"), id="events")
        live, seen = [count(await socket.next())], list[str]()
        for number in range(1, 21):
            # What the other keeps by now is out of date with the next event.
            for _ in range(2):
                assert count(await other.ask(f"{{ {COUNT} }}")) == number - 1
            name = "signup" if number % 2 == 0 else "page_view"
            sent = event(id=f"e{number}", subject=f"s{(number + 1) // 2}", name=name)
            assert (await one.ingest(sent))["accepted"] == 1
            answer = await other.ask(f"{{ {COUNT} {FUNNEL} }}")
            assert count(answer) == number
            assert [step["count"] for step in answer["funnel"]["steps"]] == [(number + 1) // 2, number // 2]
        async with asyncio.timeout(15):
            while live[-1] < 20 or len(seen) < 20:
                answer = await socket.next()
                if "metric" in answer:
                    live.append(count(answer))
                else:
                    seen += [one["eventId"] for one in answer["events"]]
    assert live == sorted(set(live))
    assert seen == [f"e{number}" for number in range(1, 21)]


async def test_the_same_ids_sent_to_both_at_once_are_stored_once(url: str, pair: tuple[Client, Client]) -> None:
    for batch in range(10):
        sent = [event(id=f"b{batch}-{n}", subject=f"s{n}") for n in range(100)]
        again = [*sent, sent[0], sent[-1]]
        receipts = await asyncio.gather(*(client.ingest(*again) for client in pair for _ in range(2)))
        assert sum(receipt["accepted"] for receipt in receipts) == 100
        assert sum(receipt["duplicates"] for receipt in receipts) == 4 * 102 - 100
        assert not any(receipt["conflicts"] or receipt["rejected"] for receipt in receipts)
        differing = [event(id=f"c{batch}", subject=f"s{n}") for n in range(2)]
        receipts = await asyncio.gather(*(client.ingest(one) for client, one in zip(pair, differing, strict=True)))
        assert sorted((receipt["accepted"], len(receipt["conflicts"])) for receipt in receipts) == [(0, 1), (1, 0)]
    connection = await connect(url)
    assert await connection.fetchval("SELECT count(*) FROM event") == 1010
    assert await connection.fetchval("SELECT count(DISTINCT (tenant_id, id)) FROM event") == 1010
    assert await connection.fetchval("SELECT array_agg(position ORDER BY position) FROM event") == list(range(1, 1011))
    await connection.close()


async def send(client: Client, name: str) -> None:
    """Send an event until it is acknowledged; whatever else is said may be tried again."""
    while True:
        response = await client.http.post(
            f"http://{client.address}/ingest", json=event(id=name, subject=name), headers=client.headers
        )
        if response.status_code == 200:
            assert not response.json()["conflicts"]
            return
        assert response.status_code in (429, 503), response.text
        assert int(response.headers["retry-after"]) >= 1
        await asyncio.sleep(0.05)


async def ask(client: Client) -> int:
    """How many events there are, once that can be said."""
    while True:
        answer = await client.send(f"{{ {COUNT} }}")
        if "errors" not in answer:
            return count(answer["data"])
        (error,) = answer["errors"]
        code = error["extensions"]["code"]
        assert code in ("UNAVAILABLE", "OVERLOADED", "RATE_LIMITED", "TIMEOUT"), error
        assert code == "TIMEOUT" or error["extensions"]["retryAfter"] >= 1
        await asyncio.sleep(0.05)


async def test_a_database_restarted_under_load_loses_nothing_and_ends_no_watch(
    tmp_path: Path, http: httpx2.AsyncClient
) -> None:
    with EmbeddedPostgres(tmp_path / "database") as server:
        await migrate(server.url)
        async with (
            serving(tmp_path / "a", DATABASE_URL=server.url) as first,
            serving(tmp_path / "b", DATABASE_URL=server.url) as second,
        ):
            await _restarted(tmp_path / "database", server.url, (first, second), http)


async def _restarted(folder: Path, url: str, gateways: tuple[Serving, Serving], http: httpx2.AsyncClient) -> None:
    one, other = (Client(gateway.address, KEY, http) for gateway in gateways)
    acknowledged = asyncio.Semaphore(0)
    done = asyncio.Event()

    async def writing(client: Client, writer: int) -> int:
        number = 0
        while not done.is_set():
            await send(client, f"w{writer}-{number}")
            acknowledged.release()
            number += 1
        return number

    async def reading(client: Client) -> list[int]:
        found = [0]
        while not done.is_set():
            found.append(await ask(client))
        return found

    async with other.socket() as socket:
        await socket.subscribe(LIVE.format(COUNT.replace("period:", 'every: "100ms", period:')))
        live = [count(await socket.next())]
        writers = [asyncio.create_task(writing(client, n)) for n, client in enumerate((one, other) * 4)]
        readers = [asyncio.create_task(reading(client)) for client in (one, other)]
        for _ in range(3):
            async with asyncio.timeout(60):
                for _ in range(40):
                    await acknowledged.acquire()
            async with asyncio.timeout(60):
                server = await postmaster_there(folder)
                os.kill(server, signal.SIGINT)
                await postmaster_there(folder, other_than=server)
            while not acknowledged.locked():
                await acknowledged.acquire()
        async with asyncio.timeout(60):
            for _ in range(40):
                await acknowledged.acquire()
        done.set()
        sent = sum(await asyncio.gather(*writers))
        for found in await asyncio.gather(*readers):
            assert found == sorted(found)
        async with asyncio.timeout(30):
            while live[-1] < sent:
                live.append(count(await socket.next()))
    assert live == sorted(live)
    assert [await ask(client) for client in (one, other)] == [sent, sent]
    connection = await connect(url)
    assert await connection.fetchval("SELECT count(DISTINCT id) FROM event") == sent
    assert await connection.fetchval("SELECT count(*) FROM event") == sent
    await connection.close()


async def test_a_flag_changed_through_one_is_evaluated_so_by_the_other_at_once(pair: tuple[Client, Client]) -> None:
    one, other = pair
    made = 'mutation { createFlag(input: {key: "a"}) { __typename } }'
    toggle = 'mutation ($on: Boolean!) { toggleFlag(input: {key: "a", on: $on}) { __typename } }'
    asked = '{ evaluateFlags(keys: ["a"]) { reason error } }'
    assert (await other.ask(asked))["evaluateFlags"][0]["error"] == "FLAG_NOT_FOUND"
    await one.ask(made)
    async with other.socket() as socket:
        await socket.subscribe("subscription { flagChanges(since: 0) { version action } }")
        assert (await socket.next())["flagChanges"] == [{"version": 1, "action": "CREATE"}]
        for number in range(1, 21):
            on = number % 2 == 1
            await one.ask(toggle, on=on)
            assert (await other.ask(asked))["evaluateFlags"][0]["reason"] == ("STATIC" if on else "DISABLED")
        seen: list[int] = []
        while len(seen) < 20:
            seen += [change["version"] for change in (await socket.next())["flagChanges"]]
        assert seen == list(range(2, 22))
