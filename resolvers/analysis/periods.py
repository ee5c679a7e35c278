"""Spans of time: half-open, in UTC instants, cut into buckets of the asked time zone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import NoReturn
from zoneinfo import ZoneInfo

from resolvers.analysis.clocks import change_of_offset, floor, midnight, months_later, offset, zone
from resolvers.errors import BadInput

MAX_BUCKETS = 5_000
"""The most buckets into which a period may be cut."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
_MAX_YEARS = 10


class Granularity(Enum):
    """The width of a bucket, in the calendar of the asked time zone (weeks start on Monday)."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Compare(Enum):
    """Which earlier period to hold an answer against."""

    PREVIOUS_PERIOD = "previous_period"
    PREVIOUS_YEAR = "previous_year"


@dataclass(frozen=True, slots=True)
class Period:
    """The instants ``start <= t < end`` (aware, UTC)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PeriodRequest:
    """A period as asked for: either ``last`` (a duration such as ``30d``) or ``start`` and ``end``."""

    last: str | None = None
    start: datetime | None = None
    end: datetime | None = None


class DurationUnit(Enum):
    """What a duration counts; the first four have one length, the others follow the calendar."""

    SECOND = "s"
    MINUTE = "m"
    HOUR = "h"
    DAY = "d"
    WEEK = "w"
    MONTH = "mo"
    YEAR = "y"


_NOMINAL = {
    DurationUnit.SECOND: timedelta(seconds=1),
    DurationUnit.MINUTE: timedelta(minutes=1),
    DurationUnit.HOUR: timedelta(hours=1),
    DurationUnit.DAY: _DAY,
    DurationUnit.WEEK: timedelta(weeks=1),
    DurationUnit.MONTH: timedelta(days=30),
    DurationUnit.YEAR: timedelta(days=365),
}
_CLOCK_UNITS = frozenset({DurationUnit.SECOND, DurationUnit.MINUTE, DurationUnit.HOUR})
_DURATION = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d|w|mo|y)")
_NO_DURATION = "A duration is a whole number above 0 and a unit: 90s, 30m, 24h, 30d, 12w, 6mo or 1y."


@dataclass(frozen=True, slots=True)
class Duration:
    """A number of seconds, minutes, hours, days, weeks, months or years; at least one, at most ten years."""

    count: int
    unit: DurationUnit

    def elapsed(self, field: str) -> timedelta:
        """Its length, a day being 24 hours; BadInput on ``field`` for months and years, which vary."""
        if self.unit in {DurationUnit.MONTH, DurationUnit.YEAR}:
            raise BadInput("Months and years vary in length; give days or weeks, such as 30d.", field=field)
        return self.count * _NOMINAL[self.unit]


