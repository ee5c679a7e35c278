"""Budgets for AI: what is spent, and what a period will have cost in the end."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from math import sqrt

from scipy.special import stdtr, stdtrit

from resolvers.analysis.clocks import months_later
from resolvers.analysis.estimates import LEVEL, Estimate, Interval, Money
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Compare, Period

HISTORY_DAYS = 28
"""The complete days before today that a forecast is made from, at most."""
SEASONAL_DAYS = 14
"""From so many days on each weekday has a mean of its own."""

_DAY = timedelta(days=1)
_WEEK = 7
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


class BudgetPeriod(Enum):
    """For how long a budget is; it begins anew with each Monday, or first day of a month, quarter or year."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    def around(self, day: date) -> tuple[date, date]:
        """The first day of the period that holds ``day``, and the first after it."""
        if self is BudgetPeriod.WEEK:
            first = day - day.weekday() * _DAY
            return first, first + _WEEK * _DAY
        months = _MONTHS[self.name]
        first = day.replace(month=day.month - (day.month - 1) % months, day=1)
        return first, months_later(first, months)

    def before(self, first: date, compare: Compare) -> tuple[date, date]:
        """The same of the period that the one from ``first`` on is held against: the last, or that of a year ago."""
        return self.around(first - _DAY if compare is Compare.PREVIOUS_PERIOD else months_later(first, -12))


@dataclass(frozen=True, slots=True)
class BudgetDefinition:
    """What a tenant means to spend on the AI interactions that pass ``where``, in its currency."""

    name: str
    amount: Decimal
    recurrence: BudgetPeriod
    where: Filter


@dataclass(frozen=True, slots=True)
class BudgetSeries:
    """The period day by day, as columns of one length; of days to come the expected cost, of today both."""

    at: tuple[datetime, ...]
    cost: tuple[Decimal | None, ...]
    """What was spent; None of days to come."""
    expected: tuple[Decimal | None, ...]
    """What is still to come; None of days that are over, and where nothing is foretold."""


@dataclass(frozen=True, slots=True)
class BudgetGroup:
    """What the calls that carry the same values took of a budget; ``other`` are those of all groups not shown."""

    keys: tuple[DimensionValue, ...]
    other: bool
    spent: Decimal
    share: Decimal | None
    """Of all that is spent; None where nothing is."""
    calls: int
    unpriced: int


@dataclass(frozen=True, slots=True)
class AiBudgetAnswer:
    """How a budget stands; money in ``currency``, the tenant's."""

    definition: BudgetDefinition
    period: Period
    currency: str
    timezone: str
    calls: int
    unpriced: int
    spent: Decimal
    remaining: Decimal
    """The budget less what is spent; below 0 where that is more."""
    used: Decimal | None
    elapsed: Decimal
    previous_period: Period | None
    """The period compared with, as far as the same share of it goes as is over of this one."""
    previous_spent: Decimal | None
    forecast: Estimate
    """``previous`` is what the period compared with came to in the end."""
    will_exceed: bool | None
    probability: float | None
    exceeds_at: datetime | None
    series: BudgetSeries
    groups: tuple[BudgetGroup, ...]
    """Dearest first, ``other`` last; none unless a breakdown was asked for."""
    group_count: int
    unconverted: tuple[Money, ...]
    explain: Explanation = field(compare=False)
    as_of: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class AiBudgetAnswers:
    """Several answers, read together."""

    answers: tuple[AiBudgetAnswer, ...]


@dataclass(frozen=True, slots=True)
class Foretold:
    """The cost still to come, day by day, and how sure its sum is."""

    days: tuple[Decimal, ...]
    error: float
    freedom: int

    def interval(self, spent: Decimal, total: Decimal) -> Interval | None:
        """That of what will have been spent, which is not less than what is; None where nothing varies."""
        if not self.error:
            return None
        half = Decimal(f"{float(stdtrit(self.freedom, (1 + float(LEVEL)) / 2)) * self.error:.9g}")
        return Interval(max(spent, total - half), total + half, LEVEL, "daily means, Student t")

    def probability(self, total: Decimal, amount: Decimal) -> float:
        """That more than ``amount`` will have been spent."""
        if not self.error:
            return float(total > amount)
        return float(f"{float(stdtr(self.freedom, float(total - amount) / self.error)):.9g}")


def foretold(past: Sequence[tuple[int, Decimal]], coming: Sequence[tuple[int, Decimal]]) -> Foretold | None:
    """What the days to come will cost, each its weekday's mean of the past days.

    ``past`` are weekdays (Monday is 0) and costs of complete days, ``coming`` weekdays and how much of the day is to
    come (1 of a whole one). From SEASONAL_DAYS past days on each weekday w has its own mean ȳ(w) of k(w) days, before
    that all share one. With m(w) days to come, the sum is Σ m(w) ȳ(w) and its squared error s² Σ (m(w) + m(w)²/k(w)),
    s² being the squared deviations from the means over n days less the number of means. None below two days, and where
    a weekday to come was never seen.
    """
    seasonal = len(past) >= SEASONAL_DAYS
    seen: defaultdict[int, list[Decimal]] = defaultdict(list)
    for weekday, cost in past:
        seen[weekday if seasonal else 0].append(cost)
    freedom = len(past) - len(seen)
    ahead: defaultdict[int, Decimal] = defaultdict(Decimal)
    for weekday, part in coming:
        ahead[weekday if seasonal else 0] += part
    if freedom < 1 or not ahead.keys() <= seen.keys():
        return None
    means = {season: sum(costs, Decimal(0)) / len(costs) for season, costs in seen.items()}
    scatter = sum(float(cost - means[season]) ** 2 for season, costs in seen.items() for cost in costs)
    spread = sum(float(days) + float(days) ** 2 / len(seen[season]) for season, days in ahead.items())
    return Foretold(
        days=tuple(part * means[weekday if seasonal else 0] for weekday, part in coming),
        error=sqrt(scatter / freedom * spread),
        freedom=freedom,
    )
