"""Service level objectives, over the wire: made, watched, exported, and named by ramps."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.store.database import Database
from tests.client import Client
from tests.gateway.exported import get
from tests.gateway.test_flags import CHANGES, CONFIGURE, done, key_of
from tests.gateway.test_flags import CREATE as CREATE_FLAG

ERRORS = "... on Error { code message } ... on InvalidInput { field } ... on NotFound { field }"
SHOWN = "id definition { key title metric good threshold objective where minimumEvents absentAfter costPerBadEvent }"
STATUS = "state message windows { length total bad burnRate cost } rules { severity state reachable }"
STATUS += " budget { total bad allowed consumed remaining exhaustedAt cost allowedCost present { length } } currency"
ON = {"variation": "on"}


def mutation(name: str) -> str:
    capital = name[0].upper() + name[1:]
    payload = "DeleteSloPayload { deletedId" if name == "deleteSlo" else "SloPayload {"
    errors = ERRORS.replace(" ... on NotFound { field }", "") if name == "createSlo" else ERRORS
    return (
        f"mutation ($input: {capital}Input!) {{ it: {name}(input: $input) {{ __typename"
        f" ... on {payload} slo {{ {SHOWN} }} }} {errors} }} }}"
    )


CREATE, UPDATE, DELETE = (mutation(f"{verb}Slo") for verb in ("create", "update", "delete"))
CALLS = {"key": "calls", "metric": "ai_success_rate", "objective": "0.95", "minimumEvents": 5}


async def made(client: Client, **given: Any) -> dict[str, Any]:
    """The SLO as it is kept."""
    answer = (await client.ask(CREATE, input=CALLS | given))["it"]
    assert answer["__typename"] == "SloPayload", answer
    return dict(answer["slo"])


def call(success: bool, ago: timedelta = timedelta(minutes=2), provider: str = "acme") -> dict[str, Any]:
    at = (datetime.now(UTC) - ago).isoformat()
    dimensions = {"provider": provider, "model": "m"}
    return {
        "kind": "AI_INTERACTION",
        "name": "chat",
        "subject": "ann",
        "success": success,
        "occurredAt": at,
        "dimensions": dimensions,
    }


async def test_an_slo_is_made_told_changed_and_deleted(client: Client, stranger: Client) -> None:
    where = {"dimension": {"dimension": "PROVIDER", "in": ["acme"]}}
    kept = await made(client, where=where, costPerBadEvent="0.5", title="Answers succeed")
    assert kept["definition"] == {
        "key": "calls",
        "title": "Answers succeed",
        "metric": "ai_success_rate",
        "good": "UP",
        "threshold": None,
        "objective": "0.95",
        "where": where,
        "minimumEvents": 5,
        "absentAfter": "1d",
        "costPerBadEvent": "0.5",
    }
    await client.ingest(*(call(n > 1) for n in range(10)), *(call(False, provider="other") for _ in range(9)))
    query = f'{{ slo(key: "calls", by: [PROVIDER]) {{ {STATUS} groups {{ keys {{ value }} total bad share }} }} }}'
    found = (await client.ask(query))["slo"]
    assert (found["state"], found["currency"]) == ("TICKET", "USD")
    assert found["message"].startswith("Answers succeed: the error budget burns 4× within")
    assert found["windows"][0] == {"length": "5m", "total": 10, "bad": 2, "burnRate": "4", "cost": "1"}
    assert [one["length"] for one in found["windows"]] == ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
    assert found["groups"] == [{"keys": [{"value": "acme"}], "total": 10, "bad": 2, "share": "1"}]
    budget = found["budget"]
    assert [budget[name] for name in ("total", "bad", "allowed", "consumed", "remaining", "exhaustedAt")] == [
        10,
        2,
        "0.5",
        "4",
        "-3",
        None,
    ]
    assert (budget["cost"], budget["allowedCost"], budget["present"]) == ("1", "0.25", {"length": "1h"})
    changed = (await client.ask(UPDATE, input={"key": "calls", "costPerBadEvent": None, "minimumEvents": 11}))["it"]
    assert (changed["slo"]["id"], changed["slo"]["definition"]["costPerBadEvent"]) == (kept["id"], None)
    assert changed["slo"]["definition"]["where"] == where
    page = f"{{ slos {{ edges {{ node {{ {SHOWN} status {{ state budget {{ cost }} }} }} }} }} }}"
    ((node,),) = [[edge["node"] for edge in (await client.ask(page))["slos"]["edges"]]]
    assert node["status"] == {"state": "LOW_TRAFFIC", "budget": {"cost": None}}
    node_query = "query ($id: ID!) { node(id: $id) { ... on Slo { definition { key } status { state } } } }"
    assert (await client.ask(node_query, id=kept["id"]))["node"]["definition"] == {"key": "calls"}
    (error,) = (await client.send("query ($key: String!) { slo(key: $key) { state } }", key="a\0b"))["errors"]
    assert error["extensions"]["code"] == "NOT_FOUND"
    # Nobody else has it.
    assert (await stranger.ask(node_query, id=kept["id"]))["node"] is None
    assert (await stranger.ask(page))["slos"]["edges"] == []
    (error,) = (await stranger.send(query))["errors"]
    assert error["extensions"] == {"code": "NOT_FOUND", "field": "key"}
    for operation, given in ((UPDATE, {"key": "calls"}), (DELETE, {"key": "calls"}), (DELETE, {"id": kept["id"]})):
        answer = (await stranger.ask(operation, input=given))["it"]
        assert (answer["__typename"], answer["field"]) == ("NotFound", next(iter(given)))
    gone = (await client.ask(DELETE, input={"key": "calls"}))["it"]
    assert (gone["deletedId"], gone["slo"]["id"]) == (kept["id"], kept["id"])
    assert (await client.ask(node_query, id=kept["id"]))["node"] is None


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        (
            {"metric": "revenue"},
            "metric",
            "metric must tell good events from bad ones, which revenue does not; these do: conversion_rate,"
            " ai_success_rate, ai_latency_p50, ai_latency_p95.",
        ),
        (
            {"metric": "ai_latency_p95"},
            "threshold",
            "threshold must be given, in milliseconds: an event is good up to it, whatever the quantile is.",
        ),
        (
            {"threshold": "1"},
            "threshold",
            "threshold must not be given: ai_success_rate is a share of events by itself.",
        ),
        (
            {"objective": 95},
            "objective",
            "objective must be above 0 and below 1, with at most 9 decimal places: 0.99 is 99 %.",
        ),
        ({"absentAfter": "1mo"}, "absentAfter", "Months and years vary in length; give days or weeks, such as 30d."),
        ({"absentAfter": "1m"}, "absentAfter", "absentAfter must be 5m to 30d."),
        ({"where": {"segment": {"in": "Nobody"}}}, "where.segment.in[0]", None),
        ({"key": "calls"}, "key", "key is that of another SLO; choose another, or change that one."),
    ],
)  # fmt: skip
async def test_refusals_say_what_to_change(
    client: Client, given: dict[str, Any], field: str, message: str | None
) -> None:
    await made(client)
    answer = (await client.ask(CREATE, input=CALLS | {"key": "other"} | given))["it"]
    assert (answer["__typename"], answer["field"]) == ("InvalidInput", field), answer
    assert message is None or answer["message"] == message
    assert len((await client.ask("{ slos { edges { node { id } } } }"))["slos"]["edges"]) == 1


async def test_roles(client: Client, owner: Database, gateway: tuple[str, Gateway]) -> None:
    viewer, analyst, sender = [
        await key_of(client, owner, gateway[1], role) for role in (Role.VIEWER, Role.ANALYST, Role.INGEST)
    ]
    assert (await viewer.ask(CREATE, input=CALLS))["it"]["code"] == "FORBIDDEN"
    await made(analyst)
    query = '{ slo(key: "calls") { state } }'
    assert (await viewer.ask(query))["slo"] == {"state": "NO_DATA"}
    assert (await sender.send(query))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await viewer.ask(DELETE, input={"key": "calls"}))["it"]["code"] == "FORBIDDEN"


async def test_it_is_watched(client: Client) -> None:
    await made(client)
    async with client.socket() as socket:
        await socket.subscribe('subscription { slo(key: "calls", every: "100ms") { state budget { total bad } } }')
        assert (await socket.next())["slo"] == {"state": "NO_DATA", "budget": {"total": 0, "bad": 0}}
        await client.ingest(*(call(False) for _ in range(8)))
        assert (await socket.next())["slo"] == {"state": "PAGE", "budget": {"total": 8, "bad": 8}}
        # A change of the SLO is a change of the answer.
        await client.ask(UPDATE, input={"key": "calls", "minimumEvents": 9})
        assert (await socket.next())["slo"] == {"state": "LOW_TRAFFIC", "budget": {"total": 8, "bad": 8}}
        await client.ingest(call(True))
        assert (await socket.next())["slo"] == {"state": "PAGE", "budget": {"total": 9, "bad": 8}}


async def test_it_is_exported(client: Client) -> None:
    await made(client)
    await made(client, key="people", metric="conversion_rate", objective="0.05")
    await client.ingest(*(call(n > 0) for n in range(4)))
    exported = await get(client, "/export/slo.csv", arguments={"key": "calls"})
    rows = list(csv.DictReader(io.StringIO(exported.text)))
    assert [(row["length"], row["total"], row["bad"], row["burnRate"]) for row in rows] == [
        (length, "4", "1", "5") for length in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    ]
    listed = list(csv.DictReader(io.StringIO((await get(client, "/export/slos.csv")).text)))
    assert [(row["definition.key"], row["definition.objective"]) for row in listed] == [
        ("calls", "0.95"),
        ("people", "0.05"),
    ]


def guarded(*guardrails: dict[str, Any]) -> dict[str, Any]:
    ramp = {"steps": [{"percentage": 50, "lasting": "1h"}], "guardrails": list(guardrails)}
    return {"on": True, "rules": [{"serve": ON, "ramp": ramp}]}


async def test_a_ramp_names_an_slo_beside_a_metric(client: Client) -> None:
    await made(client, title="Answers")
    guards = [
        {"slo": "calls", "action": "PAUSE"},
        {"slo": "calls", "severity": "TICKET"},
        {"metric": "ai_success_rate", "below": "0.5"},
    ]
    await done(client, CREATE_FLAG, key="a", environments=[guarded(*guards)])
    query = '{ flag(key: "a") { environments { rules { ramp { guardrails { metric slo severity bound limit window'
    query += " minimumSample action exposed control } verdicts { state message } } } } } }"
    ramp = (await client.ask(query))["flag"]["environments"][0]["rules"][0]["ramp"]
    nothing = dict.fromkeys(("metric", "bound", "limit", "window", "minimumSample", "exposed", "control"))
    assert ramp["guardrails"][:2] == [
        nothing | {"slo": "calls", "severity": "PAGE", "action": "PAUSE"},
        nothing | {"slo": "calls", "severity": "TICKET", "action": "ROLL_BACK"},
    ]
    third = ramp["guardrails"][2]
    assert (third["slo"], third["window"], third["minimumSample"], third["limit"]) == (None, "1h", 100, "0.5")
    assert ramp["verdicts"][0] == {"state": "TOO_FEW", "message": "SLO calls is NO_DATA: Answers: no event within 1d"}
    await client.ingest(*(call(n > 1) for n in range(10)))
    ramp = (await client.ask(query))["flag"]["environments"][0]["rules"][0]["ramp"]
    assert [one["state"] for one in ramp["verdicts"]] == ["QUIET", "FIRING", "TOO_FEW"]
    # The trail shows it as it is given, so that it can be given again.
    (edge,) = (await client.ask(CHANGES, key="a"))["it"]["edges"]
    shown = edge["node"]["after"]["environments"]["production"]["rules"][0]["ramp"]["guardrails"]
    assert shown[:2] == [
        {"slo": "calls", "severity": "PAGE", "action": "PAUSE"},
        {"slo": "calls", "severity": "TICKET", "action": "ROLL_BACK"},
    ]
    await done(client, CREATE_FLAG, key="b", environments=[guarded(*shown)])
    refused = (await client.ask(DELETE, input={"key": "calls"}))["it"]
    assert (refused["field"], refused["message"]) == (
        "key",
        'A ramp of the flag "a", the flag "b" watches it; change that first.',
    )


@pytest.mark.parametrize(
    ("guard", "field"),
    [
        ({"slo": "nothing"}, ".slo"),
        ({"slo": "theirs"}, ".slo"),
        ({"slo": "low"}, ".severity"),
        ({"slo": "calls", "metric": "ai_success_rate"}, ""),
        ({}, ""),
        ({"slo": "calls", "above": 1}, ".above"),
        ({"slo": "calls", "minimumSample": 5}, ".minimumSample"),
        ({"slo": "calls", "window": "1h"}, ".window"),
        ({"slo": "calls", "compare": True}, ".compare"),
        ({"slo": "calls", "exposed": {"name": "x"}}, ".exposed"),
        ({"metric": "ai_success_rate", "below": 1, "severity": "PAGE"}, ".severity"),
    ],
)
async def test_guardrails_that_cannot_be(client: Client, stranger: Client, guard: dict[str, Any], field: str) -> None:
    await made(client)
    await made(client, key="low", objective="0.5")
    await made(stranger, key="theirs")
    await done(client, CREATE_FLAG, key="a")
    sound = {"slo": "calls"}
    answer = (await client.ask(CONFIGURE, input={"key": "a", "environment": guarded(sound, guard)}))["it"]
    assert answer["__typename"] == "InvalidInput", answer
    assert answer["field"] == f"environment.rules[0].ramp.guardrails[1]{field}"
    assert answer["message"].startswith(answer["field"])
    assert (await client.ask('{ flag(key: "a") { version } }'))["flag"]["version"] == 1
