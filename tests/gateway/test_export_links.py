"""Links to exports as those who are given them meet them: no key is needed, and they end."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.errors import BadInput, Unauthenticated
from resolvers.export_links import ExportLink, ExportLinks
from resolvers.keys import keys
from resolvers.store.database import Database
from tests.client import Client
from tests.gateway.exported import LOG, MARCH, colleague, error, revoke, tenant_id

LINK = """mutation ($input: ExportLinkInput!) {exportLink(input: $input) {__typename
  ... on ExportLinkPayload {url expiresAt tables} ... on Error {message code} ... on InvalidInput {field}}}"""


async def link(client: Client, **input: Any) -> dict[str, Any]:
    return dict((await client.ask(LINK, input=input))["exportLink"])


async def test_a_link_downloads_without_a_key(client: Client, stranger: Client, owner: Database) -> None:
    await client.ingest(*LOG)
    made = await link(client, field="revenue", arguments={"period": MARCH}, table="answer")
    assert made["tables"] == ["answer", "series", "groups", "groups.series", "unconverted"]
    left = datetime.fromisoformat(made["expiresAt"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    anonymous = await client.http.get(f"http://{client.address}{made['url']}")
    assert anonymous.status_code == 200
    (row,) = csv.DictReader(io.StringIO(anonymous.text))
    assert row["total.amount"] == "49.9"
    # Whose key comes along does not matter: the link says whose data it opens, and the path what.
    foreign = await client.http.get(f"http://{client.address}{made['url']}", headers=stranger.headers)
    assert foreign.text == anonymous.text
    for url in (
        made["url"].replace("revenue.csv", "events.csv"),
        made["url"].replace(".csv", ".json"),
        made["url"][:-4] + "AAAA",
    ):
        response = await client.http.get(f"http://{client.address}{url}")
        assert (response.status_code, error(response)["code"]) == (401, "UNAUTHENTICATED"), url
    assert (await client.http.get(f"http://{client.address}{made['url']}&table=series")).status_code == 400


async def test_a_link_is_held_against_its_time_its_key_and_its_role(
    client: Client, gateway: tuple[str, Gateway], owner: Database
) -> None:
    viewer = await colleague(client, owner, Role.VIEWER)
    number = await tenant_id(owner, (await client.ask("{tenant {slug}}"))["tenant"]["slug"])
    (key,) = [key for key in await keys(owner, number) if viewer.key.startswith(key.prefix)]
    soon = int(datetime.now(UTC).timestamp()) + 60
    good = ExportLink(number, key.id, int(Role.VIEWER), soon, "events", "csv", None, {})
    for made, status in (
        (replace(good, field="revenue"), 200),
        (good, 403),
        (replace(good, role=int(Role.ADMIN)), 403),
        (replace(good, expires=soon - 61), 401),
        (replace(good, key_id=key.id + 1_000_000), 401),
        (replace(good, tenant_id=number - 1), 401),
    ):
        text = gateway[1].services.links.seal(made)
        response = await client.http.get(f"http://{client.address}/export/{made.field}.csv?link={text}")
        assert response.status_code == status, made


async def test_a_link_ends_with_its_key_and_reaches_no_further(client: Client, owner: Database) -> None:
    await client.ingest(*LOG)
    viewer, analyst = [await colleague(client, owner, role) for role in (Role.VIEWER, Role.ANALYST)]
    for name in ("events", "subjectsAtRisk"):
        assert (await link(viewer, field=name))["code"] == "FORBIDDEN"
    made = await link(analyst, field="events", format="NDJSON")
    response = await client.http.get(f"http://{client.address}{made['url']}")
    assert len(response.text.splitlines()) == len(LOG)
    await revoke(analyst, owner)
    ended = await client.http.get(f"http://{client.address}{made['url']}")
    assert (ended.status_code, error(ended)["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("input", "code", "field"),
    [
        ({"field": "nothing"}, "NOT_FOUND", None),
        ({"field": "revenue", "table": "x"}, "BAD_USER_INPUT", "table"),
        ({"field": "revenue", "arguments": {"x": 1}}, "BAD_USER_INPUT", "arguments.x"),
        ({"field": "revenue", "arguments": {"period": 1}}, "BAD_USER_INPUT", "arguments"),
        ({"field": "revenue", "arguments": [1]}, "BAD_USER_INPUT", "arguments"),
        ({"field": "funnel"}, "BAD_USER_INPUT", "arguments"),
        ({"field": "events", "arguments": {"after": "x"}}, "BAD_USER_INPUT", "arguments.after"),
        ({"field": "revenue", "arguments": {"timezone": "x" * 9_000}}, "BAD_USER_INPUT", "arguments"),
    ],
)
async def test_a_link_that_would_lead_nowhere_is_refused(
    client: Client, input: dict[str, Any], code: str, field: str | None
) -> None:
    refused = await link(client, **input)
    assert refused["code"] == code
    assert refused.get("field") == field


def test_a_link_is_sealed() -> None:
    links, others = ExportLinks(b"secret"), ExportLinks(b"another")
    now = datetime(2026, 3, 10, tzinfo=UTC)
    made = ExportLink(1, 2, 3, int(now.timestamp()) + 60, "revenue", "csv", None, {"period": MARCH})
    text = links.seal(made)
    assert ExportLinks(b"secret").open(text, now) == made
    for opened_by, sent, at in (
        (others, text, now),
        (links, text[:-1], now),
        (links, "", now),
        (links, "\ud800", now),
        (links, text, now + timedelta(seconds=60)),
    ):
        with pytest.raises(Unauthenticated):
            opened_by.open(sent, at)
    with pytest.raises(BadInput):
        links.seal(ExportLink(1, 2, 3, 4, "revenue", "csv", None, {"x": "y" * 9_000}))
