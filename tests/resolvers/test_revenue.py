"""Revenue: exact, and the same however it is cut."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from resolvers.analysis.filters import All, DimensionIs, Op
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.revenue import RevenueAnswer, RevenueGroup
from resolvers.context import Context
from resolvers.exchange_rates import set_exchange_rates
from resolvers.revenue import revenue
from tests.factories import event, purchase, store

START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = PeriodRequest(start=START, end=datetime(2026, 4, 1, tzinfo=UTC))


async def test_what_was_earned_and_by_whom(context: Context) -> None:
    await store(
        context,
        purchase("10.001", orderId="o1", subject="ann"),
        purchase("0.002", orderId="o1", subject="ann"),
        purchase("5", subject="bob"),
        purchase("20", name="subscription", subject="bob"),
        purchase("7", name="upgrade", recurring=False, subject="cleo"),
        purchase("9", currency="EUR", subject="dan"),
        purchase("100", occurredAt=START - timedelta(seconds=1)),
        event(kind="CONVERSION", name="signup", subject="eve"),
        event(kind="CONVERSION", name="churn", subject="ann"),
    )
    answer = await revenue(context, Question(MARCH, granularity=Granularity.MONTH))
    assert answer.total.amount == Decimal("42.003")
    assert answer.recurring.amount == 20
    assert answer.one_time.amount == Decimal("22.003")
    assert (answer.orders, answer.customers) == (4, 3)
    assert answer.average_order_value.value == Decimal("42.003") / 4
    assert answer.growth.value == (Decimal("42.003") - 100) / 100
    assert [(money.amount, money.currency) for money in answer.unconverted] == [(9, "EUR")]
    assert answer.series.total == (Decimal("42.003"),)
    assert answer.series.orders == (4,)


async def test_a_series_adds_up_to_the_total_in_any_time_zone(context: Context) -> None:
    await store(
        context,
        *(purchase(f"{n}.01", occurredAt=START + timedelta(hours=7 * n), subject=f"u{n}") for n in range(100)),
    )
    for timezone in ("UTC", "Asia/Kathmandu", "America/New_York"):
        answer = await revenue(context, Question(MARCH, timezone=timezone, granularity=Granularity.DAY))
        assert sum(answer.series.total) == answer.total.amount
        assert sum(answer.series.orders) == answer.orders == 100


async def test_it_says_what_it_was_read_from(context: Context) -> None:
    await store(context, purchase("1"), purchase("2"))
    found = await revenue(context, Question(MARCH))
    again = await revenue(context, Question(MARCH))
    assert found.explain.rows > 0
    assert found.explain.milliseconds > 0
    assert again.explain is found.explain


async def test_no_revenue_is_zero_and_its_averages_are_null(context: Context) -> None:
    answer = await revenue(context, Question(MARCH))
    assert answer.total.amount == answer.recurring.amount == answer.orders == answer.customers == 0
    assert answer.average_order_value.value is None
    assert answer.growth.value is None
    assert set(answer.series.total) == {Decimal(0)}


@pytest.mark.parametrize("seed", range(4))
async def test_a_group_is_told_what_its_events_alone_are(context: Context, seed: int) -> None:
    random = Random(seed)
    rates = [("2026-01-30", "1.1"), ("2026-02-09", "1.2"), ("2026-03-02", "1.3"), ("2026-03-12", "1.05")]
    await set_exchange_rates(
        context, [{"currency": "USD", "base": "EUR", "date": on, "rate": rate} for on, rate in rates]
    )
    await store(
        context,
        *(
            event(
                kind="CONVERSION",
                name=random.choice(["purchase", "subscription", "refund", "churn", "signup"]),
                amount=random.choice(["0", "3", "19.99", "0.001"]),
                currency=random.choice(["USD", "EUR", "GBP"]),
                subject=random.choice("abcd"),
                orderId=random.choice([None, "o1", "o2"]),
                occurredAt=START + timedelta(hours=random.randrange(-24 * 31, 24 * 31)),
                dimensions={"channel": random.choice("xyz"), "plan": random.choice("pq")}
                if random.random() < 0.8
                else {},
            )
            for _ in range(80)
        ),
    )
    for by in (("channel",), ("channel", "plan")):
        asked = Question(MARCH, granularity=Granularity.WEEK, by=by)
        whole = await revenue(context, asked)
        assert not any(group.other for group in whole.groups)
        assert whole.group_count == len(whole.groups)
        for group in whole.groups:
            where = All(
                tuple(
                    DimensionIs(one.dimension, Op.MISSING)
                    if one.value is None
                    else DimensionIs(one.dimension, Op.IN, (one.value,))
                    for one in group.keys
                )
            )
            alone = await revenue(context, Question(MARCH, granularity=Granularity.WEEK, where=where))
            assert told(group) == told(alone)
        few = await revenue(context, replace(asked, top=1))
        first, other = few.groups
        assert (told(first), other.other, other.keys, few.group_count) == (
            told(whole.groups[0]),
            True,
            (),
            whole.group_count,
        )
        for name in ("total", "recurring", "refunds", "net"):
            assert getattr(first, name).amount + getattr(other, name).amount == getattr(whole, name).amount


def told(one: RevenueAnswer | RevenueGroup) -> list[object]:
    names = ("total", "recurring", "one_time", "refunds", "net", "orders", "customers", "series")
    estimates = [(each.value, each.previous) for each in (one.average_order_value, one.growth)]
    return [*(getattr(one, name) for name in names), *estimates]
