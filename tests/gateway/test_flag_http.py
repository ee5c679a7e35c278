"""Flags over plain HTTP: the remote evaluation protocol by a real OpenFeature client, local definitions, tags."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.store.database import Database
from tests.client import Client
from tests.flag_oracle import evaluate
from tests.gateway.test_flags import CREATE, ON, TOGGLE, done, evaluated, key_of, setup
from tests.openfeature_provider import RemoteProvider

ALL = "/ofrep/v1/evaluate/flags"


async def post(client: Client, path: str = ALL, body: Any = None, **headers: str) -> httpx2.Response:
    return await client.http.post(
        f"http://{client.address}{path}",
        json={"context": {"targetingKey": "ann"}} if body is None else body,
        headers=client.headers | {name.replace("_", "-"): value for name, value in headers.items()},
    )


async def definitions(client: Client, environment: str = "production", **headers: str) -> httpx2.Response:
    return await client.http.get(
        f"http://{client.address}/flags/{environment}.json",
        headers=client.headers | {name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.fixture
async def flags(client: Client) -> Client:
    """A tenant with a flag of each kind."""
    await done(client, CREATE, key="switch")
    admin = {"property": {"path": ["role"], "in": ["admin"]}}
    rules = [{"where": admin, "serve": ON}, {"serve": ON, "percentage": 30}]
    await setup(client, "switch", rules=rules, default={"variation": "off"})
    await done(client, CREATE, key="text", type="STRING", variations=[{"key": "a", "value": "Zoë"}])
    await setup(client, "text", default={"variation": "a"})
    await done(client, CREATE, key="whole", type="NUMBER", variations=[{"key": "a", "value": 7}])
    await setup(client, "whole", default={"variation": "a"})
    await done(client, CREATE, key="part", type="NUMBER", variations=[{"key": "a", "value": 0.5}])
    await setup(client, "part", default={"variation": "a"})
    await done(client, CREATE, key="object", type="JSON", variations=[{"key": "a", "value": {"b": [1]}}])
    await setup(client, "object", default={"variation": "a"})
    return client


@pytest.fixture
async def openfeature(flags: Client) -> AsyncIterator[OpenFeatureClient]:
    """An application's client of that tenant."""
    provider = RemoteProvider(f"http://{flags.address}", flags.key)
    await asyncio.to_thread(api.set_provider_and_wait, provider, "test")
    yield api.get_client("test")
    api.clear_providers()


async def test_an_openfeature_client_gets_values_variants_and_reasons(openfeature: OpenFeatureClient) -> None:
    ann, admin = EvaluationContext("ann"), EvaluationContext("bob", {"role": "admin"})

    def asked() -> None:
        of = openfeature
        found = of.get_boolean_details("switch", False, admin)
        assert (found.value, found.variant, found.reason) == (True, "on", Reason.TARGETING_MATCH)
        assert (found.error_code, found.flag_metadata) == (None, {"rule": 0})
        places = [of.get_boolean_details("switch", False, EvaluationContext(f"s{n}")) for n in range(40)]
        assert {(one.value, one.reason) for one in places} == {(True, Reason.SPLIT), (False, Reason.DEFAULT)}
        assert of.get_string_value("text", "", ann) == "Zoë"
        assert of.get_integer_value("whole", 0, ann) == 7
        assert of.get_float_value("part", 0.0, ann) == 0.5
        assert of.get_object_value("object", {}, ann) == {"b": [1]}
        assert of.get_string_details("text", "", ann).reason == Reason.STATIC
        for key, default, context, code in (
            ("absent", True, ann, ErrorCode.FLAG_NOT_FOUND),
            ("text", True, ann, ErrorCode.TYPE_MISMATCH),
            ("switch", True, EvaluationContext(), ErrorCode.TARGETING_KEY_MISSING),
        ):
            failed = of.get_boolean_details(key, default, context)
            assert (failed.value, failed.error_code, failed.reason) == (default, code, Reason.ERROR)

    await asyncio.to_thread(asked)


async def test_an_openfeature_client_sees_a_change_at_once(flags: Client, openfeature: OpenFeatureClient) -> None:
    admin = EvaluationContext("bob", {"role": "admin"})
    for on in (False, True, False):
        await done(flags, TOGGLE, key="switch", on=on)
        found = await asyncio.to_thread(openfeature.get_boolean_details, "switch", False, admin)
        assert (found.value, found.reason == Reason.DISABLED) == (on, not on)


