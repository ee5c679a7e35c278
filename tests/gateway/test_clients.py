"""The whole gateway as the clients people use meet it: every feature that they lean on, over the wire."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from gql import Client as GqlClient
from gql import gql
from gql.transport.async_transport import AsyncTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from schema import schema
from tests.client import Client
from tests.gateway.javascript import CLIENTS, JAVASCRIPT_CLIENTS, MODULES, audit, codes, needs_node, operate, run

REVENUE = "{ revenue { __typename orders total { __typename amount } } }"
WATCH = f'subscription {{ revenue(every: "100ms") {REVENUE.removeprefix("{ revenue ")}'
BATCH = """
mutation {
  ingestEvents(input: {events: [
    {conversion: {id: "one", name: "purchase", subject: "ann", amount: "%s"}}
    {conversion: {id: "one", name: "purchase", subject: "ann", amount: "%s"}}
  ]}) {
    __typename
    ... on IngestEventsPayload { accepted conflicts { __typename index eventId } }
  }
}
"""
SALE = 'mutation { trackConversion(input: {name: "purchase", subject: "bob", amount: "5"}) { __typename } }'
REFUSED = """
mutation {
  saveFunnel(input: {name: "short", steps: [{event: "signup"}]}) {
    __typename
    ... on InvalidInput { field }
    ... on Error { code }
  }
}
"""
UNKNOWN_METRIC = '{ metric(slug: "nothing") { estimate { value } } }'


def revenue(orders: int, amount: str) -> dict[str, Any]:
    total = {"__typename": "Money", "amount": amount}
    return {"data": {"revenue": {"__typename": "RevenueAnswer", "orders": orders, "total": total}}}


@needs_node
async def test_every_audit_of_graphql_over_http_is_passed(client: Client) -> None:
    result = await audit(client.address, client.key)
    assert result["failed"] == []
    assert result["audits"] > 50


@needs_node
@pytest.mark.parametrize("name", JAVASCRIPT_CLIENTS)
async def test_javascript_clients_send_ask_and_watch(name: str, client: Client) -> None:
    watched = json.dumps([WATCH, SALE])
    operations = [BATCH % (10, 10), BATCH % (11, 12), REVENUE, watched, REFUSED, UNKNOWN_METRIC]
    sent, again, asked, seen, refused, failed = await operate(name, client.address, client.key, *operations)
    accepted = {"__typename": "IngestEventsPayload", "accepted": 1, "conflicts": []}
    assert sent == [{"data": {"ingestEvents": accepted}}]
    conflicts = [{"__typename": "Conflict", "index": index, "eventId": "one"} for index in (0, 1)]
    assert again[0]["data"]["ingestEvents"]["conflicts"] == conflicts
    assert asked == [revenue(1, "10")]
    assert seen == [revenue(1, "10"), revenue(2, "15")]
    typed = {"__typename": "InvalidInput", "field": "steps", "code": "BAD_USER_INPUT"}
    assert refused == [{"data": {"saveFunnel": typed}}]
    assert codes(failed[0]) == ["BAD_USER_INPUT"]


@needs_node
async def test_relay_compiles_the_schema_and_keeps_its_store(client: Client, tmp_path: Path) -> None:
    project = shutil.copytree(CLIENTS / "relay", tmp_path / "relay")
    (project / "node_modules").symlink_to(MODULES)
    (project / "schema.graphql").write_text(schema.as_str(), encoding="utf-8")
    await run(MODULES / ".bin" / "relay-compiler", folder=project)
    told = json.loads(await run("node", "run.mjs", client.address, client.key, folder=project))
    assert told["sent"] == {"accepted": 3, "conflicts": []}
    assert told["again"]["conflicts"] == [{"index": index, "eventId": "1"} for index in (0, 1)]
    assert [event["eventId"] for event in told["first"]["events"]] == ["3", "2"]
    assert told["first"]["pageInfo"]["hasNextPage"] is True
    assert [event["eventId"] for event in told["all"]["events"]] == ["3", "2", "1"]
    assert told["all"]["pageInfo"]["hasNextPage"] is False
    assert told["refetched"] == told["first"]["events"][0]
    assert told["lists"] == [[], [["sales", "7d"]], [["sales", "2d"]], []]
    assert told["refused"] == {"__typename": "InvalidInput", "code": "BAD_USER_INPUT"}
    assert told["totals"] == ["0", "7.5"]


def _transport(kind: str, address: str, key: str) -> AsyncTransport:
    authorization = {"Authorization": f"Bearer {key}"}
    if kind == "websockets":
        return WebsocketsTransport(f"ws://{address}/graphql", init_payload=authorization)
    name = {"aiohttp": "AIOHTTPTransport", "httpx": "HTTPXAsyncTransport"}[kind]
    module = pytest.importorskip(f"gql.transport.{kind}", reason=f"needs gql[{kind}]", exc_type=ImportError)
    transport: AsyncTransport = getattr(module, name)(f"http://{address}/graphql", headers=authorization)
    return transport


@pytest.mark.parametrize("kind", ["websockets", "aiohttp", "httpx"])
async def test_the_python_client_sends_asks_and_watches(client: Client, kind: str) -> None:
    transport = _transport(kind, client.address, client.key)
    async with GqlClient(transport=transport, fetch_schema_from_transport=True) as session:
        assert session.client.schema is not None
        assert "RevenueAnswer" in session.client.schema.type_map
        assert (await session.execute(gql(BATCH % (10, 10))))["ingestEvents"]["accepted"] == 1
        assert await session.execute(gql(REVENUE)) == revenue(1, "10")["data"]
        with pytest.raises(TransportQueryError) as failure:
            await session.execute(gql(UNKNOWN_METRIC))
        assert codes({"errors": failure.value.errors}) == ["BAD_USER_INPUT"]
        if kind == "websockets":
            answers = session.subscribe(gql(WATCH))
            assert await anext(answers) == revenue(1, "10")["data"]
            await session.execute(gql(SALE))
            assert await anext(answers) == revenue(2, "15")["data"]
            await answers.aclose()
