"""Recommendations over a real log: found, decided about, seen by all, and measured afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from resolvers.analysis.estimates import Unit, estimate
from resolvers.analysis.filters import NameIs, having
from resolvers.analysis.funnels import Entry, FunnelDefinition, Step
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.recommendation_json import to_json
from resolvers.analysis.recommendations import (
    ChurnMeasure,
    Finding,
    Kind,
    Measure,
    MetricMeasure,
    RealisedEffect,
    Severity,
    State,
    StepMeasure,
)
from resolvers.answers import live
from resolvers.context import Context, Role
from resolvers.errors import BadInput, Forbidden, NotFound
from resolvers.funnels import delete_funnel, save_funnel
from resolvers.metrics import metrics
from resolvers.recommendation_effects import realised_effect
from resolvers.recommendations import (
    RecommendationPage,
    accept_recommendation,
    dismiss_recommendation,
    kinds,
    recommendations,
    recommendations_by_key,
)
from resolvers.store.database import Database
from resolvers.store.recommendations import RecommendationRepository, RecommendationRow
from tests.factories import event, new_principal, purchase, running_services, store
from tests.statements import counted

TODAY = datetime(2026, 6, 15, 12, tzinfo=UTC)
FUNNEL = FunnelDefinition(
    tuple(Step(name, NameIs((name,))) for name in ("visit", "signup", "try")), timedelta(days=1), Entry.FIRST
)


@asynccontextmanager
async def world(url: str, owner: Database) -> AsyncIterator[tuple[Context, list[datetime]]]:
    """An admin of a tenant that nobody else has, and the clock, which can be set."""
    clock = [TODAY]
    async with running_services(url, now=lambda: clock[0]) as services:
        yield Context(services, await new_principal(owner)), clock


def day(number: int, hour: int = 9) -> datetime:
    return TODAY.replace(hour=hour) + timedelta(days=number)


def spend(number: int, cost: int, channel: str = "ads") -> dict[str, Any]:
    return event(
        kind="SPEND",
        name="spend",
        subject="",
        occurredAt=day(number),
        cost=str(cost),
        currency="USD",
        dimensions={"channel": channel},
    )


def walk(number: int, people: int, reach: tuple[int, int]) -> list[dict[str, Any]]:
    """A day on which so many visit, and of them the first so many sign up and try."""
    names = zip(("visit", "signup", "try"), (people, *reach), strict=True)
    return [
        event(name=name, subject=f"{number}-{one}", occurredAt=day(number) + timedelta(minutes=place))
        for place, (name, count) in enumerate(names)
        for one in range(count)
    ]


async def losing(context: Context) -> None:
    """Spend of 60 a day on ads that brings in nothing, and sales of email."""
    await store(context, *(spend(-number, 60 + number % 2) for number in range(1, 13)))
    await store(
        context,
        *(purchase("20", subject=f"s{number}", occurredAt=day(-1 - number % 20)) for number in range(40)),
    )


async def opened(context: Context, **asked: Any) -> RecommendationPage:
    return await recommendations(context, **asked)


async def test_what_is_found_is_worth_what_the_log_says(database_url: str, owner: Database) -> None:
    async with world(database_url, owner) as (context, _):
        assert (await opened(context)).recommendations == ()
        await losing(context)
        await save_funnel(context, "Trial", FUNNEL)
        await store(context, *walk(-3, 120, (110, 12)))
        channel, leak = (await opened(context)).recommendations
        assert (channel.kind, channel.expected.value, channel.expected.currency) == (
            Kind.LOSING_CHANNEL,
            Decimal(726),
            "USD",
        )
        assert (leak.kind, leak.state, leak.decided_at, leak.current) == (Kind.LEAKING_STEP, State.OPEN, None, True)
        assert leak.title == "Trial: most are lost between signup and try"
        # Half of what 110 would pass at 110 of 120, less the 12 who did.
        assert leak.expected.value == pytest.approx(Decimal((110 / 120 - 12 / 110) * 110 / 2), abs=Decimal("1e-6"))


def call(number: int, place: int, model: str, cost: str, feature: str = "chat") -> dict[str, Any]:
    return event(
        kind="AI_INTERACTION",
        name="call",
        subject=f"c{place}",
        occurredAt=day(-number) + timedelta(seconds=place),
        cost=cost,
        currency="USD",
        success=True,
        dimensions={"provider": "acme", "model": model, "feature": feature},
    )


def contract(place: int, persona: str, name: str, number: int) -> dict[str, Any]:
    paid = {"amount": "10", "currency": "USD", "interval": "MONTH"} if name == "started" else {}
    said = {"kind": "SUBSCRIPTION", "name": name, "subject": f"{persona}{place}", "dimensions": {"persona": persona}}
    return event(**said, **paid, occurredAt=day(-number))


async def test_each_detector_is_told_what_the_log_says(database_url: str, owner: Database) -> None:
    async with world(database_url, owner) as (context, clock):
        usual = [(number, place) for number in range(2, 30) for place in range(10)]
        await store(
            context, *(call(*at, model, cost) for model, cost in (("a", "0.10"), ("b", "0.02")) for at in usual)
        )
        await store(context, call(1, 0, "odd", "50", "batch"))
        for persona, orders, cost in (("team", 100, "200"), ("solo", 60, "600")):
            of = {"dimensions": {"persona": persona}}
            buying = (purchase("20", subject=f"{persona}{n}", occurredAt=day(-3), **of) for n in range(orders))
            bought = event(kind="SPEND", name="spend", subject="", occurredAt=day(-4), cost=cost, currency="USD", **of)
            await store(context, *buying, bought)
        for persona, churned in (("team", 30), ("solo", 3)):
            await store(context, *(contract(n, persona, "started", 60) for n in range(120)))
            await store(context, *(contract(n, persona, "ended", 10) for n in range(churned)))
        found = {one.kind: one for one in (await opened(context)).recommendations}
        worth = {kind: (one.expected.value, [part.value for part in one.about]) for kind, one in found.items()}
        assert worth == {
            Kind.COST_ANOMALY: (Decimal("1464"), ["odd"]),
            Kind.CHURN_CONCENTRATION: (Decimal(270), ["team"]),
            Kind.PERSONA_SPEND: (Decimal(160), ["team"]),
            Kind.CHEAPER_MODEL: (Decimal("22.4"), ["chat", "a"]),
        }
        for one in found.values():
            await accept_recommendation(context, one.key)
        clock[0] = day(10)
        await store(context, *(call(-number, place, "a", "0.02") for number in range(1, 10) for place in range(10)))
        effects = {}
        for kind, one in found.items():
            realised = await realised_effect(context, one.key)
            assert realised is not None
            effects[kind] = [(effect.title, effect.before.n, effect.after.n) for effect in realised.effects]
        assert effects == {
            Kind.COST_ANOMALY: [("AI cost a day", 9, 9)],
            Kind.CHURN_CONCENTRATION: [("Churn", 90, 90)],
            Kind.PERSONA_SPEND: [("Revenue a day", 9, 9), ("Acquisition spend a day", 9, 9)],
            Kind.CHEAPER_MODEL: [("AI cost a day", 9, 9), ("AI success rate", 160, 90)],
        }


def measures(place: int) -> tuple[Measure, ...]:
    """What a recommendation of that number was to change; no two of them are of the same."""
    return (
        (MetricMeasure("acquisition_spend", having(channel=f"c{place}")), MetricMeasure("revenue", having())),
        (MetricMeasure("ai_cost", having(feature="chat", model=f"m{place}")),),
        (MetricMeasure("ai_success_rate", having(feature=None, model=f"m{place}")),),
        (StepMeasure(replace(FUNNEL, window=timedelta(hours=1 + place)), 1 + place % 2),),
        (ChurnMeasure(having(persona=f"p{place}")),),
        # These add up to nothing, or are of no group, so that each is read by itself.
        (MetricMeasure("unique_subjects", having(channel="c1")), MetricMeasure("conversions", NameIs(("purchase",)))),
    )[place % 6 if place < 12 else place % 5]


async def accepted(context: Context, place: int) -> str:
    """Have a recommendation of that number accepted so many days ago, or some."""
    nothing = estimate(None, n=0, as_of=TODAY, definition="Nothing.", unit=Unit.COUNT)
    finding = Finding(f"kept:{place}", Kind.COST_ANOMALY, Severity.LOW, "", "", (), nothing, (), measures(place))
    principal = context.require(Role.ADMIN)
    row = RecommendationRow(
        tenant_id=principal.tenant_id,
        key=finding.key,
        state=1,
        decided_at=day(-20 - place),
        key_id=1,
        finding=to_json(finding),
    )
    async with context.services.database.tenant(principal.tenant_id) as session:
        await RecommendationRepository(session).decide(row)
    return finding.key


async def test_effects_of_a_list_are_read_together(
    database_url: str, owner: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database_url, owner) as (context, _):
        random, days = Random(3), range(1, 90)
        await store(context, *(spend(-number, random.randrange(9), f"c{number % 35}") for number in days))
        await store(context, *(one for number in days for one in walk(-number, 9, (6, random.randrange(6)))))
        calls = [call(number, place, f"m{place}", f"0.{number:02}", "chat") for number in days for place in range(35)]
        await store(context, *calls)
        bare = [{"provider": "acme", "model": one["dimensions"]["model"]} for one in calls]
        unsaid = [
            one | {"dimensions": of, "success": n % 3 > 0} for n, (one, of) in enumerate(zip(calls, bare, strict=True))
        ]
        await store(context, *unsaid)
        for persona in range(35):
            await store(context, *(contract(n, f"p{persona}", "started", 88) for n in range(9)))
            await store(context, *(contract(n, f"p{persona}", "ended", 8 * n + 9) for n in range(9)))
        await store(context, *(purchase("20", subject=f"s{n}", occurredAt=day(-n)) for n in days))
        keys = [await accepted(context, place) for place in range(35)]
        together = keys[12:]

        async def effects(some: list[str], timezone: str) -> list[RealisedEffect | None]:
            one = Context(context.services, context.principal)
            return await asyncio.gather(*(realised_effect(one, key, timezone) for key in some))

        await effects(together, "Europe/Berlin")
        costs = []
        for some, timezone in ((together[:5], "Asia/Seoul"), (together, "Asia/Tokyo")):
            # Days of a zone are read a few at a time when they are first asked about.
            await metrics(context, ["events"], Question(PeriodRequest(last="90d"), timezone=timezone))
            with counted(context.services, monkeypatch) as seen:
                assert None not in await effects(some, timezone)
            costs.append(len(seen))
        assert costs[1] <= costs[0]
        found = await effects(keys, "Asia/Tokyo")
        assert found == [(await effects([key], "Asia/Tokyo"))[0] for key in keys]
        spent = [one for place, one in enumerate(found) if len(measures(place)) == 2 and place != 5 and place != 11]
        assert len({one.before for one in spent if one is not None}) == len(spent) > 4
        for place, one in enumerate(found):
            if one is None or not isinstance(of := measures(place)[0], MetricMeasure):
                continue
            for period, told in ((one.before, one.effects[0].before), (one.after, one.effects[0].after)):
                request = PeriodRequest(start=period.start, end=period.end)
                asked = Question(request, "Asia/Tokyo", Granularity.DAY, where=of.where)
                (answer,) = await metrics(Context(context.services, context.principal), [of.slug], asked)
                days_of = sum((value or Decimal(0) for value in answer.series.exact), Decimal(0))
                shown = answer.estimate.numerator if of.slug == "ai_success_rate" else days_of
                assert told.numerator == shown, of


async def test_a_funnel_that_is_deleted_leaks_no_more(database_url: str, owner: Database) -> None:
    async with world(database_url, owner) as (context, _):
        saved = await save_funnel(context, "Trial", FUNNEL)
        await store(context, *walk(-3, 120, (110, 12)))
        (leak,) = (await opened(context)).recommendations
        await accept_recommendation(context, leak.key)
        await delete_funnel(context, saved.id)
        assert (await opened(context)).recommendations == ()
        (accepted,) = (await opened(context, state=State.ACCEPTED)).recommendations
        assert (accepted.current, accepted.title) == (False, leak.title)


async def test_decisions_move_recommendations_and_stay(database_url: str, owner: Database) -> None:
    async with world(database_url, owner) as (context, clock):
        await losing(context)
        await save_funnel(context, "Trial", FUNNEL)
        await store(context, *walk(-3, 120, (110, 12)))
        channel, leak = (await opened(context)).recommendations
        page = await opened(context, first=1)
        assert (page.has_next, page.recommendations) == (True, (channel,))
        page = await opened(context, first=1, after=page.cursors[0])
        assert (page.has_next, page.recommendations) == (False, (leak,))

        accepted = await accept_recommendation(context, channel.key)
        assert (accepted.state, accepted.decided_at) == (State.ACCEPTED, TODAY)
        clock[0] += timedelta(hours=1)
        assert await accept_recommendation(context, channel.key) == accepted
        dismissed = await dismiss_recommendation(context, leak.key, "We know.")
        assert (dismissed.state, dismissed.reason) == (State.DISMISSED, "We know.")
        assert (await opened(context)).recommendations == ()
        for state, one in ((State.ACCEPTED, accepted), (State.DISMISSED, dismissed)):
            (found,) = (await opened(context, state=state)).recommendations
            assert found == one
        again = await accept_recommendation(context, leak.key)
        assert again.reason is None
        pages = [await opened(context, state=State.ACCEPTED, first=1)]
        pages.append(await opened(context, state=State.ACCEPTED, first=1, after=pages[0].cursors[0]))
        assert [page.recommendations[0].key for page in pages] == [leak.key, channel.key]
        assert [page.has_next for page in pages] == [True, False]
        assert await recommendations_by_key(context, ["x:y", channel.key, "\x00"]) == {channel.key: accepted}


async def test_whoever_may_not_decide_cannot_and_tenants_do_not_meet(database_url: str, owner: Database) -> None:
    async with world(database_url, owner) as (context, _):
        await losing(context)
        (channel,) = (await opened(context)).recommendations
        other = Context(context.services, await new_principal(owner))
        assert (await opened(other)).recommendations == ()
        assert await recommendations_by_key(other, [channel.key]) == {}
        with pytest.raises(NotFound):
            await accept_recommendation(other, channel.key)
        principal = context.require(Role.ADMIN)
        viewer = Context(context.services, replace(principal, role=Role.VIEWER))
        assert (await opened(viewer)).recommendations == (channel,)
        with pytest.raises(Forbidden):
            await accept_recommendation(viewer, channel.key)
        await accept_recommendation(context, channel.key)
        await losing(other)
        assert [one.key for one in (await opened(other)).recommendations] == [channel.key]
        assert (await opened(other, state=State.ACCEPTED)).recommendations == ()


@pytest.mark.parametrize("reason", ["", " ", "x" * 1_001, "a\nb"])
async def test_a_dismissal_needs_a_reason(context: Context, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        await dismiss_recommendation(context, "losing_channel:0", reason)
    assert refused.value.field == "reason"


@pytest.mark.parametrize("after", ["", "x", "0 1", "2 1 a:" + "0" * 24, "0 1e9 a:" + "0" * 24, "0 NaN a:" + "0" * 24])
async def test_a_cursor_of_another_list_is_refused(context: Context, after: str) -> None:
    for state in State:
        with pytest.raises(BadInput) as refused:
            await opened(context, state=state, after=after)
        assert refused.value.field == "after"


async def test_a_watcher_sees_decisions_and_events(database_url: str, owner: Database) -> None:
    async with world(database_url, owner) as (context, _):
        watched = live(context, kinds(), lambda: opened(context), timedelta(0))
        assert (await anext(watched)).recommendations == ()
        await losing(context)
        (channel,) = (await anext(watched)).recommendations
        await accept_recommendation(context, channel.key)
        assert (await anext(watched)).recommendations == ()
        await watched.aclose()  # type: ignore[attr-defined]


async def test_the_effect_is_that_of_equal_spans(database_url: str, owner: Database) -> None:
    async with world(database_url, owner) as (context, clock):
        await losing(context)
        await save_funnel(context, "Trial", FUNNEL)
        await store(context, *walk(-3, 120, (110, 12)))
        channel, leak = (await opened(context)).recommendations
        assert await realised_effect(context, channel.key) is None
        await accept_recommendation(context, channel.key)
        await accept_recommendation(context, leak.key)
        clock[0] = day(13)
        await store(context, *(spend(number, 20 + number % 2) for number in range(13)))
        await store(context, *walk(4, 100, (90, 60)))
        clock[0] = day(7)
        assert await realised_effect(context, channel.key) is None
        clock[0] = day(13)
        effect = await realised_effect(context, channel.key)
        assert effect is not None
        assert (effect.days, effect.before.start, effect.before.end) == (12, day(-12, 0), day(0, 0))
        assert (effect.after.start, effect.after.end) == (day(1, 0), day(13, 0))
        spent, earned = effect.effects
        assert (spent.title, spent.before.value, spent.after.value) == (
            "Acquisition spend a day",
            Decimal("60.5"),
            Decimal("20.5"),
        )
        assert spent.difference.value == -40
        interval = spent.difference.interval
        assert interval is not None
        assert -41 < interval.low < -40 < interval.high < -39
        assert (earned.before.value, earned.after.value, earned.difference.value) == (0, 0, 0)
        assert "does not prove" in effect.statement
        effect = await realised_effect(context, leak.key)
        assert effect is not None
        (passed,) = effect.effects
        assert [(one.numerator, one.n) for one in (passed.before, passed.after)] == [(12, 110), (60, 90)]
        assert passed.difference.value == pytest.approx(Decimal(60 / 90 - 12 / 110), abs=Decimal("1e-9"))
        await dismiss_recommendation(context, channel.key, "No more.")
        assert await realised_effect(context, channel.key) is None
