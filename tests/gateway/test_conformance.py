"""The endpoint against what others wrote: the GraphQL-over-HTTP audits and the clients people use."""

from collections.abc import AsyncIterator

import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from tests.gateway.graphql_world import World, make_endpoint, serving
from tests.gateway.javascript import JAVASCRIPT_CLIENTS, audit, codes, needs_node, operate

QUERY = "query { hello whoami }"
MUTATION = "mutation { write }"
SUBSCRIPTION = "subscription { count(to: 3) }"
INVALID = "query { nope }"
BREAKING = 'subscription { breaks(how: "input", after: 1) }'

HELLO = {"data": {"hello": "hello world", "whoami": "VIEWER"}}
COUNTED = [{"data": {"count": number}} for number in (1, 2, 3)]


@pytest.fixture
async def host(either_server: None) -> AsyncIterator[str]:
    world = World()
    world.gate.set()
    async with serving(make_endpoint(world)) as address:
        yield address


@needs_node
async def test_every_audit_of_graphql_over_http_is_passed(host: str) -> None:
    result = await audit(host, "viewer")
    assert result["failed"] == []
    assert result["audits"] > 50


@needs_node
@pytest.mark.parametrize("client", JAVASCRIPT_CLIENTS)
async def test_javascript_clients_get_their_answers(client: str, host: str) -> None:
    query, mutation, subscription, invalid = await operate(
        client, host, "viewer", QUERY, MUTATION, SUBSCRIPTION, INVALID
    )
    assert query == [HELLO]
    assert mutation == [{"data": {"write": "write"}}]
    assert subscription == COUNTED
    assert codes(invalid[-1]) == ["GRAPHQL_VALIDATION_FAILED"]


@needs_node
@pytest.mark.parametrize("client", ["graphql_ws", "graphql_sse"])
async def test_javascript_clients_are_told_why_a_subscription_broke(client: str, host: str) -> None:
    (answer,) = await operate(client, host, "viewer", BREAKING)
    assert answer[0] == {"data": {"breaks": 0}}
    assert codes(answer[1]) == ["BAD_USER_INPUT"]


async def test_the_python_client_gets_its_answers(host: str) -> None:
    transport = WebsocketsTransport(f"ws://{host}/graphql", init_payload={"Authorization": "Bearer viewer"})
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        assert session.client.schema is not None
        assert await session.execute(gql(QUERY)) == HELLO["data"]
        assert await session.execute(gql(MUTATION)) == {"write": "write"}
        assert [result async for result in session.subscribe(gql(SUBSCRIPTION))] == [each["data"] for each in COUNTED]
    async with Client(transport=transport) as session:
        with pytest.raises(TransportQueryError, match="Cannot query field 'nope'"):
            await session.execute(gql(INVALID))
