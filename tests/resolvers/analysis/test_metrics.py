"""Metrics finished from their statistics, the catalogue's own among them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from resolvers.analysis.estimates import Quality, Unit, wilson
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.metrics import (
    Aggregate,
    Direction,
    Form,
    Metric,
    Statistic,
    Statistics,
    finish,
    value_of,
)
from resolvers.analysis.revenue import growth
from resolvers.catalogue import METRICS, metric
from resolvers.errors import BadInput

NOW = datetime(2026, 3, 15, tzinfo=UTC)
EVENTS = Statistic(Aggregate.COUNT, EVERYTHING)


def test_a_total_of_counts_stands_on_itself() -> None:
    estimate = finish(metric("events"), {"numerator": 42}, {"numerator": 40}, "EUR", NOW)
    assert (estimate.value, estimate.n, estimate.unit) == (Decimal(42), 42, Unit.COUNT)
    assert (estimate.previous, estimate.change) == (Decimal(40), Decimal("0.05"))
    assert (estimate.interval, estimate.currency, estimate.numerator) == (None, None, None)


def test_a_total_of_money_stands_on_its_events_to_the_last_digit() -> None:
    amount = Decimal("123456789012345678901234567890.123456")
    estimate = finish(metric("revenue"), {"numerator": amount, "denominator": 31}, None, "EUR", NOW)
    assert (estimate.value, estimate.n, estimate.currency) == (amount, 31, "EUR")
    assert (estimate.previous, estimate.quality) == (None, Quality.SUFFICIENT)


@pytest.mark.parametrize("statistics", [{}, {"numerator": None, "denominator": 0}])
def test_nothing_adds_up_to_0_but_is_no_rate(statistics: Statistics) -> None:
    assert value_of(metric("revenue"), statistics) == (Decimal(0), 0)
    for slug in ("conversion_rate", "average_order_value", "ai_latency_p95", "ai_success_rate"):
        estimate = finish(metric(slug), statistics, statistics, "EUR", NOW)
        assert (estimate.value, estimate.n, estimate.previous, estimate.change) == (None, 0, None, None)
        assert (estimate.interval, estimate.quality) == (None, Quality.INSUFFICIENT)


def test_a_ratio_has_its_interval() -> None:
    estimate = finish(metric("conversion_rate"), {"numerator": 12, "denominator": 60}, None, "EUR", NOW)
    assert (estimate.value, estimate.n, estimate.interval) == (Decimal("0.2"), 60, wilson(12, 60))
    assert (estimate.numerator, estimate.denominator) == (Decimal(12), Decimal(60))


def test_an_average_of_orders_has_no_interval() -> None:
    found: Statistics = {"numerator": Decimal("8911407.904"), "denominator": 18_532}
    estimate = finish(metric("average_order_value"), found, None, "GBP", NOW)
    assert estimate.value is not None
    assert round(estimate.value, 6) == Decimal("480.865956")
    assert (estimate.n, estimate.currency, estimate.interval) == (18_532, "GBP", None)
    assert estimate.numerator == found["numerator"]


def test_an_average_with_squares_has_students_interval() -> None:
    scored = Metric("m", "m", "d", Unit.SECONDS, Direction.UP, Form.MEAN, EVENTS, EVENTS, EVENTS)
    estimate = finish(scored, {"numerator": 6.0, "denominator": 3, "squares": 14.0}, None, "EUR", NOW)
    assert estimate.interval is not None
    assert round(estimate.interval.low, 9) == Decimal("-0.484137712")
    assert round(estimate.interval.high, 9) == Decimal("4.484137712")
    assert estimate.interval.method == "Student t"


def test_a_quantile_reads_as_measured() -> None:
    found = {"numerator": 1234.1, "denominator": 400}
    estimate = finish(metric("ai_latency_p95"), found, {"numerator": 1000.0, "denominator": 9}, "EUR", NOW)
    assert (estimate.value, estimate.n, estimate.unit) == (Decimal("1234.1"), 400, Unit.MILLISECONDS)
    assert estimate.change == Decimal("0.2341")


def test_no_number_is_no_value() -> None:
    assert value_of(metric("ai_latency_p50"), {"numerator": float("nan"), "denominator": 3}) == (None, 3)


def test_growth_is_relative_to_the_previous_revenue() -> None:
    grown = growth(Decimal("150.00"), Decimal("100.00"), 40, NOW)
    assert (grown.value, grown.numerator, grown.denominator) == (Decimal("0.5"), Decimal(50), Decimal(100))
    assert (grown.unit, grown.quality, grown.currency) == (Unit.RATIO, Quality.SUFFICIENT, None)
    first = growth(Decimal("150.00"), Decimal(0), 40, NOW)
    assert (first.value, first.quality) == (None, Quality.INSUFFICIENT)


def test_the_catalogue_lists_its_metrics_by_slug() -> None:
    assert [entry.slug for entry in METRICS] == [
        "events",
        "unique_subjects",
        "conversions",
        "conversion_rate",
        "revenue",
        "refunds",
        "average_order_value",
        "acquisition_spend",
        "ai_requests",
        "ai_cost",
        "ai_success_rate",
        "ai_latency_p50",
        "ai_latency_p95",
    ]
    assert all(metric(entry.slug) is entry for entry in METRICS)


def test_the_catalogue_declares_what_its_forms_need() -> None:
    for entry in METRICS:
        assert entry.title
        assert entry.definition.endswith(".")
        assert set(entry.dimensions) <= set(DIMENSIONS)
        assert (entry.denominator is not None) or entry.form is Form.TOTAL
        for statistic in (entry.numerator, entry.denominator):
            if statistic is not None:
                assert (statistic.q is not None) == (statistic.aggregate is Aggregate.QUANTILE)
                assert statistic.field is not None or statistic.aggregate is Aggregate.COUNT


def test_an_unknown_metric_is_told_the_known_ones() -> None:
    with pytest.raises(BadInput, match="average_order_value") as refusal:
        metric("revenues")
    assert refusal.value.field == "slug"
