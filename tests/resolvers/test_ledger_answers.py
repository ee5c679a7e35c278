"""Answers about money are the same from ledgers, from what came since they were made, and from the log alone."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from resolvers.ai_providers import ai_providers
from resolvers.analysis.attribution import Model
from resolvers.analysis.cohorts import CohortBasis
from resolvers.analysis.exchange_rates import ExchangeRate
from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import EVERYTHING, DimensionIs, Filter, Op
from resolvers.analysis.periods import Compare, Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import RoiDefinition
from resolvers.catalogue import CONVERSIONS
from resolvers.cohorts import cohorts
from resolvers.context import Context, Principal
from resolvers.exchange_rates import put_rates
from resolvers.recurring_revenue import recurring_revenue
from resolvers.roi import roi
from resolvers.store.database import Database
from resolvers.store.folding import fold
from resolvers.store.walked_subscriptions import WalkedSubscriptions
from tests.factories import event, new_principal, store
from tests.resolvers.store.journey_logs import take
from tests.resolvers.store.test_ledgers import moved

PERIOD = PeriodRequest(start=datetime(2026, 1, 29, tzinfo=UTC), end=datetime(2026, 2, 27, tzinfo=UTC))
ADS: Filter = DimensionIs("channel", Op.IN, ("a", "b"))
ROI = RoiDefinition(CONVERSIONS, None, Model.LINEAR, timedelta(days=30), timedelta(days=7), 50)
Ask = Callable[[Context, Question], Awaitable[Any]]


async def by_revenue(context: Context, question: Question) -> Any:
    return await cohorts(context, CohortBasis.REVENUE, replace(question, by=(), granularity=Granularity.WEEK))


async def of_ai(context: Context, question: Question) -> Any:
    return await roi(context, ROI, replace(question, by=("model",)))


async def of_providers(context: Context, question: Question) -> Any:
    return await ai_providers(context, ROI, replace(question, by=("model", "channel")))


async def of_subscriptions(context: Context, question: Question) -> Any:
    """All of them, though it is known what they came to before."""
    afresh = replace(context.services, subscriptions=WalkedSubscriptions())
    return await recurring_revenue(Context(afresh, context.principal), question)


@pytest.mark.parametrize("where", [EVERYTHING, ADS], ids=["everything", "some"])
@pytest.mark.parametrize("ask", [by_revenue, of_ai, of_providers, of_subscriptions])
async def test_ledgers_and_the_log_answer_alike(
    context: Context,
    principal: Principal,
    owner: Database,
    ask: Ask,
    where: Filter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is worked on in parts is worked on in several here.
    monkeypatch.setattr("resolvers.store.ledgers._BLOCK", 64)
    monkeypatch.setattr("resolvers.store.ai_calls._PARTS", 2)
    plain = await new_principal(owner)
    random, other = Random(3), Context(context.services, plain)
    question = Question(PERIOD, granularity=Granularity.DAY, by=("channel",), where=where, top=2)
    if ask is not by_revenue:
        question = replace(question, compare=Compare.PREVIOUS_PERIOD)
    answers: list[Any] = []
    for count in (250, 40, 30):
        start = len(answers) * 1_000
        await take(context, plain, [moved(random, start + number) for number in range(count)])
        if len(answers) < 2:
            await fold(context.services.database, principal.tenant_id)
        answers.append(await ask(context, question))
        logged = await ask(other, question)
        assert answers[-1] == logged
        assert (answers[-1].explain.source, logged.explain.source) == (Source.JOURNEYS, Source.LOG)
        # Many of the amounts are in euros, which only now can be converted.
        days = [date(2026, 1, 20) + timedelta(days=9 * place) for place in range(5)]
        for one in (principal, plain):
            rates = [ExchangeRate(day, "USD", "EUR", Decimal("0.9321") + len(answers)) for day in days]
            await put_rates(context.services.database, one.tenant_id, rates)
        exchanged = await ask(context, question)
        assert exchanged == await ask(other, question)
        assert exchanged != answers[-1]
    assert answers[0] != answers[1] != answers[2]


async def test_recurring_revenue_is_walked_once_for_all_periods_until_something_is_said(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(amount: str, **more: Any) -> dict[str, Any]:
        return event(kind="SUBSCRIPTION", name="started", amount=amount, interval="MONTH", **more)

    at = datetime(2026, 1, 5, tzinfo=UTC)
    await store(context, said("10", occurredAt=at), said("5", occurredAt=at + timedelta(days=40), subject="bob"))
    january = Question(PeriodRequest(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC)))
    march = Question(PeriodRequest(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC)))
    assert (await recurring_revenue(context, january)).mrr.value == 10
    with monkeypatch.context() as patch:
        patch.setattr("resolvers.recurring_revenue.SubscriptionRepository", None)
        assert (await recurring_revenue(context, march)).mrr.value == 15
        with pytest.raises(TypeError):
            await recurring_revenue(context, replace(march, where=ADS))
    await store(context, said("2", occurredAt=at, subject="cleo", dimensions={"channel": "a"}))
    assert (await recurring_revenue(context, january)).mrr.value == 12
    assert (await recurring_revenue(context, replace(march, where=ADS))).mrr.value == 2
    assert (await recurring_revenue(context, march)).mrr.value == 17