async def test_all_flags_come_under_a_tag(flags: Client) -> None:
    first = await post(flags)
    assert first.status_code == 200
    found = {one["key"]: one for one in first.json()["flags"]}
    assert found["text"] == {"key": "text", "value": "Zoë", "variant": "a", "reason": "STATIC"}
    assert list(found) == ["object", "part", "switch", "text", "whole"]
    again = await post(flags, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (await post(flags, if_none_match=f'"x", W/{first.headers["etag"]}')).status_code == 304
    other = await post(flags, body={"context": {"role": "admin"}}, if_none_match=first.headers["etag"])
    assert other.status_code == 200
    await done(flags, TOGGLE, key="text", on=False)
    changed = await post(flags, if_none_match=first.headers["etag"])
    assert changed.status_code == 200
    assert {one["key"]: one["reason"] for one in changed.json()["flags"]}["text"] == "DISABLED"
    nobody = {one["key"]: one for one in (await post(flags, body={})).json()["flags"]}
    assert nobody["switch"]["errorCode"] == "TARGETING_KEY_MISSING"
    assert nobody["whole"]["value"] == 7


async def test_local_definitions_come_to_the_same_under_a_tag(flags: Client) -> None:
    first = await definitions(flags)
    document, now = first.json(), datetime.now(UTC)
    for n in range(50):
        context = {"role": "admin"} if n % 10 == 0 else {}
        for one in await evaluated(flags, subject=f"s{n}", context=context):
            local = evaluate(document, one["flag"], f"s{n}", context, now)
            assert local == (one["value"], one["variation"], one["reason"], one["rule"])
    assert (await definitions(flags, if_none_match=first.headers["etag"])).status_code == 304
    await done(flags, TOGGLE, key="text", on=False)
    changed = await definitions(flags, if_none_match=first.headers["etag"])
    assert changed.status_code == 200
    assert changed.json()["version"] == document["version"] + 1


async def test_environments_are_apart(flags: Client) -> None:
    await setup(flags, "switch", name="staging")
    for given in ({"path": f"{ALL}/switch?environment=staging"}, {"path": f"{ALL}/switch", "x_environment": "staging"}):
        assert (await post(flags, **given)).json()["reason"] == "STATIC"
    assert (await post(flags, f"{ALL}/text", x_environment="staging")).json()["reason"] == "DISABLED"
    document = (await definitions(flags, "staging")).json()
    assert [entry["on"] for entry in document["flags"]["text"]["on"]] == [False]
    assert (await definitions(flags, "moon")).status_code == 400
    assert (await post(flags, x_environment="moon")).json()["errorCode"] == "GENERAL"


async def test_keys_and_roles(flags: Client, stranger: Client, owner: Database, gateway: tuple[str, Gateway]) -> None:
    sdk = await key_of(flags, owner, gateway[1], Role.INGEST)
    assert (await post(sdk, f"{ALL}/text")).json()["value"] == "Zoë"
    url = f"http://{sdk.address}{ALL}/text"
    assert (await sdk.http.post(url, json={}, headers={"x-api-key": sdk.key})).status_code == 200
    assert (await definitions(sdk)).status_code == 403
    assert (await definitions(await key_of(flags, owner, gateway[1], Role.VIEWER))).status_code == 200
    missing = await flags.http.post(url, json={})
    assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
    assert (await flags.http.post(url, json={}, headers={"x-api-key": "wrong"})).status_code == 401
    unknown = await post(stranger, f"{ALL}/text")
    assert (unknown.status_code, unknown.json()["errorCode"], unknown.json()["key"]) == (404, "FLAG_NOT_FOUND", "text")
    assert (await post(stranger)).json() == {"flags": []}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"context": {"targetingKey": ""}}, 400, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": 7}}, 400, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": "a\0"}}, 400, "INVALID_CONTEXT"),
        ({"context": [1]}, 400, "INVALID_CONTEXT"),
        ([], 400, "INVALID_CONTEXT"),
        ({"context": {"a": "x" * 40_000}}, 400, "INVALID_CONTEXT"),
    ],
)
async def test_a_context_that_cannot_be_read(flags: Client, body: Any, status: int, code: str) -> None:
    for path in (ALL, f"{ALL}/text"):
        response = await post(flags, path, body)
        assert (response.status_code, response.json()["errorCode"]) == (status, code)
        assert response.json().get("key") == (None if path == ALL else "text")


async def test_a_body_that_cannot_be_read(flags: Client) -> None:
    url, headers = f"http://{flags.address}{ALL}", flags.headers
    for content, kind, status in ((b"{", "application/json", 400), (b"{}", "text/plain", 415)):
        response = await flags.http.post(url, content=content, headers=headers | {"content-type": kind})
        assert (response.status_code, response.json()["errorCode"]) == (status, "PARSE_ERROR")
    assert (await flags.http.get(url, headers=headers)).status_code == 405
