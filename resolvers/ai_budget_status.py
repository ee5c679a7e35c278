"""How a budget for AI stands: spent so far, foretold to the end of its period, and when it will be used up."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

from resolvers.ai_budget_spending import CALL, COST, COUNTS, Spending, Wanted, spending, spendings
from resolvers.ai_budgets import MOST_BUDGETS, definition_of
from resolvers.analysis.ai_budget_outlook import Outlook, share_of
from resolvers.analysis.ai_budgets import (
    HISTORY_DAYS,
    AiBudgetAnswer,
    AiBudgetAnswers,
    BudgetDefinition,
    BudgetGroup,
    foretold,
)
from resolvers.analysis.clocks import floor, midnight, zone
from resolvers.analysis.estimates import quotient
from resolvers.analysis.explanations import dearest
from resolvers.analysis.filters import EVERYTHING, weight
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Compare, Granularity, Period, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.context import LARGEST_ANSWER, Context, Role
from resolvers.errors import GatewayError
from resolvers.lanes import side_by_side
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection, Statistics
from resolvers.store.versions import AI_BUDGETS, SEGMENTS

_DAY, _HOUR, _SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
_POINTS_IN_LIST = LARGEST_ANSWER // (2 * MOST_BUDGETS)
"""What a budget of a list counts as at most, so that all that are kept have room in one operation: they are answered in
batches, each no larger than one answer may be."""


def kinds() -> Kinds:
    """The kinds of events, and of definitions, that the answer depends on."""
    return depends_on(CALL, money=True) | {AI_BUDGETS, SEGMENTS}


async def ai_budget(context: Context, name: str, question: Question) -> AiBudgetAnswer:
    """How the budget of a name stands now, whatever period the question is of. Raises NotFound, BadInput."""
    context.require(Role.VIEWER)
    return await _alone(context, _asked(context, await definition_of(context, name), question))


async def ai_budget_of_list(context: Context, definition: BudgetDefinition, question: Question) -> AiBudgetAnswer:
    """How a budget stands, without a breakdown: read together with all that fields of the operation ask about now."""
    asked = _asked(context, definition, replace(question, by=()), most=_POINTS_IN_LIST)
    return await context.batched(("ai budgets", asked.definite.timezone), asked, partial(_side_by_side, context))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about a budget made definite, by day up to the end of the hour that is running."""

    definition: BudgetDefinition
    definite: Resolved
    compare: Compare | None
    period: Period
    """That of the budget."""
    previous: Period | None
    """The whole period compared with."""
    learning: date
    """The first day whose costs are told or learned from."""
    points: int

    @property
    def hour(self) -> datetime:
        """The beginning of the hour that is running, which counts as still to come: within it, the answer changes by
        what is spent alone."""
        return self.definite.period.end - _HOUR

    @property
    def elapsed(self) -> Decimal:
        return share_of(self.hour - self.period.start, self.period.end - self.period.start)

    @property
    def cut(self) -> datetime | None:
        """When the same share of the period compared with was over."""
        if self.previous is None:
            return None
        passed, whole, before = (
            (end - start) // _SECOND
            for start, end in (
                (self.period.start, self.hour),
                (self.period.start, self.period.end),
                (self.previous.start, self.previous.end),
            )
        )
        return self.previous.start + before * passed // whole * _SECOND

    @property
    def wanted(self) -> Wanted:
        starts = {*self.definite.buckets, *([] if self.cut is None else [self.cut])}
        end = self.definite.period.end
        return Wanted(self.definite.where, tuple(sorted(starts)), self.period.start, end)


def _asked(context: Context, definition: BudgetDefinition, question: Question, *, most: int = LARGEST_ANSWER) -> _Asked:
    """The question, which counts as ``most`` points at most."""
    principal = context.require(Role.VIEWER)
    now = context.services.now()
    local = zone(question.timezone or principal.timezone)
    today = now.astimezone(local).date()
    first, after = definition.recurrence.around(today)
    period = Period(midnight(first, local), midnight(after, local))
    learning = min(first, today - HISTORY_DAYS * _DAY)
    begin, previous, compare = learning, None, question.compare
    if compare is not None:
        earlier = definition.recurrence.before(first, compare)
        previous = Period(*(midnight(day, local) for day in earlier))
        begin = min(learning, earlier[0])
    # Ends with the hour: what is foretold moves on with the time, commits or none.
    request = PeriodRequest(start=midnight(begin, local), end=floor(now, local, _HOUR) + _HOUR)
    asked = replace(question, period=request, where=definition.where, granularity=Granularity.DAY, compare=None)
    definite = resolved(asked, principal, now)
    points = 2 * len(definite.buckets) + (3 * (definite.top + 1) if definite.by else 0)
    context.spend(min(points, most) + weight(definition.where))
    return _Asked(definition, definite, compare, period, previous, learning, points)


