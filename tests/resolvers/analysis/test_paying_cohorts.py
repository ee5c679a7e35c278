"""Paying cohorts are what a walk over plain rows finds, money exact."""

from collections import defaultdict
from decimal import Context, Decimal
from functools import reduce
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.attribution_sales import UNIT
from resolvers.analysis.exchange_rates import DAY_US, Rates
from resolvers.analysis.ledgers import joined_entries
from resolvers.analysis.paying_cohorts import NOTHING_PAID, PaidCohorts, paid_further
from tests.resolvers.analysis.ledger_entries import HOUR_US, ROWS, Row, entries

EXACT = Context(prec=100)
STARTS = [20 * HOUR_US, 40 * HOUR_US, 41 * HOUR_US, 70 * HOUR_US]
FACTORS = {"EUR": {0: Decimal("1.0842857142857142857142857143"), 2: Decimal("1.1")}, "JPY": {1: Decimal("0.0067")}}


def total(amounts: list[Decimal]) -> Decimal:
    return reduce(EXACT.add, amounts, Decimal(0))


def walked(rows: list[Row]) -> tuple[dict[tuple[int, int], tuple[int, Decimal]], int, dict[str, Decimal]]:
    """Cells, how many bought again, and what was left aside; a step of 1 is a refund."""
    mine: dict[int, list[tuple[Row, int, Decimal]]] = defaultdict(list)
    aside: dict[str, list[Decimal]] = defaultdict(list)
    for row in rows:
        if row.units is None:
            continue
        factor = Decimal(1) if row.currency == "USD" else FACTORS[row.currency].get(row.at // DAY_US)
        signed = -row.amount if row.steps else row.amount
        bucket = sum(row.at >= start for start in STARTS) - 1
        if factor is not None:
            mine[row.subject].append((row, bucket, EXACT.multiply(signed, factor)))
        elif bucket >= 0:
            aside[row.currency].append(signed)
    subjects: dict[tuple[int, int], set[int]] = defaultdict(set)
    revenue: dict[tuple[int, int], list[Decimal]] = defaultdict(list)
    again = 0
    for who, payments in mine.items():
        bought = [(row, bucket) for row, bucket, _ in payments if not row.steps]
        cohort = min((bucket for _, bucket in bought), default=-1)
        if cohort < 0:
            continue
        orders = [row.thing for row, _ in bought]
        again += len({order for order in orders if order}) + orders.count(0) > 1
        for row, bucket, amount in payments:
            if bucket >= cohort:
                revenue[cohort, bucket].append(amount)
                if not row.steps:
                    subjects[cohort, bucket].add(who)
    cells = {cell: (len(subjects[cell]), total(amounts)) for cell, amounts in revenue.items()}
    return cells, again, {currency: left for currency, amounts in sorted(aside.items()) if (left := total(amounts))}


def cohorts(rows: list[Row], rates: Rates | None = None) -> PaidCohorts:
    return paid_further(NOTHING_PAID, entries(rows), STARTS, "USD", rates or Rates(), kept=False).told()


@given(st.lists(ROWS, max_size=40))
def test_cohorts_are_those_of_a_walk(rows: list[Row]) -> None:
    found = cohorts(rows, Rates(FACTORS))
    cells, again, aside = walked(rows)
    assert {(cell.cohort, cell.bucket): (cell.subjects, cell.revenue) for cell in found.cells} == cells
    assert found.again == again
    assert {money.currency: money.amount for money in found.unconverted} == aside


@given(st.lists(ROWS, max_size=40), st.lists(st.integers(0, 90).map(lambda hours: hours * HOUR_US), max_size=3))
def test_payments_may_be_told_a_while_at_a_time(rows: list[Row], cuts: list[int]) -> None:
    so_far, rates = NOTHING_PAID, Rates(FACTORS)
    edges = [-1, *sorted(cuts), 10**13]
    for place, (start, end) in enumerate(pairwise(edges)):
        payments = entries([row for row in rows if start <= row.at < end])
        waiting = joined_entries([so_far.waiting, payments]) if so_far.waiting.size else payments
        last = place == len(cuts)
        so_far = paid_further(so_far, waiting, STARTS, "USD", rates, kept=not last)
    cells, again, aside = walked(rows)
    found = so_far.told()
    assert {(cell.cohort, cell.bucket): (cell.subjects, cell.revenue) for cell in found.cells} == cells
    assert found.again == again
    assert {money.currency: money.amount for money in found.unconverted} == aside


def test_nobody_paid_is_no_cell() -> None:
    assert cohorts([]).cells == []
    refund = cohorts([Row(at=STARTS[0], steps=1)])
    assert (refund.cells, refund.again, refund.unconverted) == ([], 0, ())


def test_sums_of_the_largest_amounts_are_exact() -> None:
    rows = [Row(at=STARTS[0], units=10**12 * UNIT - place) for place in range(5_000)]
    (cell,) = cohorts(rows).cells
    assert cell.revenue == total([row.amount for row in rows])
