"""Estimates against scipy's own intervals and exact arithmetic."""

from datetime import UTC, datetime
from decimal import Decimal, getcontext, localcontext
from fractions import Fraction
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from resolvers.analysis.estimates import Estimate, Quality, Unit, change, estimate, quotient, share, student, wilson

NOW = datetime(2026, 3, 15, tzinfo=UTC)


def counted(successes: int, n: int) -> Estimate:
    return share(successes, n, as_of=NOW, definition="d")


@given(st.data(), st.integers(1, 10**9))
def test_wilson_agrees_with_scipy(data: st.DataObject, n: int) -> None:
    successes = data.draw(st.integers(0, n))
    interval = wilson(successes, n)
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert isclose(interval.low, expected.low, rel_tol=1e-9, abs_tol=1e-15)
    assert isclose(interval.high, expected.high, rel_tol=1e-9)
    assert 0 <= interval.low <= Decimal(successes) / n <= interval.high <= 1


def test_wilson_does_not_leave_0_to_1() -> None:
    assert (wilson(0, 10).low, wilson(10, 10).high) == (Decimal(0), Decimal(1))
    assert wilson(0, 10).high == Decimal("0.277532799863")
    assert wilson(0, 10).method == "Wilson score"


@given(st.lists(st.decimals(-(10**9), 10**9, places=4), min_size=2, max_size=40))
def test_student_agrees_with_scipy(values: list[Decimal]) -> None:
    interval = student(len(values), sum(values, Decimal()), sum((value * value for value in values), Decimal()))
    mean = Fraction(sum(values, Decimal())) / len(values)
    variance = sum((Fraction(value) - mean) ** 2 for value in values) / (len(values) - 1)
    if variance == 0:
        assert interval is None
        return
    assert interval is not None
    half = stats.t.ppf(0.975, len(values) - 1) * float(variance / len(values)) ** 0.5
    assert isclose((interval.high - interval.low) / 2, half, rel_tol=1e-9)
    assert isclose((interval.high + interval.low) / 2, mean, rel_tol=1e-12, abs_tol=1e-12)


def test_a_large_offset_loses_nothing() -> None:
    small = [Decimal(value) for value in ("1", "2", "4")]
    large = [value + Decimal(10) ** 12 for value in small]
    widths = []
    for values in (small, large):
        with localcontext(prec=60):
            interval = student(3, sum(values, Decimal()), sum((value**2 for value in values), Decimal()))
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert isclose(widths[0], widths[1], rel_tol=1e-12)


def test_a_mean_without_spread_has_no_interval() -> None:
    assert student(1, Decimal(5), Decimal(25)) is None
    assert student(3, Decimal(15), Decimal(75)) is None
    assert student(0, Decimal(0), Decimal(0)) is None


@pytest.mark.parametrize(
    ("value", "previous", "expected"),
    [
        (Decimal(3), Decimal(2), Decimal("0.5")),
        (Decimal(-3), Decimal(-2), Decimal("-0.5")),
        (Decimal(1), Decimal(-2), Decimal("1.5")),
        (Decimal(0), Decimal(2), Decimal(-1)),
        (Decimal(2), Decimal(0), None),
        (None, Decimal(2), None),
        (Decimal(2), None, None),
    ],
)
def test_change_is_relative_to_the_size_of_the_previous(
    value: Decimal | None, previous: Decimal | None, expected: Decimal | None
) -> None:
    assert change(value, previous) == expected


def test_quotients_do_not_depend_on_the_callers_context() -> None:
    with localcontext() as context:
        context.prec = 3
        assert quotient(Decimal(1), Decimal(3)) == Decimal("0." + 28 * "3")
    assert getcontext().prec == 28


def test_a_share_over_nothing_is_none() -> None:
    nothing = counted(0, 0)
    assert (nothing.value, nothing.interval, nothing.quality) == (None, None, Quality.INSUFFICIENT)


def test_a_share_describes_itself() -> None:
    half = share(50, 100, as_of=NOW, definition="d", previous=Decimal("0.25"))
    assert half == Estimate(
        value=Decimal("0.5"),
        unit=Unit.RATIO,
        n=100,
        as_of=NOW,
        definition="d",
        quality=Quality.SUFFICIENT,
        numerator=Decimal(50),
        denominator=Decimal(100),
        interval=wilson(50, 100),
        previous=Decimal("0.25"),
        change=Decimal(1),
    )


def test_more_successes_than_observations_have_no_interval() -> None:
    odd = counted(3, 2)
    assert (odd.value, odd.interval) == (Decimal("1.5"), None)


@pytest.mark.parametrize(
    ("successes", "n", "quality"),
    [
        (10, 29, Quality.LOW),
        (15, 30, Quality.SUFFICIENT),
        (4, 1000, Quality.LOW),
        (5, 1000, Quality.SUFFICIENT),
        (996, 1000, Quality.LOW),
        (995, 1000, Quality.SUFFICIENT),
    ],
)
def test_quality_of_a_share(successes: int, n: int, quality: Quality) -> None:
    assert counted(successes, n).quality is quality


def test_only_money_has_a_currency() -> None:
    def of(unit: Unit) -> Estimate:
        return estimate(Decimal(1), n=30, as_of=NOW, definition="d", unit=unit, currency="EUR")

    assert (of(Unit.MONEY).currency, of(Unit.COUNT).currency) == ("EUR", None)
