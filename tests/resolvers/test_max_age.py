"""An older answer, for those who accept one: true of the moment it names, no older than accepted, nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from resolvers.analysis.filters import NameIs
from resolvers.analysis.funnels import Entry, FunnelDefinition, Step
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Principal, Services
from resolvers.funnels import funnel
from resolvers.live.cache import Cache
from resolvers.metrics import metrics
from resolvers.revenue import revenue
from resolvers.store.database import Database
from tests.factories import event, new_principal, purchase, running_services, store

LAST_DAYS = Question(PeriodRequest(last="30d"))
MINUTE = timedelta(minutes=1)
FUNNEL = FunnelDefinition(
    (Step("view", NameIs(("page_view",))), Step("buy", NameIs(("purchase",)))), timedelta(days=1), Entry.FIRST
)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 10, 23, 58, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def services(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    async with running_services(database_url, Cache(size=20, weight=2_000), now=clock) as services:
        yield services


def accepting(age: timedelta | None) -> Question:
    return replace(LAST_DAYS, max_age=age)


async def test_an_answer_is_taken_until_it_is_older_than_accepted(context: Context, clock: Clock) -> None:
    began = clock.now
    assert (await revenue(context, accepting(2 * MINUTE))).orders == 0
    await store(context, purchase("1"))
    clock.now += MINUTE
    for _ in range(2):
        older = await revenue(context, accepting(2 * MINUTE))
        assert (older.orders, older.as_of) == (0, began)
    assert (await revenue(context, accepting(MINUTE - timedelta(seconds=1)))).orders == 1
    await store(context, purchase("1"))
    clock.now += MINUTE
    older = await revenue(context, accepting(2 * MINUTE))
    assert (older.orders, older.as_of) == (1, began + MINUTE)
    clock.now += MINUTE + timedelta(microseconds=1)
    present = await revenue(context, accepting(2 * MINUTE))
    assert (present.orders, present.as_of) == (2, clock.now)


async def test_it_is_the_answer_of_its_moment_period_included(context: Context, clock: Clock) -> None:
    first = await revenue(context, LAST_DAYS)
    # Past midnight the last 30 days are others.
    clock.now += 10 * MINUTE
    assert await revenue(context, accepting(timedelta(hours=1))) == first
    present = await revenue(context, LAST_DAYS)
    assert present.period.end == first.period.end + timedelta(days=1)


async def test_without_it_nothing_is_older_than_the_log(context: Context) -> None:
    for orders in range(3):
        assert (await revenue(context, LAST_DAYS)).orders == orders
        await store(context, purchase("1"))
        assert (await revenue(context, accepting(timedelta(days=1)))).orders == orders


async def test_it_holds_of_every_analysis(context: Context, clock: Clock) -> None:
    old, now = accepting(timedelta(hours=1)), clock.now
    await store(context, event())
    for _ in range(2):
        (events,) = await metrics(context, ["events"], old)
        assert (events.estimate.value, events.estimate.as_of) == (1, now)
        walked = await funnel(context, FUNNEL, old)
        assert ([step.count for step in walked.steps], walked.as_of) == ([1, 0], now)
        clock.now += MINUTE
        await store(context, purchase("1", occurredAt=now))


async def test_each_question_and_each_tenant_has_its_own(
    context: Context, owner: Database, principal: Principal
) -> None:
    old = accepting(timedelta(days=1))
    await store(context, purchase("1"))
    assert (await revenue(context, old)).orders == 1
    for currency, timezone in ((principal.currency, principal.timezone), ("EUR", "Asia/Tokyo")):
        stranger = await new_principal(owner, currency=currency, timezone=timezone)
        assert (await revenue(Context(context.services, stranger), old)).orders == 0
    for other in (replace(old, timezone="Asia/Tokyo"), replace(old, where=NameIs(("x",)))):
        await store(context, purchase("1"))
        assert (await revenue(context, other)).as_of == context.services.now()
        assert (await revenue(context, other)).orders == (0 if other.where == NameIs(("x",)) else 2)


async def test_any_number_of_questions_takes_bounded_room(context: Context) -> None:
    for number in range(60):
        await revenue(context, replace(accepting(timedelta(days=1)), where=NameIs((f"name {number}",))))
        assert len(context.services.cache.entries) <= 20


async def test_many_who_accept_the_same_cost_one_computation(context: Context) -> None:
    asked = [revenue(Context(context.services, context.principal), accepting(MINUTE)) for _ in range(20)]
    assert len({answer.as_of for answer in await asyncio.gather(*asked)}) == 1
    assert context.services.cache.misses == 1
