"""Answers shared by processes: computed by one, had by the others, never a stranger's or one that is true no longer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolvers import sharing as sharing_module
from resolvers.ai_assistance import ai_assistance
from resolvers.ai_budget_status import ai_budget
from resolvers.ai_budgets import set_ai_budget
from resolvers.ai_costs import ai_cost
from resolvers.ai_providers import ai_providers
from resolvers.analysis.ai_assistance import AssistanceDefinition
from resolvers.analysis.ai_budgets import BudgetPeriod
from resolvers.analysis.attribution import AttributionDefinition, Model
from resolvers.analysis.cohorts import CohortBasis
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import EVERYTHING, KindIs
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.funnels import Entry, FunnelDefinition, Step
from resolvers.analysis.periods import Compare, Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import RoiDefinition
from resolvers.attribution import attribution
from resolvers.catalogue import CONVERSIONS
from resolvers.cohorts import cohorts
from resolvers.context import Context, Principal, Services
from resolvers.funnel_correlations import correlations_of_list, funnel_correlations
from resolvers.funnel_subjects import funnel_subjects, subjects_of_list
from resolvers.funnels import funnel, several_funnels
from resolvers.keys import pepper
from resolvers.live.cache import Cache
from resolvers.metrics import catalogue, metrics
from resolvers.recurring_revenue import recurring_revenue
from resolvers.revenue import revenue
from resolvers.roi import roi
from resolvers.sharing import shared_memory, sharing
from resolvers.slo_status import slo, slo_of_list
from resolvers.slos import slos_by_key
from resolvers.store.database import Database
from tests.conftest import fresh_database
from tests.factories import event, new_principal, purchase, running_services, store
from tests.redis_server import RedisServer, eventually
from tests.resolvers.slo_logs import slo as slo_made

MARCH = PeriodRequest(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC))
ATTRIBUTION = AttributionDefinition(
    CONVERSIONS, EVERYTHING, "channel", timedelta(days=30), timedelta(days=7), resamples=20
)
ROI = RoiDefinition(
    CONVERSIONS, KindIs((Kind.TOUCHPOINT,)), Model.LINEAR, timedelta(days=30), timedelta(days=7), resamples=20
)
ASSISTANCE = AssistanceDefinition(CONVERSIONS, KindIs((Kind.AI_INTERACTION,)), timedelta(days=30))
FUNNEL = FunnelDefinition((Step("any", EVERYTHING), Step("next", EVERYTHING)), timedelta(days=1), Entry.FIRST)
FUNNELS = (FUNNEL, replace(FUNNEL, entry=Entry.ANY))
MODEL = {"provider": "openai", "model": "gpt-4o"}
SLUGS = [one.slug for one in catalogue()]


@asynccontextmanager
async def process(redis: RedisServer, owner: Database, **changes: Any) -> AsyncIterator[Services]:
    """The services of one more process on the tests' database and a Redis."""
    memory = await shared_memory(redis.url, owner, await pepper(owner))
    assert memory is not None
    cache = Cache(sharing=sharing(memory))
    memory.start()
    await eventually(memory.up.is_set)
    try:
        async with running_services(owner.url, cache, **changes) as services:
            yield services
    finally:
        await memory.stop()


async def everything(services: Services, principal: Principal) -> list[object]:
    """One answer of every sort, as full as can be."""
    context = Context(services, principal)
    broken_down = Question(MARCH, by=("channel", "persona"), compare=Compare.PREVIOUS_YEAR)
    kept = await slos_by_key(context, ["calls", "slow"])
    found: list[object] = [
        await metrics(context, SLUGS, Question(MARCH)),
        await metrics(Context(services, principal), ["revenue", "events"], broken_down),
        await revenue(context, Question(MARCH)),
        await funnel(context, FUNNEL, broken_down),
        await several_funnels(context, [(one, Question(MARCH)) for one in FUNNELS]),
        await funnel_correlations(context, FUNNEL, Question(MARCH)),
        await asyncio.gather(*(correlations_of_list(context, one, Question(MARCH)) for one in FUNNELS)),
        await funnel_subjects(context, FUNNEL, Question(MARCH), step=0, outcome=Outcome.REACHED),
        await asyncio.gather(
            *(subjects_of_list(context, one, Question(MARCH), step=0, outcome=Outcome.REACHED) for one in FUNNELS)
        ),
        await attribution(context, ATTRIBUTION, Question(MARCH, compare=Compare.PREVIOUS_YEAR)),
        await cohorts(context, CohortBasis.REVENUE, Question(MARCH, granularity=Granularity.WEEK)),
        await recurring_revenue(context, Question(MARCH, by=("plan",), compare=Compare.PREVIOUS_PERIOD)),
        await roi(context, ROI, Question(MARCH, by=("model",), compare=Compare.PREVIOUS_PERIOD)),
        await ai_providers(context, ROI, Question(MARCH, by=("model",))),
        await ai_assistance(context, ASSISTANCE, Question(MARCH, by=("persona",))),
        await ai_cost(context, Question(MARCH)),
        await ai_budget(context, "all", Question(MARCH)),
        await slo(context, "calls", Question(MARCH, by=("model",))),
        await asyncio.gather(*(slo_of_list(context, one, Question(MARCH)) for one in kept.values())),
    ]
    await services.cache.settled()
    return found


