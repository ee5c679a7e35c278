"""The figures that recommendations were to change, in any periods: those of many are read together."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from resolvers.analysis.filters import EVERYTHING, All, DimensionIs, Filter, Op
from resolvers.analysis.metrics import Aggregate, Form, Metric
from resolvers.analysis.periods import Granularity, Period, PeriodRequest, buckets
from resolvers.analysis.questions import Question
from resolvers.analysis.recommendation_statistics import Sums
from resolvers.analysis.recommendations import ChurnMeasure, Measure, MetricMeasure, StepMeasure
from resolvers.analysis.series import exact
from resolvers.catalogue import metric
from resolvers.context import Context, Role
from resolvers.funnels import several_funnels
from resolvers.metrics import metrics
from resolvers.recurring_revenue import churned
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Keys, Selection, Statistics, nothing

Asked = tuple[Measure, Period]
_ADDITIVE = frozenset({Aggregate.COUNT, Aggregate.SUM})
_TOGETHER = 100
"""Funnels read at a time: all of a large page at once would take more memory than there is."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What measures came to in periods."""

    shares: dict[Asked, tuple[int, int]] = field(default_factory=dict)
    """How many of how many."""
    days: dict[Asked, Sums] = field(default_factory=dict)
    """Of those that are no shares: the days of the period."""


async def figures(context: Context, asked: Collection[Asked], timezone: str) -> Figures:
    """What every measure came to in its period, local days of ``timezone``."""
    found = Figures()
    steps = [(measure, period) for measure, period in asked if isinstance(measure, StepMeasure)]
    for start in range(0, len(steps), _TOGETHER):
        await _steps(context, steps[start : start + _TOGETHER], timezone, found)
    churns = [(measure, period) for measure, period in asked if isinstance(measure, ChurnMeasure)]
    whole = [(measure.where, period) for measure, period in churns]
    found.shares.update(zip(churns, await churned(context, whole, timezone), strict=True))
    await _metrics(context, [one for one in asked if isinstance(one[0], MetricMeasure)], timezone, found)
    return found


async def _steps(context: Context, asked: Sequence[tuple[StepMeasure, Period]], timezone: str, found: Figures) -> None:
    # What these take is nothing that the caller asked for.
    context.renew()
    questions = [(measure.definition, _whole(period, timezone)) for measure, period in asked]
    for one, answer in zip(asked, await several_funnels(context, questions), strict=True):
        place = one[0].step
        before = [step for step in answer.steps[:place] if not step.optional]
        found.shares[one] = answer.steps[place].count, before[-1].count


def _whole(period: Period, timezone: str) -> Question:
    return Question(PeriodRequest(start=period.start, end=period.end), timezone, Granularity.MONTH)


@dataclass(frozen=True, slots=True)
class _Group:
    """A measure of the events that carry some values, in a period."""

    asked: Asked
    period: Period
    keys: Keys


async def _metrics(context: Context, asked: Sequence[Asked], timezone: str, found: Figures) -> None:
    groups: defaultdict[tuple[str, tuple[str, ...]], list[_Group]] = defaultdict(list)
    for measure, period in asked:
        assert isinstance(measure, MetricMeasure)
        values = _values(measure.where)
        if values is None or not _adds_up(metric(measure.slug)):
            await _alone(context, measure, period, timezone, found)
        else:
            group = _Group((measure, period), period, tuple(values.values()))
            groups[measure.slug, tuple(values)].append(group)
    if groups:
        principal, services = context.require(Role.VIEWER), context.services
        async with services.database.tenant(principal.tenant_id) as session:
            repository = MetricRepository(session, services.memory, services.kept)
            for (slug, names), own in groups.items():
                selection = Selection(
                    principal.tenant_id, principal.currency, _span(own), EVERYTHING, timezone=timezone
                )
                await _side_by_side(repository, selection, metric(slug), names, own, found)


def _span(groups: Sequence[_Group]) -> Period:
    return Period(min(one.period.start for one in groups), max(one.period.end for one in groups))


def _values(where: Filter) -> Mapping[str, str | None] | None:
    """The values of dimensions that a condition asks for, None for those that are not carried; None if it asks more."""
    found: dict[str, str | None] = {}
    for part in where.of if isinstance(where, All) else (where,):
        match part:
            case DimensionIs(name, Op.IN, (value,)) if name not in found:
                found[name] = value
            case DimensionIs(name, Op.MISSING) if name not in found:
                found[name] = None
            case _:
                return None
    return found


def _adds_up(one: Metric) -> bool:
    """Whether what it is told from in a period is the sum of its days'."""
    parts = [one.numerator, *([] if one.denominator is None else [one.denominator])]
    return one.form in (Form.TOTAL, Form.RATIO) and all(part.aggregate in _ADDITIVE for part in parts)


async def _side_by_side(
    repository: MetricRepository,
    selection: Selection,
    one: Metric,
    names: tuple[str, ...],
    groups: Sequence[_Group],
    found: Figures,
) -> None:
    """A metric of several groups by the same dimensions, day by day over all of their periods."""
    statistics = [one.numerator, *([] if one.denominator is None else [one.denominator])]
    starts = buckets(selection.period, Granularity.DAY, selection.timezone)
    keys = list(dict.fromkeys(group.keys for group in groups))
    told = await repository.statistics(selection, statistics, buckets=starts, by=names, groups=keys if names else None)
    for group in groups:
        place = keys.index(group.keys) if names else None
        days = range(bisect_left(starts, group.period.start), bisect_left(starts, group.period.end))
        columns = [_column(told, place, which, days, nothing(statistics)[which]) for which in range(len(statistics))]
        if one.form is Form.RATIO:
            successes, n = (int(sum(column)) for column in columns)
            found.shares[group.asked] = successes, n
        else:
            found.days[group.asked] = _sums(columns[0])


def _column(told: Statistics, place: int | None, which: int, days: range, none: object) -> list[Decimal]:
    """A statistic of a group, or of all events, by day."""
    if place is None:
        values = told.columns[which].decimals()
        return [values[day] or Decimal(0) for day in days]
    found = [told.by_group_and_bucket.get((place, day)) for day in days]
    numbers = [none if values is None else values[which] for values in found]
    return [(None if number is None else exact(number)) or Decimal(0) for number in numbers]  # type: ignore[arg-type]


def _sums(days: Sequence[Decimal]) -> Sums:
    return Sums(len(days), sum(days, Decimal(0)), sum((day * day for day in days), Decimal(0)))


async def _alone(context: Context, measure: MetricMeasure, period: Period, timezone: str, found: Figures) -> None:
    """One that does not add up, or is of a condition that is no group."""
    context.renew()
    question = replace(_whole(period, timezone), where=measure.where)
    if metric(measure.slug).form is Form.RATIO:
        (answer,) = await metrics(context, [measure.slug], question)
        found.shares[measure, period] = int(answer.estimate.numerator or 0), answer.estimate.n
    else:
        (answer,) = await metrics(context, [measure.slug], replace(question, granularity=Granularity.DAY))
        found.days[measure, period] = _sums([value or Decimal(0) for value in answer.series.exact])
