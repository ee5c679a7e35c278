import asyncio
import gzip
import json
import random
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2
import orjson
import pytest
from starlette.applications import Starlette

from gateway.ingest import ingest_route
from gateway.ingest_body import MIB, BodyLimits
from resolvers.analysis.events import Conflict, Receipt, Rejection
from resolvers.analysis.intake import Refusal, validate
from resolvers.context import Principal, Role
from resolvers.errors import BadInput, GatewayError, Overloaded, Unauthenticated, Unavailable

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}
VIEW = {"kind": "PRODUCT", "name": "view", "subject": "ada"}


async def authenticate(token: str | None, address: str = "") -> Principal | None:
    if token is None:
        return None
    if token not in ("writer", "viewer"):
        raise Unauthenticated("This key is unknown.")
    role = Role.VIEWER if token == "viewer" else Role.INGEST
    return Principal(tenant_id=1, tenant="acme", currency="USD", timezone="UTC", key_id=1, role=role)


class Log:
    """Takes items as the gateway's own log does, in memory."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.calls = 0
        self.failure: Exception | None = None

    async def ingest(self, principal: Principal, items: Sequence[Mapping[str, Any]]) -> Receipt:
        assert principal.role is Role.INGEST
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        accepted = duplicates = 0
        conflicts, rejected = [], []
        for index, item in enumerate(items):
            event = validate(item, now=NOW, new_id=lambda at: f"made-{len(self.contents)}")
            if isinstance(event, Refusal):
                rejected.append(Rejection(index, event.field, event.message))
            elif event.id not in self.contents:
                self.contents[event.id] = event.content
                accepted += 1
            elif self.contents[event.id] == event.content:
                duplicates += 1
            else:
                conflicts.append(Conflict(index, event.id, NOW, NOW))
        return Receipt(accepted, duplicates, tuple(conflicts), tuple(rejected))


class Door:
    """The endpoint as a client sees it."""

    def __init__(self, limits: BodyLimits | None = None) -> None:
        self.log = Log()
        self.app = Starlette(routes=[ingest_route(authenticate, self.log.ingest, limits=limits)])

    async def send(
        self, content: bytes | AsyncIterator[bytes], headers: Mapping[str, str] = NDJSON, key: str | None = "writer"
    ) -> httpx2.Response:
        given = dict(headers) if key is None else {"authorization": f"Bearer {key}", **headers}
        transport = httpx2.ASGITransport(self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.post("/ingest", content=content, headers=given)

    async def refused(self, content: bytes | AsyncIterator[bytes], **options: Any) -> tuple[int, str]:
        response = await self.send(content, **options)
        error = response.json()["error"]
        assert error["message"]
        assert response.headers["content-type"] == "application/json"
        assert not self.log.contents
        return response.status_code, error["code"]


@pytest.fixture
def door() -> Door:
    return Door()


def lines(*items: Any) -> bytes:
    return b"\n".join(item if isinstance(item, bytes) else orjson.dumps(item) for item in items)


async def test_good_lines_are_stored_and_bad_ones_named_by_their_index(door: Door) -> None:
    await door.send(lines({**VIEW, "id": "a"}, {**VIEW, "id": "b"}))
    response = await door.send(
        lines(
            b"{bad",
            {**VIEW, "id": "a"},
            b"",
            b"[1]",
            {**VIEW, "id": "b", "session": "s"},
            b"  ",
            {**VIEW, "subject": ""},
            b"\xff\xfe",
            {**VIEW, "id": "c"},
            b"null\r",
        )
        + b"\n"
    )
    assert response.status_code == 200
    answer = response.json()
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    assert answer["conflicts"] == [
        {
            "index": 3,
            "id": "b",
            "message": "Another event has this id; it stands unchanged.",
            "firstOccurredAt": "2026-06-01T00:00:00Z",
            "firstReceivedAt": "2026-06-01T00:00:00Z",
        }
    ]
    assert [(item["index"], item["field"]) for item in answer["rejected"]] == [
        (0, "event"),
        (2, "event"),
        (4, "subject"),
        (5, "event"),
        (7, "event"),
    ]
    assert all(item["message"] for item in answer["rejected"])
    assert set(door.log.contents) == {"a", "b", "c"}


async def test_documents(door: Door) -> None:
    answer = (await door.send(lines([VIEW, 5, {}]), JSON)).json()
    assert answer["accepted"] == 1
    assert [(item["index"], item["field"]) for item in answer["rejected"]] == [(1, "event"), (2, "kind")]
    utf8 = {"content-type": 'Application/JSON; charset="UTF-8"'}
    assert (await door.send(lines(VIEW), utf8)).json()["accepted"] == 1
    assert (await door.send(b"7", JSON)).json()["rejected"][0]["index"] == 0


async def test_nothing_sent_is_nothing_stored(door: Door) -> None:
    for content, headers in ((b"", NDJSON), (b"\n\n", NDJSON), (b"[]", JSON)):
        response = await door.send(content, headers)
        assert response.json() == {"accepted": 0, "duplicates": 0, "conflicts": [], "rejected": []}
    assert door.log.calls == 0


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_packed_and_in_pieces(door: Door, size: int) -> None:
    content = lines(*[{**VIEW, "id": str(number)} for number in range(100)])
    half = len(content) // 2
    packed = gzip.compress(content[:half]) + gzip.compress(content[half:])

    async def pieces(content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    assert (await door.send(pieces(packed), {**NDJSON, "content-encoding": "gzip"})).json()["accepted"] == 100
    assert (await door.send(pieces(content))).json()["duplicates"] == 100


@pytest.mark.parametrize(("key", "status", "code"), [(None, 401, "UNAUTHENTICATED"), ("x", 401, "UNAUTHENTICATED")])
async def test_no_key(door: Door, key: str | None, status: int, code: str) -> None:
    assert await door.refused(lines(VIEW), key=key) == (status, code)
    response = await door.send(lines(VIEW), {**NDJSON, "authorization": "Basic writer"}, key=None)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_viewer_writes_nothing(door: Door) -> None:
    assert await door.refused(lines(VIEW), key="viewer") == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {**NDJSON, "content-encoding": "br"},
        {**NDJSON, "content-encoding": "gzip, gzip"},
    ],
)
async def test_other_forms_are_refused(door: Door, headers: dict[str, str]) -> None:
    assert await door.refused(lines(VIEW), headers=headers) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[1,]", b"NaN", b"[" * 100_000, b"9" * 5000, b"[1][2]"], ids=lambda body: body[:9]
)
async def test_a_broken_document(door: Door, content: bytes) -> None:
    assert await door.refused(content, headers=JSON) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(lines(VIEW), mtime=0)[:-9], gzip.compress(lines(VIEW), mtime=0) + b"trailing"],
)
async def test_broken_gzip(door: Door, content: bytes) -> None:
    assert await door.refused(content, headers={**NDJSON, "content-encoding": "gzip"}) == (400, "BAD_USER_INPUT")


def bomb(expanded: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(b" " * MIB) for _ in range(expanded // MIB)]) + packer.flush()


async def test_gzip_bombs(door: Door) -> None:
    packed = {"content-encoding": "gzip"}
    for headers in (NDJSON, JSON):
        assert await door.refused(bomb(80 * MIB), headers=headers | packed) == (413, "PAYLOAD_TOO_LARGE")


async def test_sizes() -> None:
    noise = random.Random(1).randbytes(3000)
    door = Door(BodyLimits(packed=2000, expanded=20_000, document=5000, line=1000))

    async def undeclared() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 1000

    too_large = (413, "PAYLOAD_TOO_LARGE")
    assert await door.refused(b" " * 20_001) == too_large
    assert await door.refused(undeclared()) == too_large
    assert await door.refused(gzip.compress(noise), headers={**NDJSON, "content-encoding": "gzip"}) == too_large
    assert await door.refused(b" " * 5001, headers=JSON) == too_large
    assert (await door.send(b" " * 20_001)).headers["connection"] == "close"


@pytest.mark.parametrize("size", [10, 1001, 50_000])
async def test_a_line_too_long_spoils_itself_alone(size: int) -> None:
    door = Door(BodyLimits(line=1000))
    long = {**VIEW, "properties": {"x": "x" * 5000}}
    content = lines(VIEW, long, VIEW, long)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    answer = (await door.send(pieces())).json()
    assert answer["accepted"] == 2
    assert [item["index"] for item in answer["rejected"]] == [1, 3]


@pytest.mark.parametrize("form", ["lines", "document"])
async def test_at_most_so_many_items(form: str) -> None:
    door = Door(BodyLimits(items=3))
    items = [VIEW, 1, VIEW, VIEW]
    content, headers = (lines(*items), NDJSON) if form == "lines" else (lines(items), JSON)
    assert await door.refused(content, headers=headers) == (413, "PAYLOAD_TOO_LARGE")
    assert door.log.calls == 0
    content = lines(*items[:3]) if form == "lines" else lines(items[:3])
    assert (await door.send(content, headers)).json()["accepted"] == 2


async def test_what_would_fill_the_memory_is_refused() -> None:
    door = Door(BodyLimits(weight=100_000))
    heavy = b"[" + b"[]," * 2000 + b"[]]"
    assert await door.refused(heavy, headers=JSON) == (413, "PAYLOAD_TOO_LARGE")
    assert await door.refused(heavy) == (413, "PAYLOAD_TOO_LARGE")


async def test_requests_share_the_memory_and_give_it_back() -> None:
    door = Door(BodyLimits(all_weight=2000))
    arrived, leave = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield lines({**VIEW, "session": "x" * 150}, b"")
        arrived.set()
        await leave.wait()

    async with asyncio.TaskGroup() as group:
        first = group.create_task(door.send(held()))
        await arrived.wait()
        response = await door.send(lines({**VIEW, "properties": {"x": "x" * 1500}}))
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json()["error"]["code"] == "OVERLOADED"
        leave.set()
    assert first.result().json()["accepted"] == 1
    for _ in range(10):
        assert (await door.send(lines({**VIEW, "properties": {"x": "x" * 1500}}))).status_code == 200


class RateLimited(GatewayError):
    code = "RATE_LIMITED"


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        (Overloaded("The gateway is full.", retry_after=0.2), 503, "1"),
        (Unavailable("The database is away.", retry_after=4.5), 503, "5"),
        (RateLimited("Too fast.", retry_after=2), 429, "2"),
        (BadInput("No.", field="events"), 400, None),
        (GatewayError("Something."), 500, None),
    ],
)
async def test_failures_say_when_to_come_back(
    door: Door, failure: GatewayError, status: int, retry_after: str | None
) -> None:
    door.log.failure = failure
    response = await door.send(lines(VIEW))
    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    error = {"code": failure.code, "message": failure.message, "field": failure.field}
    error["retryAfter"] = failure.retry_after
    assert response.json() == {"error": {name: value for name, value in error.items() if value is not None}}


def scope(**headers: str) -> dict[str, Any]:
    given = {"authorization": "Bearer writer", "content-type": "application/x-ndjson", **headers}
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/ingest",
        "raw_path": b"/ingest",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }


class Answer:
    """What the application sends back."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""

    async def send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")


