"""Durations and periods as asked for, and what is refused."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from resolvers.analysis.clocks import zone
from resolvers.analysis.periods import (
    Duration,
    DurationUnit,
    Granularity,
    Period,
    PeriodRequest,
    buckets,
    epoch_us,
    parse_duration,
    resolve,
)
from resolvers.errors import BadInput
from tests.resolvers.analysis.calendars import NOON, local, span

DAY = timedelta(days=1)


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


def test_refusals_name_what_is_to_be_given() -> None:
    with pytest.raises(BadInput, match="above 0"):
        parse_duration("0d")
    with pytest.raises(BadInput, match="either last, or from and to"):
        resolve(PeriodRequest(start=NOON), "UTC", NOON)
    with pytest.raises(BadInput, match="more than 5,000 buckets by HOUR"):
        buckets(Period(NOON, NOON + 300 * DAY), Granularity.HOUR, "UTC")


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


def test_every_listed_zone_loads() -> None:
    names = available_timezones() - {"localtime", "Factory"}
    assert {str(zone(name)) for name in names} == names
