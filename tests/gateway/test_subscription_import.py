"""Subscriptions from a file: imported by their starts and by their ends, and asked about."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from gateway.import_plan import ImportPlan
from gateway.importer import ImportSummary, import_file
from resolvers.analysis.mrr_answers import RecurringRevenueAnswer
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context
from resolvers.events import ingest
from resolvers.recurring_revenue import recurring_revenue

SHARED = Path(__file__).parents[3] / "shared"
CONTRACTS = """contract,customer,from,until,price,every
s1,acme,2026-01-01,2026-03-01,10,month
s2,acme,2026-02-01,,1200,year
s3,bolt,2026-02-01,,5,fortnight
"""


async def imported(
    context: Context, path: Path, folder: Path, days: tuple[str, str], *, maps: list[str], constants: list[str]
) -> list[ImportSummary]:
    """Import a file of contracts by the two columns of their days: starts, and ends where there are."""
    found = []
    for name, column in zip(("started", "ended"), days, strict=True):
        plan = ImportPlan.parse(
            maps=[*maps, f"occurred_at={column}"],
            constants=["kind=SUBSCRIPTION", f"name={name}", *constants],
            conditions=[f"{column} exists"],
        )
        found.append(await import_file(path, plan, partial(ingest, context), rejects_path=folder / f"{name}.rejects"))
    return found


async def asked(context: Context, start: datetime, end: datetime, timezone: str = "UTC") -> RecurringRevenueAnswer:
    period = PeriodRequest(start=start, end=end)
    return await recurring_revenue(context, Question(period, timezone=timezone, granularity=Granularity.MONTH))


async def test_contracts_of_a_file_are_its_starts_and_its_ends(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "contracts.csv"
    path.write_text(CONTRACTS)
    maps = ["subject=customer", "subscription=contract", "amount=price", "interval=every"]
    starts, ends = await imported(context, path, tmp_path, ("from", "until"), maps=maps, constants=[])
    assert (starts.accepted, starts.rejected, ends.accepted) == (2, 1, 1)
    assert "interval" in (tmp_path / "started.rejects").read_text()
    told = await asked(context, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert told.series.ending == (10, 110, 100)
    assert (told.series.new, told.series.expansion, told.series.contraction) == ((10, 0, 0), (0, 100, 0), (0, 0, 10))
    again = await imported(context, path, tmp_path, ("from", "until"), maps=maps, constants=[])
    assert [summary.accepted for summary in again] == [0, 0]


async def test_months_are_those_of_the_time_zone(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "contracts.csv"
    path.write_text("contract,customer,from,until,price\ns1,acme,2026-02-01T03:00:00Z,2026-03-31T22:30:00Z,10\n")
    maps = ["subject=customer", "subscription=contract", "amount=price"]
    await imported(context, path, tmp_path, ("from", "until"), maps=maps, constants=["interval=MONTH"])
    start, end = datetime(2026, 1, 1, 5, tzinfo=UTC), datetime(2026, 5, 1, 4, tzinfo=UTC)
    told = await asked(context, start, end, "America/New_York")
    assert told.series.new == (10, 0, 0, 0)
    assert told.series.churn == (0, 0, 10, 0)
    berlin = await asked(context, start, end, "Europe/Berlin")
    assert berlin.series.new == (0, 10, 0, 0, 0)
    assert berlin.series.churn == (0, 0, 0, 10, 0)


@pytest.mark.reference
@pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository")
async def test_the_playbook_from_its_file(context: Context, tmp_path: Path) -> None:
    reference = json.loads((SHARED / "reference/mrr_playbook.json").read_text())["dbt_mrr_playbook_sql_on_duckdb"]
    path = SHARED / "data/mrr_playbook/subscription_periods.csv"
    maps = ["subject=customer_id", "subscription=subscription_id", "amount=monthly_amount"]
    days = ("start_date", "end_date")
    summaries = await imported(context, path, tmp_path, days, maps=maps, constants=["interval=MONTH"])
    assert [summary.accepted for summary in summaries] == [121, 121]
    # The file's last month is in none of the published figures.
    told = await asked(context, datetime(2017, 9, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
    months = reference["movements_count_and_mrr"]
    for place, at in enumerate(told.series.at):
        month = months.get(f"{at:%Y-%m}", {"mrr": 0, "active": 0, "new": [0, 0], "churn": [0, 0]})
        assert (told.series.ending[place], told.series.customers[place]) == (month["mrr"], month["active"])
        assert [told.series.new_customers[place], told.series.new[place]] == month["new"]
        assert [told.series.churned_customers[place], -told.series.churn[place]] == month["churn"]
    totals = reference["totals"]
    assert [told.movements.new_customers, told.movements.new] == totals["new"] == [51, 2120]
    assert [told.movements.reactivated_customers, told.movements.reactivation] == totals["reactivation"]
    assert [told.movements.expanded_customers, told.movements.expansion] == totals["upgrade"]
    assert [told.movements.contracted_customers, -told.movements.contraction] == totals["downgrade"]
    december = await asked(context, datetime(2018, 12, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC))
    assert (december.movements.start, december.mrr.value) == (575, 585)
    assert december.gross_churn.value == december.movements.contraction / Decimal(575)