def messages(*given: dict[str, Any]) -> Callable[[], Any]:
    left = list(given)

    async def receive() -> dict[str, Any]:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    return receive


@pytest.mark.parametrize("limits", [BodyLimits(between_chunks=0.01), BodyLimits(whole=0.01)])
async def test_a_body_that_does_not_come_is_not_waited_for(limits: BodyLimits) -> None:
    door, answer = Door(limits), Answer()
    receive = messages({"type": "http.request", "body": lines(VIEW), "more_body": True})
    await door.app(scope(), receive, answer.send)
    assert answer.status == 408
    assert json.loads(answer.body)["error"]["code"] == "TIMEOUT"
    assert not door.log.contents


async def test_a_client_that_leaves_half_way_stores_nothing(door: Door) -> None:
    receive = messages(
        {"type": "http.request", "body": lines(VIEW, b""), "more_body": True}, {"type": "http.disconnect"}
    )
    await door.app(scope(), receive, Answer().send)
    assert door.log.calls == 0


async def test_a_write_outlives_its_request() -> None:
    begun, finish, stored = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def ingest(principal: Principal, items: Sequence[Mapping[str, Any]]) -> Receipt:
        begun.set()
        await finish.wait()
        stored.set()
        return Receipt(accepted=len(items))

    app = Starlette(routes=[ingest_route(authenticate, ingest)])
    receive = messages({"type": "http.request", "body": lines(VIEW), "more_body": False})
    answer = Answer()
    request = asyncio.create_task(app(scope(), receive, answer.send))
    await begun.wait()
    request.cancel()
    await request
    assert answer.status == 503
    assert b"send them again" in answer.body
    finish.set()
    await asyncio.wait_for(stored.wait(), 5)


async def test_blank_lines_are_no_items(door: Door) -> None:
    content = gzip.compress(b"\n \n\r\n" * 500_000 + lines(VIEW) + b"\n \n" * 500_000)
    response = await door.send(content, headers={**NDJSON, "content-encoding": "gzip"})
    assert response.json()["accepted"] == 1


async def test_gzip_in_too_many_members(door: Door) -> None:
    packed = {**NDJSON, "content-encoding": "gzip"}
    assert (await door.send(gzip.compress(b"") * 900 + gzip.compress(lines(VIEW)), headers=packed)).status_code == 200
    door.log.contents.clear()
    assert await door.refused(gzip.compress(b"") * 1_100, headers=packed) == (413, "PAYLOAD_TOO_LARGE")


async def test_what_is_too_large_is_read_to_its_end() -> None:
    door, answer = Door(BodyLimits(expanded=10)), Answer()
    pieces = [{"type": "http.request", "body": b" " * 20, "more_body": more} for more in (True, True, False)]
    receive = messages(*pieces, {"type": "unread"})
    await door.app(scope(), receive, answer.send)
    assert answer.status == 413
    assert (await receive())["type"] == "unread"
