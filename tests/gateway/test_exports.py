"""Exports as those who download them meet them: files of any answer, over HTTP, with a key or by a link."""

import asyncio
import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from gateway.answers import Answer
from gateway.app import Gateway
from gateway.callers import Callers
from gateway.endpoint import Endpoint
from gateway.export_rows import Cells, Csv
from gateway.export_streams import ExportStreams
from gateway.limits import Limits
from gateway.operations import Operation, Operations
from resolvers.context import Context, Principal, Role
from resolvers.errors import BadInput, Overloaded, RateLimited, Unauthenticated
from resolvers.export_links import ExportLink, ExportLinks
from resolvers.keys import Authenticator, create_key, keys, pepper, revoke_key
from resolvers.store.database import Database
from resolvers.tenants import tenants
from schema import schema
from schema.export_tables import Form, default, tables
from tests.client import Client
from tests.factories import NOON, event, purchase
from tests.gateway.test_experiments import started
from tests.gateway.test_flags import CREATE as CREATE_FLAG
from tests.gateway.test_personas import save as save_persona
from tests.gateway.test_segments import kept

MARCH = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
STEPS = [{"name": "page_view"}, {"name": "purchase"}]
LOG = [
    event(subject="ann", dimensions={"channel": "email"}),
    event(subject="bob", dimensions={"channel": "ads"}),
    event(subject="cat"),
    purchase("49.90", subject="ann", occurredAt="2026-03-10T13:00:00Z", dimensions={"channel": "email"}),
]


async def get(client: Client, path: str, **parameters: Any) -> httpx2.Response:
    """A file asked for with the client's key; arguments as JSON."""
    if "arguments" in parameters:
        parameters["arguments"] = json.dumps(parameters["arguments"])
    return await client.http.get(f"http://{client.address}{path}", params=parameters, headers=client.headers)


async def table(client: Client, path: str, **parameters: Any) -> list[dict[str, str]]:
    """The rows of a file of comma-separated values."""
    response = await get(client, path, **parameters)
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


