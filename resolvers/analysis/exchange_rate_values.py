"""The values of an exchange rate, as they come in: JSON values turned into what is kept, or refused."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from resolvers.analysis.exchange_rates import ExchangeRate
from resolvers.analysis.intake_values import Invalid, currency

EARLIEST = date(1999, 1, 1)
"""The euro's first day, before which no central bank had a rate of it."""
FURTHEST = timedelta(days=366)
"""How far ahead a rate may be set."""
GREATEST = Decimal(10**12)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_RATE = re.compile(r"[0-9]{1,13}(?:\.[0-9]{1,18})?", re.ASCII)


def exchange_rate(raw: Mapping[str, Any], today: date) -> ExchangeRate:
    """The rate that ``raw`` states; raises Invalid, its path the field at fault."""
    readers = {"date": lambda value: _day(value, today), "base": currency, "currency": currency, "rate": _rate}
    values: dict[str, Any] = {}
    for name, read in readers.items():
        try:
            values[name] = read(raw.get(name))
        except Invalid as bad:
            raise Invalid(bad.message, name) from None
    if values["base"] == values["currency"]:
        raise Invalid("is the base itself, which is always worth 1", "currency")
    return ExchangeRate(**values)


def _day(value: Any, today: date) -> date:
    if type(value) is not str or _DATE.fullmatch(value) is None:
        raise Invalid('must be a date such as "2026-01-31"')
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise Invalid("is not a day that exists") from None
    if day < EARLIEST:
        raise Invalid(f"must not be before {EARLIEST}")
    if day > today + FURTHEST:
        raise Invalid(f"must be at most {FURTHEST.days} days from now")
    return day


def _rate(value: Any) -> Decimal:
    digits = str(value) if type(value) in (str, int, Decimal) else repr(value) if type(value) is float else ""
    if _RATE.fullmatch(digits) is None or not 0 < (rate := Decimal(digits)) <= GREATEST:
        raise Invalid('must be a decimal above 0, at most 10^12, with at most 18 decimal places, such as "1.0845"')
    return rate
