"""Exports as those who download them meet them: files of any answer, over HTTP."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.export_rows import Cells, Csv
from schema import schema
from schema.export_tables import Form, default, tables
from tests.client import Client
from tests.factories import NOON, event, purchase
from tests.gateway.exported import LOG, MARCH, STEPS, error, get, table
from tests.gateway.test_experiments import started
from tests.gateway.test_flags import CREATE as CREATE_FLAG
from tests.gateway.test_personas import save as save_persona
from tests.gateway.test_segments import kept
from tests.gateway.test_slos import CREATE as CREATE_SLO


async def test_a_funnel_is_a_table_of_its_steps(client: Client) -> None:
    await client.ingest(*LOG)
    arguments = {"steps": STEPS, "period": MARCH}
    rows = await table(client, "/export/funnel.csv", arguments=arguments)
    assert [(row["index"], row["name"], row["count"]) for row in rows] == [
        ("0", "page_view", "3"),
        ("1", "purchase", "1"),
    ]
    assert rows[1]["stepRate.numerator"] == "1"
    assert rows[0]["timeFromPrevious.median"] == ""
    assert rows[1]["timeFromPrevious.median"] == "3600"


async def test_a_breakdown_is_a_column_of_its_own(client: Client) -> None:
    await client.ingest(*LOG)
    arguments = {"slug": "unique_subjects", "by": ["CHANNEL"], "period": MARCH}
    rows = await table(client, "/export/metric.csv", arguments=arguments)
    assert [(row["channel"], row["estimate.value"]) for row in rows] == [("email", "1"), ("ads", "1"), ("", "1")]
    assert next(iter(rows[0])) == "channel"
    days = await table(client, "/export/metric.csv", arguments=arguments, table="groups.series")
    assert len(days) == 3 * 31
    assert [row["at"] for row in days if row["channel"] == "email" and row["value"] == "1.0"] == [
        "2026-03-10T00:00:00Z"
    ]


async def test_attribution_is_a_row_a_model_and_a_value(client: Client) -> None:
    touch = event(kind="TOUCHPOINT", name="click", dimensions={"channel": "ads"}, cost="5", currency="USD")
    await client.ingest(touch, purchase("20", occurredAt="2026-03-10T13:00:00Z"))
    arguments = {"period": MARCH, "models": ["LAST_TOUCH", "LINEAR"]}
    rows = await table(client, "/export/attribution.csv", arguments=arguments)
    assert [(row["model"], row["values.value"], row["credit"], row["values.cost"], row["roas"]) for row in rows] == [
        ("LAST_TOUCH", "ads", "1", "5", "4"),
        ("LINEAR", "ads", "1", "5", "4"),
    ]


async def test_json_is_the_answer_itself(client: Client) -> None:
    await client.ingest(*LOG)
    asked = "period {from to} total {amount currency} orders customers series {at total orders}"
    data = await client.ask(f"query ($p: PeriodInput!) {{revenue(period: $p) {{{asked}}}}}", p=MARCH)
    told = (await get(client, "/export/revenue.json", arguments={"period": MARCH})).json()
    assert data["revenue"]["total"]["amount"] == "49.9"
    assert data["revenue"] == {
        key: {name: told[key][name] for name in value} if isinstance(value, dict) else told[key]
        for key, value in data["revenue"].items()
    }
    named = {"arguments": {"period": MARCH}, "table": "series"}
    lines = (await get(client, "/export/revenue.ndjson", **named)).text.splitlines()
    assert [json.loads(line) for line in lines] == (await get(client, "/export/revenue.json", **named)).json()
    posted = await client.http.post(
        f"http://{client.address}/export/revenue.ndjson", json=named, headers=client.headers
    )
    assert posted.text.splitlines() == lines


FIELDS = {
    name: field
    for name, field in (schema._schema.query_type.fields if schema._schema.query_type else {}).items()
    if tables(field.type)
}
SHARE = {"metric": {"share": {"baseline": 0.1}}}
PLAN = SHARE | {"effect": {"relative": 0.2}}
EXPERIMENT = {"experiment": "button"}
REQUIRED: dict[str, dict[str, Any]] = {
    "previewSegment": {"rules": {"did": {"where": {"name": "purchase"}}}},
    "metric": {"slug": "revenue"},
    "metrics": {"slugs": ["revenue", "events"]},
    "funnel": {"steps": STEPS},
    "funnelCorrelations": {"steps": STEPS},
    "funnelSubjects": {"steps": STEPS, "step": 0, "outcome": "REACHED"},
    "savedFunnel": {"name": "Buying"},
    "segment": {"name": "Buyers"},
    "segmentOverlap": {"segments": ["Buyers", "Others"]},
    "segmentTraits": {"segment": "Buyers"},
    "segmentMembers": {"segment": "Buyers"},
    "persona": {"slug": "buyers"},
    "personaProfile": {"slug": "buyers"},
    "experiment": {"key": "button"},
    "experimentChanges": EXPERIMENT,
    "experimentResults": EXPERIMENT,
    "experimentUnits": EXPERIMENT,
    "assignment": EXPERIMENT | {"subject": "ann"},
    "assignments": EXPERIMENT | {"subjects": ["ann", "bob"]},
    "flag": {"key": "checkout"},
    "slo": {"key": "calls"},
    "evaluateFlagsOf": {"subjects": [{"subject": "ann"}]},
    "sampleSize": PLAN,
    "power": PLAN | {"units": 1_000},
    "detectableEffect": SHARE | {"units": 1_000},
    "experimentDuration": PLAN | {"unitsPerDay": 100.0},
}


REQUIRED |= {
    name: REQUIRED.get(name.removesuffix("BySegment"), {}) | {"segments": ["Buyers", "Others"]}
    for name in FIELDS
    if name.endswith("BySegment")
}


async def define(client: Client) -> None:
    """Have one of whatever a tenant defines."""
    await client.ask('mutation { setAiBudget(input: {amount: "5"}) { __typename } }')
    await client.ask(
        'mutation ($steps: [FunnelStepInput!]!) { saveFunnel(input: {name: "Buying", steps: $steps}) { __typename } }',
        steps=STEPS,
    )
    bought = {"did": {"where": {"name": "purchase"}}}
    await kept(client, "Buyers", bought)
    await kept(client, "Others", {"not": bought})
    await save_persona(client, slug="buyers", name="Buyers", rules=bought)
    await started(client)
    await client.ask(CREATE_FLAG, input={"key": "checkout", "type": "BOOLEAN"})
    await client.ask(CREATE_SLO, input={"key": "calls", "metric": "ai_success_rate", "objective": "0.9"})


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("experiment", "answer"),
        ("flag", "answer"),
        ("personaProfile", "answer"),
        ("experimentResults", "metrics.effects"),
        ("revenue", "series"),
        ("segments", "rows"),
        ("segmentMembers", "rows"),
        ("segmentOverlap", "pairs"),
        ("metric", "series"),
    ],
)
def test_the_table_is_what_the_answer_is_about(name: str, table: str) -> None:
    assert default(tables(FIELDS[name].type), grouped=False).name == table


async def test_what_is_kept_is_a_row_however_many_lists_it_has(client: Client) -> None:
    await started(client, breakdowns=["PLAN", "CHANNEL"])
    (row,) = csv.DictReader(io.StringIO((await get(client, "/export/experiments.csv")).text))
    assert (row["key"], json.loads(row["possible"])) == ("button", ["UPDATE", "PAUSE", "COMPLETE"])
    assert json.loads(row["breakdowns"]) == ["PLAN", "CHANNEL"]


async def test_whatever_is_asked_can_be_exported(client: Client) -> None:
    await client.ingest(*LOG)
    await define(client)
    for name, field in FIELDS.items():
        arguments = REQUIRED.get(name, {}) | ({"period": MARCH} if "period" in field.args else {})
        written = set[str]()
        for one in tables(field.type):
            response = await get(client, f"/export/{name}.csv", arguments=arguments, table=one)
            assert response.status_code == 200, (name, response.text)
            heading, *lines = csv.reader(io.StringIO(response.text, newline=""))
            assert len(set(heading)) == len(heading), name
            rows = (await get(client, f"/export/{name}.ndjson", arguments=arguments, table=one)).text.splitlines()
            assert len(lines) == len(rows), name
            written |= leaves([json.loads(row) for row in rows])
        whole = await get(client, f"/export/{name}.json", arguments=arguments)
        assert whole.status_code == 200, (name, whole.text)
        assert leaves(whole.json()) <= written, name


def leaves(value: Any, name: str = "") -> set[str]:
    """The values in an answer or rows, but for what tells of its coming about and what is a heading in rows."""
    if name.startswith("explain") or name in ("dimension", "pageInfo") or name.rpartition(".")[2] == "asOf":
        return set()
    if isinstance(value, dict):
        return {leaf for key, inner in value.items() for leaf in leaves(inner, key)}
    if isinstance(value, list):
        return {leaf for inner in value for leaf in leaves(inner, name)}
    return set() if value is None else {json.dumps(value)}


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "＠x"]
TEXTS = ["a;b", 'say "x", y', "x=1", "ü", "a-1"]


async def test_no_cell_is_a_formula_and_numbers_stay_numbers(client: Client) -> None:
    named = dict(enumerate([*FORMULAS, *TEXTS]))
    sent = [event(id=f"e{place}", session=text, properties={"a": -1}) for place, text in named.items()]
    await client.ingest(*sent, purchase("5", id="sold", occurredAt=NOON, score=0.5))
    rows = {row["eventId"]: row for row in await table(client, "/export/events.csv")}
    for place, text in named.items():
        assert rows[f"e{place}"]["session"] == (f"'{text}" if text in FORMULAS else text)
        assert rows[f"e{place}"]["properties"] == '{"a":-1}'
    assert (rows["sold"]["amount"], rows["sold"]["score"], rows["sold"]["session"]) == ("5", "0.5", "")
    lines = (await get(client, "/export/events.ndjson")).text.splitlines()
    assert {json.loads(line)["session"] for line in lines} == {*FORMULAS, *TEXTS, None}


@pytest.mark.parametrize(
    ("form", "value", "cell"),
    [
        (Form.TEXT, "\t=1", '"\'\t=1"'),
        (Form.TEXT, "\r=1", '"\'\r=1"'),
        (Form.TEXT, "-1", "'-1"),
        (Form.TEXT, " =1", "' =1"),
        (Form.TEXT, "", '""'),
        (Form.TEXT, None, ""),
        (Form.TEXT, True, "true"),
        (Form.NUMBER, "-1.5", "-1.5"),
        (Form.NUMBER, -0.25, "-0.25"),
        (Form.JSON, ["a", None], '"[""a"",null]"'),
        (Form.JSON, "=1", '"""=1"""'),
    ],
)
def test_a_cell(form: Form, value: Any, cell: str) -> None:
    columns = [Cells("x", form, lambda _places, _place: None)]
    assert Csv().row(columns, [value], first=True).decode() == f"{cell}\r\n"


@pytest.mark.parametrize(
    ("path", "parameters", "status", "code", "field"),
    [
        ("/export/nothing.csv", {}, 404, "NOT_FOUND", "field"),
        ("/export/node.csv", {"arguments": {"id": "x"}}, 404, "NOT_FOUND", "field"),
        ("/export/revenue.xlsx", {}, 404, "NOT_FOUND", None),
        ("/export/", {}, 404, "NOT_FOUND", None),
        ("/export/..%2f..%2fetc%2fpasswd.csv", {}, 404, "NOT_FOUND", None),
        ("/export/revenue.csv%0dX-Bad:%201", {}, 404, "NOT_FOUND", None),
        ("/export/revenue.csv", {"arguments": {"perod": MARCH}}, 400, "BAD_USER_INPUT", "arguments.perod"),
        ("/export/revenue.csv", {"arguments": {"period": {"last": "x"}}}, 400, "BAD_USER_INPUT", "period"),
        ("/export/revenue.csv", {"arguments": {"period": 1}}, 400, "BAD_USER_INPUT", None),
        ("/export/revenue.csv", {"arguments": [1]}, 400, "BAD_USER_INPUT", "arguments"),
        ("/export/revenue.csv", {"table": "x\r\nX-Bad: 1"}, 400, "BAD_USER_INPUT", "table"),
        ("/export/revenue.csv", {"tabel": "series"}, 400, "BAD_USER_INPUT", "tabel"),
        ("/export/funnel.csv", {}, 400, "GRAPHQL_VALIDATION_FAILED", None),
        ("/export/events.csv", {"arguments": {"first": 5}}, 400, "BAD_USER_INPUT", "arguments.first"),
        ("/export/events.csv", {"arguments": {"where": {"all": "x"}}}, 400, "BAD_USER_INPUT", None),
        ("/export/events.csv", {"arguments": {"period": {"last": "x"}}}, 400, "BAD_USER_INPUT", "period"),
        ("/export/events.csv", {"link": "abc"}, 401, "UNAUTHENTICATED", None),
        ("/export/events.csv", {"link": "ü"}, 401, "UNAUTHENTICATED", None),
        ("/export/events.csv", {"arguments": {}, "link": "abc"}, 400, "BAD_USER_INPUT", "link"),
    ],
)
async def test_what_cannot_be_exported_is_refused_with_its_reason(
    client: Client, path: str, parameters: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    response = await get(client, path, **parameters)
    said = error(response)
    assert (response.status_code, said["code"]) == (status, code), said
    assert (said.get("field") or "").startswith(field or "")
    assert "x-bad" not in response.headers


async def test_the_request_itself_must_be_well_formed(client: Client) -> None:
    url = f"http://{client.address}/export/revenue.csv"
    for response, status in (
        (await client.http.get(url), 401),
        (await client.http.get(url, headers={"authorization": "Bearer nobody-has-this-key"}), 401),
        (await client.http.get(f"{url}?arguments=%7B", headers=client.headers), 400),
        (await client.http.delete(url, headers=client.headers), 405),
        (await client.http.post(url, content="{}", headers=client.headers), 415),
        (await client.http.post(url, json=[1], headers=client.headers), 400),
        (await client.http.post(url, json={"table": 5}, headers=client.headers), 400),
    ):
        assert response.status_code == status, response.text
        assert error(response)["message"]


async def test_the_file_has_a_safe_name_and_is_not_kept(client: Client) -> None:
    response = await get(
        client, "/export/metric.csv", arguments={"slug": "events", "by": ["PLAN"]}, table="groups.series"
    )
    today = datetime.now(UTC).date()
    assert response.headers["content-disposition"] == f'attachment; filename="metric-groups-series-{today}.csv"'
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