def error(response: httpx2.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    return dict(response.json()["error"])


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


async def colleague(client: Client, owner: Database, role: Role) -> Client:
    """Another key of the client's tenant."""
    slug = (await client.ask("{tenant {slug}}"))["tenant"]["slug"]
    number = await tenant_id(owner, slug)
    made = await create_key(owner, number, role, "colleague", pepper=await pepper(owner))
    return Client(client.address, made.secret, client.http)


async def tenant_id(owner: Database, slug: str) -> int:
    return {tenant.slug: tenant.id for tenant in await tenants(owner)}[slug]


async def test_lists_of_people_are_for_analysts(client: Client, owner: Database) -> None:
    await client.ingest(*LOG)
    viewer, analyst = [await colleague(client, owner, role) for role in (Role.VIEWER, Role.ANALYST)]
    ingest = await colleague(client, owner, Role.INGEST)
    assert (await get(viewer, "/export/revenue.csv")).status_code == 200
    assert (await get(ingest, "/export/revenue.csv")).status_code == 403
    for name in ("events", "subjectsAtRisk"):
        refused = await get(viewer, f"/export/{name}.csv")
        assert (refused.status_code, error(refused)["code"]) == (403, "FORBIDDEN")
        assert (await get(analyst, f"/export/{name}.csv")).status_code == 200


MANY = 1_500


def many() -> list[dict[str, Any]]:
    return [event(id=f"e{n}", subject=f"s{n % 900}", occurredAt=NOON + timedelta(seconds=n)) for n in range(MANY)]


class Gate:
    """Holds the third page of a list until it is let through, or fails it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self.failure: Exception | None = None
        self.pages = 0
        real = Operations.page

        async def page(operations: Operations, operation: Operation, context: Context, *, patient: bool) -> Answer:
            self.pages += 1
            if self.pages == 3:
                self.reached.set()
                await self.opened.wait()
                if self.failure is not None:
                    raise self.failure
            return await real(operations, operation, context, patient=patient)

        monkeypatch.setattr(Operations, "page", page)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def read(client: Client, path: str, gate: Gate, meanwhile: Any) -> bytes:
    """The whole body of a file, ``meanwhile`` done when a part of it is there."""
    body = b""
    async with client.http.stream("GET", f"http://{client.address}{path}", headers=client.headers) as response:
        assert response.status_code == 200
        async for part in response.aiter_bytes():
            body += part
            if not gate.opened.is_set():
                await gate.reached.wait()
                await meanwhile()
                gate.opened.set()
    return body


async def test_a_list_is_of_one_moment_however_long_it_takes(client: Client, gate: Gate) -> None:
    await client.ingest(*many())

    async def meanwhile() -> None:
        # Pages are read no further ahead than they are sent.
        assert gate.pages == 3
        await client.ingest(event(id="late", occurredAt=NOON - timedelta(days=1)))

    body = await read(client, "/export/events.ndjson", gate, meanwhile)
    ids = [json.loads(line)["eventId"] for line in body.splitlines()]
    assert ids == [f"e{n}" for n in reversed(range(MANY))]
    assert gate.pages > 3
    assert len((await get(client, "/export/events.ndjson")).text.splitlines()) == MANY + 1


async def test_a_list_that_breaks_off_is_seen_to_be_broken(client: Client, gate: Gate) -> None:
    await client.ingest(*many())

    async def meanwhile() -> None:
        gate.failure = RuntimeError("SELECT secret")

    with pytest.raises(httpx2.RemoteProtocolError):
        await read(client, "/export/events.csv", gate, meanwhile)
    assert len(await table(client, "/export/events.csv")) == MANY


async def test_the_end_of_a_key_ends_what_it_downloads(client: Client, owner: Database, gate: Gate) -> None:
    await client.ingest(*many())
    other = await colleague(client, owner, Role.ANALYST)

    with pytest.raises(httpx2.RemoteProtocolError):
        async with asyncio.timeout(20):
            await asyncio.gather(read_to_the_end(other, gate), meanwhile_reached(gate, owner, other))


async def read_to_the_end(client: Client, gate: Gate) -> None:
    async with client.http.stream(
        "GET", f"http://{client.address}/export/events.csv", headers=client.headers
    ) as response:
        async for _ in response.aiter_bytes():
            pass


async def meanwhile_reached(gate: Gate, owner: Database, client: Client) -> None:
    await gate.reached.wait()
    await revoke(client, owner)


async def revoke(client: Client, owner: Database) -> None:
    slug = (await client.ask("{tenant {slug}}"))["tenant"]["slug"]
    number = await tenant_id(owner, slug)
    (key,) = [
        key for key in await keys(owner, number) if client.key.startswith(key.prefix) and key.label == "colleague"
    ]
    await revoke_key(owner, number, key.id)


async def test_a_rate_that_is_used_up_is_waited_for(
    client: Client, gateway: tuple[str, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.ingest(*many())
    callers = gateway[1]._callers
    assert callers is not None
    charged, refusals = [], [RateLimited("Too much.", retry_after=0.001)]

    def charge(principal: Any, cost: int, *, apart: bool = False) -> None:
        charged.append(cost)
        if len(charged) == 3:
            raise refusals.pop()

    monkeypatch.setattr(callers, "charge", charge)
    assert len(await table(client, "/export/events.csv")) == MANY
    assert not refusals
    refusals.append(RateLimited("Too much.", retry_after=7))
    charged += [0, 0]
    del charged[2:]
    first = await get(client, "/export/events.csv")
    assert (first.status_code, error(first)["code"], first.headers["retry-after"]) == (429, "RATE_LIMITED", "7")


async def test_an_export_takes_nothing_from_what_a_key_may_ask_beside_it() -> None:
    callers = Callers(Authenticator(None, b""), Limits(key_cost_rate=1))  # type: ignore[arg-type]
    holder = Principal(1, "acme", "USD", "UTC", 1, Role.ADMIN)
    callers.charge(holder, 1_000, apart=True)
    callers.charge(holder, 1_000)
    for apart in (True, False):
        with pytest.raises(RateLimited):
            callers.charge(holder, 1, apart=apart)


async def test_only_so_many_lists_at_a_time(gateway: tuple[str, Gateway]) -> None:
    streams = ExportStreams(Endpoint(schema, None, None, gateway[1].sessions), None, None)  # type: ignore[arg-type]
    with streams._place(1), streams._place(1):
        with pytest.raises(Overloaded), streams._place(1):
            pass
        with streams._place(2), streams._place(2), pytest.raises(Overloaded), streams._place(3):
            pass
    with streams._place(3):
        assert streams._running == {3: 1}


async def test_subjects_of_a_funnel_are_walked_once(client: Client, gate: Gate) -> None:
    gate.opened.set()
    await client.ingest(*many())
    arguments = {"steps": [{"name": "page_view"}, {"name": "purchase"}], "step": 1, "period": MARCH}
    rows = await table(client, "/export/funnelSubjects.csv", arguments=arguments)
    assert [row["subject"] for row in rows] == [f"s{n}" for n in range(900)]
    assert gate.pages == 2


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
