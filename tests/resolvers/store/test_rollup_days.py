"""Rollups of days in memory: always those of the database, and read no more often than they change."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import NameIs
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Principal, Role
from resolvers.errors import GatewayError
from resolvers.events import ingest
from resolvers.exchange_rates import set_exchange_rates
from resolvers.metrics import metrics
from resolvers.store.database import Database
from resolvers.store.folding import fold
from resolvers.store.rollup_days import RollupDays
from resolvers.store.rollup_reading import RollupReader
from resolvers.store.rollups import RollupRepository
from tests.factories import event, purchase, running_services, store
from tests.resolvers.store.test_writer_killed import killed_before
from tests.resolvers.test_metrics import random_events
from tests.resolvers.test_ways import asked, both_ways, same

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = Question(PeriodRequest(start=FIRST, end=FIRST + timedelta(days=31)))
WEEK = Question(PeriodRequest(start=FIRST + timedelta(days=7), end=FIRST + timedelta(days=14)))


async def count(context: Context, question: Question = MARCH, slug: str = "events") -> Any:
    return (await asked(context, slug, question)).estimate.value


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tenants for which a unit of work was begun."""
    found: list[int] = []
    tenant = Database.tenant

    def noting(self: Database, tenant_id: int) -> Any:
        found.append(tenant_id)
        return tenant(self, tenant_id)

    monkeypatch.setattr(Database, "tenant", noting)
    return found


@pytest.mark.parametrize("slug", ["revenue", "conversion_rate", "ai_latency_p95", "refunds", "average_order_value"])
async def test_what_is_remembered_is_what_the_log_says(context: Context, entered: list[int], slug: str) -> None:
    await store(context, *random_events(3))
    await fold(context.services.database, context.require(Role.ADMIN).tenant_id)
    for question in (MARCH, WEEK):
        read = await asked(context, slug, question)
        entered.clear()
        remembered = await asked(context, slug, question)
        assert entered == []
        assert remembered == read or read.explain != remembered.explain
        planned, logged = await both_ways(context, slug, question)
        assert same(planned, logged)


@pytest.mark.parametrize("slug", ["revenue", "average_order_value"])
async def test_what_takes_no_rates_is_remembered_and_what_takes_them_is_converted(
    context: Context, entered: list[int], slug: str
) -> None:
    tenant_id = context.require(Role.ADMIN).tenant_id
    rate = {"date": "2026-03-01", "base": "EUR", "currency": "USD", "rate": "2"}
    await store(context, purchase("6", occurredAt=FIRST + timedelta(days=2)))
    await set_exchange_rates(context, [rate])
    await fold(context.services.database, tenant_id)
    for _ in range(2):
        entered.clear()
        assert await count(context, slug=slug) == 6
    assert entered == []
    await store(context, purchase("5", currency="EUR", occurredAt=FIRST + timedelta(days=3)))
    await fold(context.services.database, tenant_id)
    for _ in range(3):
        assert await count(context, slug=slug) == {"revenue": 16, "average_order_value": 8}[slug]
        assert await count(context) == 2
    await set_exchange_rates(context, [rate | {"rate": "4"}])
    for _ in range(2):
        assert await count(context, slug=slug) == {"revenue": 26, "average_order_value": 13}[slug]
    await set_exchange_rates(context, [rate | {"date": "2026-03-04", "rate": "1"}])
    assert await count(context, slug=slug) == {"revenue": 11, "average_order_value": 5.5}[slug]


BERLIN = Question(
    PeriodRequest(start=FIRST - timedelta(hours=1), end=FIRST + timedelta(days=31, hours=-2)), timezone="Europe/Berlin"
)


@pytest.mark.parametrize("question", [MARCH, BERLIN])
async def test_money_of_days_of_any_zone_is_converted_in_memory(
    context: Context, monkeypatch: pytest.MonkeyPatch, question: Question
) -> None:
    read: list[int] = []
    sums = RollupReader.sums

    async def noting(self: RollupReader, statistics: Any, *rest: Any) -> Any:
        read.append(len(statistics))
        return await sums(self, statistics, *rest)

    monkeypatch.setattr(RollupReader, "sums", noting)
    await store(context, *random_events(3), purchase("5", currency="CHF", occurredAt=FIRST + timedelta(days=3)))
    rates = [{"date": f"2026-03-{day:02}", "base": "CHF", "currency": "USD", "rate": f"{day}"} for day in range(3, 9)]
    await set_exchange_rates(context, [*rates, *(one | {"base": "EUR"} for one in rates)])
    slugs = ["events", "revenue", "ai_latency_p95", "conversions", "ai_cost"]
    together = await metrics(context, slugs, question)
    assert read == []
    assert together[1].unconverted
    for slug, one in zip(slugs, together, strict=True):
        _, logged = await both_ways(context, slug, question)
        assert same(one, logged)


