"""Budgets for AI over the log, seen at set moments; and what AI costs, priced or not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from resolvers.ai_budget_status import ai_budget
from resolvers.ai_budgets import MOST_BUDGETS, ai_budgets, ai_budgets_by_id, delete_ai_budget
from resolvers.ai_costs import ai_cost
from resolvers.analysis.ai_budgets import BudgetPeriod
from resolvers.analysis.estimates import Money
from resolvers.analysis.filters import DimensionIs, Op
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from resolvers.errors import BadInput, Forbidden, NotFound
from tests.factories import new_principal, store
from tests.resolvers.ai_budget_logs import NOON, NOW, budget, call, seen_at

MARCH = Question(PeriodRequest(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC)))


@pytest.fixture
def at_noon(context: Context) -> Context:
    return seen_at(context, NOON)


async def test_a_month_seen_from_its_middle(at_noon: Context) -> None:
    # Four weeks before today: 2 on Mondays, 1 on other days, and what is not of this month.
    days = [NOON - timedelta(days=back) for back in range(1, 29)]
    await store(at_noon, *(call(day, "2" if day.weekday() == 0 else "1") for day in days))
    await store(at_noon, call(NOON - timedelta(hours=1), "0.75"), call(NOON - timedelta(hours=2), None))
    await store(at_noon, call(NOON - timedelta(hours=3), "9", currency="EUR"))
    await budget(at_noon, "30")
    answer = await ai_budget(at_noon, "all", NOW)
    assert (answer.period.start, answer.period.end) == (
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 4, 1, tzinfo=UTC),
    )
    assert (answer.groups, answer.group_count) == ((), 0)
    # The 1st to the 15th with two Mondays, and today.
    spent = Decimal(13 + 2 * 2) + Decimal("0.75")
    assert (answer.spent, answer.calls, answer.unpriced) == (spent, 18, 1)
    assert answer.remaining == 30 - spent
    assert answer.elapsed == Decimal("15.5") / 31
    # Half of a Monday's 2, then the 17th to the 31st with two Mondays.
    assert answer.forecast.value == spent + 1 + 13 + 4
    assert answer.forecast.interval is None
    assert (answer.will_exceed, answer.probability) == (True, 1)
    # 18.75 tonight, and 30.75 on the 27th: the 23rd is a Monday.
    assert answer.exceeds_at == datetime(2026, 3, 27, tzinfo=UTC)
    assert answer.unconverted == (Money(Decimal(9), "EUR"),)
    assert answer.series.cost[:2] == (1, 2)
    assert (answer.series.cost[15], answer.series.expected[15]) == (Decimal("0.75"), 1)
    assert (answer.series.cost[16], answer.series.expected[14], answer.series.expected[22]) == (None, None, 2)
    await budget(at_noon, "36")
    enough = await ai_budget(at_noon, "all", NOW)
    assert (enough.will_exceed, enough.probability, enough.exceeds_at) == (False, 0, None)
    await budget(at_noon, "10")
    over = await ai_budget(at_noon, "all", NOW)
    assert (over.will_exceed, over.probability, over.remaining) == (True, 1, 10 - spent)
    assert over.exceeds_at == datetime(2026, 3, 9, tzinfo=UTC)


async def test_a_new_tenant_has_no_forecast(at_noon: Context) -> None:
    await budget(at_noon, "5", recurrence=BudgetPeriod.YEAR)
    answer = await ai_budget(at_noon, "all", NOW)
    assert (answer.spent, answer.forecast.value, answer.will_exceed, answer.probability) == (0, None, None, None)
    assert (len(answer.series.at), set(answer.series.expected)) == (365, {None})
    await store(at_noon, call(NOON - timedelta(days=1), "1"), call(NOON, "0.5"))
    assert (await ai_budget(at_noon, "all", NOW)).forecast.value is None
    await store(at_noon, call(NOON - timedelta(days=2), "3"))
    answer = await ai_budget(at_noon, "all", NOW)
    # Two days, of 2 in the mean; it is half past the 75th day of 365.
    assert answer.forecast.value == Decimal("4.5") + 2 * (Decimal("0.5") + 365 - 75)
    assert answer.forecast.interval is not None
    assert answer.forecast.interval.low >= answer.spent
    assert answer.probability is not None
    assert 0.5 < answer.probability < 1
    await store(at_noon, call(NOON, "1"))
    assert (await ai_budget(at_noon, "all", NOW)).exceeds_at == datetime(2026, 3, 16, tzinfo=UTC)


async def test_days_are_local_and_calls_are_chosen(at_noon: Context) -> None:
    # In Auckland it is the 17th already.
    await store(
        at_noon, call(datetime(2026, 3, 16, 10, 30, tzinfo=UTC), "1"), call(NOON - timedelta(minutes=5), "2", "b")
    )
    await budget(at_noon, "50", recurrence=BudgetPeriod.WEEK, where=DimensionIs("provider", Op.IN, ("b",)))
    asked = replace(NOW, timezone="Pacific/Auckland")
    answer = await ai_budget(at_noon, "all", asked)
    assert (answer.spent, answer.series.cost[:3], answer.calls) == (2, (0, 2, None), 1)
    assert answer.series.at[1] == datetime(2026, 3, 16, 11, tzinfo=UTC)
    with pytest.raises(BadInput):
        await ai_budget(at_noon, "all", replace(NOW, timezone="Mars/Base"))


async def test_budgets_are_kept_listed_and_deleted(context: Context, owner: Any) -> None:
    first = await budget(context)
    second = await budget(context, "7.50", name="openai", where=DimensionIs("provider", Op.IN, ("openai",)))
    assert await budget(context, "12") == first
    page = await ai_budgets(context, first=1)
    assert (page.budgets[0].definition.amount, page.has_next) == (12, True)
    rest = await ai_budgets(context, after=page.cursors[0])
    assert [one.id for one in rest.budgets] == [second]
    stranger = Context(context.services, await new_principal(owner))
    assert await ai_budgets_by_id(stranger, [first, second]) == {}
    assert (await ai_budgets(stranger)).budgets == ()
    for refuse in ai_budget(stranger, "all", NOW), delete_ai_budget(stranger, first), ai_budget(context, "no", NOW):
        with pytest.raises(NotFound):
            await refuse
    assert (await delete_ai_budget(context, first)).definition.name == "all"
    assert await ai_budgets_by_id(context, [first, second]) == {second: rest.budgets[0]}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-3"}, "amount"),
        ({"amount": "1e40"}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": float("nan")}, "amount"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
    ],
)
async def test_bad_budgets_are_refused(context: Context, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        await budget(context, **changes)
    assert refused.value.field == field
    assert (await ai_budgets(context)).budgets == ()


async def test_who_may_and_how_many(context: Context, owner: Any) -> None:
    viewer = Context(context.services, await new_principal(owner, Role.VIEWER))
    with pytest.raises(Forbidden):
        await budget(viewer)
    for number in range(MOST_BUDGETS):
        await budget(context, name=f"b{number}")
    with pytest.raises(BadInput, match="At most"):
        await budget(context, name="more")
    await budget(context, "3", name="b7")


async def test_costs_and_calls_without_a_price(context: Context) -> None:
    day = datetime(2026, 3, 5, tzinfo=UTC)
    await store(
        context,
        call(day, "1.25", model="large"),
        call(day, "0.25", model="small"),
        *(call(day, None, model="secret", inputTokens=5) for _ in range(3)),
        *(call(day, None, provider="x", model=f"m{n}") for n in range(25)),
        call(day, "4", currency="EUR"),
        call(day - timedelta(days=30), "1"),
    )
    answer = await ai_cost(context, replace(MARCH, by=("model",), top=1, compare=Compare.PREVIOUS_PERIOD))
    assert (answer.cost.value, answer.cost.previous, answer.calls, answer.unpriced) == (Decimal("1.5"), 1, 31, 28)
    assert [(group.keys[0].value if group.keys else None, group.estimate.value) for group in answer.groups] == [
        ("large", Decimal("1.25")),
        (None, Decimal("0.25")),
    ]
    assert answer.series.exact[4] == Decimal("1.5")
    first, *_, last = answer.unpriced_models
    assert (first.provider, first.model, first.calls) == ("acme", "secret", 3)
    assert (last.other, last.calls, len(answer.unpriced_models), answer.unpriced_model_count) == (True, 6, 21, 26)
    assert answer.unconverted == (Money(Decimal(4), "EUR"),)


async def test_no_calls_cost_nothing(context: Context) -> None:
    answer = await ai_cost(context, MARCH)
    assert (answer.cost.value, answer.calls, answer.unpriced, answer.unpriced_models) == (0, 0, 0, ())


async def test_what_a_budget_went_to(at_noon: Context) -> None:
    today, before = NOON - timedelta(hours=1), NOON.replace(month=2)
    await store(at_noon, *(call(today, cost, model=model) for model, cost in (("a", "6"), ("a", "1"), ("b", "2"))))
    await store(at_noon, call(today, "1", model="c"), call(today, None, model="c"), call(before, "50", model="old"))
    await store(at_noon, call(today, "7", provider="other", model="a"))
    await budget(at_noon, "30", where=DimensionIs("provider", Op.IN, ("acme",)))
    answer = await ai_budget(at_noon, "all", replace(NOW, by=("model",), top=2))
    shown = [([key.value for key in one.keys], one.other, one.spent, one.calls, one.unpriced) for one in answer.groups]
    assert shown == [
        (["a"], False, Decimal(7), 2, 0),
        (["b"], False, Decimal(2), 1, 0),
        ([], True, Decimal(1), 2, 1),
    ]
    assert (answer.group_count, answer.spent, answer.calls) == (3, 10, 5)
    assert [one.share for one in answer.groups] == [Decimal("0.7"), Decimal("0.2"), Decimal("0.1")]
    assert replace(answer, groups=(), group_count=0) == await ai_budget(at_noon, "all", NOW)
    with pytest.raises(BadInput) as refused:
        await ai_budget(at_noon, "all", replace(NOW, by=("nothing",)))
    assert refused.value.field == "by"


async def test_a_budget_that_nothing_was_spent_of_has_no_shares(at_noon: Context) -> None:
    await budget(at_noon)
    assert (await ai_budget(at_noon, "all", replace(NOW, by=("model",)))).groups == ()
    await store(at_noon, call(NOON - timedelta(hours=1), None))
    (only,) = (await ai_budget(at_noon, "all", replace(NOW, by=("model",)))).groups
    assert (only.spent, only.share, only.calls, only.unpriced) == (0, None, 1, 1)
