"""What is foretold, asked over HTTP and watched over WebSocket as a client would."""

import csv
import io
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.keys import create_key, pepper
from resolvers.store.database import Database
from schema.nodes import encode
from tests.client import Client
from tests.factories import event, new_principal, purchase
from tests.resolvers.foretelling import CUTOFF, at, shoppers, sooner, subscribers

ASKED = f'cutoff: "{CUTOFF.isoformat()}", history: "365d"'
RISK = """outcome definition subjects quality findings {diagnosis message} probability {value quality definition n}
  expected {value unit} edges histogram model {form n positives ridge converged separation features {name coefficient
  oddsRatio}} validation {n positives auc {value low high} brier baselineBrier topDecilePrecision
  calibration {predicted observed n slope intercept}} groups {keys {dimension value} other subjects probability {value}}
  groupCount explain {source rows milliseconds} cutoff asOf"""
VALUE = """customers returning quality findings {diagnosis message} value {value currency unit} purchases {value}
  probabilityAlive {value} shares quantiles purchaseModel {n r alpha a b logLikelihood converged}
  spendModel {n p q v logLikelihood converged} holdout {days n predicted actual meanAbsoluteError predictedByDecile
  actualByDecile} unconverted {amount currency} explain {rows} horizon cutoff asOf"""
SURVIVAL = """kind definition total {n events quality median restrictedMean longest
  series {at atRisk events censored survival low high}}
  groups {keys {value} other survival {n events}} groupCount logRank {statistic freedom p log10P} explain {source}"""


async def ask_all(client: Client) -> dict[str, Any]:
    """Every answer there is, each whole."""
    return await client.ask(
        f"""{{churnRisk({ASKED}, by: [PLAN]) {{{RISK}}}
        conversionPropensity({ASKED}, name: "upgrade") {{{RISK}}}
        lifetimeValue({ASKED}, horizon: "90d") {{{VALUE}}}
        survival({ASKED}, by: [PLAN]) {{{SURVIVAL}}}}}"""
    )


async def lists(client: Client) -> list[list[Any]]:
    """The edges of every list."""
    data = await client.ask(
        f"""{{subjectsAtRisk({ASKED}) {{edges {{node {{id}}}}}} upsellCandidates({ASKED}) {{edges {{node {{id}}}}}}
        valuableCustomers({ASKED}) {{edges {{node {{id}}}}}}}}"""
    )
    return [data[name]["edges"] for name in ("subjectsAtRisk", "upsellCandidates", "valuableCustomers")]


async def send(client: Client, events: list[dict[str, Any]]) -> None:
    for start in range(0, len(events), 5_000):
        batch = events[start : start + 5_000]
        assert (await client.ingest(*batch))["accepted"] == len(batch)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="no data"),
        pytest.param([event(occurredAt=at(3))], id="one subject"),
        pytest.param([purchase("0", occurredAt=at(3)), purchase("0", occurredAt=at(40))], id="no revenue"),
        pytest.param(
            [
                one
                for number in range(120)
                for one in (
                    purchase("5", name="subscription", subject=f"p{number}", occurredAt=at(60)),
                    event(kind="CONVERSION", name="churn", subject=f"p{number}", occurredAt=at(10)),
                )
            ],
            id="everyone churned",
        ),
        pytest.param(
            [event(subject=f"p{number}", occurredAt=at(day)) for number in range(120) for day in (5, 40)],
            id="nobody churned",
        ),
    ],
)
async def test_too_little_is_an_answer_without_a_value(client: Client, events: list[dict[str, Any]]) -> None:
    if events:
        await send(client, events)
    data = await ask_all(client)
    for name in ("churnRisk", "conversionPropensity"):
        assert data[name]["quality"] == "INSUFFICIENT"
        assert data[name]["findings"]
        assert (data[name]["model"], data[name]["validation"]) == (None, None)
        assert data[name]["probability"]["value"] is None
        assert data[name]["expected"]["value"] is None
    assert data["lifetimeValue"]["quality"] == "INSUFFICIENT"
    assert data["lifetimeValue"]["value"]["value"] is None
    assert await lists(client) == [[], [], []]


async def test_everything_is_answered_whole(client: Client) -> None:
    await send(client, subscribers() + shoppers())
    data = await ask_all(client)
    risk = data["churnRisk"]
    assert (risk["outcome"], risk["model"]["n"], risk["model"]["converged"]) == ("CHURN_EVENT", 240, True)
    assert risk["validation"]["auc"]["value"] > 0.75
    assert len(risk["edges"]) == len(risk["histogram"]) + 1
    assert data["conversionPropensity"]["outcome"] == "CONVERSION"
    assert data["lifetimeValue"]["horizon"] == "90d"
    assert data["lifetimeValue"]["value"]["currency"] == "USD"
    assert data["survival"]["kind"] == "CUSTOMER"
    assert data["survival"]["total"]["n"] == 240
    columns = data["survival"]["total"]["series"]
    assert {len(column) for column in columns.values()} == {len(columns["at"])}
    assert data["survival"]["logRank"]["freedom"] == 1