async def test_what_another_process_stores_is_there_at_once(
    context: Context, principal: Principal, database_url: str
) -> None:
    async with running_services(database_url) as services:
        other = Context(services, principal)
        for number in range(1, 4):
            await ingest(other, [event(id=f"e{number}", occurredAt=FIRST + timedelta(days=2 * number))])
            assert await count(context) == await count(other) == number
        # A name that nobody had before.
        named = Question(MARCH.period, where=NameIs(("first_time",)))
        assert [await count(one, named) for one in (context, other, context)] == [0, 0, 0]
        await ingest(other, [event(id="named", name="first_time", occurredAt=FIRST)])
        assert [await count(one, named) for one in (context, other, context)] == [1, 1, 1]


async def test_a_write_killed_before_any_of_its_statements_is_there_whole_or_not_at_all(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0
    for number in itertools.count(1):
        days = (FIRST + timedelta(days=(number + place) % 9) for place in range(3))
        made = [event(id=f"{number}-{place}", occurredAt=at) for place, at in enumerate(days)]
        with killed_before(number, monkeypatch) as calls:
            try:
                await ingest(context, made)
            except GatewayError:
                failures += 1
        planned, logged = await both_ways(context, "events", MARCH)
        assert same(planned, logged)
        if len(calls) < number:
            break
    assert failures > 5


async def test_a_day_made_anew_is_read_anew(context: Context, principal: Principal) -> None:
    await store(context, *(event(id=f"e{n}", occurredAt=FIRST + timedelta(days=n % 3)) for n in range(9)))
    assert await count(context) == 9
    async with context.services.database.tenant(principal.tenant_id) as session:
        connection = await session.connection()
        await connection.execute(text("UPDATE rollup SET n = n + 1 WHERE grain = 1 AND dimension = 0"))
        await connection.execute(text("UPDATE rollup_day SET edition = edition + 1"))
    assert await count(Context(context.services, principal), WEEK) == 0
    async with context.services.database.tenant(principal.tenant_id) as session:
        for n in range(3):
            await RollupRepository(session).rebuild(principal.tenant_id, FIRST + timedelta(days=n))
    assert await count(context) == 9


async def test_a_day_that_is_gone_is_forgotten(context: Context, principal: Principal) -> None:
    await store(context, *(event(id=f"e{n}", occurredAt=FIRST + timedelta(days=n)) for n in range(4)))
    assert await count(context) == 4
    async with context.services.database.tenant(principal.tenant_id) as session:
        connection = await session.connection()
        await connection.execute(text("DELETE FROM rollup WHERE at < '2026-03-03'"))
        await connection.execute(text("DELETE FROM rollup_day WHERE day < '2026-03-03'"))
    # Seen with the next commit.
    await store(context, event(id="later", occurredAt=FIRST + timedelta(days=9)))
    assert await count(context) == 3


async def test_a_day_without_an_edition_is_told_and_mended(context: Context, principal: Principal) -> None:
    await store(context, event(occurredAt=FIRST))
    async with context.services.database.tenant(principal.tenant_id) as session:
        await (await session.connection()).execute(text("DELETE FROM rollup_day"))
        rollups = RollupRepository(session)
        found, wrong = await rollups.verify(principal.tenant_id, FIRST)
        assert found == wrong > 0
        await rollups.rebuild(principal.tenant_id, FIRST)
        assert await rollups.verify(principal.tenant_id, FIRST) == (found, 0)


@pytest.mark.parametrize("budget", [0, 4_000, 9_000])
async def test_what_does_not_fit_is_answered_all_the_same(context: Context, budget: int) -> None:
    context = Context(replace(context.services, days=RollupDays(budget)), context.principal)
    await store(context, *random_events(8))
    for question in (MARCH, WEEK, MARCH):
        for slug in ("revenue", "ai_latency_p50"):
            planned, logged = await both_ways(context, slug, question)
            assert planned.explain.source is Source.ROLLUPS
            assert same(planned, logged)
    assert context.services.days.size <= budget


async def test_tenants_are_held_apart(context: Context, plain: Principal) -> None:
    other = Context(context.services, plain)
    await store(context, purchase("10", occurredAt=FIRST))
    await store(other, purchase("4", occurredAt=FIRST), event(id="e2", occurredAt=FIRST))
    for _ in range(2):
        assert [await count(one, slug="revenue") for one in (context, other)] == [10, 4]
        assert [await count(one) for one in (context, other)] == [1, 2]


def test_those_asked_for_last_are_kept() -> None:
    days = RollupDays()
    assert days.recall((1, "UTC"), (0, 1), (0, 0)) is None
    assert days.absent(1, (0, 0)) == frozenset()
    days.miss(1, (0, 0), frozenset({"a"}))
    assert days.absent(1, (0, 0)) == {"a"}
    assert days.absent(1, (1, 0)) == frozenset()
