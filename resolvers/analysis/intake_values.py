"""The values of an event: each function turns a JSON value into what the log holds or raises Invalid.

Every check costs no more than in proportion to what was sent: nothing is expanded before its size is known.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from resolvers.analysis.currencies import CURRENCIES


class Invalid(ValueError):
    """A value that the log does not take; ``path`` leads from the field to the part at fault."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
GREATEST_AMOUNT = Decimal(10**12)
GREATEST_COUNT = 10**12
GREATEST_DURATION = 10**9
DECIMAL_PLACES = 12

_FORBIDDEN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_PLAIN_DECIMAL = re.compile(r"[0-9]{1,13}(?:\.[0-9]{1,12})?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:([0-9]{2})(?:\.[0-9]{1,9})?"
    r"(Z|z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_EXACT = Context(prec=64)


def text(longest: int) -> Callable[[Any], str]:
    """A parser of 1 to ``longest`` characters, no control characters, no white space at the ends."""

    def parse(value: Any) -> str:
        if type(value) is not str:
            raise Invalid("must be text")
        if not 0 < len(value) <= longest:
            raise Invalid("must not be empty" if not value else f"must have at most {longest} characters")
        if not value.isprintable() and _FORBIDDEN.search(value):
            raise Invalid("must not hold control characters or surrogates")
        if len(value.strip()) != len(value):
            raise Invalid("must not begin or end with white space")
        return value

    return parse


def money(value: Any) -> Decimal:
    """An exact amount, 0 to 10¹² with at most 12 decimal places, from decimal text or a JSON number.

    A float stands for the shortest decimal that it prints as. Equal amounts come out alike, without
    trailing zeros or a positive exponent.
    """
    kind = type(value)
    if kind is str:
        digits = value
    elif kind is int:
        if not 0 <= value <= GREATEST_AMOUNT:
            raise Invalid("must not be negative" if value < 0 else "must be at most 10^12")
        return Decimal(value)
    elif kind is float:
        digits = repr(value)
    elif kind is Decimal:
        return _bounded(value)
    else:
        raise Invalid('must be a decimal such as "19.99"')
    if _PLAIN_DECIMAL.fullmatch(digits) is None:
        return _unusual_money(digits)
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    amount = Decimal(digits)
    if amount > GREATEST_AMOUNT:
        raise Invalid("must be at most 10^12")
    return amount


def _unusual_money(digits: str) -> Decimal:
    if len(digits) > 64 or _DECIMAL.fullmatch(digits) is None:
        raise Invalid('must be a decimal such as "19.99"')
    return _bounded(Decimal(digits))


def _bounded(amount: Decimal) -> Decimal:
    if not amount.is_finite():
        raise Invalid("must be finite")
    if not amount:
        return Decimal(0)
    if amount < 0:
        raise Invalid("must not be negative")
    if amount.adjusted() > 12 or amount > GREATEST_AMOUNT:
        raise Invalid("must be at most 10^12")
    shortest = amount.normalize(_EXACT)
    exponent = shortest.as_tuple().exponent
    if shortest != amount or not isinstance(exponent, int) or exponent < -DECIMAL_PLACES:
        raise Invalid(f'must have at most {DECIMAL_PLACES} decimal places; send money as text such as "19.99"')
    return shortest.quantize(Decimal(1), context=_EXACT) if exponent > 0 else shortest


def currency(value: Any) -> str:
    """An ISO 4217 code, in upper case whatever case it came in."""
    if type(value) is str:
        if value in CURRENCIES:
            return value
        if len(value) == 3 and value.isascii() and value.upper() in CURRENCIES:
            return value.upper()
    raise Invalid('must be an ISO 4217 currency code such as "USD"')


def instant(value: Any) -> datetime:
    """A UTC instant of 2000 to 2099 from RFC 3339 text with a zone; digits below the microsecond are cut."""
    if type(value) is not str:
        raise Invalid('must be an RFC 3339 time such as "2026-01-31T12:00:00Z"')
    match = _INSTANT.fullmatch(value)
    if match is None:
        raise Invalid('must be an RFC 3339 time such as "2026-01-31T12:00:00Z"')
    second, zone = match.groups()
    if zone is None:
        raise Invalid('must carry its time zone, "Z" or an offset such as "+02:00"')
    if second == "60":
        raise Invalid("must not be a leap second; send the second before it")
    try:
        moment = datetime.fromisoformat(value if zone != "z" else value.upper())
    except ValueError:
        raise Invalid("is not a time that exists") from None
    if moment.tzinfo is not UTC and 1999 <= moment.year <= 2100:
        # Elsewhere the offset may lead out of what a datetime can hold, and the year alone decides.
        moment = moment.astimezone(UTC)
    if not EARLIEST <= moment < LATEST:
        raise Invalid("must not be before 2000" if moment < EARLIEST else "must be before 2100")
    return moment


def count(value: Any) -> int:
    """A whole number of 0 to 10¹², from an integer, a float without fraction or text of digits."""
    kind = type(value)
    if kind is str:
        whole = len(value) <= 20 and value.isascii() and value.isdigit()
    else:
        whole = kind is int or (kind is float and value.is_integer())
    if not whole:
        raise Invalid("must be a whole number")
    value = int(value)
    if not 0 <= value <= GREATEST_COUNT:
        raise Invalid("must not be negative" if value < 0 else "must be at most 10^12")
    return int(value)


def number(greatest: int) -> Callable[[Any], float]:
    """A parser of a finite number of 0 to ``greatest``."""

    def parse(value: Any) -> float:
        if type(value) is not float and type(value) is not int:
            raise Invalid("must be a number")
        if not 0 <= value <= greatest:
            raise Invalid(f"must be from 0 to {greatest}")
        return float(value) or 0.0

    return parse


def flag(value: Any) -> bool:
    """A boolean; no number or text stands for one."""
    if type(value) is not bool:
        raise Invalid("must be true or false")
    return value


_dimension_value = text(200)


def dimensions(value: Any, names: Mapping[str, str]) -> dict[str, str]:
    """Dimension values by attribute name, sorted; ``names`` leads from a field's name to its attribute's."""
    if type(value) is not dict:
        raise Invalid("must be an object of dimension values")
    found: dict[str, str] = {}
    key = ""
    try:
        for key, given in value.items():
            name = names.get(key)
            if name is None:
                raise Invalid(f"is not a dimension; the dimensions are {', '.join(names)}")
            if given is not None:
                found[name] = _dimension_value(given)
    except Invalid as bad:
        raise Invalid(bad.message, f".{shown(key)}") from None
    return dict(sorted(found.items())) if len(found) > 1 else found


def shown(key: Any) -> str:
    """A field's name as a message may show it: short, printable, whatever was sent."""
    return repr(key[:60])[1:-1] if type(key) is str else "?"
