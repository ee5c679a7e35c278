"""Live questions: one computation for all who watch the same, and nothing of it left once they are gone."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson
import pytest
import strawberry

from gateway.answers import Answer, result
from gateway.endpoint import Endpoint
from gateway.fanout import LiveQuestions
from gateway.operations import Operations
from gateway.parameters import Parameters
from resolvers.context import Principal, Role
from resolvers.errors import BadInput
from schema import schema
from schema.live import STATE
from tests.gateway.graphql_clients import INIT, opened
from tests.gateway.graphql_world import Record, World, make_endpoint, serving

VIEWER = Principal(1, "acme", "USD", "UTC", 1, Role.VIEWER)


class Level:
    """What is watched: a number that changes, and how often it was looked at."""

    def __init__(self) -> None:
        self.value = 0
        self.broken = False
        self.changed = asyncio.Condition()
        self.begun: Counter[str] = Counter()
        self.open: Counter[str] = Counter()
        self.heard = asyncio.Event()
        self.heard.set()

    async def set(self, value: int, *, broken: bool = False) -> None:
        async with self.changed:
            self.value, self.broken = value, broken
            self.changed.notify_all()

    async def values(self, name: str) -> AsyncGenerator[int]:
        self.begun[name] += 1
        self.open[name] += 1
        try:
            last = self.value
            yield last
            while True:
                async with self.changed:
                    while self.value == last and not self.broken:
                        await self.changed.wait()
                await self.heard.wait()
                if self.broken:
                    raise BadInput("No more.")
                last = self.value
                yield last
        finally:
            self.open[name] -= 1


@strawberry.type
class Query:
    @strawberry.field
    def hello(self) -> str:
        return "hello"


@strawberry.type
class Subscription:
    @strawberry.subscription(metadata={STATE: True})
    async def level(self, info: strawberry.Info[Any, None], of: int = 0, by: str = "") -> AsyncIterator[int]:
        async with aclosing(info.context.values("level")) as values:
            async for value in values:
                yield value

    @strawberry.subscription
    async def news(self, info: strawberry.Info[Any, None]) -> AsyncIterator[int]:
        async with aclosing(info.context.values("news")) as values:
            async for value in values:
                yield value


SCHEMA = strawberry.Schema(query=Query, subscription=Subscription)
LEVEL = "subscription Level($of: Int, $by: String) {level(of: $of, by: $by)}"


class Watched:
    """An endpoint over a level."""

    def __init__(self, **limits: Any) -> None:
        self.world = World()
        self.level = Level()
        self.record = Record()
        changes = {"schema": SCHEMA, "context": lambda principal: self.level, "observer": self.record}
        self.endpoint: Endpoint = replace(make_endpoint(self.world, **limits), **changes)
        self.operations = Operations(self.endpoint)

    def watch(
        self, query: str = LEVEL, principal: Principal = VIEWER, **variables: Any
    ) -> AsyncGenerator[Answer, None]:
        operation = self.operations.match(Parameters(query, None, variables), principal)
        return self.operations.stream(operation)


async def value(answers: AsyncGenerator[Answer, None]) -> Any:
    async with asyncio.timeout(10):
        return orjson.loads((await anext(answers)).body)["data"]


async def test_watchers_of_one_question_share_its_computation_and_its_bytes() -> None:
    watched = Watched()
    first, second = watched.watch(of=1, by="x"), watched.watch(by="x", of=1, unknown=1)
    async with aclosing(first), aclosing(second):
        assert await value(first) == {"level": 0}
        assert await value(second) == {"level": 0}
        await watched.level.set(1)
        assert await anext(first) is await anext(second)
        assert watched.level.open == {"level": 1}
        assert len(watched.operations.live) == 1
        assert watched.record.open_subscriptions == 2
        await first.aclose()
        await watched.level.set(2)
        assert await value(second) == {"level": 2}
    assert len(watched.operations.live) == 0
    assert watched.level.open == {"level": 0}
    assert watched.record.open_subscriptions == 0
    assert watched.endpoint.sessions.tasks == 0


@pytest.mark.parametrize(
    ("query", "principal", "variables", "computations"),
    [
        (LEVEL, VIEWER, {"of": 1}, 1),
        (LEVEL, replace(VIEWER, key_id=9), {"of": 1}, 1),
        (LEVEL, VIEWER, {"of": 2}, 2),
        (LEVEL, VIEWER, {"of": 1, "by": ""}, 2),
        (LEVEL.replace("Level", "Other"), VIEWER, {"of": 1}, 2),
        (LEVEL, replace(VIEWER, role=Role.ADMIN), {"of": 1}, 2),
        (LEVEL, replace(VIEWER, tenant_id=2, tenant="other"), {"of": 1}, 2),
        (LEVEL, replace(VIEWER, timezone="Europe/Berlin"), {"of": 1}, 2),
    ],
)
async def test_only_the_same_question_is_shared(
    query: str, principal: Principal, variables: dict[str, Any], computations: int
) -> None:
    watched = Watched()
    async with aclosing(watched.watch(of=1)) as first, aclosing(watched.watch(query, principal, **variables)) as other:
        await value(first)
        await value(other)
        assert len(watched.operations.live) == watched.level.open["level"] == computations


async def test_what_sends_news_is_not_shared() -> None:
    watched = Watched()
    query = "subscription {... on Subscription {...N}} fragment N on Subscription {news}"
    async with aclosing(watched.watch(query)) as first, aclosing(watched.watch(query)) as second:
        await value(first)
        await value(second)
        assert watched.level.open == {"news": 2}
        for number in (1, 2):
            await watched.level.set(number)
            assert await value(first) == await value(second) == {"news": number}
    assert watched.level.open == {"news": 0}


async def test_who_reads_slowly_gets_the_latest_only() -> None:
    watched = Watched()
    async with aclosing(watched.watch()) as quick, aclosing(watched.watch()) as slow:
        await value(quick)
        await value(slow)
        for number in range(1, 5):
            await watched.level.set(number)
            assert await value(quick) == {"level": number}
        assert await value(slow) == {"level": 4}


async def test_who_comes_later_is_told_what_is_true_by_then() -> None:
    watched = Watched()
    async with aclosing(watched.watch()) as first, aclosing(watched.watch()) as late:
        await value(first)
        # The others' computation has not got round to it yet.
        watched.level.heard.clear()
        await watched.level.set(1)
        assert await value(late) == {"level": 1}
        watched.level.heard.set()
        assert await value(first) == {"level": 1}
        await watched.level.set(2)
        # Not told again what it knows.
        assert await value(late) == {"level": 2}


async def test_many_who_come_together_are_told_together() -> None:
    watched = Watched()
    async with aclosing(watched.watch()) as first:
        await value(first)
        late = [watched.watch() for _ in range(100)]
        assert await asyncio.gather(*map(value, late)) == [{"level": 0}] * 100
        assert watched.level.begun["level"] <= 4
        await asyncio.gather(*(answers.aclose() for answers in late))
        assert watched.level.open == {"level": 1}


async def test_an_error_ends_it_for_all_and_who_comes_then_begins_anew() -> None:
    watched = Watched()
    async with aclosing(watched.watch()) as first, aclosing(watched.watch()) as second:
        await value(first)
        await value(second)
        await watched.level.set(1, broken=True)
        for answers in (first, second):
            async with asyncio.timeout(10):
                (last,) = [answer async for answer in answers]
            assert (last.code, last.executed) == ("BAD_USER_INPUT", False)
        await watched.level.set(2)
        async with aclosing(watched.watch()) as third:
            assert await value(third) == {"level": 2}
            assert len(watched.operations.live) == 1
    assert len(watched.operations.live) == 0


@pytest.mark.parametrize("limits", [{"subscriptions_per_tenant": 1}, {"questions_per_tenant": 1}])
async def test_a_tenant_may_watch_so_much_at_a_time(limits: dict[str, int]) -> None:
    watched = Watched(**limits)
    for _ in range(2):
        async with aclosing(watched.watch(of=1)) as first, aclosing(watched.watch(of=2)) as second:
            await value(first)
            assert (await anext(second)).code == "OVERLOADED"
            other = watched.watch(of=2, principal=replace(VIEWER, tenant_id=2))
            assert await value(other) == {"level": 0}
            await other.aclose()


@pytest.mark.usefixtures("either_server")
async def test_a_watcher_whose_key_is_revoked_leaves_and_the_others_stay() -> None:
    watched = Watched()
    watched.world.keys["colleague"] = replace(VIEWER, key_id=9)
    watched.world.keys["viewer"] = VIEWER
    async with serving(watched.endpoint) as host, opened(host) as revoked, opened(host) as other:
        for socket, key in ((revoked, "colleague"), (other, "viewer")):
            await socket.send({**INIT, "payload": {"Authorization": f"Bearer {key}"}})
            await socket.receive()
            await socket.subscribe('"odd" id', LEVEL)
            assert await socket.receive() == {"id": '"odd" id', "type": "next", "payload": {"data": {"level": 0}}}
        assert watched.level.open == {"level": 1}
        assert watched.endpoint.sessions.revoke(9) == 1
        assert await revoked.closed() == (4403, "Forbidden")
        await watched.level.set(1)
        assert (await other.receive())["payload"] == {"data": {"level": 1}}


@pytest.mark.usefixtures("either_server")
async def test_a_watcher_may_complete_while_nothing_comes_and_watch_again() -> None:
    watched = Watched()
    watched.world.keys["viewer"] = VIEWER
    async with serving(watched.endpoint) as host, opened(host) as socket:
        await socket.send(INIT)
        await socket.receive()
        for number in range(3):
            await watched.level.set(number)
            await socket.subscribe("1", LEVEL)
            assert (await socket.receive())["payload"] == {"data": {"level": number}}
            await socket.send({"id": "1", "type": "complete"})
            await socket.send({"type": "ping"})
            assert await socket.receive() == {"type": "pong"}
            async with asyncio.timeout(10):
                while watched.record.open_subscriptions:  # noqa: ASYNC110  # nothing tells of it
                    await asyncio.sleep(0)
            assert watched.level.open == {"level": 0}


class Listening:
    """A watcher without a task."""

    def __init__(self, *, takes: bool) -> None:
        self.takes = takes
        self.passed: list[Answer] = []
        self.woken = 0

    def pass_on(self, answer: Answer) -> bool:
        if self.takes:
            self.passed.append(answer)
        return self.takes

    def wake(self) -> None:
        self.woken += 1


async def test_who_rests_is_passed_answers_or_woken_for_the_latest() -> None:
    watched, quick, slow = Watched(), Listening(takes=True), Listening(takes=False)
    operation = watched.operations.match(Parameters(LEVEL, None, {}), VIEWER)
    watching = [watched.operations.watch(operation, listener) for listener in (quick, slow)]
    for each in watching:
        # The first answer is sought, not waited for.
        assert (await each.take()).body == b'{"data":{"level":0}}'
        assert each.rest()
    async with aclosing(watched.watch()) as other:
        await value(other)
        for number in (1, 2):
            await watched.level.set(number)
            assert await value(other) == {"level": number}
    assert [answer.body for answer in quick.passed] == [b'{"data":{"level":%d}}' % number for number in (1, 2)]
    assert (quick.woken, slow.woken) == (0, 1)
    assert not watching[1].rest()
    assert (await watching[1].take()).body == b'{"data":{"level":2}}'
    assert watching[1].rest()
    await watched.level.set(3, broken=True)
    for each, listener in zip(watching, (quick, slow), strict=True):
        async with asyncio.timeout(10):
            while each.rests:  # noqa: ASYNC110  # nothing else tells of it
                await asyncio.sleep(0)
        assert not (await each.take()).executed
        assert await each.take() is None
        assert listener.woken
        await each.close()
    assert len(watched.operations.live) == 0
    assert watched.record.open_subscriptions == 0


def test_every_analysis_is_shared_and_what_happens_is_not() -> None:
    root = schema._schema.subscription_type
    assert root is not None
    marked = {
        name for name, field in root.fields.items() if field.extensions["strawberry-definition"].metadata.get(STATE)
    }
    assert marked == set(root.fields) - {"events", "flagChanges", "experimentChanges"}


async def test_who_came_late_to_what_ended_meanwhile_has_the_present_answer_and_the_end() -> None:
    endpoint, over = Watched().endpoint, asyncio.Event()
    live, answer = LiveQuestions(endpoint.sessions, endpoint.limits), result({"level": 1}, None, None, suggestions=True)

    async def source() -> AsyncGenerator[Answer, None]:
        yield answer
        await over.wait()

    first = live.watch(1, "level", source)
    async with asyncio.timeout(10):
        assert await first.take() is answer
        late = live.watch(1, "level", source)
        over.set()
        assert await first.take() is None
        assert await late.take() is answer
        assert await late.take() is None
        await first.leave()
        await late.leave()
    assert len(live) == 0
