"""Recommendations as clients meet them: listed, decided about, watched, fetched again and exported."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.store.database import Database
from tests.client import Client
from tests.conftest import new_client
from tests.factories import event, purchase

FIGURE = "{value unit currency n interval {low high method} definition quality}"
ITEM = f"""id key kind severity title action about {{dimension value}} expected {FIGURE}
  evidence {{title estimate {FIGURE}}} state decidedAt reason current
  realised {{days before {{from}} after {{to}} effects {{title before {FIGURE} after {FIGURE} difference {FIGURE}}}
             statement}}"""
LIST = f"""query ($state: RecommendationState!, $first: Int! = 50, $after: String) {{
  recommendations(state: $state, first: $first, after: $after) {{
    edges {{cursor node {{{ITEM}}}}} pageInfo {{hasNextPage endCursor}}}}}}"""
FAILURE = "... on Error {message code} ... on InvalidInput {field} ... on NotFound {field}"
ACCEPT = f"""mutation ($id: ID!) {{acceptRecommendation(input: {{id: $id}}) {{
  ... on AcceptRecommendationPayload {{recommendation {{id state decidedAt}}}} {FAILURE}}}}}"""
DISMISS = f"""mutation ($id: ID!, $reason: String!) {{dismissRecommendation(input: {{id: $id, reason: $reason}}) {{
  ... on DismissRecommendationPayload {{recommendation {{id state reason}}}} {FAILURE}}}}}"""


def ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def losing() -> list[dict[str, Any]]:
    """Two channels that cost and bring in nothing, one more than the other; sales that nothing is spent on."""
    costs = {"ads": "60", "radio": "30"}
    return [
        event(kind="SPEND", name="spend", subject="", occurredAt=ago(day), cost=cost, dimensions={"channel": name})
        for name, cost in costs.items()
        for day in range(1, 11)
    ] + [purchase("20", subject=f"s{number}", occurredAt=ago(1 + number % 20)) for number in range(40)]


async def listed(client: Client, state: str = "OPEN", **asked: Any) -> list[dict[str, Any]]:
    found = (await client.ask(LIST, state=state, **asked))["recommendations"]
    return [edge["node"] for edge in found["edges"]]


async def test_a_recommendation_from_its_finding_to_its_dismissal(client: Client) -> None:
    await client.ingest(*losing())
    ads, radio = await listed(client)
    assert [one["expected"]["value"] for one in (ads, radio)] == ["600", "300"]
    assert (ads["kind"], ads["state"], ads["current"], ads["realised"]) == ("LOSING_CHANNEL", "OPEN", True, None)
    assert ads["about"] == [{"dimension": "CHANNEL", "value": "ads"}]
    assert [one["title"] for one in ads["evidence"]] == ["Return on ad spend", "Cost"]
    assert ads["expected"]["interval"]["method"].startswith("Garwood")
    accepted = (await client.ask(ACCEPT, id=ads["id"]))["acceptRecommendation"]["recommendation"]
    assert (accepted["id"], accepted["state"]) == (ads["id"], "ACCEPTED")
    # At once, although the very same question was answered before.
    assert [one["id"] for one in await listed(client)] == [radio["id"]]
    dismissed = (await client.ask(DISMISS, id=radio["id"], reason="It is for the name."))["dismissRecommendation"]
    assert dismissed["recommendation"] == {"id": radio["id"], "state": "DISMISSED", "reason": "It is for the name."}
    assert await listed(client) == []
    (known,) = await listed(client, "ACCEPTED")
    assert known["evidence"] == ads["evidence"]
    node = await client.ask("query ($id: ID!) {node(id: $id) {... on Recommendation {key state}}}", id=ads["id"])
    assert node["node"] == {"key": ads["key"], "state": "ACCEPTED"}


async def test_the_list_is_in_pages(client: Client) -> None:
    await client.ingest(*losing())
    first = (await client.ask(LIST, state="OPEN", first=1))["recommendations"]
    assert first["pageInfo"]["hasNextPage"]
    second = (await client.ask(LIST, state="OPEN", first=1, after=first["pageInfo"]["endCursor"]))["recommendations"]
    assert not second["pageInfo"]["hasNextPage"]
    titles = [page["edges"][0]["node"]["about"][0]["value"] for page in (first, second)]
    assert titles == ["ads", "radio"]


async def test_another_tenant_has_others(client: Client, stranger: Client) -> None:
    await client.ingest(*losing())
    ads, _ = await listed(client)
    assert await listed(stranger) == []
    for query, more in ((ACCEPT, {}), (DISMISS, {"reason": "x"})):
        (refused,) = (await stranger.ask(query, id=ads["id"], **more)).values()
        assert (refused["code"], refused["field"]) == ("NOT_FOUND", "id")
    assert (await stranger.ask("query ($id: ID!) {node(id: $id) {id}}", id=ads["id"]))["node"] is None


@pytest.mark.parametrize(
    ("query", "variables", "code", "field"),
    [
        (ACCEPT, {"id": "nonsense"}, "BAD_USER_INPUT", "id"),
        (ACCEPT, {"id": "UmVjb21tZW5kYXRpb246eDp5"}, "NOT_FOUND", "id"),
        (ACCEPT, {"id": "UmVjb21tZW5kYXRpb246AA"}, "NOT_FOUND", "id"),
        (DISMISS, {"id": "UmVjb21tZW5kYXRpb246eDp5", "reason": ""}, "BAD_USER_INPUT", "reason"),
        (DISMISS, {"id": "UmVjb21tZW5kYXRpb246eDp5", "reason": "x" * 1_001}, "BAD_USER_INPUT", "reason"),
        (DISMISS, {"id": "UmVjb21tZW5kYXRpb246eDp5", "reason": "x"}, "NOT_FOUND", "id"),
    ],
)
async def test_a_decision_about_nothing_is_refused(
    client: Client, query: str, variables: dict[str, str], code: str, field: str
) -> None:
    (refused,) = (await client.ask(query, **variables)).values()
    assert (refused["code"], refused["field"]) == (code, field)


async def test_a_viewer_reads_and_does_not_decide(
    gateway: tuple[str, Gateway], owner: Database, client: Client
) -> None:
    viewer = await new_client(gateway[0], owner, client.http, Role.VIEWER)
    assert await listed(viewer) == []
    refused = (await viewer.ask(ACCEPT, id="x"))["acceptRecommendation"]
    assert refused["code"] == "FORBIDDEN"


async def test_it_can_be_watched_and_exported(client: Client) -> None:
    await client.ingest(*losing())
    watch = "subscription {recommendations {edges {node {title}}}}"
    async with client.stream(watch) as answers:
        told = (await anext(answers))["data"]["recommendations"]["edges"]
    assert len(told) == 2
    response = await client.http.get(
        f"http://{client.address}/export/recommendations.csv", headers=client.headers, params={"table": "evidence"}
    )
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["title"] for row in rows] == ["Return on ad spend", "Cost"] * 2
    assert {row["rows.key"] for row in rows} == {one["key"] for one in await listed(client)}
    often = await client.send('subscription {recommendations(every: "1s") {edges {node {title}}}}')
    assert often["errors"]
