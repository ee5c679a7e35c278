"""Recurring revenue told from what was walked before: always what all events of subscriptions say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from resolvers.analysis.filters import EVERYTHING, having
from resolvers.analysis.mrr_answers import RecurringRevenueAnswer
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Principal
from resolvers.events import ingest
from resolvers.exchange_rates import set_exchange_rates
from resolvers.live.cache import Cache
from resolvers.recurring_revenue import churned, recurring_revenue
from resolvers.store.database import Moment
from resolvers.store.folding import fold
from resolvers.store.subscriptions import SubscriptionRepository
from resolvers.store.versions import MomentVersions
from resolvers.store.walked_subscriptions import WalkedSubscriptions
from tests.factories import event, purchase, store

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 120
PERIOD = PeriodRequest(start=START + timedelta(days=30), end=START + timedelta(days=DAYS))
QUESTION = Question(PERIOD, granularity=Granularity.MONTH, by=("plan",), top=2)


def said(random: Random, count: int, first: int, last: int) -> list[dict[str, Any]]:
    """Events of a few customers' subscriptions on some of the days."""
    found = []
    for _ in range(count):
        name = random.choice(["started", "started", "changed", "changed", "ended"])
        one = event(
            id=f"{random.getrandbits(64):x}",
            kind="SUBSCRIPTION",
            name=name,
            subject=f"u{random.randrange(20)}",
            subscription=random.choice([None, "a", "b"]),
            dimensions=random.choice([{}, {"plan": "pro"}, {"plan": "basic", "channel": "ads"}, {"plan": "team"}]),
            # Few instants, so that some coincide.
            occurredAt=START + timedelta(days=random.randrange(first, last)),
        )
        if name != "ended":
            one |= {
                "amount": random.choice(["0", "5", "7.50", "1200"]),
                "currency": random.choice(["USD", "USD", "EUR"]),
            }
            one["interval"] = random.choice(["MONTH", "YEAR", "WEEK"])
        found.append(one)
    return found


async def told(context: Context, asked: Question = QUESTION) -> RecurringRevenueAnswer:
    """The answer, held against that of a process that knows nothing yet."""
    found = await recurring_revenue(context, asked)
    afresh = Context(replace(context.services, subscriptions=WalkedSubscriptions()), context.principal)
    # Another zone of the same hours is another question, which is not answered from the cache.
    again = await recurring_revenue(afresh, replace(asked, timezone="Etc/UTC"))
    series = replace(again.series, timezone=found.series.timezone)
    groups = tuple(replace(group, series=replace(group.series, timezone=series.timezone)) for group in again.groups)
    assert found == replace(again, series=series, groups=groups, as_of=found.as_of)
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_walked_before_changes_no_answer(context: Context, principal: Principal, seed: int) -> None:
    random = Random(seed)
    await set_exchange_rates(context, [{"date": "2026-01-05", "base": "EUR", "currency": "USD", "rate": "1.1"}])
    await told(context)
    first = said(random, 60, 0, 60)
    await store(context, *first)
    assert (await told(context)).unconverted
    for place in range(3):
        # Later ones, late ones, and some that came before; now and then the log is folded meanwhile.
        news = said(random, 3, 50, 110) + said(random, 1, 0, 30)
        receipt = await ingest(context, [*news, first[place]])
        assert (receipt.accepted, receipt.duplicates) == (4, 1)
        if place == 1:
            await fold(context.services.database, principal.tenant_id)
        await told(context)
        await told(context, replace(QUESTION, by=(), where=having(channel="ads")))
        await told(context, replace(QUESTION, by=("plan", "channel"), top=3))
    # A rate bears on everybody, and on who comes after.
    await set_exchange_rates(context, [{"date": "2026-02-01", "base": "EUR", "currency": "USD", "rate": "2"}])
    converted = await told(context)
    await store(context, *said(random, 2, 27, 40))
    assert (await told(context)).movements != converted.movements


async def test_after_an_event_its_customer_alone_is_read(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    await store(context, *said(Random(5), 80, 0, 60))
    assert (await told(context)).explain.rows == 80
    # What is said of others is no news of subscriptions.
    await store(context, purchase("7"))
    assert (await told(context)).explain.rows == 80
    news = event(kind="SUBSCRIPTION", name="started", subject="new", amount="5", interval="MONTH", occurredAt=START)
    await store(context, news)
    assert (await told(context)).explain.rows == 1
    monkeypatch.setattr("resolvers.store.subscriptions.MOST_CUSTOMERS", 1)
    await store(context, *[news | {"id": f"{who}", "subject": who, "amount": "3"} for who in ("new", "newer")])
    assert (await told(context)).explain.rows == 83


async def test_conditions_that_were_asked_about_at_different_times_are_read_together(context: Context) -> None:
    random = Random(6)
    await store(context, *said(random, 40, 0, 60))
    ads, pro = having(channel="ads"), having(plan="pro")
    (period,) = {(await recurring_revenue(context, QUESTION)).period}
    await churned(context, [(ads, period)], "UTC")
    await store(context, *said(random, 5, 0, 90))
    await churned(context, [(pro, period)], "UTC")
    await store(context, *said(random, 5, 0, 90))
    asked = [(where, period) for where in (ads, pro, EVERYTHING)]
    afresh = Context(replace(context.services, subscriptions=WalkedSubscriptions()), context.principal)
    found = await churned(context, asked, "UTC")
    assert found == await churned(afresh, asked, "UTC")
    assert found[-1][1] > 0


async def test_what_comes_while_it_is_read_is_in_all_of_the_answer_or_in_none(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(context, *said(Random(7), 60, 0, 60))
    before = await told(context, replace(QUESTION, by=()))
    news = [
        event(kind="SUBSCRIPTION", name="started", subject=who, amount="5", interval="MONTH", occurredAt=START)
        for who in ("first", "second")
    ]
    since, meanwhile = SubscriptionRepository.customers_since, news[1:]

    async def interrupted(self: SubscriptionRepository, tenant_id: int, version: int) -> list[int] | None:
        found = await since(self, tenant_id, version)
        if meanwhile:
            await store(context, meanwhile.pop())
        return found

    await store(context, news[0])
    monkeypatch.setattr(SubscriptionRepository, "customers_since", interrupted)
    found = await recurring_revenue(context, replace(QUESTION, by=()))
    assert (found.customers, meanwhile) == (before.customers + 1, [])
    assert (await told(context, replace(QUESTION, by=()))).customers == before.customers + 2


async def test_an_answer_of_an_earlier_moment_has_nothing_that_came_later(
    context: Context, principal: Principal
) -> None:
    services, asked = context.services, replace(QUESTION, by=())
    await store(context, *said(Random(8), 30, 0, 60))
    before = await told(context, asked)
    async with services.database.snapshot(principal.tenant_id) as session:
        moment = Moment(services.database, session, principal.tenant_id)
        own = replace(services, database=moment, versions=MomentVersions(moment), cache=Cache())
        await own.versions.seen(principal.tenant_id)
        news = event(kind="SUBSCRIPTION", name="started", subject="new", amount="5", interval="MONTH", occurredAt=START)
        await store(context, news)
        after = await told(context, asked)
        earlier = await recurring_revenue(Context(own, principal), asked)
    assert (earlier.customers, after.customers) == (before.customers, before.customers + 1)
    assert (await told(context, replace(asked, granularity=Granularity.WEEK))).customers == after.customers