async def some_events(context: Context) -> None:
    await set_ai_budget(context, "all", "5", BudgetPeriod.MONTH, EVERYTHING)
    await slo_made(context, cost_per_bad_event="0.1")
    await slo_made(context, "slow", metric="ai_latency_p95", threshold="800")
    await store(
        context,
        event(dimensions={"channel": "mail", "persona": "ann"}),
        purchase("19.99", dimensions={"channel": "mail"}),
        purchase("5", currency="EUR", recurring=True),
        event(
            kind="SUBSCRIPTION",
            name="started",
            subscription="s",
            amount="10",
            interval="MONTH",
            dimensions={"plan": "pro"},
        ),
        event(kind="AI_INTERACTION", name="chat", dimensions=MODEL, durationMs=840.5, success=True, cost="0.0013"),
    )


async def test_what_one_process_computed_the_others_have_to_the_digit(
    redis: RedisServer, owner: Database, principal: Principal
) -> None:
    # What an answer is about moves on with the minute.
    now = datetime.now(UTC)
    async with process(redis, owner, now=lambda: now) as one, process(redis, owner, now=lambda: now) as other:
        await some_events(Context(one, principal))
        computed = await everything(one, principal)
        misses = one.cache.misses
        assert misses
        assert repr(await everything(other, principal)) == repr(computed)
        assert (other.cache.misses, other.cache.shared_hits) == (0, misses)
        await everything(other, principal)
        assert other.cache.hits == misses


async def test_a_commit_by_one_is_in_what_the_others_answer_next(
    redis: RedisServer, owner: Database, principal: Principal
) -> None:
    async with process(redis, owner) as one, process(redis, owner) as other:
        for total in range(1, 20):
            writer, reader = (one, other) if total % 2 else (other, one)
            await store(Context(writer, principal), purchase("1"))
            for services in (reader, writer):
                assert (await revenue(Context(services, principal), Question(MARCH))).total.amount == total
                await services.cache.settled()


async def test_tenants_share_nothing(redis: RedisServer, owner: Database, principal: Principal) -> None:
    stranger = await new_principal(owner)
    async with process(redis, owner) as one, process(redis, owner) as other:
        await some_events(Context(one, principal))
        await some_events(Context(one, stranger))
        await everything(one, principal)
        await everything(other, stranger)
        assert other.cache.shared_hits == 0
        await store(Context(one, stranger), purchase("1"))
        older = Question(MARCH, max_age=timedelta(days=1))
        mine, theirs = [await revenue(Context(other, who), older) for who in (principal, stranger)]
        assert mine.as_of < theirs.as_of
        assert other.cache.shared_hits == 1


async def test_without_redis_everything_is_the_same(redis: RedisServer, owner: Database, principal: Principal) -> None:
    now = datetime.now(UTC)
    async with process(redis, owner, now=lambda: now) as one, process(redis, owner, now=lambda: now) as other:
        await some_events(Context(one, principal))
        before = await everything(one, principal)
        await redis.kill()
        assert await everything(other, principal) == before
        assert other.cache.shared_hits == 0
        await store(Context(one, principal), purchase("1"))
        assert await everything(one, principal) == await everything(other, principal) != before


async def test_an_older_answer_of_another_process_is_taken_where_it_is_accepted(
    redis: RedisServer, owner: Database, principal: Principal
) -> None:
    older = Question(MARCH, max_age=timedelta(hours=5))
    async with process(redis, owner) as one, process(redis, owner) as other:
        first = await revenue(Context(one, principal), Question(MARCH))
        await one.cache.settled()
        await store(Context(one, principal), purchase("1"))
        taken = await revenue(Context(other, principal), older)
        assert (taken.orders, taken.as_of) == (0, first.as_of)
        present = await revenue(Context(other, principal), Question(MARCH))
        assert (present.orders, present.as_of > first.as_of) == (1, True)
        await other.cache.settled()
        # The latest there is, whoever computed it; each process keeps what it had for as long as it is accepted.
        assert (await revenue(Context(other, principal), older)).as_of == present.as_of
        assert (await revenue(Context(one, principal), older)).as_of == first.as_of


async def test_no_process_takes_an_answer_of_another_that_is_too_old(
    redis: RedisServer, owner: Database, principal: Principal
) -> None:
    begun, minute = datetime(2026, 3, 10, 12, tzinfo=UTC), timedelta(minutes=1)
    async with (
        process(redis, owner, now=lambda: begun) as one,
        process(redis, owner, now=lambda: begun + minute) as other,
    ):
        await revenue(Context(one, principal), Question(MARCH))
        await one.cache.settled()
        await store(Context(one, principal), purchase("1"))
        context = Context(other, principal)
        assert (await revenue(context, Question(MARCH, max_age=minute))).as_of == begun
        other.cache.entries._cache.clear()
        younger = await revenue(context, Question(MARCH, max_age=minute - timedelta(seconds=1)))
        assert (younger.orders, younger.as_of) == (1, begun + minute)


async def test_other_code_and_other_databases_share_nothing(
    redis: RedisServer, owner: Database, postgres_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await pepper(owner)
    copied = await fresh_database(postgres_url, "gateway_copy")
    copy = await Database.open(copied, owner=True, pool_size=1)
    async with copy.shared() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("CREATE TABLE installation AS SELECT 'the same'::text AS secret")
    ours, again, theirs = [await shared_memory(redis.url, of, key) for of in (owner, owner, copy)]
    await copy.close()
    monkeypatch.setattr(sharing_module, "_code", lambda: "another version")
    newer = await shared_memory(redis.url, owner, key)
    names = [one._name("1|key") for one in (ours, again, theirs, newer) if one is not None]
    assert names[0] == names[1]
    assert len(set(names)) == 3
