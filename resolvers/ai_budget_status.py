"""How a budget for AI stands: spent so far, foretold to the end of its period, and when it will be used up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

from resolvers.ai_budgets import definition_of
from resolvers.analysis.ai_budgets import (
    HISTORY_DAYS,
    AiBudgetAnswer,
    BudgetDefinition,
    BudgetGroup,
    BudgetSeries,
    Foretold,
    foretold,
)
from resolvers.analysis.clocks import floor, midnight, zone
from resolvers.analysis.estimates import Estimate, Unit, estimate, quotient
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import dearest
from resolvers.analysis.filters import All, KindIs, MeasureIs, Op, weight
from resolvers.analysis.metrics import Aggregate, DimensionValue, Statistic
from resolvers.analysis.periods import Granularity, Period, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.context import Context, Role
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection, Statistics
from resolvers.store.versions import AI_BUDGETS, SEGMENTS

_CALL = KindIs((Kind.AI_INTERACTION,))
_COST = Statistic(Aggregate.SUM, _CALL, "cost")
_CALLS = (
    Statistic(Aggregate.COUNT, _CALL),
    Statistic(Aggregate.COUNT, All((_CALL, MeasureIs("cost", Op.MISSING)))),
)
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_DEFINITION = (
    "What is spent, and for each day to come the mean of its weekday over up to 28 complete days before today; of "
    "fewer than 14 such days the mean of all."
)


def kinds() -> Kinds:
    """The kinds of events, and of definitions, that the answer depends on."""
    return depends_on(_CALL, money=True) | {AI_BUDGETS, SEGMENTS}


async def ai_budget(context: Context, name: str, question: Question) -> AiBudgetAnswer:
    """How the budget of a name stands now, whatever period the question is of. Raises NotFound, BadInput."""
    principal = context.require(Role.VIEWER)
    definition = await definition_of(context, name)
    now = context.services.now()
    local = zone(question.timezone or principal.timezone)
    today = now.astimezone(local).date()
    first = min(definition.recurrence.around(today)[0], today - HISTORY_DAYS * _DAY)
    # Ends with the hour: what is foretold moves on with the time, commits or none.
    request = PeriodRequest(start=midnight(first, local), end=floor(now, local, _HOUR) + _HOUR)
    asked = replace(question, period=request, where=definition.where, granularity=Granularity.DAY)
    definite = resolved(asked, principal, now)
    points = 2 * len(definite.buckets) + (3 * (definite.top + 1) if definite.by else 0)
    context.spend(points + weight(definition.where))
    compute = partial(_answer, context, definition, definite)
    return await kept(context, ("ai budget", definition, definite), kinds(), compute, points=points)


async def _answer(context: Context, definition: BudgetDefinition, asked: Resolved) -> AiBudgetAnswer:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    local = zone(asked.timezone)
    # The hour that is running counts as still to come: within it, the answer changes by what is spent alone.
    hour = asked.period.end - _HOUR
    today = hour.astimezone(local).date()
    first, after = definition.recurrence.around(today)
    period = Period(midnight(first, local), midnight(after, local))
    whole = Selection(principal.tenant_id, principal.currency, asked.period, asked.where)
    own = replace(whole, period=Period(period.start, asked.period.end))
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        daily = await repository.statistics(whole, [_COST], buckets=asked.buckets)
        counted = await repository.statistics(own, _CALLS)
        grouped = await repository.statistics(own, (_COST, *_CALLS), by=asked.by, top=asked.top) if asked.by else None
        unconverted = await repository.unconverted(own, [_COST])
    starts = [start.astimezone(local).date() for start in asked.buckets]
    costs = dict(zip(starts, [cost or Decimal(0) for cost in daily.columns[0].decimals()], strict=True))
    outlook = _Outlook(definition, costs, [first + day * _DAY for day in range((after - first).days)], hour, today)
    told = foretold(outlook.past(), outlook.coming(midnight(today, local), midnight(today + _DAY, local)))
    spent = outlook.spent()
    calls, unpriced = (int(value or 0) for value in counted.total)
    exceeds = outlook.exceeds(told)
    forecast = outlook.forecast(told, principal.currency, as_of)
    return AiBudgetAnswer(
        definition=definition,
        period=period,
        currency=principal.currency,
        timezone=asked.timezone,
        calls=calls,
        unpriced=unpriced,
        spent=spent,
        remaining=definition.amount - spent,
        used=quotient(spent, definition.amount),
        elapsed=_share(hour - period.start, period.end - period.start),
        forecast=forecast,
        will_exceed=True if exceeds else None if told is None else False,
        probability=outlook.probability(told, forecast),
        exceeds_at=None if exceeds is None else midnight(exceeds, local),
        series=outlook.series(told, [midnight(day, local) for day in outlook.days]),
        groups=() if grouped is None else tuple(_groups(grouped, asked.by, spent)),
        group_count=0 if grouped is None else grouped.group_count,
        unconverted=unconverted,
        explain=dearest([*daily.explanations, *counted.explanations]),
        as_of=as_of,
    )


def _groups(found: Statistics, by: Sequence[str], spent: Decimal) -> Iterator[BudgetGroup]:
    for place in range(len(found.groups) + (len(found.groups) in found.by_group)):
        keys = found.groups[place] if place < len(found.groups) else ()
        cost, calls, unpriced = found.by_group.get(place, (0, 0, 0))
        amount = Decimal(cost or 0)
        yield BudgetGroup(
            keys=tuple(DimensionValue(name, value) for name, value in zip(by, keys, strict=bool(keys))),
            other=place == len(found.groups),
            spent=amount,
            share=quotient(amount, spent),
            calls=int(calls or 0),
            unpriced=int(unpriced or 0),
        )


def _share(part: timedelta, whole: timedelta) -> Decimal:
    return Decimal(part // timedelta(seconds=1)) / Decimal(whole // timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class _Outlook:
    """A budget's period seen from the beginning of an hour of ``today``; ``costs`` are those of days that had any."""

    definition: BudgetDefinition
    costs: Mapping[date, Decimal]
    days: Sequence[date]
    hour: datetime
    today: date

    def spent(self) -> Decimal:
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
        return [(self.today.weekday(), _share(end - self.hour, end - begin)), *later]

    def forecast(self, told: Foretold | None, currency: str, as_of: datetime) -> Estimate:
        """What will have been spent when the period ends."""
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
