"""What came of a recommendation: its figures before and after it was accepted, over equal spans."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from resolvers.analysis.clocks import midnight, zone
from resolvers.analysis.estimates import Estimate, Unit, estimate, quotient, student
from resolvers.analysis.metrics import Form
from resolvers.analysis.periods import Granularity, Period, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.recommendation_basis import Basis
from resolvers.analysis.recommendation_json import from_json
from resolvers.analysis.recommendation_statistics import Sums, difference_of_means, difference_of_shares
from resolvers.analysis.recommendations import (
    ChurnMeasure,
    Effect,
    Measure,
    MetricMeasure,
    RealisedEffect,
    State,
    StepMeasure,
)
from resolvers.catalogue import metric
from resolvers.context import Context, Role
from resolvers.funnels import funnel
from resolvers.metrics import metrics
from resolvers.recommendations import STATES
from resolvers.recurring_revenue import recurring_revenue
from resolvers.store.recommendations import RecommendationRepository

FEWEST_DAYS, MOST_DAYS = 7, 30
STATEMENT = (
    "Before and after acceptance, over equal spans of whole days without the day itself. Much else may have changed "
    "between the two: this does not prove that the recommendation was the cause; a randomised experiment would."
)


async def realised_effect(context: Context, key: str, timezone: str | None = None) -> RealisedEffect | None:
    """What was measured since a recommendation was accepted.

    None unless it was, and until ``FEWEST_DAYS`` whole days are over; at most ``MOST_DAYS`` are looked at.
    """
    principal = context.require(Role.VIEWER)
    if context.reliance is not None:
        # It also changes with the days that pass, of which the reliance cannot be told.
        context.reliance.add((), (), None)
    async with context.services.database.tenant(principal.tenant_id) as session:
        row = (await RecommendationRepository(session).by_keys(principal.tenant_id, [key])).get(key)
    if row is None or row.state != STATES[State.ACCEPTED]:
        return None
    spans = _spans(row.decided_at, context.services.now(), timezone or principal.timezone)
    if spans is None:
        return None
    days, before, after = spans
    own = Context(context.services, principal)
    reader = _Reader(own, Basis(principal.currency, Decimal(0), context.services.now()), timezone)
    effects = [await reader.effect(one, before, after) for one in from_json(row.finding).measures]
    return RealisedEffect(days, before, after, tuple(effects), STATEMENT)


def _spans(decided: datetime, now: datetime, timezone: str) -> tuple[int, Period, Period] | None:
    """As many whole local days before the day of the decision as after it; None while there are too few."""
    local = zone(timezone)
    day, today = decided.astimezone(local).date(), now.astimezone(local).date()
    days = min(MOST_DAYS, (today - day).days - 1)
    if days < FEWEST_DAYS:
        return None
    first, width = day + timedelta(days=1), timedelta(days=days)
    before = Period(midnight(day - width, local), midnight(day, local))
    return days, before, Period(midnight(first, local), midnight(first + width, local))


class _Reader:
    """Reads measures before and after."""

    def __init__(self, context: Context, basis: Basis, timezone: str | None) -> None:
        self.context = context
        self.basis = basis
        self.timezone = timezone

    async def effect(self, measure: Measure, before: Period, after: Period) -> Effect:
        """A measure in both periods, and the difference."""
        match measure:
            case MetricMeasure(slug, _) if metric(slug).form is not Form.RATIO:
                return await self._daily(measure, before, after)
            case MetricMeasure(slug, _):
                title, definition = metric(slug).title, metric(slug).definition
            case StepMeasure(of, step):
                title = of.steps[step].name
                definition = (
                    "Of those who reached the required step before the share that reached this one, so far: of the "
                    f"last {of.window.days} days more may follow."
                )
            case ChurnMeasure():
                title, definition = "Churn", "Customers who churned, of those at the start."
        a, m = await self._share(measure, after)
        b, n = await self._share(measure, before)
        told = [self.basis.share(part, of_all, definition) for part, of_all in ((b, n), (a, m))]
        return Effect(title, told[0], told[1], self._difference(a, m, b, n))

    def _difference(self, a: int, m: int, b: int, n: int) -> Estimate:
        definition = "The share after, less the share before."
        if not (m and n) or a > m or b > n:
            return estimate(None, n=m + n, as_of=self.basis.as_of, definition=definition, unit=Unit.RATIO)
        return self.basis.ratio(difference_of_shares(a, m, b, n), m + n, definition, "Newcombe")

    async def _share(self, measure: Measure, period: Period) -> tuple[int, int]:
        """How many of how many."""
        question = Question(PeriodRequest(start=period.start, end=period.end), self.timezone, Granularity.MONTH)
        match measure:
            case MetricMeasure(slug, where):
                (answer,) = await metrics(self.context, [slug], replace(question, where=where))
                return int(answer.estimate.numerator or 0), answer.estimate.n
            case StepMeasure(definition, step):
                steps = (await funnel(self.context, definition, question)).steps
                before = [one for one in steps[:step] if not one.optional]
                return steps[step].count, before[-1].count
            case ChurnMeasure(where):
                moved = (await recurring_revenue(self.context, replace(question, where=where))).movements
                return moved.churned_customers, moved.customers_at_start

    async def _daily(self, measure: MetricMeasure, before: Period, after: Period) -> Effect:
        """A sum or count a day: the days are the observations."""
        then, now = [await self._days(measure, period) for period in (before, after)]
        declared = metric(measure.slug)
        told = [
            estimate(
                quotient(days.total, Decimal(days.n)),
                n=days.n,
                as_of=self.basis.as_of,
                definition=f"{declared.definition[:-1]}, a day.",
                unit=declared.unit,
                currency=self.basis.currency,
                numerator=days.total,
                denominator=Decimal(days.n),
                interval=student(days.n, days.total, days.squares),
            )
            for days in (then, now)
        ]
        definition = "The mean of a day after, less that before; days are taken to be independent."
        show = self.basis.money if declared.unit is Unit.MONEY else self.basis.count
        difference = show(difference_of_means(now, then), now.n + then.n, definition, "Welch")
        return Effect(f"{declared.title} a day", told[0], told[1], difference)

    async def _days(self, measure: MetricMeasure, period: Period) -> Sums:
        request = PeriodRequest(start=period.start, end=period.end)
        question = Question(request, self.timezone, Granularity.DAY, where=measure.where)
        (answer,) = await metrics(self.context, [measure.slug], question)
        days = [value or Decimal(0) for value in answer.series.exact]
        return Sums(len(days), sum(days, Decimal(0)), sum((day * day for day in days), Decimal(0)))
