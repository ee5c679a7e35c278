"""Recurring revenue and cohorts over public data, against what other tools make of them."""

import csv
import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resolvers.analysis.cohorts import Cell, grid, returns
from resolvers.analysis.mrr import Movement, movements, tally
from resolvers.analysis.periods import Granularity, Period, buckets, epoch_us
from resolvers.analysis.subscriptions import TIMES_A_YEAR, Interval, Step, SubscriptionEvents, amounts, changes, monthly

SHARED = Path(__file__).resolve().parents[4] / "shared"
NAMES = {
    Movement.NEW: "new",
    Movement.REACTIVATION: "reactivation",
    Movement.EXPANSION: "upgrade",
    Movement.CONTRACTION: "downgrade",
    Movement.CHURN: "churn",
}
UNIT = 10**12

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository"),
]


def months(first: str, last: str) -> list[datetime]:
    """The instants at which the months from one to another begin, and that at which the last one ends."""
    start, end = (datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC) for month in (first, last))
    starts = buckets(Period(start, end.replace(day=28)), Granularity.MONTH, "UTC")
    return [*starts, end.replace(year=end.year + end.month // 12, month=end.month % 12 + 1)]


def playbook() -> SubscriptionEvents:
    with (SHARED / "data/mrr_playbook/subscription_periods.csv").open(newline="") as lines:
        # The published months end with 2019: four customers who start with 2020 are in none of its figures.
        periods = [row for row in csv.DictReader(lines) if row["start_date"] < "2020"]
    rows = [
        (
            int(row["customer_id"]),
            int(row["subscription_id"]),
            epoch_us(datetime.fromisoformat(row[when]).replace(tzinfo=UTC)),
            step,
            monthly(Decimal(row["monthly_amount"]), TIMES_A_YEAR[Interval.MONTH]),
        )
        for row in periods
        for when, step in (("start_date", Step.STARTED), ("end_date", Step.ENDED))
    ]
    customer, subscription, at, step, paid = zip(*rows, strict=True)
    nothing = np.zeros(len(rows), np.int64)
    return SubscriptionEvents(
        customer=np.array(customer),
        subscription=np.array(subscription),
        at=np.array(at),
        position=np.arange(len(rows)),
        step=np.array(step),
        monthly=amounts(paid),
        currency=nothing,
        inside=np.ones(len(rows), bool),
        group=nothing,
    )


def test_the_playbook_s_movements_month_by_month() -> None:
    reference = json.loads((SHARED / "reference/mrr_playbook.json").read_text())["dbt_mrr_playbook_sql_on_duckdb"]
    by_month = reference["movements_count_and_mrr"]
    edges = months("2017-09", "2020-01")
    found = tally(movements(changes(playbook())), list(map(epoch_us, edges)), 0)
    assert found.start[0] == 0
    for place, start in enumerate(edges[:-1]):
        told: dict[str, Any] = by_month.get(f"{start:%Y-%m}", {"mrr": 0, "active": 0})
        for kind, name in NAMES.items():
            count, mrr = told.get(name, (0, 0))
            assert (found.counts[kind][place], found.moved[kind][place]) == (count, abs(mrr) * UNIT), (start, name)
        assert (found.ending[place], found.customers[place]) == (told["mrr"] * UNIT, told["active"])
    whole = found.whole()
    totals = {name: [whole.counts[kind][0], whole.moved[kind][0] // UNIT] for kind, name in NAMES.items()}
    assert totals == {name: [count, abs(mrr)] for name, (count, mrr) in reference["totals"].items()}


def test_who_was_there_before_the_first_month_asked_about_is_not_new() -> None:
    found = tally(movements(changes(playbook())), list(map(epoch_us, months("2018-12", "2018-12"))), 0)
    assert (found.start, found.ending) == ((575 * UNIT,), (585 * UNIT,))
    assert found.counts[Movement.NEW] == (1,)


def test_the_published_worked_examples_to_the_cent() -> None:
    published = json.loads((SHARED / "reference/mrr_rules.json").read_text())["published_worked_examples"]
    stripe, chartmogul = (published[name]["cases"] for name in ("stripe", "chartmogul"))
    assert monthly(Decimal(1200), 1) == stripe[0]["mrr"] * UNIT
    assert 100 * monthly(Decimal(100), 12) + 50 * monthly(Decimal(600), 1) == stripe[1]["mrr"] * UNIT
    assert round(Decimal(monthly(Decimal(2000), 1)) / UNIT, 2) == Decimal(str(chartmogul[0]["mrr"]))
    assert monthly(Decimal(90), TIMES_A_YEAR[Interval.QUARTER]) == chartmogul[5]["mrr"] * UNIT


def test_a_shop_s_monthly_cohorts() -> None:
    reference = json.loads((SHARED / "reference/online_retail.json").read_text())["duckdb_pandas"]
    with gzip.open(SHARED / "data/online_retail/online_retail.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        rows = [
            (int(float(row["CustomerID"])), row["InvoiceDate"], Decimal(row["Quantity"]) * Decimal(row["UnitPrice"]))
            for row in csv.DictReader(lines)
            if row["CustomerID"] and row["InvoiceNo"][:1] != "C" and int(row["Quantity"]) > 0
            if Decimal(row["UnitPrice"]) > 0
        ]
    starts = months("2010-12", "2011-12")
    edges = [*map(epoch_us, starts[:-1]), epoch_us(datetime(2011, 12, 10, tzinfo=UTC))]
    times = {text: epoch_us(datetime.fromisoformat(text).replace(tzinfo=UTC)) for text in {row[1] for row in rows}}
    subject = np.array([row[0] for row in rows], np.int32)
    at = np.array([times[row[1]] for row in rows], np.int64)
    counts = returns(subject, at, edges)
    revenue: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
    place = np.searchsorted(edges, at, side="right") - 1
    first = dict(sorted(zip(subject.tolist(), place.tolist(), strict=True), reverse=True))
    for (who, _, amount), bucket in zip(rows, place.tolist(), strict=True):
        revenue[first[who], bucket] += amount
    cells = [Cell(i, j, int(counts[i, j]), revenue[i, j]) for i in range(13) for j in range(i, 13)]
    found = grid(starts, 13, cells)
    known: list[list[Any]] = [
        [f"{one.at:%Y-%m}", k, count, f"{earned:.3f}"]
        for one in found
        for k, (count, earned) in enumerate(zip(one.retained, one.revenue, strict=True))
        if count is not None
    ]
    assert known == reference["monthly_cohorts"]["cells_cohort_k_customers_revenue"]
    assert len(known) == 91
    assert [count for one in found for count in one.retained].count(None) == 13 * 13 - 91
    assert found[0].cumulative[-1] == sum(Decimal(cell[3]) for cell in known if cell[0] == "2010-12")
    assert all(a <= b for one in found for a, b in pairwise(x for x in one.cumulative if x is not None))
