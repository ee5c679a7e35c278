"""Cutting a period into what is kept: days, hours and the ragged hours between."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.periods import Granularity, Period, buckets
from resolvers.analysis.planning import ALL_DAY, cuts_of, parts_of

START = datetime(2026, 3, 20, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONES = ("UTC", "Asia/Tokyo", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")

moments = st.one_of(
    st.integers(0, 20).map(lambda days: START + days * DAY),
    st.integers(0, 480).map(lambda hours: START + hours * HOUR),
    st.integers(0, 20 * 86_400 * 10**6).map(lambda us: START + timedelta(microseconds=us)),
)
granularities = st.sampled_from([Granularity.HOUR, Granularity.DAY, Granularity.WEEK])


@given(moments, moments, st.sampled_from(ZONES), granularities)
def test_spans_part_the_period_and_no_bucket_cuts_one(
    one: datetime, other: datetime, zone: str, granularity: Granularity
) -> None:
    if one == other:
        return
    period = Period(min(one, other), max(one, other))
    starts = buckets(period, granularity, zone)
    cuts = cuts_of(period, starts)
    if cuts is None:
        ragged = {(cut - START) // HOUR for cut in (*starts, period.end) if (cut - START) % HOUR}
        assert 2 * len(ragged) * HOUR > period.end - period.start
        return
    spans = sorted([*cuts.days, *cuts.hours, *cuts.ragged], key=lambda span: span.start)
    assert [span.end for span in spans[:-1]] == [span.start for span in spans[1:]]
    assert (spans[0].start, spans[-1].end) == (period.start, period.end)
    for span in cuts.days:
        assert (span.start - START) % DAY == (span.end - START) % DAY == timedelta(0)
        assert not [cut for cut in starts if span.start < cut < span.end and (cut - START) % DAY]
    for span in cuts.hours:
        assert (span.start - START) % HOUR == (span.end - START) % HOUR == timedelta(0)
        assert not [cut for cut in starts if span.start < cut < span.end and (cut - START) % HOUR]
    for span in cuts.ragged:
        assert span.end - span.start <= HOUR
    parts = parts_of(cuts, period, starts)
    hours = sum((span.end - span.start for span in (*cuts.days, *cuts.hours)), timedelta()) // HOUR
    assert sum(part.hours.bit_count() for part in parts) == hours
    edges = [*starts, period.end]
    for part in parts:
        inside = [datetime.fromtimestamp((part.day * 24 + hour) * 3_600, UTC) for hour in bits(part.hours)]
        assert edges[part.bucket] <= min(inside)
        assert max(inside) + HOUR <= edges[part.bucket + 1]


def bits(mask: int) -> list[int]:
    return [hour for hour in range(24) if mask >> hour & 1]


def test_whole_days_need_no_hours() -> None:
    period = Period(START, START + 30 * DAY)
    cuts = cuts_of(period, buckets(period, Granularity.DAY, "UTC"))
    assert cuts is not None
    assert (cuts.days, cuts.hours, cuts.ragged) == ((period,), (), ())
    assert {part.hours for part in parts_of(cuts, period, ())} == {ALL_DAY}


def test_a_period_that_ends_now_needs_hours_of_its_last_day_and_the_log_for_the_last_hour() -> None:
    end = START + 29 * DAY + timedelta(hours=5, minutes=12)
    cuts = cuts_of(Period(START, end), ())
    assert cuts is not None
    last = START + 29 * DAY
    assert cuts.days == (Period(START, last),)
    assert cuts.hours == (Period(last, last + 5 * HOUR),)
    assert cuts.ragged == (Period(last + 5 * HOUR, end),)
