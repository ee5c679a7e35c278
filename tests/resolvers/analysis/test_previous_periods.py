"""The period that an answer is held against."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resolvers.analysis.periods import (
    Compare,
    Granularity,
    Period,
    buckets,
)
from resolvers.analysis.previous_periods import previous, previous_buckets
from tests.resolvers.analysis.calendars import NOON, ZONES, instants, local, span

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("period", "compare", "name", "expected"),
    [
        (span("2026-03-02", "2026-03-09"), Compare.PREVIOUS_PERIOD, "UTC", span("2026-02-23", "2026-03-02")),
        (
            span("2024-10-27", "2024-10-28", "Europe/Berlin"),
            Compare.PREVIOUS_PERIOD,
            "Europe/Berlin",
            span("2024-10-26", "2024-10-27", "Europe/Berlin"),
        ),
        (
            span("2026-03-02 10:00", "2026-03-02 16:00"),
            Compare.PREVIOUS_PERIOD,
            "UTC",
            span("2026-03-02 04:00", "2026-03-02 10:00"),
        ),
        (span("2025-02-01", "2025-03-01"), Compare.PREVIOUS_YEAR, "UTC", span("2024-02-01", "2024-03-01")),
        (span("2024-02-01", "2024-03-01"), Compare.PREVIOUS_YEAR, "UTC", span("2023-02-01", "2023-03-01")),
        (span("2024-02-28", "2024-02-29"), Compare.PREVIOUS_YEAR, "UTC", span("2023-02-28", "2023-03-01")),
        (span("2024-02-29", "2024-03-01"), Compare.PREVIOUS_YEAR, "UTC", span("2023-02-28", "2023-03-01")),
        (
            span("2024-02-28 12:00", "2024-02-29 06:00"),
            Compare.PREVIOUS_YEAR,
            "UTC",
            span("2023-02-28 12:00", "2023-03-01 06:00"),
        ),
        (
            span("2026-03-29", "2026-03-30", "Europe/Berlin"),
            Compare.PREVIOUS_YEAR,
            "Europe/Berlin",
            span("2025-03-29", "2025-03-30", "Europe/Berlin"),
        ),
    ],
)
def test_the_previous_period(period: Period, compare: Compare, name: str, expected: Period) -> None:
    assert previous(period, compare, name, period.end) == expected


def test_a_running_period_is_held_against_the_same_elapsed_part() -> None:
    week = span("2026-03-23", "2026-03-30", "Europe/Berlin")
    now = local("2026-03-29 18:00", "Europe/Berlin")  # the clocks went forward in the night before
    part = previous(week, Compare.PREVIOUS_PERIOD, "Europe/Berlin", now)
    assert part == span("2026-03-16", "2026-03-22 17:00", "Europe/Berlin")
    assert previous(week, Compare.PREVIOUS_YEAR, "Europe/Berlin", now).start == local("2025-03-23", "Europe/Berlin")


def test_a_running_period_is_not_held_against_more_than_the_earlier_one() -> None:
    february = span("2024-02-01", "2024-03-01")
    now = datetime(2024, 2, 29, 10, tzinfo=UTC)
    assert previous(february, Compare.PREVIOUS_YEAR, "UTC", now) == span("2023-02-01", "2023-03-01")


def test_a_running_span_of_hours_is_cut_by_elapsed_time() -> None:
    hours = span("2026-03-15 10:00", "2026-03-15 16:00")
    now = datetime(2026, 3, 15, 12, 34, tzinfo=UTC)
    assert previous(hours, Compare.PREVIOUS_PERIOD, "UTC", now) == span("2026-03-15 04:00", "2026-03-15 06:34")


def test_nothing_of_a_future_period_has_elapsed() -> None:
    future = span("2026-03-23", "2026-03-30")
    before = previous(future, Compare.PREVIOUS_PERIOD, "UTC", NOON)
    assert before == Period(datetime(2026, 3, 16, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC))


@example(
    name="Pacific/Apia",
    begin=datetime(2011, 4, 2, 10, tzinfo=UTC),
    length=timedelta(days=270, microseconds=1),
    whole_days=True,
    compare=Compare.PREVIOUS_PERIOD,
    elapsed=1.0,
)
@given(
    name=st.sampled_from(ZONES),
    begin=instants(2002, 2040),
    length=st.timedeltas(timedelta(seconds=1), timedelta(days=800)),
    whole_days=st.booleans(),
    compare=st.sampled_from(Compare),
    elapsed=st.floats(-0.5, 1.5),
)
def test_a_previous_period_is_earlier_and_no_longer(
    name: str, begin: datetime, length: timedelta, whole_days: bool, compare: Compare, elapsed: float
) -> None:
    end = begin + length
    if whole_days:
        starts = buckets(Period(begin, end + 2 * DAY), Granularity.DAY, name)
        begin, end = starts[1], starts[-1]
    if begin >= end:
        return
    period = Period(begin, end)
    now = begin + (end - begin) * elapsed
    whole, part = (previous(period, compare, name, at) for at in (end, now))
    assert whole.start < whole.end
    assert whole.start < period.start
    assert part.start == whole.start <= part.end <= whole.end
    # Two days: a leap day and a change of clocks.
    assert abs((whole.end - whole.start) - (end - begin)) < 2 * DAY
    # A day that a zone once skipped, and a change of clocks.
    assert (part.end - part.start) < max(now - begin, timedelta(0)) + 2 * DAY
    if compare is Compare.PREVIOUS_PERIOD:
        assert whole.end == period.start


def starts(text: str, count: int, granularity: Granularity, name: str = "UTC") -> tuple[datetime, ...]:
    """So many whole buckets from a local day on."""
    begin = local(text, name)
    return buckets(Period(begin, begin + count * timedelta(days=32)), granularity, name)[:count]


MONTH, WEEK, DAYS = Granularity.MONTH, Granularity.WEEK, Granularity.DAY
BEFORE, YEAR = Compare.PREVIOUS_PERIOD, Compare.PREVIOUS_YEAR


@pytest.mark.parametrize(
    ("known", "end", "width", "compare", "name", "expected"),
    [
        # March alone is not held against the end of January and February, which are as long together.
        (starts("2026-03-01", 1, MONTH), "2026-04-01", MONTH, BEFORE, "UTC", span("2026-02-01", "2026-03-01")),
        (starts("2026-01-01", 3, MONTH), "2026-04-01", MONTH, BEFORE, "UTC", span("2025-10-01", "2026-01-01")),
        (starts("2026-01-01", 3, MONTH), "2026-03-09", MONTH, BEFORE, "UTC", span("2025-10-01", "2025-12-09")),
        (starts("2026-02-01", 2, MONTH), "2026-03-31", MONTH, YEAR, "UTC", span("2025-02-01", "2025-03-31")),
        (starts("2024-02-01", 1, MONTH), "2024-03-01", MONTH, YEAR, "UTC", span("2023-02-01", "2023-03-01")),
        # Of a year earlier it is the week that holds the date.
        (starts("2026-03-02", 2, WEEK), "2026-03-16", WEEK, YEAR, "UTC", span("2025-02-24", "2025-03-10")),
        (
            starts("2026-03-23", 2, WEEK, "Europe/Berlin"),
            "2026-04-01 15:00",
            WEEK,
            BEFORE,
            "Europe/Berlin",
            span("2026-03-09", "2026-03-18 15:00", "Europe/Berlin"),
        ),
        (starts("2026-03-02", 7, DAYS), "2026-03-09", DAYS, BEFORE, "UTC", span("2026-02-23", "2026-03-02")),
        # A day that Samoa had not.
        (
            starts("2011-12-31", 2, DAYS, "Pacific/Apia"),
            "2012-01-02",
            DAYS,
            BEFORE,
            "Pacific/Apia",
            span("2011-12-28", "2011-12-31", "Pacific/Apia"),
        ),
    ],
)
def test_whole_buckets_are_held_against_as_many(
    known: tuple[datetime, ...], end: str, width: Granularity, compare: Compare, name: str, expected: Period
) -> None:
    until = local(end, name)
    for now in (until, until + timedelta(days=400)):
        assert previous_buckets(known, until, width, compare, name, now) == expected
    whole = buckets(Period(known[-1], known[-1] + timedelta(days=40)), width, name)[1]
    # The same where the period goes on, and it is now that cuts it.
    assert previous_buckets(known, whole, width, compare, name, until) == expected


def test_buckets_to_come_are_held_against_nothing() -> None:
    known = starts("2026-01-01", 3, MONTH)
    at = datetime(2026, 1, 31, tzinfo=UTC)
    assert previous_buckets(known, local("2026-04-01", "UTC"), MONTH, BEFORE, "UTC", at) == span(
        "2025-10-01", "2025-10-31"
    )
    before = datetime(2025, 12, 31, tzinfo=UTC)
    assert previous_buckets(known, local("2026-04-01", "UTC"), MONTH, BEFORE, "UTC", before) == span(
        "2025-10-01", "2025-10-01"
    )


@given(
    name=st.sampled_from(ZONES),
    begin=instants(2002, 2040),
    width=st.sampled_from([MONTH, WEEK, DAYS]),
    count=st.integers(1, 30),
    compare=st.sampled_from(Compare),
    elapsed=st.floats(-0.5, 1.5),
)
def test_earlier_buckets_are_as_many_and_no_longer(
    name: str, begin: datetime, width: Granularity, count: int, compare: Compare, elapsed: float
) -> None:
    known = buckets(Period(begin, begin + (count + 2) * timedelta(days=32)), width, name)[1 : count + 2]
    *known, end = known
    now = known[0] + (end - known[0]) * elapsed
    found = previous_buckets(known, end, width, compare, name, now)
    # However they are cut, they begin as those do whose last bucket is whole.
    whole = previous_buckets(known, end, width, compare, name, end)
    assert found.start == whole.start <= found.end <= whole.end
    assert len(buckets(whole, width, name)) == len(known)
    begun = sum(at < now for at in known)
    assert len(buckets(found, width, name)) == min(begun, len(known))
    if compare is Compare.PREVIOUS_PERIOD:
        assert whole.end == known[0]
