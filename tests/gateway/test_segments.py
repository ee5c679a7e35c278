"""Segments as their users keep and ask them, over HTTP, WebSocket and event streams."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.keys import create_key, pepper
from resolvers.store.database import Database
from resolvers.store.segment_upkeep import refresh_due
from schema.nodes import encode
from tests.client import Client
from tests.factories import event, new_principal, purchase

NOW = datetime.now(UTC)
SHOWN = "id name description rules refreshEvery size asOf current problem"
SAVE = f"""mutation ($input: SaveSegmentInput!) {{ saveSegment(input: $input) {{
  __typename ... on SaveSegmentPayload {{ segment {{ {SHOWN} members {{ edges {{ node {{ subject }} }} }} }} }}
  ... on Error {{ code message }} ... on InvalidInput {{ field }} ... on NotFound {{ field }} }} }}"""
DELETE = """mutation ($id: ID!) { deleteSegment(input: {id: $id}) { __typename ... on DeleteSegmentPayload { deletedId }
  ... on Error { message } ... on InvalidInput { field } ... on NotFound { field } } }"""
REFRESH = """mutation ($id: ID!) { refreshSegment(input: {id: $id}) { __typename
  ... on RefreshSegmentPayload { refreshed segment { size } } ... on NotFound { field } } }"""
BUYERS = {"did": {"where": {"name": "purchase"}, "period": {"last": "30d"}}}
TWICE = {"did": BUYERS["did"] | {"times": {"atLeast": 2}}}


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


LOG = [
    purchase("10", subject="ann", occurredAt=ago(2), dimensions={"channel": "email", "plan": "pro"}),
    purchase("20", subject="ann", occurredAt=ago(1), dimensions={"channel": "email", "plan": "pro"}),
    purchase("5", subject="bob", occurredAt=ago(3), dimensions={"channel": "ads", "plan": "free"}),
    purchase("7", subject="bob", occurredAt=ago(90)),
    event(subject="cleo", occurredAt=ago(2)),
]


async def save(client: Client, name: str, rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What is answered to a segment that is sent."""
    answer = await client.ask(SAVE, input={"name": name, "rules": rules, **more})
    return dict(answer["saveSegment"])


