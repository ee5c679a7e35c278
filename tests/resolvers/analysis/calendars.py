"""Instants and periods as tests of the calendar write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from resolvers.analysis.periods import Period

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
"""Zones whose calendars differ in as many ways as zones do."""

NOON = datetime(2026, 3, 15, 12, 34, 56, 789, UTC)


def local(text: str, name: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(name)).astimezone(UTC)


def span(start: str, end: str, name: str = "UTC") -> Period:
    return Period(local(start, name), local(end, name))


def instants(first_year: int, last_year: int) -> st.SearchStrategy[datetime]:
    seconds = (datetime(year, 1, 2, tzinfo=UTC).timestamp() for year in (first_year, last_year))
    return st.integers(*map(int, seconds)).map(lambda second: datetime.fromtimestamp(second, UTC))
