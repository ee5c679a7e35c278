"""Distinct orders and customers by dimensions: ledgers and the log say the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import EVERYTHING, Filter, NameIs, Not, having
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.catalogue import CONVERSIONS, REFUNDS
from resolvers.context import Context, Principal
from resolvers.store.folding import fold
from resolvers.store.log_metrics import LogMetrics
from resolvers.store.sale_metrics import SaleMetrics, in_sales
from resolvers.store.scans import Keys, Selection
from resolvers.store.terms import TermRepository
from tests.factories import purchase, store

START = datetime(2026, 1, 30, tzinfo=UTC)
PERIOD = Period(START, START + timedelta(days=6))
BUCKETS = [START + timedelta(days=day) for day in range(6)]
STATISTICS = (
    Statistic(Aggregate.DISTINCT, CONVERSIONS, "order"),
    Statistic(Aggregate.DISTINCT, CONVERSIONS, "customer"),
    Statistic(Aggregate.DISTINCT, REFUNDS, "order"),
)
RATES = Rates({"EUR": {(START - datetime(1970, 1, 1, tzinfo=UTC)).days + day: Decimal(2) for day in (0, 1, 4)}})
BY_CHANNEL: list[Keys] = [("ads",), (None,), ("never",), ("ads",)]
BY_TWO: list[Keys] = [("ads", "free"), ("mail", None)]


async def some(context: Context, random: Random, count: int) -> None:
    """Sales of five people, whose orders have names that others' have too, or none."""
    await store(
        context,
        *(
            purchase(
                random.choice(["5", "0"]),
                name=random.choice(["purchase", "renewal", "refund", "churn"]),
                subject=random.choice("abcde"),
                orderId=random.choice([None, "1", "2", "3"]),
                currency=random.choice(["USD", "EUR", "JPY"]),
                dimensions={
                    name: value
                    for name, value in (("channel", random.choice(["ads", "mail", None])), ("plan", "free"))
                    if value is not None and random.random() < 0.8
                },
                occurredAt=START + timedelta(minutes=random.randrange(-500, 6 * 1440 + 500)),
            )
            for _ in range(count)
        ),
    )


@pytest.mark.parametrize(
    ("by", "groups"), [(("channel",), BY_CHANNEL), (("channel", "plan"), BY_TWO), (("plan",), []), ((), [])]
)
@pytest.mark.parametrize("where", [EVERYTHING, Not(NameIs(("renewal",))), having(plan="free")])
async def test_ledgers_say_what_the_log_says(
    context: Context, principal: Principal, by: tuple[str, ...], groups: list[Keys], where: Filter
) -> None:
    random, services = Random(4), context.services
    selection = Selection(principal.tenant_id, "USD", PERIOD, where, RATES)
    for folding in (False, True, False):
        await some(context, random, 120)
        if folding:
            await fold(services.database, principal.tenant_id)
        async with services.database.tenant(principal.tenant_id) as session:
            log = LogMetrics(session, TermRepository(session, services.memory))
            sales = SaleMetrics(session, services.memory, services.segments, services.heavy)
            for buckets in (BUCKETS, []):
                logged = await log.statistics(selection, STATISTICS, buckets, by, groups, 20)
                found = await sales.statistics(selection, STATISTICS, buckets, by, groups)
                assert found is not None
                empty = (0, 0, 0)
                shown = {place: values for place, values in logged.by_group.items() if values != empty}
                cells = {place: values for place, values in logged.by_group_and_bucket.items() if values != empty}
                assert found.total == logged.total != empty
                assert [one.values for one in found.columns] == [one.values for one in logged.columns]
                assert (found.by_group, found.by_group_and_bucket) == (shown, cells)
                assert (found.groups, found.group_count) == (logged.groups, logged.group_count)
    assert found.explanations[0].source is Source.JOURNEYS


async def test_more_sales_than_fit_are_left_to_the_log(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some(context, Random(5), 20)
    await fold(context.services.database, principal.tenant_id)
    monkeypatch.setattr("resolvers.store.ledgers._LARGEST", 100)
    selection, services = Selection(principal.tenant_id, "USD", PERIOD, EVERYTHING), context.services
    async with services.database.tenant(principal.tenant_id) as session:
        sales = SaleMetrics(session, services.memory, services.segments, services.heavy)
        assert await sales.statistics(selection, STATISTICS, BUCKETS, ("channel",), BY_CHANNEL) is None


def test_what_is_in_ledgers() -> None:
    selection = Selection(1, "USD", PERIOD, EVERYTHING)
    assert in_sales(STATISTICS, selection)
    assert not in_sales(STATISTICS, replace(selection, period=Period(START, START + timedelta(hours=3))))
    assert not in_sales([*STATISTICS, Statistic(Aggregate.SUM, CONVERSIONS, "amount")], selection)
    assert not in_sales([Statistic(Aggregate.DISTINCT, CONVERSIONS, "subject")], selection)
