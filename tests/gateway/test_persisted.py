"""Automatic persisted queries: documents referred to by their hash."""

import json
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.persisted import PersistedQueries
from tests.gateway.graphql_clients import INIT, Client, client, opened
from tests.gateway.graphql_world import make_endpoint, serving
from tests.gateway.javascript import needs_node, run

QUERY = "query Hello($name: String!) {hello(name: $name)}"
ASKED = {"variables": {"name": "you"}}
HELLO = {"data": {"hello": "hello you"}}


def reference(query: str, **changes: Any) -> dict[str, Any]:
    digest = sha256(query.encode()).hexdigest()
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest} | changes}}


async def code(asking: Client, body: dict[str, Any], **options: Any) -> tuple[int, str, str]:
    response = await asking.post(body, **options)
    (error,) = response.json()["errors"]
    return response.status_code, error["extensions"]["code"], error["message"]


async def test_a_document_sent_once_is_known_by_its_hash() -> None:
    async with client() as asking:
        unknown = (200, "PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
        assert await code(asking, reference(QUERY) | ASKED) == unknown
        assert await code(asking, reference(QUERY) | ASKED, accept="application/json") == unknown
        for body in ({"query": QUERY}, {}):
            response = await asking.post(reference(QUERY) | ASKED | body)
            assert (response.status_code, response.json()) == (200, HELLO)


async def test_it_is_found_by_get_as_well() -> None:
    async with client() as asking:
        await asking.post(reference(QUERY) | ASKED | {"query": QUERY})
        parts = {name: json.dumps(value) for name, value in (reference(QUERY) | ASKED).items()}
        headers = {"authorization": "Bearer viewer"}
        assert (await asking.http.get(f"/graphql?{urlencode(parts)}", headers=headers)).json() == HELLO


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (reference("{whoami}") | {"query": QUERY}, "provided sha does not match query"),
        (reference(QUERY, version=2), "Unsupported persisted query version"),
        (reference(QUERY, sha256Hash="0" * 63), "'sha256Hash' must be 64 hexadecimal digits in lower case."),
        (reference(QUERY, sha256Hash=None), "'sha256Hash' must be 64 hexadecimal digits in lower case."),
        ({"extensions": {"persistedQuery": "x"}}, "Unsupported persisted query version"),
    ],
)
async def test_a_reference_that_cannot_hold_is_refused(body: dict[str, Any], message: str) -> None:
    async with client() as asking:
        assert await code(asking, body | ASKED) == (400, "BAD_REQUEST", message)


async def test_a_document_that_is_not_valid_is_not_kept() -> None:
    async with client() as asking:
        assert (await code(asking, reference("{nope}") | {"query": "{nope}"}))[1] == "GRAPHQL_VALIDATION_FAILED"
        assert (await code(asking, reference("{nope}")))[1] == "PERSISTED_QUERY_NOT_FOUND"


async def test_nor_is_that_of_a_caller_without_a_key() -> None:
    async with client() as asking:
        sent = await asking.post(reference(QUERY) | ASKED | {"query": QUERY}, key=None)
        assert sent.json() == HELLO
        assert (await code(asking, reference(QUERY) | ASKED))[1] == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_socket_knows_the_same_documents() -> None:
    async with client() as asking, serving(asking.endpoint) as address, opened(address) as socket:
        await socket.send(INIT)
        await socket.receive()
        payload = reference(QUERY) | ASKED
        await socket.send({"id": "1", "type": "subscribe", "payload": payload})
        refused = await socket.receive()
        assert (refused["type"], refused["payload"][0]["message"]) == ("error", "PersistedQueryNotFound")
        for body in ({"query": QUERY}, {}):
            await socket.send({"id": "1", "type": "subscribe", "payload": payload | body})
            assert await socket.receive() == {"id": "1", "type": "next", "payload": HELLO}
            assert (await socket.receive())["type"] == "complete"


def test_the_documents_used_last_are_kept() -> None:
    kept = PersistedQueries(1_000)
    for name in "abc":
        kept.keep(name, name)
    assert kept.get("a") == "a"
    kept.keep("d", "d")
    assert [name for name in "abcd" if kept.get(name)] == ["a", "c", "d"]
    kept.keep("e", "e" * 2_000)
    assert len(kept) == 0


@needs_node
async def test_javascript_clients_send_a_document_once() -> None:
    async with serving(make_endpoint()) as host:
        answers = json.loads(await run("node", "persisted.mjs", host, "viewer", "query Hello { hello }"))
    for number, answer in enumerate(answers):
        assert answer["data"] == [{f"hello{number}": "hello world"}] * 2
        assert [request["whole"] for request in answer["sent"]] == [False, True, False]
        assert {request["status"] for request in answer["sent"]} == {200}