def parse_duration(text: str, *, field: str = "period.last") -> Duration:
    """Read ``90s``, ``30m``, ``24h``, ``30d``, ``12w``, ``6mo``, ``1y``; BadInput on ``field`` otherwise."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadInput(_NO_DURATION, field=field)
    duration = Duration(int(match[1]), DurationUnit(match[2]))
    if duration.count > _MAX_YEARS * 366 * _DAY // _NOMINAL[duration.unit]:
        raise BadInput(f"A duration is at most {_MAX_YEARS} years.", field=field)
    return duration


def epoch_us(instant: datetime) -> int:
    """An aware instant as whole microseconds since 1970-01-01T00:00Z."""
    return (instant - _EPOCH) // _MICROSECOND


def resolve(request: PeriodRequest, timezone: str, now: datetime) -> Period:
    """The instants that a request means.

    ``last`` ends with the running unit and counts it: ``30d`` is the 30 local calendar days up to and
    including today, ``24h`` the 24 local clock hours up to and including this one (minutes and seconds
    alike); weeks, months and years reach that far back, on the calendar, from the local midnight that ends
    today. ``start`` and ``end`` are taken as they are.

    BadInput: not exactly one of the two forms, an unknown zone, an end that is not after its start, a year
    outside 2000 to 2100, more than ten years.
    """
    local = zone(timezone)
    if request.last is not None:
        if request.start is not None or request.end is not None:
            _refuse("Give either last, or from and to, not both.")
        period = _last(parse_duration(request.last), local, now)
    elif request.start is None or request.end is None:
        _refuse("Give either last, or from and to.")
    else:
        period = _between(request.start, request.end)
    _check_bounds(period, local)
    return period


def _refuse(message: str) -> NoReturn:
    raise BadInput(message, field="period")


def _between(start: datetime, end: datetime) -> Period:
    if start.tzinfo is None or end.tzinfo is None:
        _refuse("Start and end need a time zone, such as 2026-03-01T00:00:00Z.")
    if end <= start:
        _refuse("The period ends before it starts or is empty; its end is not part of it and must be later.")
    # Astronomical years would overflow on their way to another zone; the exact check needs that zone.
    if start.year < _FIRST_YEAR - 1 or end.year > _LAST_YEAR + 1:
        _refuse(f"A period lies in the years {_FIRST_YEAR} to {_LAST_YEAR}.")
    return Period(start.astimezone(UTC), end.astimezone(UTC))


def _check_bounds(period: Period, local: ZoneInfo) -> None:
    start, last = period.start.astimezone(local), (period.end - _MICROSECOND).astimezone(local)
    if start.year < _FIRST_YEAR or last.year > _LAST_YEAR:
        _refuse(f"A period lies in the years {_FIRST_YEAR} to {_LAST_YEAR}.")
    if start.date() < months_later(period.end.astimezone(local).date(), -12 * _MAX_YEARS):
        _refuse(f"A period is at most {_MAX_YEARS} years long.")


def _last(duration: Duration, local: ZoneInfo, now: datetime) -> Period:
    if duration.unit in _CLOCK_UNITS:
        width = _NOMINAL[duration.unit]
        end = floor(now, local, width) + width
        return Period(end - duration.count * width, end)
    tomorrow = now.astimezone(local).date() + _DAY
    match duration.unit:
        case DurationUnit.MONTH:
            first = months_later(tomorrow, -duration.count)
        case DurationUnit.YEAR:
            first = months_later(tomorrow, -12 * duration.count)
        case _:
            first = tomorrow - duration.count * _NOMINAL[duration.unit]
    return Period(midnight(first, local), midnight(tomorrow, local))


def fitting_granularity(period: Period) -> Granularity:
    """A readable width: minutes up to 3 hours, hours to 3 days, days to 6 months, weeks to 3 years."""
    length = period.end - period.start
    for limit, granularity in (
        (timedelta(hours=3), Granularity.MINUTE),
        (timedelta(days=3, hours=1), Granularity.HOUR),
        (timedelta(days=186), Granularity.DAY),
        (timedelta(days=1098), Granularity.WEEK),
    ):
        if length <= limit:
            return granularity
    return Granularity.MONTH


@lru_cache(maxsize=64)
def buckets(period: Period, granularity: Granularity, timezone: str) -> tuple[datetime, ...]:
    """The instants (UTC, ascending) at which the period's buckets begin; each ends where the next begins.

    Boundaries follow the local calendar; the first bucket begins with the period, wherever its own boundary
    lies. A day that changes its clocks has 23, 25, 24.5 ... hours. An hour or minute that the clock shows
    twice is two buckets, and a change of clocks always begins one. An empty period has none. BadInput on
    ``granularity`` above ``MAX_BUCKETS``, on ``timezone`` for an unknown zone.
    """
    starts = [period.start] if period.start < period.end else []
    for boundary in _boundaries(period.start, granularity, zone(timezone)):
        if boundary >= period.end:
            break
        if len(starts) == MAX_BUCKETS:
            message = f"There are more than {MAX_BUCKETS:,} buckets by {granularity.name}; ask for wider ones."
            raise BadInput(message, field="granularity")
        starts.append(boundary)
    return tuple(starts)


def _boundaries(start: datetime, granularity: Granularity, local: ZoneInfo) -> Iterator[datetime]:
    """The bucket boundaries after ``start``, without end."""
    if granularity in {Granularity.MINUTE, Granularity.HOUR}:
        return _clock_boundaries(start, _NOMINAL[DurationUnit[granularity.name]], local)
    midnights = (midnight(day, local) for day in _first_days(start.astimezone(local).date(), granularity))
    # A day may be skipped altogether (Samoa, 30 December 2011): it and the next begin at the same instant.
    return (late for early, late in pairwise(midnights) if early < late and start < late)


def _clock_boundaries(start: datetime, width: timedelta, local: ZoneInfo) -> Iterator[datetime]:
    at = start
    while True:
        boundary = floor(at, local, width) + width
        if offset(boundary, local) != offset(at, local):
            boundary = change_of_offset(at.replace(microsecond=0), boundary, local)
        yield boundary
        at = boundary


def _first_days(day: date, granularity: Granularity) -> Iterator[date]:
    """The first days of the buckets from the one that holds ``day``."""
    day = first_day(day, granularity)
    width = _DAY if granularity is Granularity.DAY else 7 * _DAY
    while True:
        yield day
        day = months_later(day, 1) if granularity is Granularity.MONTH else day + width


def first_day(day: date, granularity: Granularity) -> date:
    """The first day of the day, week or month that holds ``day``."""
    if granularity is Granularity.MONTH:
        return day.replace(day=1)
    return day - day.weekday() * _DAY if granularity is Granularity.WEEK else day
