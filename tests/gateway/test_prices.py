"""A tenant's own model prices, over the wire."""

from typing import Any

import pytest

from tests.client import Client

SET = """
mutation ($input: SetModelPriceInput!) {
  setModelPrice(input: $input) {
    __typename
    ... on SetModelPricePayload { price { id provider validFrom inputPerMillion cacheReadPerMillion } }
    ... on InvalidInput { field }
  }
}
"""
DELETE = """
mutation ($id: ID!) { deleteModelPrice(input: {id: $id}) { __typename ... on DeleteModelPricePayload { deletedId } } }
"""
TRACK = """
mutation ($input: TrackAiInteractionInput!) { trackAiInteraction(input: $input) { __typename } }
"""
COSTS = "{ events { edges { node { cost currency costSource } } } }"


def price(**fields: Any) -> dict[str, Any]:
    made = {
        "provider": "acme",
        "model": "house",
        "validFrom": "2026-01-01T00:00:00Z",
        "currency": "EUR",
        "inputPerMillion": "2",
        "outputPerMillion": "4.5",
    }
    return made | fields


async def tiered(client: Client) -> str:
    """The id of the price that has a length from which contexts are long."""
    listed = await client.ask("{ modelPrices { edges { node { id longContextAfter longContextInputPerMillion } } } }")
    (found,) = (edge["node"] for edge in listed["modelPrices"]["edges"] if edge["node"]["longContextAfter"] == 100)
    assert found["longContextInputPerMillion"] == "3"
    return str(found["id"])


async def test_a_price_is_set_used_listed_and_deleted(client: Client, stranger: Client) -> None:
    made = (await client.ask(SET, input=price()))["setModelPrice"]["price"]
    assert (made["provider"], made["inputPerMillion"], made["cacheReadPerMillion"]) == ("acme", "2", None)
    call = {"subject": "ann", "provider": "acme", "model": "house", "inputTokens": 1_000_000, "outputTokens": 2_000_000}
    await client.ask(TRACK, input=call | {"occurredAt": "2026-02-01T00:00:00Z"})
    (edge,) = (await client.ask(COSTS))["events"]["edges"]
    assert (edge["node"]["cost"], edge["node"]["currency"]) == ("11", "EUR")
    assert edge["node"]["costSource"] == "tenant price from 2026-01-01"

    tier = {"longContextAfter": 100, "longContextInputPerMillion": "3", "longContextOutputPerMillion": "6"}
    await client.ask(SET, input=price(validFrom="2026-02-02T00:00:00Z", **tier))
    await client.ask(TRACK, input=call | {"occurredAt": "2026-02-03T00:00:00Z"})
    assert (await client.ask(COSTS))["events"]["edges"][0]["node"]["cost"] == "15"
    assert (await client.ask(DELETE, id=(await tiered(client))))["deleteModelPrice"]["deletedId"]

    batch = {"batchInputPerMillion": "1", "batchOutputPerMillion": "2.25"}
    await client.ask(SET, input=price(validFrom="2026-02-04T00:00:00Z", **batch))
    await client.ask(TRACK, input=call | {"occurredAt": "2026-02-05T00:00:00Z", "properties": {"batch": True}})
    told = (await client.ask(COSTS))["events"]["edges"][0]["node"]
    assert (told["cost"], told["costSource"]) == ("5.5", "tenant price from 2026-02-04, batch")
    listed = await client.ask("{ modelPrices { edges { node { id batchOutputPerMillion } } } }")
    (again,) = (one["node"]["id"] for one in listed["modelPrices"]["edges"] if one["node"]["batchOutputPerMillion"])
    await client.ask(DELETE, id=again)

    for one in ("anthropic", "zeta"):
        await client.ask(SET, input=price(provider=one))
    page = "query ($after: String) { modelPrices(first: 2, after: $after) {"
    page += " edges { node { provider } } pageInfo { endCursor hasNextPage } } }"
    first = (await client.ask(page))["modelPrices"]
    rest = (await client.ask(page, after=first["pageInfo"]["endCursor"]))["modelPrices"]
    listed = [edge["node"]["provider"] for edge in (*first["edges"], *rest["edges"])]
    assert listed == ["acme", "anthropic", "zeta"]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)

    node = "query ($id: ID!) { node(id: $id) { ... on ModelPrice { model } } }"
    assert (await client.ask(node, id=made["id"]))["node"] == {"model": "house"}
    assert (await stranger.ask(node, id=made["id"]))["node"] is None
    assert (await stranger.ask(page))["modelPrices"]["edges"] == []
    assert (await stranger.ask(DELETE, id=made["id"]))["deleteModelPrice"] == {"__typename": "NotFound"}
    assert (await client.ask(DELETE, id=made["id"]))["deleteModelPrice"]["deletedId"] == made["id"]
    assert (await client.ask(node, id=made["id"]))["node"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": ""}, "provider"),
        ({"model": "a\0"}, "model"),
        ({"validFrom": "yesterday"}, "validFrom"),
        ({"currency": "XXY"}, "currency"),
        ({"inputPerMillion": "-1"}, "inputPerMillion"),
        ({"outputPerMillion": "NaN"}, "outputPerMillion"),
        ({"cacheReadPerMillion": "1e400"}, "cacheReadPerMillion"),
        ({"longContextAfter": -1}, "longContextAfter"),
        ({"longContextAfter": 200_000}, "longContextInputPerMillion"),
        ({"longContextCacheReadPerMillion": "1"}, "longContextAfter"),
        ({"batchInputPerMillion": "1"}, "batchOutputPerMillion"),
        ({"batchCacheReadPerMillion": "1"}, "batchInputPerMillion"),
    ],
)
async def test_a_bad_price_is_refused_by_field(client: Client, change: dict[str, Any], field: str) -> None:
    answer = (await client.ask(SET, input=price(**change)))["setModelPrice"]
    assert answer == {"__typename": "InvalidInput", "field": field}
