"""What a budget's period will cost: against regression by the book, and at its edges."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from resolvers.analysis.ai_budgets import BudgetPeriod, foretold

COSTS = st.lists(st.decimals(0, 100, places=3, allow_nan=False), min_size=14, max_size=28)


@pytest.mark.parametrize(
    ("period", "day", "first", "after"),
    [
        (BudgetPeriod.WEEK, date(2026, 3, 11), date(2026, 3, 9), date(2026, 3, 16)),
        (BudgetPeriod.WEEK, date(2026, 3, 9), date(2026, 3, 9), date(2026, 3, 16)),
        (BudgetPeriod.MONTH, date(2024, 2, 29), date(2024, 2, 1), date(2024, 3, 1)),
        (BudgetPeriod.QUARTER, date(2026, 12, 31), date(2026, 10, 1), date(2027, 1, 1)),
        (BudgetPeriod.QUARTER, date(2026, 4, 1), date(2026, 4, 1), date(2026, 7, 1)),
        (BudgetPeriod.YEAR, date(2026, 7, 5), date(2026, 1, 1), date(2027, 1, 1)),
    ],
)
def test_periods_follow_the_calendar(period: BudgetPeriod, day: date, first: date, after: date) -> None:
    assert period.around(day) == (first, after)


@given(COSTS, st.integers(0, 6), st.lists(st.sampled_from(["0.25", "1"]), min_size=1, max_size=31))
def test_it_is_the_prediction_of_a_regression_on_weekdays(costs: list[Decimal], start: int, parts: list[str]) -> None:
    past = [((start + place) % 7, cost) for place, cost in enumerate(costs)]
    coming = [((start + len(costs) + place) % 7, Decimal(part)) for place, part in enumerate(parts)]
    found = foretold(past, coming)
    assert found is not None
    design = np.zeros((len(past), 7))
    design[np.arange(len(past)), [weekday for weekday, _ in past]] = 1
    y = np.array([float(cost) for cost in costs])
    means, *_ = np.linalg.lstsq(design, y, rcond=None)
    ahead = np.zeros(7)
    for weekday, part in coming:
        ahead[weekday] += float(part)
    residual = ((y - design @ means) ** 2).sum() / (len(past) - 7)
    variance = residual * (ahead.sum() + ahead @ np.linalg.inv(design.T @ design) @ ahead)
    assert float(sum(found.days)) == pytest.approx(float(ahead @ means))
    assert (found.freedom, found.error) == (len(past) - 7, pytest.approx(variance**0.5, abs=1e-9))
    total = sum(found.days) + 5
    interval = found.interval(Decimal(5), total)
    if interval is not None:
        half = t.ppf(0.975, found.freedom) * variance**0.5
        assert float(interval.high) == pytest.approx(float(total) + half)
        assert interval.low >= 5
        assert found.probability(total, total) == pytest.approx(0.5)
        expected = t.sf((float(total) + 1 - float(total)) / found.error, found.freedom)
        assert found.probability(total, total + 1) == pytest.approx(expected, rel=1e-6)


def test_few_days_have_one_mean() -> None:
    past = [(weekday % 7, Decimal(cost)) for weekday, cost in enumerate((1, 2, 3))]
    found = foretold(past, [(5, Decimal("0.5")), (6, Decimal(1))])
    assert found is not None
    assert (found.days, found.freedom) == ((1, 2), 2)
    assert found.error == pytest.approx((1 * (1.5 + 1.5**2 / 3)) ** 0.5)
    assert foretold(past[:1], [(1, Decimal(1))]) is None
    assert foretold([], [(1, Decimal(1))]) is None


def test_what_never_varies_is_certain() -> None:
    found = foretold([(n % 7, Decimal(2)) for n in range(28)], [(0, Decimal(1))] * 3)
    assert found is not None
    assert (sum(found.days), found.interval(Decimal(1), Decimal(7))) == (6, None)
    assert (found.probability(Decimal(7), Decimal(8)), found.probability(Decimal(9), Decimal(8))) == (0, 1)
