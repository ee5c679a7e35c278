"""What is to be expected of a budget: its period seen from an hour of it, the days to come foretold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from resolvers.analysis.ai_budgets import HISTORY_DAYS, BudgetDefinition, BudgetSeries, Foretold
from resolvers.analysis.estimates import Estimate, Unit, estimate

_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)
_DEFINITION = (
    "What is spent, and for each day to come the mean of its weekday over up to 28 complete days before today; of "
    "fewer than 14 such days the mean of all."
)


def share_of(part: timedelta, whole: timedelta) -> Decimal:
    """The share of a time that another one is."""
    return Decimal(part // _SECOND) / Decimal(whole // _SECOND)


@dataclass(frozen=True, slots=True)
class Outlook:
    """A budget's period seen from the beginning of an hour of ``today``; ``costs`` are those of days that had any."""

    definition: BudgetDefinition
    costs: Mapping[date, Decimal]
    days: Sequence[date]
    hour: datetime
    today: date

    def spent(self) -> Decimal:
        """What was spent so far."""
        return sum((self.costs.get(day, Decimal(0)) for day in self.days), Decimal(0))

    def past(self) -> list[tuple[int, Decimal]]:
        """Weekday and cost of the complete days to learn from: since the first that is known to have had a cost."""
        begun = min((day for day, cost in self.costs.items() if cost), default=self.today)
        first = max(begun, self.today - HISTORY_DAYS * _DAY)
        past = [first + place * _DAY for place in range((self.today - first).days)]
        return [(day.weekday(), self.costs.get(day, Decimal(0))) for day in past]

    def coming(self, begin: datetime, end: datetime) -> list[tuple[int, Decimal]]:
        """Weekday and share to come of the rest of today, which lasts from ``begin`` to ``end``, and of later days."""
        later = [(day.weekday(), Decimal(1)) for day in self.days if day > self.today]
        return [(self.today.weekday(), share_of(end - self.hour, end - begin)), *later]

    def forecast(self, told: Foretold | None, currency: str, as_of: datetime, previous: Decimal | None) -> Estimate:
        """What will have been spent when the period ends; ``previous`` is what another one came to in the end."""
        spent = self.spent()
        total = None if told is None else spent + sum(told.days)
        return estimate(
            total,
            n=len(self.past()),
            as_of=as_of,
            definition=_DEFINITION,
            unit=Unit.MONEY,
            currency=currency,
            interval=None if told is None or total is None else told.interval(spent, total),
            previous=previous,
        )

    def probability(self, told: Foretold | None, forecast: Estimate) -> float | None:
        """That more than the budget will have been spent."""
        if self.spent() > self.definition.amount:
            return 1.0
        if told is None or forecast.value is None:
            return None
        return told.probability(forecast.value, self.definition.amount)

    def exceeds(self, told: Foretold | None) -> date | None:
        """The day on which more than the budget is spent; None where that is not expected."""
        so_far = Decimal(0)
        for day, cost, expected in self._course(told):
            for amount in cost, expected:
                so_far += amount or 0
                if so_far > self.definition.amount:
                    return day
        return None

    def series(self, told: Foretold | None, starts: Sequence[datetime]) -> BudgetSeries:
        """Day by day, the days beginning at ``starts``."""
        course = self._course(told)
        return BudgetSeries(
            tuple(starts), tuple(cost for _, cost, _ in course), tuple(expected for *_, expected in course)
        )

    def _course(self, told: Foretold | None) -> list[tuple[date, Decimal | None, Decimal | None]]:
        """Each day, what was spent on it and what is to come."""
        ahead = self.days.index(self.today)
        return [
            (
                day,
                None if day > self.today else self.costs.get(day, Decimal(0)),
                None if told is None or day < self.today else told.days[place - ahead],
            )
            for place, day in enumerate(self.days)
        ]
