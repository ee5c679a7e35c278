"""Exchange as one would do it by hand: an amount, its day, and a list of rates to look through."""

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal

from resolvers.analysis.exchange_rates import ExchangeRate

_QUOTIENT = Context(prec=28, rounding=ROUND_HALF_EVEN)
EXACT = Context(prec=200)


def last_known(rates: Iterable[ExchangeRate], base: str, currency: str, day: date) -> Decimal | None:
    """The newest rate of a pair that is of the day or the ten before it."""
    if base == currency:
        return Decimal(1)
    found = [one for one in rates if (one.base, one.currency) == (base, currency) and 0 <= (day - one.date).days <= 10]
    return max(found, key=lambda one: one.date).rate if found else None


def factor(rates: list[ExchangeRate], currency: str, home: str, day: date) -> Decimal | None:
    """What one unit is worth at home; None where nobody knows."""
    if currency == home:
        return Decimal(1)
    for base in (home, currency, *sorted({one.base for one in rates})):
        of_home, of_currency = last_known(rates, base, home, day), last_known(rates, base, currency, day)
        if of_home is not None and of_currency is not None:
            return _QUOTIENT.divide(of_home, of_currency)
    return None


def exchanged(rates: list[ExchangeRate], amount: Decimal, currency: str, home: str, day: date) -> Decimal | None:
    """An amount at home, with all its digits; None where nobody knows."""
    found = factor(rates, currency, home, day)
    return None if found is None else EXACT.multiply(amount, found)