async def _alone(context: Context, asked: _Asked) -> AiBudgetAnswer:
    subject = ("ai budget", asked.definition, asked.compare, asked.definite)
    return await kept(context, subject, kinds(), partial(_answer, context, asked), points=asked.points)


async def _answer(context: Context, asked: _Asked) -> AiBudgetAnswer:
    as_of, definite = context.services.now(), asked.definite
    selection = _selection(context, asked)
    async with context.services.database.tenant(selection.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        found = await spending(repository, selection, asked.wanted)
        grouped = None
        if definite.by:
            own = replace(selection, period=Period(asked.period.start, definite.period.end), where=definite.where)
            grouped = await repository.statistics(own, (COST, *COUNTS), by=definite.by, top=definite.top)
    return _told(asked, found, grouped, selection.currency, as_of)


async def _side_by_side(context: Context, asked: Sequence[_Asked]) -> list[AiBudgetAnswer | GatewayError]:
    found: list[AiBudgetAnswer | GatewayError] = []
    for batch in _batches(asked):
        found += await side_by_side(batch, partial(_together, context), partial(_alone, context))
    return found


def _batches(asked: Sequence[_Asked]) -> Iterator[list[_Asked]]:
    """As many at a time as one answer may have points of series."""
    batch: list[_Asked] = []
    points = 0
    for one in asked:
        points += one.points
        if batch and points > LARGEST_ANSWER:
            yield batch
            batch, points = [], one.points
        batch.append(one)
    yield batch


async def _together(context: Context, asked: Sequence[_Asked]) -> tuple[AiBudgetAnswer, ...]:
    subject = [part for one in asked for part in (one.definition, one.compare, one.definite)]
    points = sum(one.points for one in asked)
    compute = partial(_answers, context, asked)
    return (await kept(context, ("ai budgets", *subject), kinds(), compute, points=points)).answers


async def _answers(context: Context, asked: Sequence[_Asked]) -> AiBudgetAnswers:
    as_of, selection = context.services.now(), _selection(context, asked[0])
    async with context.services.database.tenant(selection.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        found = await spendings(repository, selection, [one.wanted for one in asked])
    pairs = zip(asked, found, strict=True)
    # Some milliseconds each, which are in everybody's way where there are many.
    told = await asyncio.to_thread(lambda: [_told(*pair, None, selection.currency, as_of) for pair in pairs])
    return AiBudgetAnswers(tuple(told))


def _selection(context: Context, asked: _Asked) -> Selection:
    principal = context.require(Role.VIEWER)
    return Selection(principal.tenant_id, principal.currency, asked.definite.period, EVERYTHING)


def _told(asked: _Asked, found: Spending, grouped: Statistics | None, currency: str, as_of: datetime) -> AiBudgetAnswer:
    definition, definite, period = asked.definition, asked.definite, asked.period
    local = zone(definite.timezone)
    costs: defaultdict[date, Decimal] = defaultdict(Decimal)
    for start, spent_then in found.costs.items():
        day = start.astimezone(local).date()
        if day >= asked.learning:
            costs[day] += spent_then
    first, after = (edge.astimezone(local).date() for edge in (period.start, period.end))
    today = asked.hour.astimezone(local).date()
    days = [first + day * _DAY for day in range((after - first).days)]
    outlook = Outlook(definition, costs, days, asked.hour, today)
    told = foretold(outlook.past(), outlook.coming(midnight(today, local), midnight(today + _DAY, local)))
    spent = outlook.spent()
    exceeds = outlook.exceeds(told)
    before, cut = asked.previous, asked.cut
    forecast = outlook.forecast(told, currency, as_of, None if before is None else _spent(found.costs, before))
    so_far = None if before is None or cut is None else Period(before.start, cut)
    return AiBudgetAnswer(
        definition=definition,
        period=period,
        currency=currency,
        timezone=definite.timezone,
        calls=found.calls,
        unpriced=found.unpriced,
        spent=spent,
        remaining=definition.amount - spent,
        used=quotient(spent, definition.amount),
        elapsed=asked.elapsed,
        previous_period=so_far,
        previous_spent=None if so_far is None else _spent(found.costs, so_far),
        forecast=forecast,
        will_exceed=True if exceeds else None if told is None else False,
        probability=outlook.probability(told, forecast),
        exceeds_at=None if exceeds is None else midnight(exceeds, local),
        series=outlook.series(told, [midnight(day, local) for day in outlook.days]),
        groups=() if grouped is None else tuple(_groups(grouped, definite.by, spent)),
        group_count=0 if grouped is None else grouped.group_count,
        unconverted=found.unconverted,
        explain=dearest(found.explanations),
        as_of=as_of,
    )


def _spent(costs: Mapping[datetime, Decimal], period: Period) -> Decimal:
    """What was spent in a period that begins and ends where buckets do."""
    return sum((spent for start, spent in costs.items() if period.start <= start < period.end), Decimal(0))


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