async def test_a_list_is_paged_and_its_people_found_again(client: Client, stranger: Client) -> None:
    await send(client, subscribers())
    query = f"""query ($after: String) {{subjectsAtRisk({ASKED}, first: 60, after: $after) {{
      edges {{node {{id subject probability lastEventAt reason}}}} pageInfo {{hasNextPage endCursor}}}}}}"""
    first = (await client.ask(query))["subjectsAtRisk"]
    assert first["pageInfo"]["hasNextPage"]
    second = (await client.ask(query, after=first["pageInfo"]["endCursor"]))["subjectsAtRisk"]
    nodes = [edge["node"] for page in (first, second) for edge in page["edges"]]
    assert len({node["subject"] for node in nodes}) == len(nodes)
    ids = [nodes[0]["id"], nodes[70]["id"]]
    again = "query ($ids: [ID!]!) {nodes(ids: $ids) {id ... on SubjectAtRisk {subject probability lastEventAt reason}}}"
    assert (await client.ask(again, ids=ids))["nodes"] == [nodes[0], nodes[70]]
    assert (await stranger.ask(again, ids=ids))["nodes"] == [None, None]
    async with client.stream(query.replace("query", "subscription", 1)) as answers:
        assert (await anext(answers))["data"]["subjectsAtRisk"] == first
    refused = await stranger.send(query, after=encode("UpsellCandidateCursor", "0.5,1"))
    assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_every_list_finds_its_people_again(client: Client) -> None:
    await send(client, subscribers() + shoppers())
    found = await lists(client)
    assert all(found)
    for edges in found:
        ids = [edge["node"]["id"] for edge in edges[:3]]
        assert (await client.ask("query ($ids: [ID!]!) {nodes(ids: $ids) {id}}", ids=ids))["nodes"] == [
            {"id": id} for id in ids
        ]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "[]",
        '["2026-06-01T00:00:00Z",31536000,"","","p1"]',
        '["2026-06-01T00:00:00Z",31536000,"","abcd","p1"]',
        '["1999-06-01T00:00:00Z",31536000,"","","p1"]',
        '["2026-06-01T00:00:00Z",1,"","","p1"]',
        '["2026-06-01T00:00:00Z",99999999999999999999,"","","p1"]',
        '["2026-06-01T00:00:00Z",true,"","","p1"]',
        '[["2026-06-01T00:00:00Z"],31536000,{},"","p1"]',
        '["2026-06-01T00:00:00Z",31536000,"\\u0000","","p\\u00001"]',
    ],
)
async def test_made_up_ids_lead_nowhere(client: Client, key: str) -> None:
    for kind in ("SubjectAtRisk", "UpsellCandidate", "ValuableCustomer"):
        data = await client.ask("query ($id: ID!) {node(id: $id) {id}}", id=encode(kind, key))
        assert data["node"] is None