async def kept(client: Client, name: str, rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A segment that is kept."""
    answer = await save(client, name, rules, **more)
    assert answer["__typename"] == "SaveSegmentPayload", answer
    return dict(answer["segment"])


def whom(segment: dict[str, Any]) -> list[str]:
    return [edge["node"]["subject"] for edge in segment["members"]["edges"]]


@pytest.fixture
async def shop(client: Client) -> Client:
    await client.ingest(*LOG)
    return client


async def test_a_segment_is_kept_listed_found_and_asked(shop: Client) -> None:
    made = await kept(shop, "Buyers", BUYERS, description="Bought lately", refreshEvery="15m")
    assert whom(made) == ["ann", "bob"]
    assert (made["size"], made["current"], made["problem"], made["refreshEvery"]) == (2, True, None, "15m")
    assert made["rules"]["did"]["times"] == {"atLeast": 1}
    again = await kept(shop, "Buyers", made["rules"])
    assert (again["id"], again["size"], again["description"]) == (made["id"], 2, None)
    listed = await shop.ask(f"{{ segments {{ edges {{ node {{ {SHOWN} }} }} }} }}")
    assert [edge["node"]["name"] for edge in listed["segments"]["edges"]] == ["Buyers"]
    found = await shop.ask(
        "query ($id: ID!) { segment(id: $id) { name } node(id: $id) { ... on Segment { size } } }", id=made["id"]
    )
    assert found == {"segment": {"name": "Buyers"}, "node": {"size": 2}}
    for given in ("Buyers", made["id"]):
        asked = await shop.ask(
            "query ($s: [ID!]) { revenue(where: {segment: {in: $s}}) { total { amount } }"
            " other: revenue(where: {segment: {notIn: $s}}) { orders } }",
            s=[given],
        )
        assert asked == {"revenue": {"total": {"amount": "35"}}, "other": {"orders": 0}}


async def test_an_answer_follows_a_refresh_and_a_change_of_rules(shop: Client) -> None:
    made = await kept(shop, "Buyers", BUYERS)
    question = '{ metric(slug: "unique_subjects", where: {segment: {in: "Buyers"}}) { estimate { value } } }'
    assert (await shop.ask(question))["metric"]["estimate"]["value"] == "2"
    await shop.ingest(purchase("1", subject="cleo", occurredAt=ago(1)))
    # She buys, but is a member only once the members are found anew.
    assert (await shop.ask(question))["metric"]["estimate"]["value"] == "2"
    assert (await shop.ask(REFRESH, id=made["id"]))["refreshSegment"]["segment"] == {"size": 3}
    assert (await shop.ask(question))["metric"]["estimate"]["value"] == "3"
    changed = await kept(shop, "Regulars", TWICE, id=made["id"])
    assert (changed["id"], whom(changed)) == (made["id"], ["ann"])
    refused = await shop.send(question)
    assert refused["errors"][0]["extensions"] == {
        "code": "BAD_USER_INPUT",
        "field": "where.segment.in[0]",
    }
    assert refused["errors"][0]["message"] == 'There is no segment called "Buyers"; saveSegment makes one.'


async def test_a_preview_tells_whom_and_what_hints_at_a_mistake(shop: Client) -> None:
    rules = {
        "all": [
            BUYERS,
            {"not": {"did": {"where": {"dimension": {"dimension": "CHANNEL", "in": "emial"}}}}},
            {"any": [{"did": {"where": {"property": {"path": "tier", "gte": 2}}}}, {"subjects": ["bob", "zoe"]}]},
        ]
    }
    query = """query ($rules: SegmentRuleInput!) { previewSegment(rules: $rules) {
      size share { value } sample { subject } conditions { path subjects note } } }"""
    assert (await shop.ask(query, rules=rules))["previewSegment"] == {
        "size": 1,
        "share": {"value": "0.3333333333333333333333333333"},
        "sample": [{"subject": "bob"}],
        "conditions": [
            {"path": "rules.all[0]", "subjects": 2, "note": None},
            {"path": "rules.all[1].not", "subjects": 0, "note": 'No event has ever carried "emial".'},
            {
                "path": "rules.all[2].any[0]",
                "subjects": 0,
                "note": "No event has ever carried the property tier.",
            },
            {"path": "rules.all[2].any[1]", "subjects": 1, "note": "No event is about 1 of these subjects."},
        ],
    }
    assert (await shop.ask("{ segments { edges { cursor } } }"))["segments"]["edges"] == []


@pytest.mark.parametrize(
    "query",
    [
        "{ segments { edges { node { members { edges { cursor } } } } } }",
        "{ previewSegment(rules: {all: []}) { sample { subject } } }",
        'mutation { saveSegment(input: {name: "Mine", rules: {all: []}}) { ... on Forbidden { code } } }',
    ],
)
async def test_a_viewer_sees_how_many_and_not_whom(
    gateway: tuple[str, Gateway], owner: Database, http: httpx2.AsyncClient, query: str
) -> None:
    principal = await new_principal(owner)
    keys = [
        await create_key(owner, principal.tenant_id, role, "test", pepper=await pepper(owner))
        for role in (Role.ADMIN, Role.VIEWER)
    ]
    admin, viewer = (Client(gateway[0], key.secret, http) for key in keys)
    await admin.ingest(*LOG)
    await kept(admin, "Buyers", BUYERS)
    asked = await viewer.ask("{ segments { edges { node { size } } } previewSegment(rules: {all: []}) { size } }")
    assert asked == {"segments": {"edges": [{"node": {"size": 2}}]}, "previewSegment": {"size": 3}}
    assert "FORBIDDEN" in str(await viewer.send(query))


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"did": {"where": {"name": "x"}, "times": {"exactly": 1, "atLeast": 1}}}, "rules.did.times.exactly"),
        ({"did": {"times": {"atLeast": 3, "atMost": 2}}}, "rules.did.times"),
        ({"did": {"times": {"atLeast": -1}}}, "rules.did.times.atLeast"),
        ({"all": [{"did": {"period": {"last": "30 days"}}}]}, "rules.all[0].did.period.last"),
        ({"did": {"period": {"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}}}, "rules.did.period"),
        ({"did": {"total": {"measure": "AMOUNT"}}}, "rules.did.total"),
        ({"did": {"total": {"atLeast": "10", "atMost": "5"}}}, "rules.did.total"),
        ({"did": {"where": {"segment": {"in": "Other"}}}}, "rules.did.where"),
        ({"did": {"where": {"property": {"path": []}}}}, "rules.did.where.property.path"),
        ({"not": {"segment": {"in": ["Nobody"]}}}, "rules.not.segment.in[0]"),
        ({"segment": {"notIn": ["Mine"]}}, "rules.segment.notIn[0]"),
        ({"segment": {}}, "rules.segment"),
        ({"subjects": []}, "rules.subjects"),
        ({"any": [{"all": []}] * 3 + [{"subjects": ["a"]}] * 31}, "rules"),
    ],
)
async def test_what_cannot_be_kept_is_a_typed_error(client: Client, rules: dict[str, Any], field: str) -> None:
    answer = await save(client, "Mine", rules)
    assert (answer["__typename"], answer["code"], answer["field"]) == ("InvalidInput", "BAD_USER_INPUT", field)
    assert (await client.ask("{ segments { edges { cursor } } }"))["segments"]["edges"] == []


async def test_segments_are_made_of_segments_without_leading_back(shop: Client) -> None:
    buyers = await kept(shop, "Buyers", BUYERS)
    regulars = await kept(shop, "Regulars", {"all": [{"segment": {"in": ["Buyers"]}}, TWICE]})
    others = await kept(shop, "Others", {"segment": {"notIn": [regulars["id"]]}})
    assert (whom(regulars), whom(others)) == (["ann"], ["bob", "cleo"])
    circle = await save(shop, "Buyers", {"any": [BUYERS, {"segment": {"in": ["Others"]}}]})
    assert (circle["code"], circle["field"], circle["message"]) == (
        "BAD_USER_INPUT",
        "rules",
        "The rules lead back to the segment itself.",
    )
    refused = (await shop.ask(DELETE, id=buyers["id"]))["deleteSegment"]
    assert refused["message"] == 'The rules of "Regulars" name it; change or delete these first.'
    for one in (others, regulars, buyers):
        assert (await shop.ask(DELETE, id=one["id"]))["deleteSegment"]["deletedId"] == one["id"]
    assert (await shop.ask(DELETE, id=buyers["id"]))["deleteSegment"] == {
        "__typename": "NotFound",
        "message": "There is no such segment.",
        "field": "id",
    }


async def test_what_stands_on_changed_rules_is_found_anew_by_upkeep(shop: Client, gateway: tuple[str, Gateway]) -> None:
    await kept(shop, "Buyers", BUYERS)
    others = await kept(shop, "Others", {"segment": {"notIn": ["Buyers"]}})
    await kept(shop, "Buyers", TWICE)
    # Whoever asks meanwhile is not answered with those whom the rules of before meant.
    question = '{ metric(slug: "unique_subjects", where: {segment: {in: "Others"}}) { estimate { value } } }'
    refused = await shop.send(question)
    assert refused["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert refused["errors"][0]["extensions"]["retryAfter"] > 0
    services = gateway[1].services
    await refresh_due(services.database, services.memory, services.segments)
    assert (await shop.ask(question))["metric"]["estimate"]["value"] == "2"
    found = await shop.ask("query ($id: ID!) { segment(id: $id) { size current } }", id=others["id"])
    assert found["segment"] == {"size": 2, "current": True}


async def test_a_watcher_is_told_when_members_change(shop: Client) -> None:
    made = await kept(shop, "Buyers", BUYERS)
    async with shop.stream(
        'subscription { revenue(where: {segment: {in: "Buyers"}}, every: "100ms") { total { amount } } }'
    ) as answers:
        assert await revenue(answers) == "35"
        await kept(shop, "Buyers", TWICE)
        assert await revenue(answers) == "30"
        await shop.ask(SAVE, input={"name": "Buyers", "rules": BUYERS, "id": made["id"]})
        assert await revenue(answers) == "35"


async def revenue(answers: AsyncIterator[dict[str, Any]]) -> str:
    async with asyncio.timeout(15):
        return str((await anext(answers))["data"]["revenue"]["total"]["amount"])


async def test_a_tenant_has_segments_of_its_own(shop: Client, stranger: Client) -> None:
    await stranger.ingest(purchase("99", subject="ann", occurredAt=ago(1)), event(subject="zoe"))
    mine = await kept(shop, "Buyers", BUYERS)
    theirs = await kept(stranger, "Buyers", BUYERS)
    assert (whom(mine), whom(theirs)) == (["ann", "bob"], ["ann"])
    question = "query ($s: [ID!]) { revenue(where: {segment: {in: $s}}) { total { amount } } }"
    assert (await stranger.ask(question, s=["Buyers"]))["revenue"]["total"]["amount"] == "99"
    refused = await stranger.send(question, s=[mine["id"]])
    assert refused["errors"][0]["message"] == "There is no segment with this id."
    assert (await stranger.ask("query ($id: ID!) { node(id: $id) { id } }", id=mine["id"])) == {"node": None}
    assert (await stranger.ask(DELETE, id=mine["id"]))["deleteSegment"]["__typename"] == "NotFound"
    assert (await stranger.ask(REFRESH, id=mine["id"]))["refreshSegment"]["__typename"] == "NotFound"
    assert (await save(stranger, "Taken", {"segment": {"in": [mine["id"]]}}))["field"] == "rules.segment.in[0]"


async def test_an_analysis_by_segments(shop: Client) -> None:
    await kept(shop, "Buyers", BUYERS)
    await kept(shop, "Regulars", TWICE)
    asked = await shop.ask(
        """{ revenueBySegment(segments: ["Regulars", "Buyers"]) { segment { name size } answer { total { amount } } }
             metricsBySegment(segments: ["Buyers"], slugs: ["unique_subjects", "revenue"], by: []) {
               answer { metric { slug } estimate { value } } }
             funnelBySegment(segments: ["Buyers"], steps: [{name: "purchase"}, {name: "purchase"}]) {
               answer { steps { count } } } }"""
    )
    assert asked == {
        "revenueBySegment": [
            {"segment": {"name": "Regulars", "size": 1}, "answer": {"total": {"amount": "30"}}},
            {"segment": {"name": "Buyers", "size": 2}, "answer": {"total": {"amount": "35"}}},
        ],
        "metricsBySegment": [
            {
                "answer": [
                    {"metric": {"slug": "unique_subjects"}, "estimate": {"value": "2"}},
                    {"metric": {"slug": "revenue"}, "estimate": {"value": "35"}},
                ]
            }
        ],
        "funnelBySegment": [{"answer": {"steps": [{"count": 2}, {"count": 1}]}}],
    }
    refused = await shop.send('{ revenueBySegment(segments: ["Buyers", "Nobody"]) { answer { orders } } }')
    assert refused["errors"][0]["extensions"]["field"] == "segments[1]"
    async with shop.stream(
        'subscription { revenueBySegment(segments: "Regulars", every: "100ms") { answer { total { amount } } } }'
    ) as answers:
        assert (await anext(answers))["data"]["revenueBySegment"][0]["answer"]["total"]["amount"] == "30"
        await shop.ingest(purchase("1", subject="ann", occurredAt=ago(1)))
        assert (await anext(answers))["data"]["revenueBySegment"][0]["answer"]["total"]["amount"] == "31"


async def test_an_analysis_by_segments_is_compared(shop: Client) -> None:
    await kept(shop, "Buyers", BUYERS)
    asked = await shop.ask(
        """{ cohortsBySegment(segments: ["Buyers"], period: {last: "30d"}, granularity: DAY, compare: PREVIOUS_PERIOD) {
               answer { subjects previousSubjects previousPeriod { from } cohorts { previousSize } } }
             churnRiskBySegment(segments: ["Buyers"], compare: PREVIOUS_PERIOD) {
               answer { previousCutoff previousQuality probability { previous } } }
             survivalBySegment(segments: ["Buyers"], history: "60d", compare: PREVIOUS_PERIOD) {
               answer { total { n } previous { n } } }
             segmentTraits(segment: "Buyers", compare: PREVIOUS_YEAR) { previousPeriod { from } members } }"""
    )
    (cohorts,) = asked["cohortsBySegment"]
    # Bob bought 90 days ago, before any cohort of either period.
    assert (cohorts["answer"]["subjects"], cohorts["answer"]["previousSubjects"]) == (1, 0)
    assert {one["previousSize"] for one in cohorts["answer"]["cohorts"]} == {0}
    (risk,) = asked["churnRiskBySegment"]
    assert risk["answer"]["previousCutoff"] is not None
    assert (risk["answer"]["previousQuality"], risk["answer"]["probability"]) == ("INSUFFICIENT", {"previous": None})
    (stays,) = asked["survivalBySegment"]
    assert (stays["answer"]["total"]["n"], stays["answer"]["previous"]["n"]) == (2, 1)
    assert asked["segmentTraits"]["members"] == 2
    export = await shop.http.get(
        f"http://{shop.address}/export/cohorts.csv",
        headers=shop.headers,
        params={"arguments": '{"granularity": "DAY", "period": {"last": "2d"}, "compare": "PREVIOUS_YEAR"}'},
    )
    rows = list(csv.DictReader(io.StringIO(export.text)))
    assert {row["previousSize"] for row in rows} == {"0"}
    assert "previousRate" in rows[0]


async def test_how_segments_overlap(shop: Client) -> None:
    for name, people in (("A", ["ann", "bob"]), ("B", ["bob", "cleo"]), ("Nobody", ["zoe"])):
        await kept(shop, name, {"subjects": people})
    asked = await shop.ask(
        """{ segmentOverlap(segments: ["A", "B", "Nobody"]) { segments { name size } inAll inAny
             pairs { first { name } second { name } shared union jaccard shareOfFirst shareOfSecond } } }"""
    )
    pairs = asked["segmentOverlap"].pop("pairs")
    assert asked["segmentOverlap"] == {
        "segments": [{"name": "A", "size": 2}, {"name": "B", "size": 2}, {"name": "Nobody", "size": 0}],
        "inAll": 0,
        "inAny": 3,
    }
    assert pairs[0] == {
        "first": {"name": "A"},
        "second": {"name": "B"},
        "shared": 1,
        "union": 3,
        "jaccard": "0.3333333333333333333333333333",
        "shareOfFirst": "0.5",
        "shareOfSecond": "0.5",
    }
    assert pairs[2]["shareOfSecond"] is None


async def test_an_id_of_something_else_names_no_segment(client: Client) -> None:
    answer = await client.ask(DELETE, id=encode("SavedFunnel", "1"))
    assert answer["deleteSegment"]["field"] == "id"
