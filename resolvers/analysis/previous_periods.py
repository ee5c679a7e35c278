"""The earlier period that an answer is held against."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from resolvers.analysis.clocks import midnight, months_later, zone
from resolvers.analysis.periods import Compare, Granularity, Period, buckets, first_day

_DAY = timedelta(days=1)
_BEYOND = timedelta(days=63)
"""Longer than two buckets of whole days, weeks or months."""


def previous(period: Period, compare: Compare, timezone: str, now: datetime) -> Period:
    """The earlier period to hold this one against.

    PREVIOUS_PERIOD is the one of the same length that ends where this one starts, in local days where this
    one is whole local days. PREVIOUS_YEAR is the same dates a year earlier (29 February begins on the 28th
    and, as an end, on 1 March); a period that is not whole local days keeps its length and starts a year
    earlier. Where this period is still running at ``now``, the earlier one is cut to the same elapsed part;
    nothing of a future one has elapsed.
    """
    local = zone(timezone)
    earlier = _earlier_days(period, compare, local) or _earlier_span(period, compare, local)
    if now >= period.end:
        return earlier
    elapsed_to = _after_same_part(period, earlier, local, max(now, period.start))
    return Period(earlier.start, min(elapsed_to, earlier.end))


def previous_buckets(
    starts: Sequence[datetime], end: datetime, granularity: Granularity, compare: Compare, timezone: str, now: datetime
) -> Period:
    """What whole days, weeks or months that begin at ``starts``, the last cut at ``end``, are to be held against.

    PREVIOUS_PERIOD are as many right before them, PREVIOUS_YEAR as many from the one that holds the date of the first
    a year earlier. Those are left out whose counterpart has not begun at ``now``, and the last one ends as far gone as
    its counterpart is, or where that is over as it was at ``end``. Where nothing has begun the period is empty.
    """
    local = zone(timezone)
    reach = starts[-1] - starts[0] + _BEYOND
    known = buckets(Period(starts[0], starts[0] + reach), granularity, timezone)
    if compare is Compare.PREVIOUS_PERIOD:
        before = buckets(Period(starts[0] - reach, starts[0]), granularity, timezone)
        then = (*before[-len(starts) :], starts[0])
    else:
        first = months_later(starts[0].astimezone(local).date(), -12)
        begin = midnight(first_day(first, granularity), local)
        then = buckets(Period(begin, begin + reach), granularity, timezone)
    at = min(now, end)
    last = bisect_right(starts, at) - 1
    if last < 0:
        return Period(then[0], then[0])
    over = then[last + 1]
    if at < known[last + 1]:
        of, earlier = Period(known[last], known[last + 1]), Period(then[last], over)
        over = min(_after_same_part(of, earlier, local, at), over)
    return Period(then[0], over)


def _whole_days(period: Period, local: ZoneInfo) -> tuple[date, date] | None:
    """The local dates of start and end where both are local midnights."""
    start, end = (instant.astimezone(local).date() for instant in (period.start, period.end))
    whole = midnight(start, local) == period.start and midnight(end, local) == period.end
    return (start, end) if whole else None


def _earlier_days(period: Period, compare: Compare, local: ZoneInfo) -> Period | None:
    days = _whole_days(period, local)
    if days is None:
        return None
    start, end = days
    if compare is Compare.PREVIOUS_PERIOD:
        return Period(midnight(start - (end - start), local), period.start)
    # months_later takes 29 February to the 28th; as an exclusive end it would drop the 28th itself.
    ending = months_later(end, -12) + (end.month == 2 and end.day == 29) * _DAY
    return Period(midnight(months_later(start, -12), local), midnight(ending, local))


def _earlier_span(period: Period, compare: Compare, local: ZoneInfo) -> Period:
    length = period.end - period.start
    if compare is Compare.PREVIOUS_PERIOD:
        return Period(period.start - length, period.start)
    wall = period.start.astimezone(local)
    day = months_later(wall.date(), -12)
    start = datetime.combine(day, wall.timetz()).astimezone(UTC)
    return Period(start, start + length)


def _after_same_part(period: Period, earlier: Period, local: ZoneInfo, now: datetime) -> datetime:
    """The instant as far into ``earlier`` as ``now`` is into ``period``, in local days if those are whole."""
    if _whole_days(period, local) is None:
        return earlier.start + (now - period.start)
    today = now.astimezone(local).date()
    days = today - period.start.astimezone(local).date()
    return midnight(earlier.start.astimezone(local).date() + days, local) + (now - midnight(today, local))
