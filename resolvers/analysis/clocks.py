"""The clock and calendar of a time zone: what its wall shows at an instant, and when its days begin."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from resolvers.errors import BadInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@cache
def _zone_names() -> frozenset[str]:
    # "localtime" is whatever the machine is set to, so it would not mean the same everywhere.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def zone(name: str) -> ZoneInfo:
    """The IANA time zone of that exact name; BadInput on ``timezone`` where there is none."""
    # Looked up in a list of names, so that no text a caller chose ever becomes part of a path.
    if name not in _zone_names():
        raise BadInput("Unknown time zone; give an IANA name such as UTC or Europe/Berlin.", field="timezone")
    return ZoneInfo(name)


def months_later(day: date, months: int) -> date:
    """The same day of another month, or that month's last day where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(day.day, (following - _DAY).day))


def offset(instant: datetime, local: ZoneInfo) -> timedelta:
    """What local time adds to UTC at an instant."""
    ahead = instant.astimezone(local).utcoffset()
    assert ahead is not None
    return ahead


def floor(instant: datetime, local: ZoneInfo, width: timedelta) -> datetime:
    """The latest instant up to this one at which a clock of its offset shows a multiple of ``width``."""
    return instant - (instant - _EPOCH + offset(instant, local)) % width


def change_of_offset(low: datetime, high: datetime, local: ZoneInfo) -> datetime:
    """The first whole second after ``low`` whose UTC offset is another; ``high`` is known to have another."""
    before = offset(low, local)
    first, last = 1, int((high - low).total_seconds())
    while first < last:
        middle = (first + last) // 2
        if offset(low + timedelta(seconds=middle), local) == before:
            first = middle + 1
        else:
            last = middle
    return low + timedelta(seconds=last)


def midnight(day: date, local: ZoneInfo) -> datetime:
    """The instant at which a local day begins: its first 00:00 or, where clocks skip that, the end of the gap."""
    # Of a gap that begins at midnight this is the end; since 2000 none has begun before midnight and passed it.
    return datetime.combine(day, time.min, local).astimezone(UTC)
