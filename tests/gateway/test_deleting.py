"""Whatever is kept under a name is deleted by its id or by that name, and by nothing else."""

from typing import Any

import pytest

from tests.client import Client

STEPS = [{"event": "view"}, {"event": "buy"}]
DID: dict[str, Any] = {"did": {"where": {"name": "buy"}}}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Segment": ("saveSegment", "name", {"rules": DID}),
    "Persona": ("savePersona", "slug", {"name": "Buyers", "rules": DID}),
    "Funnel": ("saveFunnel", "name", {"steps": STEPS}),
    "AiBudget": ("setAiBudget", "name", {"amount": "5", "recurrence": "MONTH"}),
    "Holdout": ("saveHoldout", "name", {"share": "0.05"}),
    "Slo": ("createSlo", "key", {"metric": "ai_success_rate", "objective": "0.9"}),
}
"""How each is kept, and what it is called by."""
SHOWN = {"Segment": "segment", "Persona": "persona", "Funnel": "funnel", "AiBudget": "budget", "Holdout": "holdout"}
SHOWN |= {"Slo": "slo"}


async def keep(client: Client, kind: str, called: str) -> str:
    save, word, given = KINDS[kind]
    payload = "SloPayload" if kind == "Slo" else f"{save[0].upper()}{save[1:]}Payload"
    query = f"""mutation ($input: {save[0].upper()}{save[1:]}Input!) {{it: {save}(input: $input) {{
      ... on {payload} {{{SHOWN[kind]} {{id}}}} ... on Error {{code message}}}}}}"""
    found = (await client.ask(query, input={word: called} | given))["it"]
    return str(found[SHOWN[kind]]["id"])


async def delete(client: Client, kind: str, **which: Any) -> dict[str, Any]:
    query = f"""mutation ($input: Delete{kind}Input!) {{it: delete{kind}(input: $input) {{
      __typename ... on Delete{kind}Payload {{deletedId}}
      ... on NotFound {{field}} ... on InvalidInput {{field}}}}}}"""
    return dict((await client.ask(query, input=which))["it"])


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_kept_is_deleted_by_its_name(client: Client, stranger: Client, kind: str) -> None:
    word = KINDS[kind][1]
    kept = await keep(client, kind, "mine")
    other = await keep(client, kind, "another")
    assert await delete(stranger, kind, **{word: "mine"}) == {"__typename": "NotFound", "field": word}
    assert await delete(client, kind, **{word: kept}) == {"__typename": "NotFound", "field": word}
    refused = [await delete(client, kind), await delete(client, kind, **{"id": kept, word: "mine"})]
    assert refused == [{"__typename": "InvalidInput", "field": field} for field in ("id", word)]
    gone = await delete(client, kind, **{word: "mine"})
    assert gone == {"__typename": f"Delete{kind}Payload", "deletedId": kept}
    assert await delete(client, kind, **{word: "mine"}) == {"__typename": "NotFound", "field": word}
    assert (await delete(client, kind, id=other))["deletedId"] == other


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_that_nothing_can_have_is_refused(client: Client, kind: str) -> None:
    query = f"mutation ($input: Delete{kind}Input!) {{it: delete{kind}(input: $input) {{__typename}}}}"
    found = (await client.ask(query, input={KINDS[kind][1]: "a\0b"}))["it"]
    assert found["__typename"] in ("NotFound", "InvalidInput")


@pytest.mark.parametrize(
    "field", ["aiBudget(name: $it)", "segment(name: $it)", "savedFunnel(name: $it)", "slo(key: $it)"]
)
async def test_nothing_has_a_name_with_nul(client: Client, field: str) -> None:
    answer = await client.send(f"query ($it: String!) {{it: {field} {{__typename}}}}", it="a\0b")
    (error,) = answer["errors"]
    assert error["extensions"]["code"] in ("NOT_FOUND", "BAD_USER_INPUT")


async def test_a_name_that_is_needed_is_refused_as_it_was_given(client: Client) -> None:
    await keep(client, "Segment", "mine")
    rules = {"segment": {"in": ["mine"]}}
    save = "mutation ($input: SaveSegmentInput!) {saveSegment(input: $input) {__typename}}"
    await client.ask(save, input={"name": "on mine", "rules": rules})
    assert await delete(client, "Segment", name="mine") == {"__typename": "InvalidInput", "field": "name"}


async def test_a_segment_is_refreshed_and_its_members_are_listed_by_its_name(client: Client) -> None:
    await client.ingest(*({"kind": "PRODUCT", "name": "buy", "subject": f"s{n}"} for n in range(5)))
    kept = await keep(client, "Segment", "mine")
    await client.ingest({"kind": "PRODUCT", "name": "buy", "subject": "s5"})
    refresh = """mutation ($name: String) {it: refreshSegment(input: {name: $name}) {__typename
      ... on RefreshSegmentPayload {refreshed segment {id size}} ... on NotFound {field}}}"""
    found = (await client.ask(refresh, name="mine"))["it"]
    assert (found["refreshed"], found["segment"]) == (True, {"id": kept, "size": 6})
    assert (await client.ask(refresh, name="other"))["it"] == {"__typename": "NotFound", "field": "name"}
    query = """query ($segment: ID!, $after: String) {segmentMembers(segment: $segment, first: 4, after: $after) {
      edges {node {subject}} pageInfo {hasNextPage endCursor}}}"""
    told: list[str] = []
    after, more = None, True
    while more:
        page = (await client.ask(query, segment="mine", after=after))["segmentMembers"]
        told += [edge["node"]["subject"] for edge in page["edges"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert told == [f"s{n}" for n in range(6)]
    (error,) = (await client.send(query, segment="other"))["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "segment"}
