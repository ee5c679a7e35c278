"""Exchange rates: by what money of other currencies becomes the tenant's, by the day on which it moved.

A rate says how many units of ``currency`` one unit of ``base`` was worth on a day, as central banks publish them. Money
of a day (UTC) is converted by the last rate known by then, never by a later one, and by none that is older than
``OLDEST`` days: those bridge weekends and holidays, not a currency that is quoted no more.

A factor is rounded once, to 28 significant digits; amounts times factors are exact. So sums are the same whether they
are converted event by event or as the sum of a day.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from resolvers.analysis.estimates import CONTEXT

OLDEST = 10
"""Days after which a rate says nothing any more."""
DAY_US = 86_400_000_000
_FIRST_DAY = date(1970, 1, 1)
_ONE = Decimal(1)
_NOWHERE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """One unit of ``base`` was worth ``rate`` units of ``currency`` on a day."""

    date: date
    base: str
    currency: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Rates:
    """What a unit of other currencies comes to in the tenant's, by currency and day (counted from 1970, UTC).

    Where there is no factor, money cannot be converted.
    """

    factors: Mapping[str, Mapping[int, Decimal]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.factors)

    def on(self, day: int) -> frozenset[str]:
        """The currencies that can be converted on a day."""
        if not self.factors:
            return _NOWHERE
        return frozenset(currency for currency, by_day in self.factors.items() if day in by_day)

    def rows(self) -> Iterator[tuple[str, date, Decimal]]:
        """Every factor with its currency and day."""
        for currency, by_day in self.factors.items():
            for day, factor in by_day.items():
                yield currency, date_of(day), factor


NO_RATES = Rates()


def day_number(day: date) -> int:
    """A day as its number since 1970."""
    return (day - _FIRST_DAY).days


def date_of(day: int) -> date:
    """The day of a number since 1970."""
    return date.fromordinal(_FIRST_DAY.toordinal() + day)


def rates_to(home: str, currencies: Iterable[str], stated: Iterable[ExchangeRate], first: int, last: int) -> Rates:
    """The factors into ``home`` of each currency on the days from ``first`` to ``last``, both included.

    A factor is ``rate(base, home) / rate(base, currency)`` for one base, whose rate against itself is 1. Of the bases
    that on a day have a rate of both it is ``home``, else the currency itself, else the first in the alphabet.
    """
    series = _series(stated)
    bases = sorted({base for base, _ in series})
    found: dict[str, dict[int, Decimal]] = {}
    for currency in sorted(set(currencies) - {home}):
        legs = [
            (_known(series, base, home, first, last), _known(series, base, currency, first, last))
            for base in sorted(bases, key=lambda base: (base != home, base != currency, base))
        ]
        factors: dict[int, Decimal] = {}
        for of_home, of_currency in reversed(legs):
            days = of_home.keys() & of_currency.keys()
            factors |= {day: CONTEXT.divide(of_home[day], of_currency[day]) for day in days}
        if factors:
            found[currency] = dict(sorted(factors.items()))
    return Rates(found)


_Series = Mapping[tuple[str, str], tuple[Sequence[int], Sequence[Decimal]]]


def _series(stated: Iterable[ExchangeRate]) -> _Series:
    """The days and rates of each pair, in the order of time."""
    by_pair: dict[tuple[str, str], dict[int, Decimal]] = {}
    for one in stated:
        by_pair.setdefault((one.base, one.currency), {})[day_number(one.date)] = one.rate
    return {pair: (days := sorted(by_day), [by_day[day] for day in days]) for pair, by_day in by_pair.items()}


def _known(series: _Series, base: str, currency: str, first: int, last: int) -> Mapping[int, Decimal]:
    """The last known rate of a pair on each day that has one."""
    if base == currency:
        return dict.fromkeys(range(first, last + 1), _ONE)
    days, rates = series.get((base, currency), ((), ()))
    found: dict[int, Decimal] = {}
    for place in range(max(bisect_right(days, first) - 1, 0), len(days)):
        ends = days[place + 1] if place + 1 < len(days) else last + 1
        held = range(max(days[place], first), min(ends, days[place] + OLDEST + 1, last + 1))
        found |= dict.fromkeys(held, rates[place])
    return found
