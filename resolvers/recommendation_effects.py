"""What came of a recommendation: its figures before and after it was accepted, over equal spans."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from resolvers.analysis.clocks import midnight, zone
from resolvers.analysis.estimates import Estimate, Unit, estimate, quotient, student
from resolvers.analysis.metrics import Form
from resolvers.analysis.periods import Period
from resolvers.analysis.recommendation_basis import Basis
from resolvers.analysis.recommendation_json import from_json
from resolvers.analysis.recommendation_statistics import difference_of_means, difference_of_shares
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
from resolvers.errors import GatewayError
from resolvers.lanes import side_by_side
from resolvers.recommendation_figures import Figures, figures
from resolvers.recommendations import STATES
from resolvers.store.recommendations import RecommendationRepository

FEWEST_DAYS, MOST_DAYS = 7, 30
STATEMENT = (
    "Before and after acceptance, over equal spans of whole days without the day itself. Much else may have changed "
    "between the two: this does not prove that the recommendation was the cause; a randomised experiment would."
)


async def realised_effect(context: Context, key: str, timezone: str | None = None) -> RealisedEffect | None:
    """What was measured since a recommendation was accepted, read together with others that are asked for beside it.

    None unless it was, and until ``FEWEST_DAYS`` whole days are over; at most ``MOST_DAYS`` are looked at.
    """
    principal = context.require(Role.VIEWER)
    local = timezone or principal.timezone
    zone(local)
    return await context.batched(("realised", local), key, partial(_realised, context, local))


async def _realised(
    context: Context, timezone: str, keys: Sequence[str]
) -> Sequence[RealisedEffect | GatewayError | None]:
    async def alone(key: str) -> RealisedEffect | None:
        return (await _together(context, timezone, [key]))[0]

    return await side_by_side(keys, partial(_together, context, timezone), alone)


async def _together(context: Context, timezone: str, keys: Sequence[str]) -> list[RealisedEffect | None]:
    principal, now = context.require(Role.VIEWER), context.services.now()
    if context.reliance is not None:
        # It also changes with the days that pass, of which the reliance cannot be told.
        context.reliance.add((), (), None)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await RecommendationRepository(session).by_keys(principal.tenant_id, keys)
    spans = {
        key: found
        for key, row in rows.items()
        if row.state == STATES[State.ACCEPTED] and (found := _spans(row.decided_at, now, timezone)) is not None
    }
    measures = {key: from_json(rows[key].finding).measures for key in spans}
    asked = dict.fromkeys(
        (one, period) for key, (_, *periods) in spans.items() for one in measures[key] for period in periods
    )
    known = await figures(Context(context.services, principal), asked, timezone) if asked else Figures()
    teller = _Teller(known, Basis(principal.currency, Decimal(0), now))
    told = {
        key: RealisedEffect(
            days, before, after, tuple(teller.effect(one, before, after) for one in measures[key]), STATEMENT
        )
        for key, (days, before, after) in spans.items()
    }
    return [told.get(key) for key in keys]


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


@dataclass(frozen=True, slots=True)
class _Teller:
    """Tells measures before and after from their figures."""

    found: Figures
    basis: Basis

    def effect(self, measure: Measure, before: Period, after: Period) -> Effect:
        """A measure in both periods, and the difference."""
        match measure:
            case MetricMeasure(slug, _) if metric(slug).form is not Form.RATIO:
                return self._daily(measure, before, after)
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
        (a, m), (b, n) = self.found.shares[measure, after], self.found.shares[measure, before]
        told = [self.basis.share(part, of_all, definition) for part, of_all in ((b, n), (a, m))]
        return Effect(title, told[0], told[1], self._difference(a, m, b, n))

    def _difference(self, a: int, m: int, b: int, n: int) -> Estimate:
        definition = "The share after, less the share before."
        if not (m and n) or a > m or b > n:
            return estimate(None, n=m + n, as_of=self.basis.as_of, definition=definition, unit=Unit.RATIO)
        return self.basis.ratio(difference_of_shares(a, m, b, n), m + n, definition, "Newcombe")

    def _daily(self, measure: MetricMeasure, before: Period, after: Period) -> Effect:
        """A sum or count a day: the days are the observations."""
        then, now = self.found.days[measure, before], self.found.days[measure, after]
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
