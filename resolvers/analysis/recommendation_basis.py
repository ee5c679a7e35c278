"""What findings are told in, and the estimates and filters that all detectors make alike."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from resolvers.analysis.estimates import LEVEL, Estimate, Interval, Unit, estimate, share
from resolvers.analysis.recommendation_statistics import Range
from resolvers.analysis.recommendations import Severity

ENOUGH = 100
"""Observations on each side of a comparison below which nothing is said."""
_HIGH, _MEDIUM = Decimal("0.05"), Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Basis:
    """What findings are told in: the currency, and the revenue of the 30 days they are of."""

    currency: str
    revenue: Decimal
    as_of: datetime

    def money(self, found: Range, n: int, definition: str, method: str) -> Estimate:
        """An amount of money with its interval."""
        return self._told(found, n, definition, method, Unit.MONEY)

    def count(self, found: Range, n: int, definition: str, method: str) -> Estimate:
        """A number of things with its interval."""
        return self._told(found, n, definition, method, Unit.COUNT)

    def ratio(self, found: Range, n: int, definition: str, method: str) -> Estimate:
        """A ratio with its interval."""
        return self._told(found, n, definition, method, Unit.RATIO)

    def share(self, successes: int, n: int, definition: str) -> Estimate:
        """A share with Wilson's interval."""
        return share(successes, n, as_of=self.as_of, definition=definition)

    def severity(self, expected: Estimate) -> Severity:
        """How much of the revenue is at stake."""
        if expected.unit is not Unit.MONEY or expected.value is None or self.revenue <= 0:
            return Severity.LOW
        part = expected.value / self.revenue
        return (
            Severity.HIGH if part >= Decimal("0.05") else Severity.MEDIUM if part >= Decimal("0.01") else Severity.LOW
        )

    def _told(self, found: Range, n: int, definition: str, method: str, unit: Unit) -> Estimate:
        return estimate(
            rounded(found.value),
            n=n,
            as_of=self.as_of,
            definition=definition,
            unit=unit,
            currency=self.currency,
            interval=Interval(rounded(found.low), rounded(found.high), LEVEL, method),
        )


def rounded(value: float) -> Decimal:
    """The digits that a computation in floats leaves sure."""
    return Decimal(f"{value:.12g}")


def scaled(found: Range, by: float) -> Range:
    """The range of so many times the value; ``by`` is not negative."""
    return Range(found.value * by, found.low * by, found.high * by)
