"""Flags that ask about segments: members as they were last found, whoever evaluates."""

from typing import Any

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.store.database import Database
from tests.client import Client
from tests.gateway.test_flag_http import definitions
from tests.gateway.test_flags import CONFIGURE, CREATE, ON, done, evaluated, key_of, setup

SAVE = """mutation ($input: SaveSegmentInput!) { it: saveSegment(input: $input) {
  ... on SaveSegmentPayload { segment { id } } ... on Error { message } } }"""
REFRESH = "mutation ($id: ID!) { it: refreshSegment(input: {id: $id}) { ... on Error { message } } }"
DELETE = "mutation ($id: ID!) { it: deleteSegment(input: {id: $id}) { ... on Error { message } } }"
BUYERS = {"name": "buyers", "rules": {"did": {"where": {"name": ["buy"]}, "times": {"atLeast": 1}}}}


def bought(subject: str) -> dict[str, Any]:
    return {"kind": "PRODUCT", "name": "buy", "subject": subject}


async def test_a_rule_asks_about_a_segment(
    client: Client, stranger: Client, owner: Database, gateway: tuple[str, Gateway]
) -> None:
    await client.ingest(bought("ann"), {"kind": "PRODUCT", "name": "view", "subject": "bob"})
    segment = (await client.ask(SAVE, input=BUYERS))["it"]["segment"]["id"]
    for key in ("a", "b"):
        await done(client, CREATE, key=key)
    inside, outside = {"segment": {"in": ["buyers"]}}, {"segment": {"notIn": [segment]}}
    made = await setup(client, "a", rules=[{"where": inside, "serve": ON}], default={"variation": "off"})
    # A name may change, and the flag asks about the same segment.
    assert made["environments"][0]["rules"][0]["where"] == {"segment": {"in": [segment]}}
    await client.ask(SAVE, input=BUYERS | {"id": segment, "name": "customers"})
    await setup(client, "b", prerequisites=[{"flag": "a", "variations": ["on"]}])
    sdk = await key_of(client, owner, gateway[1], Role.INGEST)

    async def got(subject: str | None, who: Client = sdk) -> list[str]:
        return [one["variation"] for one in await evaluated(who, subject=subject)]

    assert [await got(subject) for subject in ("ann", "bob", "nobody", None)] == [["on", "on"], *[["off", "off"]] * 3]
    coverage = '{ flag(key: "b") { coverage { subjects shares { variation share { value } } } } }'
    found = (await client.ask(coverage))["flag"]["coverage"]
    assert {one["variation"]: one["share"]["value"] for one in found["shares"]} == {"on": "0.5", "off": "0.5"}
    await client.ingest(bought("bob"))
    await client.ask(REFRESH, id=segment)
    assert await got("bob") == ["on", "on"]
    await setup(client, "a", rules=[{"where": outside, "serve": ON}], default={"variation": "off"})
    assert [await got(subject) for subject in ("ann", "nobody", None)] == [["off", "off"], ["on", "on"], ["off", "off"]]
    document = (await definitions(client)).json()
    assert [flag["remote"] for flag in document["flags"].values()] == [True, True]
    refused = (await client.ask(DELETE, id=segment))["it"]
    assert refused["message"] == 'It is named by the flag "a"; change or delete these first.'
    await setup(client, "a", rules=[], default={"variation": "on"})
    assert (await client.ask(DELETE, id=segment))["it"] == {}
    await done(stranger, CREATE, key="a")
    refused = (
        await stranger.ask(CONFIGURE, input={"key": "a", "environment": {"rules": [{"where": inside, "serve": ON}]}})
    )["it"]
    assert (refused["__typename"], refused["field"]) == ("InvalidInput", "environment.rules[0].where.segment.in[0]")
