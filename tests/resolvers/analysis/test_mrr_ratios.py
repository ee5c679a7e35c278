"""The ratios of recurring revenue, by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from resolvers.analysis.estimates import Quality, Unit, estimate
from resolvers.analysis.mrr_answers import MrrMovements
from resolvers.analysis.mrr_ratios import Circumstances, acquisition, months_in, ratios
from resolvers.analysis.periods import Period

NOW = datetime(2026, 4, 1, tzinfo=UTC)
GIVEN = Circumstances(Decimal(1), Decimal(0), "EUR", NOW)
MARCH = MrrMovements(
    start=Decimal(1000),
    new=Decimal(200),
    expansion=Decimal(100),
    contraction=Decimal(50),
    churn=Decimal(150),
    reactivation=Decimal(20),
    ending=Decimal(1120),
    customers_at_start=50,
    new_customers=10,
    expanded_customers=3,
    contracted_customers=2,
    churned_customers=5,
    reactivated_customers=1,
    customers=56,
)
NOTHING = MrrMovements(*[Decimal(0)] * 7, *[0] * 7)


def told(now: MrrMovements, given: Circumstances = GIVEN) -> dict[str, Decimal | None]:
    return {name: one.value for name, one in ratios(now, None, given).items()}


def test_each_ratio_is_as_defined() -> None:
    assert told(MARCH) == {
        "mrr": 1120,
        "arr": 13440,
        "growth": Decimal("0.12"),
        "gross_churn": Decimal("0.2"),
        "net_churn": Decimal("0.08"),
        "gross_retention": Decimal("0.8"),
        "net_retention": Decimal("0.92"),
        "customer_churn": Decimal("0.1"),
        "arpu": 20,
        "lifetime_value": 200,
        "quick_ratio": Decimal("1.5"),
    }


def test_over_nothing_there_is_no_ratio_and_a_level_of_0() -> None:
    found = told(NOTHING)
    assert {name for name, value in found.items() if value is not None} == {"mrr", "arr"}
    assert found["mrr"] == found["arr"] == 0
    assert told(replace(MARCH, churned_customers=0))["lifetime_value"] is None


def test_a_lifetime_is_reckoned_in_months_and_net_of_cost() -> None:
    year = replace(GIVEN, months=Decimal(12), cost_per_customer=Decimal(5))
    assert told(MARCH, year)["lifetime_value"] == (20 - 5) * 12 / Decimal("0.1")
    assert told(MARCH, replace(GIVEN, cost_per_customer=Decimal(30)))["lifetime_value"] == -100


def test_a_year_of_what_is_rounded_by_the_month_is_whole() -> None:
    assert told(replace(MARCH, ending=Decimal("166.666666666667")))["arr"] == 2000


def test_ratios_are_held_against_the_period_before() -> None:
    found = ratios(MARCH, replace(MARCH, churn=Decimal(50), ending=Decimal(560)), GIVEN)
    assert (found["gross_churn"].previous, found["gross_churn"].change) == (Decimal("0.1"), 1)
    assert (found["mrr"].previous, found["mrr"].change, found["mrr"].currency) == (560, 1, "EUR")
    assert found["net_churn"].n == found["customer_churn"].n == 50
    assert found["customer_churn"].quality is Quality.SUFFICIENT
    assert found["customer_churn"].interval is not None


@pytest.mark.parametrize(
    ("spent", "now", "cost", "cac", "months"),
    [
        ("600", MARCH, "0", "60", "3"),
        ("600", MARCH, "8", "60", "5"),
        ("600", MARCH, "20", "60", None),
        ("0", MARCH, "0", "0", "0"),
        ("600", replace(MARCH, new_customers=0), "0", None, None),
        ("600", replace(MARCH, customers=0), "0", "60", None),
    ],
)
def test_what_a_customer_cost_is_earned_in_months(
    spent: str, now: MrrMovements, cost: str, cac: str | None, months: str | None
) -> None:
    money = estimate(Decimal(spent), n=1, as_of=NOW, definition="", unit=Unit.MONEY, currency="EUR")
    found = acquisition(now, None, money, replace(GIVEN, cost_per_customer=Decimal(cost)))
    assert found["acquisition_cost"].value == (None if cac is None else Decimal(cac))
    assert found["payback"].value == (None if months is None else Decimal(months))
    assert (found["payback"].unit, found["acquisition_cost"].currency) == (Unit.MONTHS, "EUR")


@pytest.mark.parametrize(
    ("start", "end", "timezone", "months"),
    [
        ("2026-02-01T00:00Z", "2026-03-01T00:00Z", "UTC", "1"),
        ("2025-03-15T00:00Z", "2026-03-15T00:00Z", "UTC", "12"),
        # Clocks change in between, and these are still three months of Berlin.
        ("2025-12-31T23:00Z", "2026-03-31T22:00Z", "Europe/Berlin", "3"),
        ("2026-01-01T00:00Z", "2026-01-31T00:00Z", "UTC", "0.9863013698630136986301369863"),
        ("2026-01-01T12:00Z", "2027-01-01T12:00Z", "UTC", "12"),
    ],
)
def test_a_period_is_so_many_months_long(start: str, end: str, timezone: str, months: str) -> None:
    period = Period(datetime.fromisoformat(start), datetime.fromisoformat(end))
    assert months_in(period, timezone) == Decimal(months)
