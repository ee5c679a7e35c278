"""The coverage of each flag of a list: read together, and what each alone would say."""

from typing import Any

import pytest

from gateway.app import Gateway
from resolvers.store.members import MemberMemory
from tests.client import Client
from tests.gateway.test_flags import CREATE, ON, done, setup
from tests.statements import counted

MANY = 12
COVERAGE = "coverage {subjects sampled unknown shares {variation share {value n numerator}}}"
OFF = {"variation": "off"}


def rules(place: int) -> list[dict[str, Any]]:
    """What the flag at a place asks for: a dimension, a segment, nothing, or what no event tells."""
    wheres: list[dict[str, Any] | None] = [
        {"dimension": {"dimension": "PLAN", "in": ["pro"]}},
        {"segment": {"in": ["first"]}},
        {"dimension": {"dimension": "LOCATION", "in": ["DE"]}},
        {"property": {"path": ["role"], "in": ["x"]}},
        None,
    ]
    where = wheres[place % len(wheres)]
    rule: dict[str, Any] = {"serve": ON, "percentage": str(10 * (1 + place % 9))}
    return [rule if where is None else rule | {"where": where}]


async def kept(client: Client) -> None:
    await client.ingest(
        *(
            {
                "kind": "PRODUCT",
                "name": "view",
                "subject": f"s{n}",
                "dimensions": {"plan": "pro" if n % 3 else "free", "location": "DE" if n % 4 else "FR"},
            }
            for n in range(60)
        )
    )
    subjects = [f"s{n}" for n in range(20)]
    save = "mutation ($input: SaveSegmentInput!) {saveSegment(input: $input) {__typename}}"
    await client.ask(save, input={"name": "first", "rules": {"subjects": subjects}})
    for place in range(MANY):
        await done(client, CREATE, key=f"f{place:02}")
        await setup(client, f"f{place:02}", rules=rules(place), default=OFF)
    await setup(client, "f01", name="staging", rules=[], default=ON)


async def test_the_coverage_of_each_flag_of_a_list_is_read_together(
    client: Client, gateway: tuple[str, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(client)
    services = gateway[1].services

    async def ask(first: int) -> list[dict[str, Any]]:
        found = await client.ask(f"{{flags(first: {first}) {{edges {{node {{key {COVERAGE}}}}}}}}}")
        return [edge["node"] for edge in found["flags"]["edges"]]

    await ask(MANY)
    costs = []
    for first in (3, MANY):
        # As if the process had just begun.
        services.memory.members = MemberMemory()
        with counted(services, monkeypatch) as seen:
            told = await ask(first)
        costs.append(len(seen))
    assert costs[0] == costs[1]
    assert len(told) == MANY
    for one in told:
        alone = await client.ask(f"query ($key: String!) {{flag(key: $key) {{key {COVERAGE}}}}}", key=one["key"])
        assert one == alone["flag"]
    assert len({str(one["coverage"]["shares"]) for one in told}) > 5


async def test_an_environment_that_is_not_there_takes_no_other_coverage_along(client: Client) -> None:
    await kept(client)
    query = """{flags(first: 2) {edges {node {key production: coverage {subjects}
      staging: coverage(environment: "staging") {shares {variation share {value}}}}}}}"""
    nodes = [edge["node"] for edge in (await client.ask(query))["flags"]["edges"]]
    assert [one["production"]["subjects"] for one in nodes] == [60, 60]
    assert nodes[1]["staging"]["shares"][0] == {"variation": "on", "share": {"value": "1"}}
    both = '{flag(key: "f00") {coverage(environment: "nope") {subjects}} other: flag(key: "f01") {coverage {subjects}}}'
    answer = await client.send(both)
    (refused,) = answer["errors"]
    assert refused["extensions"] == {"code": "BAD_USER_INPUT", "field": "environment"}
    assert answer["data"]["flag"] is None
    assert answer["data"]["other"] == {"coverage": {"subjects": 60}}
