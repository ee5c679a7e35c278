"""Cohorts by what was paid, told from what is known of earlier days: always what all payments say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from resolvers.analysis.cohorts import CohortBasis, CohortsAnswer
from resolvers.analysis.exchange_rates import day_number
from resolvers.analysis.filters import having
from resolvers.analysis.paying_cohorts import NOTHING_PAID
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.cohorts import cohorts
from resolvers.context import Context, Principal
from resolvers.exchange_rates import set_exchange_rates
from resolvers.store.folding import fold
from resolvers.store.ledgers import LedgerQuestion, LedgerReading, LedgerRepository
from resolvers.store.paying_cohorts import PaidBefore, PaidCohortsKept
from tests.factories import purchase, store

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 50


def question(days: int, **more: Any) -> Question:
    period = PeriodRequest(start=START + timedelta(days=7), end=START + timedelta(days=days))
    return Question(period, **({"granularity": Granularity.WEEK} | more))


def payments(random: Random, count: int, first: int, last: int) -> list[dict[str, Any]]:
    """Payments and refunds on some of the days, in two currencies."""
    return [
        purchase(
            random.choice(["5", "7.50", "19.999"]),
            name=random.choice(["purchase", "purchase", "refund"]),
            subject=f"u{random.randrange(25)}",
            orderId=random.choice([None, "a", "b"]),
            currency=random.choice(["USD", "USD", "EUR"]),
            dimensions=random.choice([{}, {"channel": "ads"}]),
            occurredAt=START + timedelta(minutes=random.randrange(first * 1440, last * 1440)),
        )
        for _ in range(count)
    ]


async def told(context: Context, asked: Question) -> CohortsAnswer:
    """The answer, held against that of a process that knows nothing yet."""
    found = await cohorts(context, CohortBasis.REVENUE, asked)
    afresh = Context(replace(context.services, paid=PaidCohortsKept()), context.principal)
    # Another zone of the same hours is another question, which is not answered from the cache.
    again = await cohorts(afresh, CohortBasis.REVENUE, replace(asked, timezone="Etc/UTC"))
    assert found == replace(again, as_of=found.as_of, timezone=found.timezone)
    return found


async def test_what_is_known_of_earlier_days_changes_no_answer(context: Context, principal: Principal) -> None:
    random = Random(11)
    await set_exchange_rates(context, [{"date": "2026-01-05", "base": "EUR", "currency": "USD", "rate": "1.1"}])
    await store(context, *payments(random, 150, 0, 40))
    first = await told(context, question(42))
    assert first.subjects > 0
    assert first.unconverted[0].amount > 0
    # Some days on, of which only the last ones are read.
    await store(context, *payments(random, 20, 41, 48))
    await fold(context.services.database, principal.tenant_id)
    later = await told(context, question(DAYS))
    assert 0 < later.explain.rows < 40
    assert (await told(context, question(DAYS, where=having(channel="ads")))).subjects > 0
    # Something of a day that was over.
    late = purchase("1000", subject="late", occurredAt=START + timedelta(days=9))
    await store(context, late)
    assert (await told(context, question(DAYS))).subjects == later.subjects + 1
    # A rate that bears on what is known.
    rates = [{"date": "2026-01-20", "base": "EUR", "currency": "USD", "rate": "2"}]
    await set_exchange_rates(context, rates)
    converted = await told(context, question(DAYS))
    assert converted.unconverted != later.unconverted
    # An end before what is known.
    await told(context, question(20))


async def test_the_same_question_after_a_payment_of_today_reads_the_last_days_alone(context: Context) -> None:
    await store(context, *payments(Random(2), 100, 0, 40))
    whole = await told(context, question(41))
    await store(context, purchase("3", subject="new", occurredAt=START + timedelta(days=40, hours=3)))
    found = await told(context, question(41))
    assert found.subjects == whole.subjects + 1
    assert found.explain.rows < whole.explain.rows / 4


async def test_what_comes_while_parts_are_read_is_in_all_of_the_answer_or_in_none(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(context, *payments(Random(3), 60, 0, 40))
    before = await told(context, question(41))
    read, meanwhile = LedgerRepository.read, [purchase("9", subject="late", occurredAt=START + timedelta(days=15))]

    async def interrupted(self: LedgerRepository, asked: LedgerQuestion) -> LedgerReading:
        if meanwhile:
            await store(context, meanwhile.pop())
        return await read(self, asked)

    await store(context, purchase("3", subject="new", occurredAt=START + timedelta(days=40, hours=3)))
    monkeypatch.setattr(LedgerRepository, "read", interrupted)
    found = await cohorts(context, CohortBasis.REVENUE, question(41))
    assert not meanwhile
    assert found.subjects == before.subjects + 2
    await told(context, question(41))


def test_what_is_known_holds_for_its_own_days_alone() -> None:
    day = day_number(START.date())
    known = PaidBefore(START, [(day - 2, 7)], NOTHING_PAID)
    assert known.holds(START, [(day - 2, 7)])
    assert known.holds(START + timedelta(days=2), [(day - 2, 7), (day, 1)])
    assert not known.holds(START + timedelta(days=2), [(day - 2, 8), (day, 1)])
    assert not known.holds(START + timedelta(days=2), [(day - 2, 7), (day - 1, 1)])
    assert not known.holds(START - timedelta(days=1), [(day - 2, 7)])
