"""Who asks for too much is refused and told when to come back; everybody else is served."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from gateway.app import Gateway
from gateway.protocols import HttpProtocol
from gateway.telemetry import Metrics
from resolvers.store.database import Database
from tests.client import Client, running_gateway
from tests.conftest import new_client
from tests.gateway.graphql_clients import RESPONSE_JSON

REVENUE = '{ revenue(period: {last: "30d"}) { orders } }'
TRACK = "mutation ($input: TrackEventInput!) { trackEvent(input: $input) { __typename } }"
WATCH = 'subscription { revenue(period: {last: "30d"}) { orders } }'


@asynccontextmanager
async def _gateway(database_url: str, **settings: float) -> AsyncIterator[tuple[str, Gateway]]:
    async with running_gateway(database_url, upkeep=False, **settings) as running:
        yield running


async def _ask(client: Client, query: str = REVENUE, **headers: str) -> httpx2.Response:
    return await client.http.post(
        f"http://{client.address}/graphql",
        json={"query": query},
        headers=client.headers | {"accept": RESPONSE_JSON} | headers,
    )


def _code(response: httpx2.Response) -> str:
    return str(response.json()["errors"][0]["extensions"]["code"])


async def test_a_key_over_its_rate_is_told_so_and_no_other_notices(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with _gateway(database_url, key_rate=0.1) as (address, _):
        busy, other = [await new_client(address, owner, http) for _ in range(2)]
        statuses = [(await _ask(busy)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = await _ask(busy)
        assert (refused.status_code, _code(refused)) == (429, "RATE_LIMITED")
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert refused.json()["errors"][0]["extensions"]["retryAfter"] <= 10
        lines = await http.post(
            f"http://{address}/ingest", content="{}", headers=busy.headers | {"content-type": "application/x-ndjson"}
        )
        assert (lines.status_code, lines.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert int(lines.headers["retry-after"]) >= 1
        assert (await _ask(other)).status_code == 200


async def test_the_keys_of_a_tenant_share_its_rate(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with _gateway(database_url, tenant_rate=0.1) as (address, _):
        one, other = [await new_client(address, owner, http) for _ in range(2)]
        assert [(await _ask(one)).status_code for _ in range(3)] == [200, 200, 429]
        assert (await _ask(other)).status_code == 200


async def test_what_is_computed_counts_by_its_cost_and_what_is_known_does_not(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with _gateway(database_url, key_cost_rate=0.1) as (address, _):
        client = await new_client(address, owner, http)
        assert [(await _ask(client)).status_code for _ in range(5)] == [200] * 5
        refused = await _ask(client, '{ revenue(period: {last: "7d"}) { orders } }')
        assert (refused.status_code, _code(refused)) == (429, "RATE_LIMITED")


async def test_an_operation_on_a_socket_over_the_rate_gets_an_error_of_its_own(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with _gateway(database_url, key_rate=0.1) as (address, _):
        client = await new_client(address, owner, http)
        async with client.socket() as socket:
            await socket.subscribe(REVENUE, id="first")
            assert (await socket.get())["type"] == "next"
            assert (await socket.get())["type"] == "complete"
            await socket.subscribe(WATCH, id="second")
            message = await socket.get()
            assert (message["id"], message["type"]) == ("second", "error")
            assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            await socket.put({"type": "ping"})
            assert (await socket.get())["type"] == "pong"


async def test_keys_cannot_be_guessed_fast_and_a_good_one_is_served_meanwhile(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with _gateway(database_url, address_rate=1) as (address, _):
        good = await new_client(address, owner, http)
        assert (await _ask(good)).status_code == 200
        guesses = [Client(address, f"mg_guess_{number}_of_a_key", http) for number in range(30)]
        statuses = [response.status_code for response in await asyncio.gather(*map(_ask, guesses))]
        assert set(statuses) == {401, 429}
        assert statuses.count(401) <= 3
        refused = await _ask(guesses[0])
        assert (refused.status_code, _code(refused)) == (429, "RATE_LIMITED")
        assert int(refused.headers["retry-after"]) >= 1
        anonymous = await http.post(f"http://{address}/graphql", json={"query": "{ __typename }"})
        assert anonymous.status_code == 429
        assert (await _ask(good)).status_code == 200
        elsewhere = await _ask(guesses[1], **{"x-forwarded-for": "203.0.113.7"})
        assert elsewhere.status_code == 401


async def test_many_at_once_under_a_new_key_are_no_guesses(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with _gateway(database_url, address_rate=1) as (address, _):
        client = await new_client(address, owner, http)
        responses = await asyncio.gather(*(_ask(client) for _ in range(50)))
        assert {response.status_code for response in responses} == {200}


async def test_a_full_gateway_refuses_at_once_and_still_tells_how_it_is(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with _gateway(database_url, max_requests=1) as (address, gateway):
        client = await new_client(address, owner, http)
        ticket = gateway.crowd.ticket()
        ticket.enter()
        refused = await _ask(client)
        assert (refused.status_code, _code(refused), refused.headers["retry-after"]) == (503, "OVERLOADED", "1")
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert (await http.get(f"http://{address}{path}")).status_code == 200
        ticket.leave()
        assert (await _ask(client)).status_code == 200
        async with client.stream(WATCH) as answers:
            # A stream that has begun is under way no more.
            assert await anext(answers)
            assert (await _ask(client)).status_code == 200
        assert gateway.crowd.under_way == 0


async def test_questions_that_cannot_be_computed_soon_are_refused_and_known_answers_are_not(
    gateway: tuple[str, Gateway], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = gateway[1].turns
    monkeypatch.setattr(turns, "_shortly", 0.01)
    assert (await _ask(client)).status_code == 200
    free = turns._free
    monkeypatch.setattr(turns, "_free", 0)
    refused = await _ask(client, '{ revenue(period: {last: "7d"}) { orders } }')
    assert (refused.status_code, _code(refused), refused.headers["retry-after"]) == (503, "OVERLOADED", "1")
    assert (await _ask(client)).status_code == 200
    assert (await client.ask(TRACK, input={"name": "seen", "subject": "ann"}))["trackEvent"]
    # Nor does it wait for a turn what needs none.
    assert _code(await _ask(client, '{ assignment(experiment: "none", subject: "ann") { variant } }')) == "NOT_FOUND"
    assert (await _ask(client, '{ evaluateFlags(subject: "ann") { flag } }')).status_code == 200
    turns._free = free
    assert (await _ask(client, '{ revenue(period: {last: "7d"}) { orders } }')).status_code == 200


async def test_requests_that_wait_on_a_connection_that_goes_leave_the_crowd(
    gateway: tuple[str, Gateway], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, crowd = gateway[1].turns, gateway[1].crowd
    monkeypatch.setattr(turns, "_free", 0)
    body = b'{"query":"{ tenant { slug } }"}'
    head = f"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.key}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    _, writer = await asyncio.open_connection(*client.address.split(":"))
    writer.write((head.encode() + body) * 3)
    await writer.drain()
    async with asyncio.timeout(10):
        while crowd.under_way < 3:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)
        writer.transport.abort()
        while crowd.under_way:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert turns.waiting == 0


async def test_a_connection_that_is_gone_is_not_left_to_the_collector(
    gateway: tuple[str, Gateway], client: Client
) -> None:
    def protocols() -> int:
        return sum(isinstance(one, HttpProtocol) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = protocols()
        reader, writer = await asyncio.open_connection(*client.address.split(":"))
        body = b'{"query":"{ tenant { slug } }"}'
        head = f"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.key}\r\n"
        writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        assert b"200 OK" in await reader.readline()
        assert protocols() == before + 1
        writer.close()
        async with asyncio.timeout(10):
            while protocols() > before:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_writes_over_the_limit_do_not_keep_readers_out(
    gateway: tuple[str, Gateway], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway[1].writes, "room", 0)
    refused = await _ask(client, 'mutation { trackEvent(input: {name: "seen", subject: "ann"}) { __typename } }')
    assert (refused.status_code, _code(refused), refused.headers["retry-after"]) == (503, "OVERLOADED", "1")
    assert (await _ask(client)).status_code == 200


async def test_a_tenant_has_so_many_subscriptions_and_the_gauges_return_to_zero(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with _gateway(database_url, max_tenant_subscriptions=2) as (address, gateway):
        client, other = [await new_client(address, owner, http) for _ in range(2)]
        async with client.socket() as socket, other.socket() as stranger:
            for number in range(2):
                await socket.subscribe(WATCH, id=str(number))
                await socket.next()
            await socket.subscribe(WATCH, id="third")
            message = await socket.get()
            assert (message["id"], message["type"]) == ("third", "error")
            assert message["payload"][0]["extensions"]["code"] == "OVERLOADED"
            await stranger.subscribe(WATCH)
            await stranger.next()
            assert _gauge(gateway.metrics, "gateway_subscriptions") == 3
            assert _gauge(gateway.metrics, "gateway_sockets") == 2
        async with asyncio.timeout(10):
            while any(_gauge(gateway.metrics, f"gateway_{what}") for what in ("sockets", "subscriptions")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # nothing tells of it
        assert (gateway.crowd.under_way, gateway.turns.busy, gateway.turns.waiting) == (0, 0, 0)
        assert _gauge(gateway.metrics, "gateway_requests_under_way") == 0
        assert _gauge(gateway.metrics, "gateway_questions_waiting") == 0


async def test_a_tenant_has_so_many_connections(database_url: str, owner: Database, http: httpx2.AsyncClient) -> None:
    async with _gateway(database_url, max_tenant_connections=1) as (address, _):
        client, other = [await new_client(address, owner, http) for _ in range(2)]
        async with client.socket() as socket, other.socket():
            await socket.subscribe(WATCH)
            await socket.next()
            refused = await _ask(client, WATCH, accept="text/event-stream")
            assert (refused.status_code, _code(refused), refused.headers["retry-after"]) == (503, "OVERLOADED", "5")


def _gauge(metrics: Metrics, name: str) -> float:
    return float(metrics.registry.get_sample_value(name) or 0)
