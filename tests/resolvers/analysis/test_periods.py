"""Periods, their buckets and the ones before them, over calendars that misbehave."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.clocks import zone
from resolvers.analysis.periods import (
    MAX_BUCKETS,
    Compare,
    Duration,
    DurationUnit,
    Granularity,
    Period,
    PeriodRequest,
    buckets,
    epoch_us,
    fitting_granularity,
    parse_duration,
    previous,
    resolve,
)
from resolvers.errors import BadInput

ZONES = (
    "UTC",
    "America/New_York",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "America/Sao_Paulo",
)
DAY = timedelta(days=1)
NOON = datetime(2026, 3, 15, 12, 34, 56, 789, UTC)


def local(text: str, name: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(name)).astimezone(UTC)


def span(start: str, end: str, name: str = "UTC") -> Period:
    return Period(local(start, name), local(end, name))


def last(text: str, name: str, now: datetime) -> Period:
    return resolve(PeriodRequest(last=text), name, now)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", Duration(90, DurationUnit.SECOND)),
        ("30m", Duration(30, DurationUnit.MINUTE)),
        ("24h", Duration(24, DurationUnit.HOUR)),
        ("30d", Duration(30, DurationUnit.DAY)),
        ("12w", Duration(12, DurationUnit.WEEK)),
        ("6mo", Duration(6, DurationUnit.MONTH)),
        ("1y", Duration(1, DurationUnit.YEAR)),
        ("10y", Duration(10, DurationUnit.YEAR)),
    ],
)
def test_durations_are_read(text: str, duration: Duration) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d",
        "30",
        "0d",
        "-1d",
        "+1d",
        "1.5h",
        "30D",
        " 30d",
        "30d\n",
        "1 d",
        "٣d",
        "1d2h",
        "11y",
        "999999999y",
        "1000000000s",
        "9" * 5000 + "d",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_duration(text, field="every")
    assert refusal.value.field == "every"


def test_a_duration_has_a_length_unless_the_calendar_decides_it() -> None:
    assert parse_duration("2w").elapsed("window") == timedelta(days=14)
    assert parse_duration("90s").elapsed("window") == timedelta(seconds=90)
    with pytest.raises(BadInput) as refusal:
        parse_duration("1mo").elapsed("window")
    assert refusal.value.field == "window"


def test_epoch_microseconds_are_exact() -> None:
    assert epoch_us(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert epoch_us(datetime(2026, 3, 15, 14, 34, 56, 789, timezone_of(2))) == 1_773_578_096_000_789


def timezone_of(hours: int) -> ZoneInfo:
    return ZoneInfo(f"Etc/GMT-{hours}")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("1d", "2026-03-15", "2026-03-16"),
        ("30d", "2026-02-14", "2026-03-16"),
        ("2w", "2026-03-02", "2026-03-16"),
        ("1mo", "2026-02-16", "2026-03-16"),
        ("13mo", "2025-02-16", "2026-03-16"),
        ("1y", "2025-03-16", "2026-03-16"),
        ("10y", "2016-03-16", "2026-03-16"),
        ("1h", "2026-03-15 08:00", "2026-03-15 09:00"),
        ("24h", "2026-03-14 09:00", "2026-03-15 09:00"),
        ("30m", "2026-03-15 08:05", "2026-03-15 08:35"),
        ("90s", "2026-03-15 08:33:27", "2026-03-15 08:34:57"),
    ],
)
def test_last_counts_the_running_unit(text: str, start: str, end: str) -> None:
    assert last(text, "America/New_York", NOON) == span(start, end, "America/New_York")


def test_today_is_the_local_day() -> None:
    late = datetime(2026, 3, 15, 20, tzinfo=UTC)
    assert last("1d", "Asia/Tokyo", late) == span("2026-03-16", "2026-03-17", "Asia/Tokyo")


def test_last_hours_are_those_of_the_local_clock() -> None:
    assert last("1h", "Asia/Kathmandu", NOON) == span("2026-03-15 18:00", "2026-03-15 19:00", "Asia/Kathmandu")


def test_last_months_stop_at_a_shorter_months_end() -> None:
    now = datetime(2026, 3, 30, 9, tzinfo=UTC)
    assert last("1mo", "UTC", now) == span("2026-02-28", "2026-03-31")
    assert last("1y", "UTC", datetime(2024, 2, 28, 9, tzinfo=UTC)) == span("2023-02-28", "2024-02-29")


def test_last_days_keep_local_midnights_across_a_change_of_clocks() -> None:
    period = last("1d", "Europe/Berlin", local("2024-03-31 12:00", "Europe/Berlin"))
    assert period.end - period.start == timedelta(hours=23)


def test_start_and_end_are_taken_as_given() -> None:
    request = PeriodRequest(start=local("2026-01-01", "Asia/Tokyo"), end=NOON)
    assert resolve(request, "UTC", NOON) == Period(datetime(2025, 12, 31, 15, tzinfo=UTC), NOON)


@pytest.mark.parametrize(
    "request_",
    [
        PeriodRequest(),
        PeriodRequest(start=NOON),
        PeriodRequest(end=NOON),
        PeriodRequest(last="1d", start=NOON),
        PeriodRequest(last="1d", start=NOON, end=NOON + DAY),
        PeriodRequest(start=NOON, end=NOON),
        PeriodRequest(start=NOON + DAY, end=NOON),
        PeriodRequest(start=NOON.replace(tzinfo=None), end=NOON),
        PeriodRequest(start=NOON, end=NOON.replace(tzinfo=None, year=2027)),
        PeriodRequest(start=datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")), end=NOON),
        PeriodRequest(start=datetime(1999, 12, 31, 23, 59, tzinfo=UTC), end=datetime(2000, 2, 1, tzinfo=UTC)),
        PeriodRequest(start=datetime(2100, 1, 1, tzinfo=UTC), end=datetime(2101, 1, 1, 0, 0, 1, tzinfo=UTC)),
        PeriodRequest(start=NOON, end=datetime.max.replace(tzinfo=ZoneInfo("America/New_York"))),
        PeriodRequest(start=datetime(2016, 3, 14, tzinfo=UTC), end=datetime(2026, 3, 15, tzinfo=UTC)),
        PeriodRequest(last="3654d"),
        PeriodRequest(last="122mo"),
    ],
)
def test_unanswerable_periods_are_refused(request_: PeriodRequest) -> None:
    with pytest.raises(BadInput) as refusal:
        resolve(request_, "UTC", NOON)
    assert refusal.value.field == "period"


def test_the_first_and_the_last_century_days_are_answered() -> None:
    for start, end in (("2000-01-01", "2000-01-02"), ("2100-12-31", "2101-01-01")):
        period = span(start, end, "Asia/Tokyo")
        assert resolve(PeriodRequest(start=period.start, end=period.end), "Asia/Tokyo", NOON) == period


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "../../etc/passwd",
        "/etc/passwd",
        "Europe",
        "europe/berlin",
        "UTC\0",
        "localtime",
        "x" * 9999,
        "Europe/../UTC",
        "\ud800",
    ],
)
def test_only_listed_time_zones_are_known(name: str) -> None:
    with pytest.raises(BadInput) as refusal:
        resolve(PeriodRequest(last="1d"), name, NOON)
    assert refusal.value.field == "timezone"


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


def instants(first_year: int, last_year: int) -> st.SearchStrategy[datetime]:
    seconds = (datetime(year, 1, 2, tzinfo=UTC).timestamp() for year in (first_year, last_year))
    return st.integers(*map(int, seconds)).map(lambda second: datetime.fromtimestamp(second, UTC))


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
    assert (part.end - part.start) <= max(now - begin, timedelta(0)) + DAY
    if compare is Compare.PREVIOUS_PERIOD:
        assert whole.end == period.start


def test_every_listed_zone_loads() -> None:
    names = available_timezones() - {"localtime", "Factory"}
    assert {str(zone(name)) for name in names} == names
