"""Buckets of the local calendar, over clocks that misbehave."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.periods import (
    MAX_BUCKETS,
    Granularity,
    Period,
    buckets,
    fitting_granularity,
)
from resolvers.errors import BadInput
from tests.resolvers.analysis.calendars import NOON, ZONES, instants, local, span

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("length", "granularity"),
    [
        (timedelta(minutes=5), Granularity.MINUTE),
        (timedelta(hours=24), Granularity.HOUR),
        (timedelta(days=3), Granularity.HOUR),
        (timedelta(days=7), Granularity.DAY),
        (timedelta(days=90), Granularity.DAY),
        (timedelta(days=365), Granularity.WEEK),
        (timedelta(days=3653), Granularity.MONTH),
    ],
)
def test_the_fitting_granularity_gives_a_readable_series(length: timedelta, granularity: Granularity) -> None:
    period = Period(NOON, NOON + length)
    assert fitting_granularity(period) is granularity
    assert len(buckets(period, granularity, "UTC")) <= 200


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("America/New_York", "2024-03-10", 23),
        ("America/New_York", "2024-11-03", 25),
        ("Australia/Lord_Howe", "2024-04-07", 24.5),
        ("Australia/Lord_Howe", "2024-10-06", 23.5),
        ("Asia/Beirut", "2022-03-27", 23),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("Asia/Kathmandu", "2024-05-01", 24),
    ],
)
def test_days_have_their_local_length(name: str, day: str, hours: float) -> None:
    begin = local(day, name)
    starts = buckets(Period(begin, begin + 2 * DAY), Granularity.DAY, name)
    assert starts[1] - starts[0] == timedelta(hours=hours)


def test_a_repeated_hour_is_two_buckets() -> None:
    period = span("2024-10-27", "2024-10-28", "Europe/Berlin")
    starts = buckets(period, Granularity.HOUR, "Europe/Berlin")
    assert len(starts) == len(set(starts)) == 25
    assert [start.astimezone(ZoneInfo("Europe/Berlin")).hour for start in starts[:5]] == [0, 1, 2, 2, 3]


def test_a_change_of_clocks_by_half_an_hour_begins_a_bucket() -> None:
    period = span("2024-04-07", "2024-04-07 03:00", "Australia/Lord_Howe")
    starts = buckets(period, Granularity.HOUR, "Australia/Lord_Howe")
    shown = [f"{start.astimezone(ZoneInfo('Australia/Lord_Howe')):%H:%M %z}" for start in starts]
    assert shown == ["00:00 +1100", "01:00 +1100", "01:30 +1030", "02:00 +1030"]


def test_a_change_of_clocks_within_an_hour_begins_a_bucket() -> None:
    period = span("2024-09-29 01:00", "2024-09-29 05:00", "Pacific/Chatham")
    starts = buckets(period, Granularity.HOUR, "Pacific/Chatham")
    shown = [f"{start.astimezone(ZoneInfo('Pacific/Chatham')):%H:%M}" for start in starts]
    assert shown == ["01:00", "02:00", "03:45", "04:00"]


def test_a_skipped_day_is_no_bucket() -> None:
    starts = buckets(span("2011-12-29", "2012-01-01", "Pacific/Apia"), Granularity.DAY, "Pacific/Apia")
    assert [start.astimezone(ZoneInfo("Pacific/Apia")).day for start in starts] == [29, 31]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    period = span("2026-03-11 10:00", "2026-05-02", "Europe/Berlin")
    weeks = buckets(period, Granularity.WEEK, "Europe/Berlin")
    months = buckets(period, Granularity.MONTH, "Europe/Berlin")
    assert weeks[:3] == (period.start, local("2026-03-16", "Europe/Berlin"), local("2026-03-23", "Europe/Berlin"))
    assert months == (period.start, local("2026-04-01", "Europe/Berlin"), local("2026-05-01", "Europe/Berlin"))


def test_an_empty_period_has_no_buckets() -> None:
    assert buckets(Period(NOON, NOON), Granularity.DAY, "UTC") == ()


def test_too_many_buckets_are_refused() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert len(buckets(Period(start, start + timedelta(minutes=MAX_BUCKETS)), Granularity.MINUTE, "UTC")) == MAX_BUCKETS
    with pytest.raises(BadInput) as refusal:
        buckets(Period(start, start + timedelta(minutes=MAX_BUCKETS, seconds=1)), Granularity.MINUTE, "UTC")
    assert refusal.value.field == "granularity"


def label(instant: datetime, granularity: Granularity, name: str) -> object:
    """What a wall clock and calendar show of the bucket that holds an instant."""
    wall = instant.astimezone(ZoneInfo(name))
    match granularity:
        case Granularity.MINUTE:
            return wall.date(), wall.hour, wall.minute, wall.utcoffset()
        case Granularity.HOUR:
            return wall.date(), wall.hour, wall.utcoffset()
        case Granularity.DAY:
            return wall.date()
        case Granularity.WEEK:
            return wall.isocalendar()[:2]
        case Granularity.MONTH:
            return wall.year, wall.month


# Newfoundland set its clocks back at 00:01 until 2011, so that a minute of the next day came twice.
@given(
    name=st.sampled_from([name for name in ZONES if name != "America/St_Johns"]),
    begin=instants(2000, 2040),
    granularity=st.sampled_from(Granularity),
    size=st.integers(1, 300),
    data=st.data(),
)
def test_buckets_part_instants_as_the_local_calendar_does(
    name: str, begin: datetime, granularity: Granularity, size: int, data: st.DataObject
) -> None:
    width = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_592_000}[granularity.value]
    period = Period(begin, begin + timedelta(seconds=size * width))
    starts = buckets(period, granularity, name)
    assert starts[0] == period.start
    assert all(early < late for early, late in pairwise(starts))
    assert starts[-1] < period.end
    ends = (*starts[1:], period.end)
    index = data.draw(st.integers(0, len(starts) - 1))
    first, final = starts[index], ends[index] - timedelta(microseconds=1)
    assert label(first, granularity, name) == label(final, granularity, name)
    if index:
        assert label(first - timedelta(microseconds=1), granularity, name) != label(first, granularity, name)


def test_a_doubled_midnight_begins_its_day_the_first_time() -> None:
    name = "America/St_Johns"
    starts = buckets(span("2010-11-06", "2010-11-09", name), Granularity.DAY, name)
    assert starts == (local("2010-11-06", name), local("2010-11-07", name), local("2010-11-08", name))
    assert starts[2] - starts[1] == timedelta(hours=25)