async def test_ids_of_many_moments_are_refused_together(client: Client) -> None:
    ids = [encode("SubjectAtRisk", f'["2026-06-{day:02}T00:00:00+00:00",31536000,"","","p1"]') for day in range(1, 5)]
    refused = await client.send("query ($ids: [ID!]!) {nodes(ids: $ids) {id}}", ids=ids)
    assert refused["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "field": "ids"}


@pytest.mark.parametrize(
    ("field", "at_fault"),
    [
        ('churnRisk(cutoff: "soon") {subjects}', "cutoff"),
        ("churnRisk(cutoff: 5) {subjects}", "cutoff"),
        ('churnRisk(cutoff: "2099-01-01T00:00:00Z") {subjects}', "cutoff"),
        ('churnRisk(history: "1d") {subjects}', "history"),
        ('churnRisk(history: "1y") {subjects}', "history"),
        ("churnRisk(history: 7) {subjects}", "history"),
        ("churnRisk(by: [PLAN, PLAN]) {subjects}", "by"),
        ("churnRisk(top: 101) {subjects}", "top"),
        ('conversionPropensity(name: "") {subjects}', "name"),
        ('conversionPropensity(name: "a\\u0000") {subjects}', "name"),
        ('upsellCandidates(name: "churn") {edges {cursor}}', "name"),
        ("subjectsAtRisk(first: 0) {edges {cursor}}", "first"),
        ("subjectsAtRisk(first: 501) {edges {cursor}}", "first"),
        ('subjectsAtRisk(after: "x") {edges {cursor}}', "after"),
        ('lifetimeValue(horizon: "5y") {customers}', "horizon"),
        ('lifetimeValue(horizon: "731d") {customers}', "horizon"),
        ('valuableCustomers(horizon: "1h") {edges {cursor}}', "horizon"),
        ('survival(history: "1mo") {groupCount}', "history"),
    ],
)
async def test_what_cannot_be_asked_names_the_argument(client: Client, field: str, at_fault: str) -> None:
    (error,) = (await client.send(f"{{{field}}}"))["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["field"] == at_fault


async def test_an_operation_asks_for_few_fits(client: Client) -> None:
    many = " ".join(f'a{day}: churnRisk(cutoff: "2026-06-{day:02}T00:00:00Z") {{subjects}}' for day in range(1, 7))
    answer = await client.send(f"{{{many}}}")
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}


async def test_a_viewer_sees_figures_and_no_names(
    gateway: tuple[str, Gateway], owner: Database, http: httpx2.AsyncClient
) -> None:
    principal = await new_principal(owner)
    made = await create_key(owner, principal.tenant_id, Role.VIEWER, "test", pepper=await pepper(owner))
    viewer = Client(gateway[0], made.secret, http)
    assert (await viewer.ask("{churnRisk {subjects}}"))["churnRisk"] == {"subjects": 0}
    node = encode("SubjectAtRisk", '["2026-06-01T00:00:00Z",31536000,"","","p1"]')
    async with viewer.stream("subscription {subjectsAtRisk {edges {cursor}}}") as answers:
        assert (await anext(answers))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    for field in (
        "subjectsAtRisk {edges {cursor}}",
        "upsellCandidates {edges {cursor}}",
        "valuableCustomers {edges {cursor}}",
        f'node(id: "{node}") {{id}}',
    ):
        (error,) = (await viewer.send(f"{{{field}}}"))["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"


async def test_it_can_be_held_against_an_earlier_moment(client: Client) -> None:
    await send(client, subscribers() + sooner(subscribers(seed=3), 30))
    asked = f"{ASKED}, compare: PREVIOUS_PERIOD"
    data = await client.ask(
        f"""{{churnRisk({asked}) {{previousCutoff previousQuality probability {{value previous change}}}}
        survival({asked}) {{previousCutoff previous {{n median series {{at}}}}}}
        lifetimeValue({asked}, horizon: "30d") {{previousCutoff previousQuality averageValue {{previous}}}}}}"""
    )
    risk = data["churnRisk"]
    assert (risk["previousCutoff"], risk["previousQuality"]) == ("2026-05-02T00:00:00Z", "LOW")
    now, then = (Decimal(risk["probability"][name]) for name in ("value", "previous"))
    assert float(risk["probability"]["change"]) == pytest.approx(float((now - then) / then))
    assert data["survival"] == {
        "previousCutoff": "2025-06-01T00:00:00Z",
        "previous": {"n": 0, "median": None, "series": {"at": []}},
    }
    assert data["lifetimeValue"]["previousCutoff"] == "2026-05-02T00:00:00Z"
    response = await client.http.get(
        f"http://{client.address}/export/churnRisk.csv",
        headers=client.headers,
        params={"arguments": f'{{"cutoff": "{CUTOFF.isoformat()}", "history": "365d", "compare": "PREVIOUS_PERIOD"}}'},
    )
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert row["probability.previous"] == risk["probability"]["previous"]
    assert row["previousCutoff"].startswith("2026-05-02")
    watched = f"subscription {{conversionPropensity({asked}) {{previousCutoff probability {{previous}}}}}}"
    async with client.stream(watched) as answers:
        told = (await anext(answers))["data"]["conversionPropensity"]
    assert told["probability"]["previous"] is not None


async def test_it_can_be_watched_but_not_in_a_hurry(client: Client) -> None:
    await send(client, [event(subject="ann", occurredAt=at(3))])
    async with client.socket() as socket:
        for number, (name, field) in enumerate(
            [("churnRisk", "subjects"), ("conversionPropensity", "subjects"), ("survival", "total {n}")]
        ):
            await socket.subscribe(f"subscription {{{name}({ASKED}) {{{field}}}}}", id=str(number))
            assert list(await socket.next()) == [name]
            await socket.put({"id": str(number), "type": "complete"})
        for name in ("subjectsAtRisk", "upsellCandidates", "valuableCustomers"):
            await socket.subscribe(f"subscription {{{name}({ASKED}) {{edges {{node {{subject}}}}}}}}", id=name)
            assert (await socket.next())[name] == {"edges": []}
        await socket.subscribe('subscription {lifetimeValue(every: "1s") {customers}}', id="fast")
        refused = await socket.get()
        (error,) = refused["payload"]["errors"]
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "every"}
