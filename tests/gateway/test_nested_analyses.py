"""Analyses asked of each item of a list: as many statements whatever the list holds, and what each alone would say."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.keys import create_key, pepper
from resolvers.store.database import Database
from resolvers.store.folding import fold
from resolvers.store.members import MemberMemory
from tests.client import Client, running_gateway
from tests.factories import event, new_principal
from tests.statements import counted

NAMES = ["view", "try", "cart", "buy", "help", "back"]
SAVE = "mutation ($input: SaveFunnelInput!) {saveFunnel(input: $input) {... on SaveFunnelPayload {funnel {id}}}}"
MANY = 12


def log() -> list[dict[str, Any]]:
    """Some people who do one thing after the other, on ways of their own."""
    return [
        event(
            subject=f"p{number}",
            name=NAMES[(number * place + place) % len(NAMES)],
            occurredAt=f"2026-03-{1 + number % 9:02}T{place:02}:{number:02}:00Z",
            session=f"s{number % 2}",
            properties={"tier": number % 3},
            dimensions={"plan": "pro" if number % 3 else "team"},
        )
        for number in range(40)
        for place in range(6)
    ]


def definitions() -> list[dict[str, Any]]:
    """Funnels that are read from segments, and some that only the log itself tells of."""
    made: list[dict[str, Any]] = [
        {"steps": [{"name": NAMES[place % 6]}, {"name": NAMES[(place + shift) % 6]}], "window": f"{shift}h"}
        for place, shift in [(place, 1 + place % 5) for place in range(MANY)]
    ]
    made[3]["constant"] = [{"trait": "SESSION"}]
    made[5]["steps"][0]["where"] = {"property": {"path": ["tier"], "in": [1]}}
    made[7]["constant"] = [{"dimension": "PLAN"}]
    made[8]["exclusions"] = [{"event": "help"}]
    return made


FIGURES = """steps {name count stepRate {value previous}} timeToConvert {median} series {at counts}
  groups {keys {value} steps {count}} groupCount"""


ASKED = {
    "answer": f"by: [PLAN], byStep: null, top: 1, compare: PREVIOUS_PERIOD) {{{FIGURES}}}",
    "correlations": """compare: PREVIOUS_PERIOD, dimensions: [PLAN, CHANNEL, FEATURE, AGENT, MODEL]) {
      entered converted tested untested associations {key {value} rate {value previous} oddsRatio {value}}}""",
    "subjects": "step: 1, first: 2) {edges {cursor node {subject}} pageInfo {hasNextPage endCursor}}",
}


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[tuple[str, Gateway]]:
    """A gateway with time: what cannot be read together in time is read one by one."""
    async with running_gateway(database_url, upkeep=False, statement_seconds=60.0, operation_seconds=60.0) as running:
        yield running


def field(name: str, day: int) -> str:
    """An analysis that was not asked for before, if the day was not."""
    period = f'{{from: "2026-03-02T00:00:00Z", to: "2026-03-{day:02}T00:00:00Z"}}'
    return f"{name}(period: {period}, {ASKED[name]}"


async def kept(client: Client) -> None:
    await client.ingest(*log())
    for place, definition in enumerate(definitions()):
        await client.ask(SAVE, input={"name": f"f{place}", **definition})


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("folded", [False, True])
async def test_analyses_of_kept_funnels_are_read_together(
    gateway: tuple[str, Gateway],
    owner: Database,
    http: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    folded: bool,
    name: str,
) -> None:
    principal, services = await new_principal(owner), gateway[1].services
    made = await create_key(owner, principal.tenant_id, Role.ADMIN, "test", pepper=await pepper(owner))
    client = Client(gateway[0], made.secret, http)
    await kept(client)
    if folded:
        await fold(services.database, principal.tenant_id)
        await client.ingest(*(one | {"id": f"late-{place}"} for place, one in enumerate(log()[:30])))

    async def ask(first: int, day: int) -> list[dict[str, Any]]:
        found = await client.ask(f"{{funnels(first: {first}) {{edges {{node {{name {field(name, day)}}}}}}}}}")
        return [edge["node"] for edge in found["funnels"]["edges"]]

    await ask(MANY, 5)
    costs = []
    for first, day in ((2, 6), (MANY, 7)):
        with counted(services, monkeypatch) as seen:
            told = await ask(first, day)
        costs.append(len(seen))
    # What only the log itself tells, beside segments, is copied from there at once: that is two statements more for
    # each reading, of which correlations by five dimensions take two. Names not met before are looked up at once.
    assert costs[1] <= costs[0] + {"answer": 2, "correlations": 4, "subjects": 2}[name] * folded + (name == "subjects")
    assert len(told) == MANY
    assert any(one[name] != told[0][name] for one in told)
    for one, definition in zip(told, definitions(), strict=True):
        query = f"query ($name: String!) {{savedFunnel(name: $name) {{{field(name, 7)}}}}}"
        alone = await client.ask(query, name=one["name"])
        assert one[name] == alone["savedFunnel"][name], definition


async def test_members_of_segments_are_read_together(
    client: Client, gateway: tuple[str, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.ingest(*log())
    save = "mutation ($input: SaveSegmentInput!) {saveSegment(input: $input) {__typename}}"
    for place in range(MANY):
        rules = {"subjects": [f"p{number}" for number in range(place, 40, 1 + place)]}
        await client.ask(save, input={"name": f"s{place}", "rules": rules})
    services = gateway[1].services

    async def ask(first: int) -> list[list[str]]:
        shown = "members(first: 3) {edges {node {subject}} pageInfo {hasNextPage}}"
        found = await client.ask(f"{{segments(first: {first}) {{edges {{node {{{shown}}}}}}}}}")
        nodes = [edge["node"]["members"] for edge in found["segments"]["edges"]]
        assert all(one["pageInfo"]["hasNextPage"] is (len(one["edges"]) == 3) for one in nodes[:9])
        return [[edge["node"]["subject"] for edge in one["edges"]] for one in nodes]

    costs = []
    for first in (2, MANY):
        # As if the process had just begun.
        services.memory.members = MemberMemory()
        with counted(services, monkeypatch) as seen:
            told = await ask(first)
        costs.append(len(seen))
    assert costs[0] == costs[1]
    assert told == [[f"p{number}" for number in range(place, 40, 1 + place)][:3] for place in range(MANY)]
