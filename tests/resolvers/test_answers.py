"""Live answers: the present one at once, then each that differs, and no more often than asked."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from resolvers.analysis.events import Kind
from resolvers.analysis.filters import EVERYTHING, All, Any, KindIs, NameIs, Not
from resolvers.analysis.metrics import MetricAnswer
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.answers import ANYTHING, depends_on, live
from resolvers.context import Context
from resolvers.metrics import kinds, metrics
from resolvers.store.database import Database
from tests.factories import event, new_principal, purchase, store

MARCH = PeriodRequest(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC))
NOW = timedelta(0)


def watched(context: Context, slug: str, every: timedelta = NOW) -> AsyncIterator[tuple[MetricAnswer, ...]]:
    return live(context, kinds([slug]), lambda: metrics(context, [slug], Question(MARCH)), every)


async def value(answers: AsyncIterator[tuple[MetricAnswer, ...]]) -> Decimal | None:
    async with asyncio.timeout(10):
        (answer,) = await anext(answers)
    return answer.estimate.value


async def test_the_present_answer_comes_at_once_then_each_changed_one(context: Context) -> None:
    answers = watched(context, "revenue")
    assert await value(answers) == 0
    for total in (10, 20):
        await store(context, purchase("10"))
        assert await value(answers) == total


async def test_a_change_while_nobody_waits_is_covered_by_the_next_answer(context: Context) -> None:
    answers = watched(context, "events")
    assert await value(answers) == 0
    await store(context, event())
    await store(context, event())
    assert await value(answers) == 2


async def test_what_does_not_change_the_answer_is_not_sent(context: Context, owner: Database) -> None:
    stranger = Context(context.services, await new_principal(owner))
    answers = watched(context, "revenue")
    assert await value(answers) == 0
    following = asyncio.create_task(value(answers))
    await store(context, event())
    await store(context, event(kind="CONVERSION", name="signup"))
    await store(context, purchase("5", occurredAt=datetime(2026, 1, 1, tzinfo=UTC)))
    await store(stranger, purchase("7"))
    await store(context, purchase("11"))
    assert await following == 11


async def test_watchers_of_one_question_cost_one_computation(context: Context) -> None:
    watchers = [watched(context, "events") for _ in range(20)]
    assert {await value(one) for one in watchers} == {0}
    misses = context.services.cache.misses
    waiting = [asyncio.create_task(value(one)) for one in watchers]
    await store(context, event())
    assert set(await asyncio.gather(*waiting)) == {Decimal(1)}
    assert context.services.cache.misses == misses + 1


async def test_leaving_cleans_up(context: Context) -> None:
    before = context.services.bus.listening
    answers = watched(context, "events")
    await value(answers)
    waiting = asyncio.create_task(value(answers))
    await asyncio.sleep(0)
    assert context.services.bus.listening == before + 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert context.services.bus.listening == before


def test_an_answer_depends_on_the_kinds_its_filters_let_through() -> None:
    conversions = KindIs((Kind.CONVERSION,))
    assert depends_on(conversions) == {1}
    assert depends_on(All((conversions, Not(NameIs(("churn",)))))) == {1}
    assert depends_on(Any((conversions, KindIs((Kind.SPEND,))))) == {1, 6}
    assert depends_on(conversions, NameIs(("x",))) == depends_on(EVERYTHING) == ANYTHING
    assert depends_on(Not(conversions)) == ANYTHING
