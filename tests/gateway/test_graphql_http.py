"""GraphQL over HTTP as a client meets it: media types, methods, statuses, errors, limits, deadlines."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.gateway.graphql_clients import RESPONSE_JSON, client
from tests.gateway.graphql_world import Record

INTROSPECTION = "{ __schema { queryType { name } } }"


async def test_a_query_is_answered() -> None:
    async with client() as c:
        response = await c.post({"query": "query($n: String!) { hello(name: $n) }", "variables": {"n": "you"}})
        assert response.status_code == 200
        assert response.json() == {"data": {"hello": "hello you"}}
        assert response.headers["content-type"] == f"{RESPONSE_JSON}; charset=utf-8"
        assert response.headers["vary"] == "Accept"


async def test_get_answers_queries_alone() -> None:
    async with client() as c:
        query = {"query": "query A($n: String) { hello(name: $n) } mutation B { write }", "variables": '{"n": "ü"}'}
        response = await c.http.get("/graphql", params={**query, "operationName": "A"})
        assert response.json() == {"data": {"hello": "hello ü"}}
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        refused = await c.http.get("/graphql", params={**query, "operationName": "B"})
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert c.world.happened["write started"] == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    async with client() as c:
        response = await c.http.request(method, "/graphql")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (RESPONSE_JSON, RESPONSE_JSON),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json;q=0.5, application/graphql-response+json", RESPONSE_JSON),
        ("application/graphql-response+json, application/json;q=0.9", RESPONSE_JSON),
        ("application/json;q=0, */*", RESPONSE_JSON),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ("application/json;q=2x, application/graphql-response+json;q=0.1", RESPONSE_JSON),
        (
            "application/graphql-response+json, application/graphql+json, application/json, text/event-stream,"
            " multipart/mixed",
            RESPONSE_JSON,
        ),
        ("text/event-stream, application/json;q=0.1", "application/json"),
        ("text/event-stream", "text/event-stream"),
    ],
)
async def test_the_answer_is_in_a_type_the_client_takes(accept: str, media_type: str) -> None:
    async with client() as c:
        response = await c.post({"query": "{ hello }"}, accept=accept)
        assert response.status_code == 200
        assert response.headers["content-type"] == f"{media_type}; charset=utf-8"


@pytest.mark.parametrize(
    "accept", ["text/html", "multipart/mixed", "application/json;q=0", "application/json;charset=x"]
)
async def test_a_type_that_cannot_be_given_is_not_acceptable(accept: str) -> None:
    async with client() as c:
        response = await c.post({"query": "{ hello }"}, accept=accept)
        assert response.status_code == 406
        assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
    ],
)
async def test_a_post_that_a_foreign_form_could_send_is_refused(content_type: str) -> None:
    async with client() as c:
        response = await c.post({"query": "mutation { write }"}, content_type=content_type)
        assert response.status_code == 415
        assert c.world.happened["write started"] == 0


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
async def test_compressed_bodies_are_refused(encoding: str) -> None:
    async with client() as c:
        assert (await c.post(b"\x1f\x8b", content_encoding=encoding)).status_code == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"1",
        b"true",
        b'"x"',
        b"[]",
        b'[{"query": "{ hello }"}]',
        b"{}",
        b'{"query": 1}',
        b'{"query": ""}',
        b'{"query": null}',
        b'{"query": "{ hello }", "variables": []}',
        b'{"query": "{ hello }", "variables": "x"}',
        b'{"query": "{ hello }", "operationName": 1}',
        b'{"query": "{ hello }", "extensions": []}',
        b'{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "x"}}}',
        b'{"query": "\xff"}',
        b'{"query": "{ hello }", "variables": {"n": "\\ud800"}}',
        b'{"query": "{ hello }", "variables": {"n": ' + b"9" * 5_000 + b"}}",
        b'{"query": "{ hello }", "variables": {"n": NaN}}',
        b'{"query": "{ hello }", "variables": {"n": 1e400}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
@pytest.mark.parametrize("accept", [RESPONSE_JSON, "application/json"])
async def test_what_is_no_request_is_a_bad_request(body: bytes, accept: str) -> None:
    async with client() as c:
        response = await c.post(body, accept=accept)
        assert response.status_code == 400
        assert response.headers["content-type"] == f"{accept}; charset=utf-8"
        assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert "data" not in response.json()


@pytest.mark.parametrize("query_string", ["", "query=%ff", "query={hello}&variables={", "query={hello}&variables=[]"])
async def test_a_query_string_that_cannot_be_read_is_a_bad_request(query_string: str) -> None:
    async with client() as c:
        assert (await c.http.get(f"/graphql?{query_string}")).status_code == 400
    async with client(url=100) as c:
        assert (await c.http.get(f"/graphql?query={'x' * 100}")).status_code == 414


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...A } fragment A on Query { ...A }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", {}, "OPERATION_RESOLUTION_FAILURE"),
        ("fragment A on Query { hello }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query($v: Int!) { integer(value: $v) }", {}, "BAD_USER_INPUT"),
        ("query($v: Int!) { integer(value: $v) }", {"v": "x" * 100_000}, "BAD_USER_INPUT"),
        ("query($v: Int!) { integer(value: $v) }", {"v": 2**31}, "BAD_USER_INPUT"),
        ("query($c: Choice!) { choose(choice: $c) }", {"c": {}}, "BAD_USER_INPUT"),
        ("query($c: Colour!) { hello(colour: $c) }", {"c": "BLUE"}, "BAD_USER_INPUT"),
        ("{ item { items(first: 200) { items(first: 200) { name } } } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        (
            "query($n: Int!) { item { items(first: $n) { items(first: $n) { name } } } }",
            {"n": 200},
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ],
)
async def test_a_request_that_cannot_be_executed_says_why(query: str, variables: dict[str, object], code: str) -> None:
    async with client() as c:
        body = {"query": query, "variables": variables}
        response = await c.post(body)
        assert response.status_code == 400
        assert "data" not in response.json()
        assert response.json()["errors"][0]["extensions"]["code"] == code
        assert len(response.content) < 3_000
        legacy = await c.post(body, accept="application/json")
        assert legacy.status_code == 200
        assert legacy.json() == response.json()


async def test_an_operation_is_chosen_by_name() -> None:
    async with client() as c:
        query = "query A { hello } query B { whoami }"
        assert (await c.post({"query": query, "operationName": "B"})).json() == {"data": {"whoami": "VIEWER"}}
        missing = await c.post({"query": query, "operationName": "C"})
        assert missing.json()["errors"][0]["extensions"]["code"] == "OPERATION_RESOLUTION_FAILURE"


@pytest.mark.parametrize("authorization", ["Bearer wrong", "Bearer", "Basic viewer", "viewer", "Bearer \xff"])
async def test_a_bad_token_is_unauthenticated(authorization: str) -> None:
    async with client() as c:
        headers = {b"authorization": authorization.encode("latin-1"), b"accept": RESPONSE_JSON.encode()}
        response = await c.http.post("/graphql", json={"query": "{ hello }"}, headers=headers)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        legacy = await c.http.post("/graphql", json={"query": "{ hello }"}, headers={**headers, b"accept": b"*/*"})
        assert (legacy.status_code, legacy.json()) == (200, response.json())


async def test_each_operation_has_its_own_context_of_its_caller() -> None:
    async with client() as c:
        for key, role in [("viewer", "VIEWER"), (None, None), ("admin", "ADMIN")]:
            assert (await c.ask("{ whoami }", key=key))["data"] == {"whoami": role}
        assert len({id(context) for context in c.world.contexts}) == 3


async def test_the_schema_is_read_by_viewers_and_above() -> None:
    async with client() as c:
        assert await c.code(INTROSPECTION, key=None) == "UNAUTHENTICATED"
        assert await c.code(INTROSPECTION, key="ingest") == "FORBIDDEN"
        assert (await c.post({"query": INTROSPECTION}, key=None)).status_code == 401
        assert (await c.post({"query": INTROSPECTION}, key="ingest")).status_code == 403
        for key in ("viewer", "analyst", "admin"):
            assert (await c.ask(INTROSPECTION, key=key))["data"] == {"__schema": {"queryType": {"name": "Query"}}}
        assert (await c.ask("{ __typename }", key=None))["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ helo }", {}),
        ("{ hello(nam: 1) }", {}),
        ("{ hello(colour: GREN) }", {}),
        ("query($i: Itm) { hello }", {}),
        ("{ item }", {}),
        ("{ choose(choice: {numbr: 1}) }", {}),
        ("query($c: Colour) { hello(colour: $c) }", {"c": "GREN"}),
    ],
)
async def test_suggestions_are_for_those_who_may_read_the_schema(query: str, variables: dict[str, Any]) -> None:
    async with client() as c:
        assert "Did you mean" in str((await c.ask(query, **variables))["errors"])
        for key in (None, "ingest"):
            assert "Did you mean" not in str((await c.ask(query, key=key, **variables))["errors"])


@pytest.mark.parametrize(
    ("how", "extensions"),
    [
        ("input", {"code": "BAD_USER_INPUT", "field": "period"}),
        ("forbidden", {"code": "FORBIDDEN"}),
        ("overloaded", {"code": "OVERLOADED", "retryAfter": 7}),
        ("timeout", {"code": "TIMEOUT"}),
    ],
)
async def test_errors_of_fields_carry_codes_beside_the_data(how: str, extensions: dict[str, object]) -> None:
    async with client() as c:
        response = await c.post({"query": f'{{ hello fail(how: "{how}") }}'})
        assert response.status_code == 200
        assert response.json()["data"] == {"hello": "hello world", "fail": None}
        (error,) = response.json()["errors"]
        assert error["extensions"] == extensions
        assert error["path"] == ["fail"]


async def test_a_defect_is_masked_and_logged_under_its_reference() -> None:
    async with client() as c:
        with capture_logs() as logs:
            answer = await c.ask('{ hello a: fail(how: "crash") b: fail(how: "crash") }')
    assert "secret" not in str(answer)
    references = {error["extensions"]["reference"] for error in answer["errors"]}
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"INTERNAL_SERVER_ERROR"}
    assert {log["reference"] for log in logs if log["event"] == "operation failed"} == references
    assert "secret" in str(logs[0]["exc_info"])


@pytest.mark.parametrize(
    ("field", "how", "status", "wait"),
    [("fail", "overloaded", 503, "7"), ("mustFail", "unavailable", 503, "2")],
)
@pytest.mark.parametrize("accept", [RESPONSE_JSON, "application/json"])
async def test_overload_that_is_the_whole_answer_shows_in_the_status(
    field: str, how: str, status: int, wait: str, accept: str
) -> None:
    async with client() as c:
        response = await c.post({"query": f'{{ {field}(how: "{how}") }}'}, accept=accept)
        assert (response.status_code, response.headers["retry-after"]) == (status, wait)


async def test_values_that_json_lacks_do_no_harm() -> None:
    async with client() as c:
        assert (await c.ask("{ json }"))["data"] == {"json": {"nan": None, "deep": [1]}}
        assert await c.code("{ notANumber }") == "INTERNAL_SERVER_ERROR"
        with capture_logs():
            assert await c.code("{ unprintable }") == "INTERNAL_SERVER_ERROR"


async def test_the_observer_is_told_of_every_operation() -> None:
    record = Record()
    async with client(observer=record) as c:
        await c.ask("query A { hello }")
        await c.ask('query B { fail(how: "input") }')
        await c.ask("{ nope }")
    assert record.operations == [
        ("A", "query", None),
        ("B", "query", "BAD_USER_INPUT"),
        (None, "unknown", "GRAPHQL_VALIDATION_FAILED"),
    ]
