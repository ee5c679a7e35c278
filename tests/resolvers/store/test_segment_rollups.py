"""Rollups of segments: whoever joins or leaves, and whatever comes late, they say what the members' events say."""

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import All, Filter, InSegment, KindIs, NameIs, Not, SubjectIs
from resolvers.analysis.metrics import MetricAnswer
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.segments import Did, Listed, Total
from resolvers.context import Context, Role
from resolvers.exchange_rates import set_exchange_rates
from resolvers.live.cache import Cache
from resolvers.metrics import metrics
from resolvers.revenue import revenue
from resolvers.segments import Draft, refresh_segment, save_segment
from resolvers.store.database import driver
from resolvers.store.segment_rollups import SegmentRollups
from resolvers.store.segment_upkeep import refresh_due
from tests.factories import event, purchase, store
from tests.resolvers.test_metrics import MARCH, START, random_events

SLUGS = ["events", "revenue", "refunds", "ai_cost", "ai_success_rate", "conversions"]
PEOPLE = [f"u{number}" for number in range(30)]
RAGGED = PeriodRequest(start=START + timedelta(minutes=7), end=START + timedelta(days=9, hours=5, minutes=1))


async def asked(context: Context, where: Filter, period: PeriodRequest, zone: str) -> list[MetricAnswer]:
    """The answers, computed."""
    afresh = Context(replace(context.services, cache=Cache()), context.principal)
    question = Question(period, timezone=zone, granularity=Granularity.DAY, where=where)
    return list(await metrics(afresh, SLUGS, question))


async def roll(context: Context) -> None:
    services = context.services
    await refresh_due(services.database, services.memory, services.segments)


@pytest.mark.parametrize("seed", range(3))
async def test_they_follow_members_and_events(context: Context, seed: int) -> None:
    random = Random(seed)
    # Who appears later is a member only once the members are found anew.
    await store(context, *(event(subject=who, occurredAt=START) for who in PEOPLE))
    for size in (120, 60, 1, 60):
        await store(context, *random_events(random.randrange(10**6), size))
        people = tuple(random.sample(PEOPLE, random.choice([0, 3, 12, 13, 29])))
        await save_segment(context, Draft("S", Listed(people or ("nobody",))))
        for rolled in (False, True):
            if rolled:
                await roll(context)
                await store(context, *random_events(random.randrange(10**6), 15))
            for period, zone in ((MARCH, "UTC"), (MARCH, "Asia/Kolkata"), (RAGGED, "Asia/Tokyo")):
                for more in ((), (KindIs((Kind.CONVERSION, Kind.AI_INTERACTION)),)):
                    found = await asked(context, All((InSegment("S"), *more)), period, zone)
                    expected = await asked(context, All((SubjectIs(people), *more)), period, zone)
                    pairs = zip(found, expected, strict=True)
                    assert [replace(one, explain=other.explain) for one, other in pairs] == expected
                    source = Source.ROLLUPS if rolled else Source.LOG
                    assert {one.explain.source for one in found} == {source}


async def rows(context: Context) -> list[Any]:
    tenant_id = context.require(Role.ADMIN).tenant_id
    async with context.services.database.tenant(tenant_id) as session:
        query = "SELECT * FROM segment_rollup WHERE tenant_id = $1 ORDER BY grain, kind, name, currency, flags, at"
        return [tuple(row)[2:] for row in await (await driver(session)).fetch(query, tenant_id)]


async def test_changing_them_leaves_what_adding_up_anew_makes(context: Context) -> None:
    await store(context, *random_events(7, 300))
    tenant_id = context.require(Role.ADMIN).tenant_id
    for people in (PEOPLE[:20], PEOPLE[2:21], PEOPLE[3:21]):
        saved = await save_segment(context, Draft("S", Listed(tuple(people))))
        await roll(context)
    changed = await rows(context)
    async with context.services.database.tenant(tenant_id) as session:
        await SegmentRollups(session, tenant_id).give_up(saved.id)
        await SegmentRollups(session, tenant_id).roll(saved.id)
    assert changed
    assert await rows(context) == changed
    await save_segment(context, Draft("S", Listed(("nobody",))))
    await roll(context)
    assert await rows(context) == []


