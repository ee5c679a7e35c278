"""How budgets for AI stand: held against an earlier period, and those of a list read together."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from resolvers.ai_budget_status import ai_budget, ai_budget_of_list
from resolvers.ai_budgets import ai_budgets
from resolvers.analysis.ai_budgets import AiBudgetAnswer, BudgetPeriod
from resolvers.analysis.estimates import Money
from resolvers.analysis.filters import EVERYTHING, All, DimensionIs, Filter, Op, PropertyIs
from resolvers.analysis.periods import Compare
from resolvers.context import Context
from tests.factories import store
from tests.resolvers.ai_budget_logs import NOON, NOW, budget, call, seen_at
from tests.statements import counted


@pytest.fixture
def at_noon(context: Context) -> Context:
    return seen_at(context, NOON)


def uncompared(answer: AiBudgetAnswer) -> AiBudgetAnswer:
    forecast = replace(answer.forecast, previous=None, change=None)
    return replace(answer, previous_period=None, previous_spent=None, forecast=forecast)


async def test_a_period_is_held_against_the_same_share_of_another(at_noon: Context) -> None:
    february = datetime(2026, 2, 15, tzinfo=UTC)
    minute = timedelta(minutes=1)
    await store(
        at_noon,
        call(NOON - timedelta(days=1), "3"),
        call(NOON - timedelta(days=2), "1"),
        # Half of March is over, which in February was the case after 14 days.
        call(february - minute, "5"),
        call(february, "7"),
        call(datetime(2026, 1, 31, 23, 59, tzinfo=UTC), "11"),
        call(NOON.replace(year=2025) - minute, "13"),
        call(NOON.replace(year=2025) + minute, "17"),
    )
    await budget(at_noon, "30")
    plain = await ai_budget(at_noon, "all", NOW)
    assert (plain.previous_period, plain.previous_spent, plain.forecast.previous) == (None, None, None)
    for compare, start, cut, spent, whole in (
        (Compare.PREVIOUS_PERIOD, datetime(2026, 2, 1, tzinfo=UTC), february, 5, 12),
        (Compare.PREVIOUS_YEAR, datetime(2025, 3, 1, tzinfo=UTC), NOON.replace(year=2025), 13, 30),
    ):
        answer = await ai_budget(at_noon, "all", replace(NOW, compare=compare))
        assert answer.previous_period is not None
        assert (answer.previous_period.start, answer.previous_period.end) == (start, cut)
        assert (answer.previous_spent, answer.forecast.previous) == (spent, whole)
        assert uncompared(answer) == plain


async def test_shares_of_periods_end_within_an_hour(context: Context) -> None:
    # 9.5 of 30 days are over; of March that is until the 10th at 19:36.
    now = datetime(2026, 4, 10, 12, 20, tzinfo=UTC)
    then = seen_at(context, now)
    cut = datetime(2026, 3, 10, 19, 36, tzinfo=UTC)
    await store(then, call(cut - timedelta(seconds=1), "1"), call(cut, "2"), call(now, "4"))
    await budget(then)
    answer = await ai_budget(then, "all", replace(NOW, compare=Compare.PREVIOUS_PERIOD))
    assert answer.previous_period is not None
    assert answer.previous_period.end == cut
    assert (answer.spent, answer.previous_spent, answer.forecast.previous) == (4, 1, 3)


CONDITIONS: tuple[Filter, ...] = (
    EVERYTHING,
    DimensionIs("provider", Op.IN, ("p1", "p2", "nobody")),
    All((DimensionIs("feature", Op.IN, ("f1", "f2")),)),
    PropertyIs(("tier",), Op.IN, ("gold",)),
    DimensionIs("provider", Op.IN, ("p0",)),
    All((DimensionIs("provider", Op.IN, ("p1",)), DimensionIs("feature", Op.IN, ("f0",)))),
    DimensionIs("feature", Op.EXISTS),
    DimensionIs("provider", Op.IN, ("p2",)),
    DimensionIs("feature", Op.IN, ("f0",)),
    PropertyIs(("tier",), Op.IN, ("tin",)),
    DimensionIs("provider", Op.NOT_IN, ("p0",)),
    EVERYTHING,
)


@pytest.mark.parametrize("compare", [None, Compare.PREVIOUS_PERIOD])
async def test_budgets_of_a_list_are_read_together(
    at_noon: Context, monkeypatch: pytest.MonkeyPatch, compare: Compare | None
) -> None:
    for number in range(80):
        provider, feature, tier = f"p{number % 3}", f"f{number % 4}", "gold" if number % 5 else "tin"
        at = NOON - timedelta(hours=17 * number)
        cost = None if number % 7 == 0 else f"0.{number:02}"
        dimensions = {"provider": provider, "model": "m"} | ({"feature": feature} if number % 4 < 3 else {})
        await store(at_noon, call(at, cost, dimensions=dimensions, properties={"tier": tier}))
    for place, where in enumerate(CONDITIONS):
        await budget(at_noon, f"{place + 1}", name=f"b{place}", where=where, recurrence=list(BudgetPeriod)[place % 4])
    definitions = [one.definition for one in (await ai_budgets(at_noon)).budgets]
    asked = replace(NOW, compare=compare)

    async def told(some: int) -> list[AiBudgetAnswer]:
        one = Context(at_noon.services, at_noon.principal)
        return await asyncio.gather(*(ai_budget_of_list(one, each, asked) for each in definitions[:some]))

    await told(len(definitions) - 1)
    costs = []
    for some in 4, len(definitions):
        with counted(at_noon.services, monkeypatch) as seen:
            found = await told(some)
        costs.append(len(seen))
    assert costs[1] <= costs[0]

    async def alone() -> list[AiBudgetAnswer]:
        contexts = [Context(at_noon.services, at_noon.principal) for _ in definitions]
        return [await ai_budget(one, each.name, asked) for one, each in zip(contexts, definitions, strict=True)]

    assert found == await alone()
    assert len({one.spent for one in found}) > 6
    # Some cost money that nobody can convert.
    await store(at_noon, call(NOON - timedelta(hours=1), "9", "p1", currency="EUR"))
    found = await told(len(definitions))
    assert found == await alone()
    assert {one.unconverted for one in found} == {(), (Money(Decimal(9), "EUR"),)}


async def test_a_page_of_many_years_is_answered_batch_by_batch(
    at_noon: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        at = NOON - timedelta(days=number)
        await store(at_noon, call(at, f"{number}", f"p{number}", dimensions={"provider": f"p{number}", "model": "m"}))
    for number in range(40):
        where = DimensionIs("provider", Op.IN, (f"p{number}",))
        await budget(at_noon, name=f"b{number}", where=where, recurrence=BudgetPeriod.YEAR)
    definitions = [one.definition for one in (await ai_budgets(at_noon, first=500)).budgets]
    # A year and what it is learned from are more than 700 points, of which 12,000 are answered at once.
    batches, used = 3, []
    for some in 16, len(definitions):
        one = Context(at_noon.services, at_noon.principal)
        with counted(at_noon.services, monkeypatch) as seen:
            found = await asyncio.gather(*(ai_budget_of_list(one, each, NOW) for each in definitions[:some]))
        used.append(len(seen))
    assert used[1] <= batches * used[0]
    assert [(one.definition.name, one.spent) for one in found] == [
        (f"b{number}", number if number < 20 else 0) for number in range(40)
    ]
    assert found[7] == await ai_budget(Context(at_noon.services, at_noon.principal), "b7", NOW)
