"""Cohorts from the log: a shop's year against what other tools make of it, both ways of reading."""

import csv
import gzip
import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from resolvers.analysis.cohorts import CohortBasis, CohortsAnswer
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import EVERYTHING, DimensionIs, KindIs, Not, Op, having
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.cohorts import cohorts
from resolvers.context import Context, Principal
from resolvers.errors import BadInput
from resolvers.revenue import revenue
from resolvers.store.folding import fold
from tests.factories import event, purchase, store

SHARED = Path(__file__).resolve().parents[3] / "shared"
YEAR = PeriodRequest(start=datetime(2010, 12, 1, tzinfo=UTC), end=datetime(2011, 12, 10, tzinfo=UTC))
BATCH = 5_000
ANYTHING = AnyOf((EVERYTHING, DimensionIs("channel", Op.EXISTS)))
"""True of every event, though not by its class alone."""


def orders() -> list[dict[str, Any]]:
    """Each clean order as an event, or as many as it has times."""
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    with gzip.open(SHARED / "data/online_retail/online_retail.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
            if row["CustomerID"] and row["InvoiceNo"][:1] != "C" and quantity > 0 and price > 0:
                sums[row["CustomerID"], row["InvoiceNo"], row["InvoiceDate"]] += quantity * price
    return [
        purchase(str(amount), subject=who, orderId=order, occurredAt=datetime.fromisoformat(at).replace(tzinfo=UTC))
        for (who, order, at), amount in sums.items()
    ]


def known(found: CohortsAnswer) -> list[list[Any]]:
    return [
        [f"{one.at:%Y-%m}", k, count, f"{earned:.3f}"]
        for one in found.cohorts
        for k, (count, earned) in enumerate(zip(one.retained, one.revenue, strict=True))
        if count is not None
    ]


@pytest.mark.reference
@pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository")
async def test_a_shop_s_year(context: Context, principal: Principal) -> None:
    reference = json.loads((SHARED / "reference/online_retail.json").read_text())["duckdb_pandas"]
    sold = orders()
    for start in range(0, len(sold), BATCH):
        await store(context, *sold[start : start + BATCH])
    question = Question(YEAR, granularity=Granularity.MONTH)
    paid = await cohorts(context, CohortBasis.REVENUE, question)
    assert known(paid) == reference["monthly_cohorts"]["cells_cohort_k_customers_revenue"]
    assert paid.partial
    assert paid.subjects == reference["clean"]["customers"]
    assert paid.repeat.value is not None
    assert float(paid.repeat.value) == pytest.approx(reference["clean"]["repeat_rate_customers_with_2plus_orders"])
    assert f"{paid.repeat.value:.6f}" == "0.655832"
    buying = Question(YEAR, granularity=Granularity.MONTH, where=KindIs((Kind.CONVERSION,)))
    seen = await cohorts(context, CohortBasis.ACTIVITY, buying)
    assert [cell[:3] for cell in known(seen)] == [cell[:3] for cell in known(paid)]
    told = await revenue(context, question)
    assert (told.total.amount, told.orders) == (Decimal(reference["clean"]["revenue"]), reference["clean"]["orders"])
    assert told.average_order_value.value is not None
    assert float(told.average_order_value.value) == pytest.approx(reference["clean"]["AOV"])


async def test_sets_segments_and_the_log_tell_the_same_cohorts(context: Context, principal: Principal) -> None:
    chance = Random(5)  # not for secrets
    start = datetime(2026, 1, 1, tzinfo=UTC)
    await store(
        context,
        *(
            event(subject=f"u{chance.randrange(60)}", occurredAt=start + timedelta(minutes=chance.randrange(130_000)))
            for _ in range(600)
        ),
    )
    period = PeriodRequest(start=start + timedelta(days=20), end=start + timedelta(days=80))
    question = Question(period, granularity=Granularity.WEEK)
    logged = await cohorts(context, CohortBasis.ACTIVITY, question)
    assert logged.explain.source is Source.LOG
    await fold(context.services.database, principal.tenant_id)
    await store(context, event(subject="late", occurredAt=start), event(subject="new", occurredAt=period.start))
    folded = await cohorts(context, CohortBasis.ACTIVITY, question)
    assert folded.explain.source is Source.PRESENCE
    walked = await cohorts(context, CohortBasis.ACTIVITY, replace(question, where=ANYTHING))
    assert walked.explain.source is Source.JOURNEYS
    assert walked == replace(folded, as_of=walked.as_of)
    assert folded.subjects == logged.subjects + 1 > 1
    assert folded.cohorts[1:] == logged.cohorts[1:]
    assert folded.repeat.numerator == logged.repeat.numerator


@pytest.mark.parametrize("of", CohortBasis)
async def test_a_group_has_the_cohorts_of_its_events_alone(context: Context, of: CohortBasis) -> None:
    random = Random(3)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    await store(
        context,
        *(
            purchase(
                random.choice(["5", "7.50"]),
                subject=random.choice("abcdefgh"),
                occurredAt=start + timedelta(hours=random.randrange(24 * 88)),
                dimensions=random.choice([{}, *({"channel": one, "plan": random.choice("pq")} for one in "xyz")]),
            )
            for _ in range(120)
        ),
    )
    period = PeriodRequest(start=start, end=datetime(2026, 4, 1, tzinfo=UTC))
    asked = Question(period, granularity=Granularity.MONTH, by=("channel",), top=2)
    found = await cohorts(context, of, asked)
    (first, second, other), alone = found.groups, replace(asked, by=())
    assert (found.group_count, [one.other for one in found.groups]) == (4, [False, False, True])
    shown = [having(channel=one.keys[0].value) for one in (first, second)]
    for group, where in ((first, shown[0]), (second, shown[1]), (other, Not(AnyOf(tuple(shown))))):
        own = await cohorts(context, of, replace(alone, where=where))
        assert (group.cohorts, group.subjects, group.repeat.value) == (own.cohorts, own.subjects, own.repeat.value)
        assert group.subjects > 0
    assert (await cohorts(context, of, alone)).groups == ()
    with pytest.raises(BadInput) as refused:
        await cohorts(context, of, replace(asked, top=11))
    assert refused.value.field == "top"