async def test_without_them_the_log_answers(context: Context) -> None:
    await store(context, *random_events(8, 50))
    saved = await save_segment(context, Draft("S", Listed(tuple(PEOPLE))))
    tenant_id = context.require(Role.ADMIN).tenant_id
    async with context.services.database.tenant(tenant_id) as session:
        await SegmentRollups(session, tenant_id).give_up(saved.id)
    (answer,) = await metrics(context, ["events"], Question(MARCH, where=InSegment("S")))
    assert (answer.estimate.value, answer.explain.source) == (50, Source.LOG)


async def test_revenue_of_a_segment_is_told_by_them_with_what_is_in_other_currencies(context: Context) -> None:
    made = [one | ({"currency": "EUR"} if number % 3 else {}) for number, one in enumerate(random_events(9, 200))]
    await store(context, *(one for one in made if one["kind"] == "CONVERSION"))
    await save_segment(context, Draft("S", Listed(tuple(PEOPLE[:10]))))
    await roll(context)
    found = await revenue(context, Question(MARCH, where=InSegment("S")))
    expected = await revenue(context, Question(MARCH, where=SubjectIs(tuple(PEOPLE[:10]))))
    assert found.unconverted
    for field in fields(found):
        if field.name not in ("explain", "as_of"):
            assert getattr(found, field.name) == getattr(expected, field.name), field.name
    outside = await revenue(context, Question(MARCH, where=Not(InSegment("S"))))
    assert outside.orders + found.orders == (await revenue(context, Question(MARCH))).orders


async def test_money_of_a_segment_is_converted_as_everybodys_is(context: Context) -> None:
    sales = [one for one in random_events(10, 400) if one["kind"] == "CONVERSION"]
    await store(context, *(one | {"currency": ("USD", "EUR", "JPY")[number % 3]} for number, one in enumerate(sales)))
    days = [(START + timedelta(days=day)).date().isoformat() for day in (3, 4, 12)]
    rates = [{"base": "EUR", "currency": "USD", "rate": f"1.{place}3", "date": day} for place, day in enumerate(days)]
    await set_exchange_rates(context, rates)
    await save_segment(context, Draft("S", Listed(tuple(PEOPLE[:12]))))
    await roll(context)
    for period, zone in ((MARCH, "UTC"), (RAGGED, "Asia/Tokyo")):
        found = await asked(context, InSegment("S"), period, zone)
        expected = await asked(context, SubjectIs(tuple(PEOPLE[:12])), period, zone)
        pairs = zip(found, expected, strict=True)
        assert [replace(one, explain=other.explain) for one, other in pairs] == expected
        assert {one.explain.source for one in found} == {Source.ROLLUPS}
        assert {money.currency for money in found[1].unconverted} >= {"JPY"}


async def test_sums_of_rules_are_converted(context: Context) -> None:
    day = START + timedelta(days=3)
    await store(
        context,
        purchase("10", subject="ann", currency="EUR", occurredAt=day),
        purchase("10", subject="bob", occurredAt=day),
        purchase("10", subject="cleo", currency="JPY", occurredAt=day),
    )
    spent = Did(NameIs(("purchase",)), total=Total("amount", at_least=Decimal(15)))
    saved = await save_segment(context, Draft("S", spent))
    assert saved.size == 0
    await set_exchange_rates(
        context, [{"base": "EUR", "currency": "USD", "rate": "1.5", "date": day.date().isoformat()}]
    )
    saved, refreshed = await refresh_segment(context, saved.id)
    assert (saved.size, refreshed) == (1, True)
