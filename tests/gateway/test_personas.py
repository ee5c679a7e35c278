"""Personas as their users keep, compare and watch them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolvers.store.segment_definitions import Kept, SegmentDefinitions
from tests.client import Client
from tests.factories import event, purchase

NOW = datetime.now(UTC)
SAVE = """mutation ($input: SavePersonaInput!) { savePersona(input: $input) { __typename
  ... on SavePersonaPayload { persona { id slug priority assignment rules segment { name size } } }
  ... on InvalidInput { field message } } }"""
PROFILE = """personaProfile(slug: "buyers", %s) { slug name subjects { estimate { value previous } series { value } }
  revenue { estimate { value } } revenuePerSubject { value unit } acquisitionCost { value } retention { value }
  churnRisk { value } aiCost { estimate { value } } channels { value subjects share lift } }"""


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


async def save(client: Client, **input: Any) -> dict[str, Any]:
    return dict((await client.ask(SAVE, input=input))["savePersona"])


async def test_a_persona_from_draft_to_profile(client: Client, stranger: Client) -> None:
    await client.ingest(
        purchase("10", subject="ann", occurredAt=ago(2), dimensions={"channel": "email"}),
        event(subject="bob", occurredAt=ago(2), dimensions={"channel": "ads"}),
    )
    made = await save(client, slug="buyers", name="Buyers", rules={"did": {"where": {"name": "purchase"}}})
    persona = made["persona"]
    assert (persona["assignment"], persona["segment"]) == ("RULES", {"name": "persona/buyers", "size": 1})
    listed = await client.ask("{ personas(first: 1) { edges { node { slug } } pageInfo { hasNextPage } } }")
    assert listed["personas"] == {"edges": [{"node": {"slug": "buyers"}}], "pageInfo": {"hasNextPage": False}}
    asked = await client.ask("{ " + PROFILE % 'period: {last: "7d"}' + " personaProfiles { slug } }")
    profile = asked["personaProfile"]
    series = profile["subjects"].pop("series")
    assert sum(value or 0 for value in series["value"]) == 1
    assert profile == {
        "slug": "buyers",
        "name": "Buyers",
        "subjects": {"estimate": {"value": "1", "previous": "0"}},
        "revenue": {"estimate": {"value": "10"}},
        "revenuePerSubject": {"value": "10", "unit": "MONEY"},
        "acquisitionCost": {"value": None},
        "retention": {"value": "0"},
        "churnRisk": None,
        "aiCost": {"estimate": {"value": "0"}},
        "channels": [{"value": "email", "subjects": 1, "share": "1", "lift": "2"}],
    }
    assert asked["personaProfiles"] == [{"slug": "buyers"}]
    node = "query ($id: ID!) { node(id: $id) { ... on Persona { slug } } }"
    assert await client.ask(node, id=persona["id"]) == {"node": {"slug": "buyers"}}
    assert await stranger.ask(node, id=persona["id"]) == {"node": None}
    refused = await stranger.send('{ personaProfile(slug: "buyers") { slug } }')
    assert refused["errors"][0]["extensions"]["field"] == "slug"
    delete = """mutation ($id: ID!) { deletePersona(input: {id: $id}) { __typename } }"""
    assert (await stranger.ask(delete, id=persona["id"]))["deletePersona"]["__typename"] == "NotFound"
    assert (await client.ask(delete, id=persona["id"]))["deletePersona"]["__typename"] == "DeletePersonaPayload"
    assert (await client.ask("{ segments { edges { cursor } } }"))["segments"]["edges"] == []


async def test_a_profile_is_watched(client: Client) -> None:
    await client.ingest(purchase("10", subject="ann", occurredAt=ago(1), dimensions={"persona": "buyers"}))
    await save(client, slug="buyers", name="Buyers")
    query = 'subscription { personaProfile(slug: "buyers", every: "5s") { name revenue { estimate { value } } } }'
    async with client.stream(query) as answers, asyncio.timeout(30):
        first = (await anext(answers))["data"]["personaProfile"]
        assert first == {"name": "Buyers", "revenue": {"estimate": {"value": "10"}}}
        await client.ingest(purchase("5", subject="bob", occurredAt=ago(1), dimensions={"persona": "buyers"}))
        assert (await anext(answers))["data"]["personaProfile"]["revenue"]["estimate"]["value"] == "15"


@pytest.mark.parametrize(
    ("question", "field"),
    [('personaProfile(slug: "nobody")', "slug"), ('personaProfiles(slugs: ["nobody"])', "slugs[0]")],
)
async def test_an_unknown_persona_is_refused_by_the_argument_that_names_it(
    client: Client, question: str, field: str
) -> None:
    (error,) = (await client.send(f"{{ {question} {{ slug }} }}"))["errors"]
    assert (error["extensions"]["field"], error["message"]) == (
        field,
        'There is no persona "nobody"; savePersona makes one.',
    )


async def test_what_cannot_be_kept_is_a_typed_error(client: Client) -> None:
    answer = await save(client, slug="x", name="X", rules={"all": [{"segment": {"in": ["Nobody"]}}]})
    assert (answer["__typename"], answer["field"]) == ("InvalidInput", "rules.all[0].segment.in[0]")


async def test_a_list_of_personas_looks_their_segments_up_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"did": {"where": {"name": "purchase"}}}
    for slug in ("first", "second", "third"):
        await save(client, slug=slug, name=slug.title(), rules=rules)
    await save(client, slug="said", name="Said")
    asked, by_ids = list[int](), SegmentDefinitions.by_ids

    async def counting(self: SegmentDefinitions, ids: Sequence[int]) -> list[Kept]:
        asked.append(len(ids))
        return await by_ids(self, ids)

    monkeypatch.setattr(SegmentDefinitions, "by_ids", counting)
    listed = await client.ask("{ personas { edges { node { slug segment { name } } } } }")
    assert {edge["node"]["slug"]: edge["node"]["segment"] for edge in listed["personas"]["edges"]} == {
        **{slug: {"name": f"persona/{slug}"} for slug in ("first", "second", "third")},
        "said": None,
    }
    assert asked == [3]


async def test_churn_of_many_personas_is_refused_by_its_own_argument(client: Client) -> None:
    for slug in "abcd":
        await save(client, slug=slug, name=slug)
    (error,) = (await client.send("{ personaProfiles(churn: true) { slug } }"))["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "churn"}
    asked = await client.ask(
        """{ personaProfiles(slugs: ["a", "b", "c"], churn: true) {
          churnRisk { value } churnGap churnFindings { diagnosis message } } }"""
    )
    assert [(one["churnRisk"], one["churnGap"]) for one in asked["personaProfiles"]] == [(None, "NO_MODEL")] * 3
    (finding,) = asked["personaProfiles"][0]["churnFindings"]
    assert finding["diagnosis"] == "TOO_FEW_SUBJECTS"
