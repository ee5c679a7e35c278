"""Subscriptions as event streams: framing, errors, and every way in which a stream ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from gateway.endpoint import Endpoint
from gateway.sessions import Kind
from tests.gateway.graphql_world import Record, World, make_endpoint, serving

STREAM = "text/event-stream"


def body(query: str) -> dict[str, object]:
    return {"query": query}


def headers(key: str | None = "viewer", accept: str = STREAM) -> dict[str, str]:
    return {"accept": accept} | ({} if key is None else {"authorization": f"Bearer {key}"})


@asynccontextmanager
async def http_client(endpoint: Endpoint) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(endpoint) as host, httpx2.AsyncClient(base_url=f"http://{host}", timeout=20) as http:
        yield http


def events(text: str) -> list[tuple[str, object]]:
    """The events of a stream, comments left out."""
    parsed: list[tuple[str, object]] = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in lines:
            parsed.append((lines["event"], json.loads(lines["data"]) if lines["data"] else None))
    return parsed


async def test_a_subscription_is_streamed_to_its_end() -> None:
    async with http_client(make_endpoint()) as http:
        response = await http.post("/graphql", json=body("subscription { count(to: 2) }"), headers=headers())
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.text == (
            ":\n\n"
            'event: next\ndata: {"data":{"count":1}}\n\n'
            'event: next\ndata: {"data":{"count":2}}\n\n'
            "event: complete\ndata: \n\n"
        )


async def test_a_subscription_may_be_asked_for_by_get() -> None:
    async with http_client(make_endpoint()) as http:
        response = await http.get("/graphql", params={"query": "subscription { count(to: 1) }"}, headers=headers())
        assert events(response.text) == [("next", {"data": {"count": 1}}), ("complete", None)]


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "*/*"])
async def test_a_subscription_without_an_event_stream_is_not_acceptable(accept: str) -> None:
    async with http_client(make_endpoint()) as http:
        query = "subscription { count(to: 1) }"
        for response in (
            await http.post("/graphql", json=body(query), headers=headers(accept=accept)),
            await http.get("/graphql", params={"query": query}, headers=headers(accept=accept)),
        ):
            assert response.status_code == 406
            assert "text/event-stream" in response.json()["errors"][0]["message"]


async def test_who_takes_streams_alone_is_told_of_a_refusal_by_the_status() -> None:
    async with http_client(make_endpoint()) as http:
        for accept, status in ((STREAM, 401), (f"{STREAM}, application/json", 200)):
            response = await http.post("/graphql", json=body("{ hello }"), headers=headers("unknown", accept))
            assert response.status_code == status
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_query_is_streamed_to_those_who_take_nothing_else() -> None:
    async with http_client(make_endpoint()) as http:
        response = await http.post("/graphql", json=body("{ hello }"), headers=headers())
        assert events(response.text) == [("next", {"data": {"hello": "hello world"}}), ("complete", None)]


@pytest.mark.parametrize(
    ("query", "code", "before"),
    [
        ("{", "GRAPHQL_PARSE_FAILED", 0),
        ("subscription { nope }", "GRAPHQL_VALIDATION_FAILED", 0),
        ("subscription { count }", "GRAPHQL_VALIDATION_FAILED", 0),
        ('subscription { breaks(how: "forbidden") }', "FORBIDDEN", 0),
        ('subscription { breaks(how: "crash", after: 2) }', "INTERNAL_SERVER_ERROR", 2),
        ("subscription($n: Int!) { count(to: $n) }", "BAD_USER_INPUT", 0),
    ],
)
async def test_errors_are_events(query: str, code: str, before: int) -> None:
    async with http_client(make_endpoint()) as http:
        response = await http.post("/graphql", json=body(query), headers=headers())
        *results, (kind, last), complete = events(response.text)
        assert len(results) == before
        assert (kind, complete) == ("next", ("complete", None))
        assert isinstance(last, dict)
        assert last["errors"][0]["extensions"]["code"] == code
        assert "secret" not in response.text


async def test_a_bad_token_opens_no_stream() -> None:
    async with http_client(make_endpoint()) as http:
        response = await http.post("/graphql", json=body("subscription { count(to: 1) }"), headers=headers("wrong"))
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@asynccontextmanager
async def watching(
    http: httpx2.AsyncClient, query: str = "subscription { forever }"
) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of an open stream, from after its first event."""
    async with http.stream("POST", "/graphql", json=body(query), headers=headers()) as response:
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data"):
                break
        yield lines


async def test_everything_is_cleaned_up_when_the_client_leaves() -> None:
    world, record = World(), Record()
    endpoint = make_endpoint(world, observer=record)
    async with http_client(endpoint) as http:
        async with watching(http):
            assert endpoint.sessions.count(Kind.EVENT_STREAM) == 1
            assert record.open_subscriptions == 1
        await world.until("cleaned up")
        await endpoint.sessions.shutdown()
        assert endpoint.sessions.count() == 0
        assert endpoint.sessions.tasks == 0
        assert (record.open_subscriptions, record.closed_subscriptions) == (0, 1)


async def test_a_stream_is_kept_alive_by_comments() -> None:
    async with http_client(make_endpoint(heartbeat_seconds=0.01)) as http, watching(http) as lines:
        beats = 0
        async for line in lines:
            beats += line == ":"
            if beats == 3:
                break
        assert beats == 3


async def test_revoking_a_key_ends_its_streams() -> None:
    world = World()
    endpoint = make_endpoint(world)
    async with http_client(endpoint) as http, watching(http) as lines:
        assert endpoint.sessions.revoke(world.keys["admin"].key_id) == 0
        assert endpoint.sessions.revoke(world.keys["viewer"].key_id) == 1
        rest = [line async for line in lines if line]
        assert "UNAUTHENTICATED" in rest[1]
        assert rest[2:] == ["event: complete", "data: "]
        assert world.happened["cleaned up"] == 1


async def test_shutdown_ends_streams_unfinished_and_opens_no_more() -> None:
    endpoint = make_endpoint()
    async with http_client(endpoint) as http, watching(http) as lines:
        await endpoint.sessions.shutdown()
        assert [line async for line in lines if line] == []
        assert endpoint.sessions.count() == 0
        response = await http.post("/graphql", json=body("subscription { forever }"), headers=headers())
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_streams_are_bounded_for_each_key() -> None:
    world = World()
    endpoint = make_endpoint(world, connections_per_key=1)
    async with http_client(endpoint) as http:
        async with watching(http):
            response = await http.post("/graphql", json=body("subscription { forever }"), headers=headers())
            assert response.status_code == 503
            other = await http.post("/graphql", json=body("subscription { count(to: 1) }"), headers=headers("admin"))
            assert other.status_code == 200
        await world.until("cleaned up")


async def test_a_client_that_does_not_read_is_let_go() -> None:
    world, record = World(), Record()
    endpoint = make_endpoint(world, observer=record, send_seconds=0.05)
    async with http_client(endpoint) as http:
        reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port, limit=1_024)
        payload = json.dumps(body("subscription { flood }")).encode()
        writer.write(
            b"POST /graphql HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(payload), payload)
        )
        await world.until("cleaned up")
        await asyncio.wait_for(endpoint.sessions.shutdown(), 5)
        assert endpoint.sessions.count() == 0
        assert record.open_subscriptions == 0
        writer.transport.abort()
        assert not reader.at_eof()
