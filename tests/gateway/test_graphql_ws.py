"""graphql-transport-ws as a client meets it: messages, close codes, limits, and what is left behind."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.gateway.graphql_clients import INIT, Socket, opened, ready
from tests.gateway.graphql_world import World, make_endpoint, serving

pytestmark = pytest.mark.usefixtures("either_server")


async def test_queries_mutations_and_subscriptions_are_answered() -> None:
    world = World()
    world.gate.set()
    async with ready(make_endpoint(world)) as socket:
        assert await socket.ask("query($n: String) { hello(name: $n) }", n="you") == [
            {"id": "1", "type": "next", "payload": {"data": {"hello": "hello you"}}},
            {"id": "1", "type": "complete"},
        ]
        assert (await socket.ask("mutation { write }"))[0]["payload"] == {"data": {"write": "write"}}
        messages = await socket.ask("subscription { count(to: 3) }")
        assert [message.get("payload") for message in messages] == [
            *({"data": {"count": number}} for number in (1, 2, 3)),
            None,
        ]


async def test_operations_run_side_by_side() -> None:
    world = World()
    async with ready(make_endpoint(world)) as socket:
        await socket.subscribe("slow", "{ wait }")
        await world.until("query started")
        await socket.subscribe("quick", "{ hello }")
        assert [(await socket.receive())["id"] for _ in range(2)] == ["quick", "quick"]
        world.gate.set()
        assert [(await socket.receive())["id"] for _ in range(2)] == ["slow", "slow"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{" + "x" * 400, "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...A } fragment A on Query { ...A }", "GRAPHQL_VALIDATION_FAILED"),
        ("{" + "item {" * 10 + "name" + "}" * 11, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ('subscription { breaks(how: "forbidden") }', "FORBIDDEN"),
    ],
)
async def test_a_refused_operation_is_an_error_of_its_own(query: str, code: str) -> None:
    async with ready(make_endpoint()) as socket:
        (error,) = await socket.ask(query)
        assert (error["id"], error["type"]) == ("1", "error")
        assert error["payload"][0]["extensions"]["code"] == code
        assert (await socket.ask("{ hello }"))[-1]["type"] == "complete"


async def test_errors_of_fields_come_with_their_result() -> None:
    async with ready(make_endpoint()) as socket:
        result, complete = await socket.ask('{ hello fail(how: "crash") }')
        assert result["payload"]["data"] == {"hello": "hello world", "fail": None}
        assert result["payload"]["errors"][0]["message"] == "Internal server error"
        assert complete["type"] == "complete"


async def test_a_stream_that_breaks_ends_in_an_error() -> None:
    async with ready(make_endpoint()) as socket:
        *results, error = await socket.ask('subscription { breaks(how: "unavailable", after: 2) }')
        assert [result["type"] for result in results] == ["next", "next"]
        assert error["payload"][0]["extensions"] == {"code": "UNAVAILABLE", "retryAfter": 2}


async def test_ping_is_answered() -> None:
    async with ready(make_endpoint()) as socket:
        await socket.send({"type": "pong"})
        await socket.send({"type": "ping", "payload": {"x": 1}})
        assert await socket.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    "payload",
    [
        {"Authorization": "Bearer viewer"},
        {"authorization": "bearer viewer"},
        {"token": "viewer"},
        {"apiKey": "viewer"},
        {"other": 1, "token": None, "apiKey": "viewer"},
    ],
)
async def test_the_key_may_come_in_several_forms(payload: dict[str, object]) -> None:
    async with ready(make_endpoint(), {"type": "connection_init", "payload": payload}) as socket:
        assert (await socket.ask("{ whoami }"))[0]["payload"]["data"] == {"whoami": "VIEWER"}


async def test_the_key_may_come_in_the_header() -> None:
    async with (
        serving(make_endpoint()) as host,
        opened(host, additional_headers={"Authorization": "Bearer admin"}) as socket,
    ):
        await socket.send({"type": "connection_init"})
        await socket.receive()
        assert (await socket.ask("{ whoami }"))[0]["payload"]["data"] == {"whoami": "ADMIN"}


async def test_without_a_key_the_schema_stays_hidden() -> None:
    async with ready(make_endpoint(), {"type": "connection_init"}) as socket:
        (error,) = await socket.ask("{ __schema { queryType { name } } }")
        assert error["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        (error,) = await socket.ask("{ helo }")
        assert "Did you mean" not in error["payload"][0]["message"]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["{"], 4400),
        (["null"], 4400),
        (["[]"], 4400),
        (["1"], 4400),
        (["{}"], 4400),
        (['{"type": 1}'], 4400),
        (['{"type": "start"}'], 4400),
        (["[" * 10_000], 4400),
        ([b"{}"], 4400),
        (['{"type": "connection_init", "payload": []}'], 4400),
        (['{"type": "connection_init", "payload": {"token": "wrong"}}'], 4403),
        (['{"type": "connection_init", "payload": {"token": 1}}'], 4403),
        (['{"type": "connection_init", "payload": {"Authorization": "viewer"}}'], 4403),
        (['{"type": "connection_init"}', '{"type": "connection_init"}'], 4429),
        (['{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }"}}'], 4401),
        (['{"type": "connection_init"}', '{"type": "subscribe", "payload": {"query": "{ hello }"}}'], 4400),
        (['{"type": "connection_init"}', '{"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}}'], 4400),
        (['{"type": "connection_init"}', '{"type": "subscribe", "id": "1", "payload": null}'], 4400),
        (['{"type": "connection_init"}', '{"type": "subscribe", "id": "1", "payload": {"query": 1}}'], 4400),
        (['{"type": "connection_init"}', '{"type": "complete"}'], 4400),
        (['{"type": "ping", "payload": "' + "x" * 65_536 + '"}'], 1009),
        (['{"type": "ping", "payload": "' + "ü" * 40_000 + '"}'], 1009),
    ],
)
async def test_a_breach_of_the_protocol_closes_the_socket(messages: list[str | bytes], code: int) -> None:
    async with serving(endpoint := make_endpoint()) as host:
        async with opened(host) as socket:
            for message in messages:
                await socket.connection.send(message)
            assert (await socket.closed())[0] == code
        await endpoint.sessions.shutdown()
        assert endpoint.sessions.count() == 0


async def test_an_id_in_use_is_not_taken_twice_but_again_after_its_end() -> None:
    async with ready(make_endpoint()) as socket:
        for _ in range(2):
            assert len(await socket.ask("{ hello }")) == 2
        id_ = "ü" * 200
        await socket.subscribe(id_, "{ wait }")
        await socket.subscribe(id_, "{ wait }")
        code, reason = await socket.closed()
        assert code == 4409
        assert reason.startswith("Subscriber for üü")


async def test_another_subprotocol_is_not_acceptable() -> None:
    async with serving(make_endpoint()) as host:
        async with opened(host, "graphql-ws", "graphql-transport-ws") as socket:
            assert socket.connection.subprotocol == "graphql-transport-ws"
        async with connect(f"ws://{host}/graphql") as connection:
            assert (await Socket(connection).closed())[0] == 4406


async def test_a_socket_that_says_nothing_is_closed() -> None:
    async with serving(make_endpoint(init_seconds=0.05)) as host, opened(host) as socket:
        assert await socket.closed() == (4408, "Connection initialisation timeout")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "https://app.example:444"])
async def test_pages_of_other_origins_may_not_connect(origin: str) -> None:
    endpoint = make_endpoint(allowed_origins=frozenset({"https://app.example"}))
    async with serving(endpoint) as host:
        with pytest.raises(InvalidStatus) as caught:
            async with opened(host, origin=origin):
                pass
        assert caught.value.response.status_code == 403


async def test_pages_of_the_same_or_an_allowed_origin_may_connect() -> None:
    endpoint = make_endpoint(allowed_origins=frozenset({"https://app.example"}))
    async with serving(endpoint) as host:
        for origin in (f"http://{host}", "https://app.example"):
            async with opened(host, origin=origin) as socket:
                await socket.send(INIT)
                assert await socket.receive() == {"type": "connection_ack"}
