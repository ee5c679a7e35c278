"""Revenue: exact, and the same however it is cut."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context
from resolvers.errors import BadInput
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


async def test_a_breakdown_is_refused_with_where_to_find_it(context: Context) -> None:
    with pytest.raises(BadInput, match="metric revenue"):
        await revenue(context, Question(MARCH, by=("channel",)))
