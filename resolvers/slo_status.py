"""How service level objectives stand: what happened in each window, what that says, and what is left of the budget."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import accumulate

from resolvers.analysis import slo_status
from resolvers.analysis.estimates import quotient
from resolvers.analysis.explanations import Explanation, dearest
from resolvers.analysis.filters import EVERYTHING, Filter, weight
from resolvers.analysis.metrics import DimensionValue, Statistic
from resolvers.analysis.periods import Granularity, Period, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.slo_answers import SloAnswer, SloAnswers, SloGroup
from resolvers.analysis.slos import PERIOD, WINDOWS, Indicator, SloDefinition, Tally, indicator
from resolvers.answers import ANYTHING, Kinds, Resolved, depends_on, kept, resolved
from resolvers.catalogue import metric
from resolvers.conditioned import Conditioned, narrowed, tabled
from resolvers.context import Context, Role
from resolvers.errors import BadInput, GatewayError, NotFound
from resolvers.lanes import side_by_side
from resolvers.slos import slos_by_key
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection, Statistics
from resolvers.store.versions import SEGMENTS, SLOS

_MINUTE = timedelta(minutes=1)

Counts = Mapping[datetime, Tally]
"""What happened since each start."""


def kinds() -> Kinds:
    """The kinds of events, and of definitions, that how any SLO stands depends on."""
    return ANYTHING | {SLOS, SEGMENTS}


async def slo(context: Context, key: str, question: Question) -> SloAnswer:
    """How the SLO of a key stands now, whatever period the question is of. Raises NotFound, BadInput."""
    found = (await slos_by_key(context, [key])).get(key)
    if found is None:
        raise NotFound("There is no SLO with this key; createSlo makes one.", field="key")
    return await _alone(context, _asked(context, found, question))


async def slo_of_list(context: Context, definition: SloDefinition, question: Question) -> SloAnswer:
    """How an SLO stands, without a breakdown: read together with all that fields of the operation ask about now."""
    asked = _asked(context, definition, replace(question, by=()))
    return await context.batched("slos", asked, partial(_side_by_side, context))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about an SLO made definite: the buckets begin where its windows do, and all end with the minute."""

    definition: SloDefinition
    indicator: Indicator
    definite: Resolved
    points: int

    @property
    def of(self) -> Conditioned:
        return Conditioned(self.definition.where, self.indicator.statistics)

    @property
    def starts(self) -> tuple[datetime, ...]:
        return self.definite.buckets

    @property
    def kinds(self) -> Kinds:
        return depends_on(*(narrowed(one, self.definition.where).where for one in self.indicator.statistics))


def _asked(context: Context, definition: SloDefinition, question: Question) -> _Asked:
    principal, now = context.require(Role.VIEWER), context.services.now()
    of = metric(definition.metric)
    counted = indicator(of, definition.good, definition.threshold)
    assert counted is not None
    missing = [name for name in question.by if name not in of.dimensions]
    if missing:
        raise BadInput(f"{of.slug} cannot be broken down by {missing[0]}.", field="by")
    # The minute that is running counts, as in the last five minutes of any metric.
    end = now.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
    question = replace(question, where=definition.where, granularity=Granularity.DAY, compare=None)
    definite = resolved(replace(question, period=PeriodRequest(start=end - PERIOD, end=end)), principal, now)
    starts = tuple(sorted({end - length for length in _lengths(definition)}))
    # The minute is no part of the question, of which an earlier answer may be accepted.
    definite = replace(definite, question=question, buckets=starts)
    points = len(starts) + (3 * (definite.top + 1) if definite.by else 0)
    context.spend(points + weight(definition.where))
    return _Asked(definition, counted, definite, points)


def _lengths(definition: SloDefinition) -> Iterator[timedelta]:
    yield from WINDOWS
    yield PERIOD
    yield definition.absent_after


async def _alone(context: Context, asked: _Asked) -> SloAnswer:
    subject = ("slo", asked.definition, asked.definite)
    return await kept(context, subject, asked.kinds, partial(_answer, context, asked), points=asked.points)


async def _answer(context: Context, asked: _Asked) -> SloAnswer:
    as_of, definite, selection = context.services.now(), asked.definite, _selection(context, asked)
    statistics = asked.indicator.statistics
    # All that is counted is of one moment, or more could be bad than there are.
    async with context.services.database.snapshot(selection.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        own = replace(selection, where=asked.definition.where)
        if asked.indicator.additive:
            read = await repository.statistics(own, statistics, buckets=asked.starts)
            counts = _added(asked, asked.starts, [column.decimals() for column in read.columns])
            explanations = list(read.explanations)
        else:
            by_start, explanations = await _by_start(repository, own, statistics, asked.starts)
            counts = _counted(asked, by_start)
        grouped = None
        if definite.by:
            grouped = await repository.statistics(own, statistics, by=definite.by, top=definite.top)
    return _told(asked, counts, grouped, selection.currency, explanations, as_of)


async def _side_by_side(context: Context, asked: Sequence[_Asked]) -> list[SloAnswer | GatewayError]:
    return await side_by_side(asked, partial(_together, context), partial(_alone, context))


async def _together(context: Context, asked: Sequence[_Asked]) -> tuple[SloAnswer, ...]:
    subject = [part for one in asked for part in (one.definition, one.definite)]
    of = frozenset[int]().union(*(one.kinds for one in asked))
    points = sum(one.points for one in asked)
    return (await kept(context, ("slos", *subject), of, partial(_answers, context, asked), points=points)).answers


async def _answers(context: Context, asked: Sequence[_Asked]) -> SloAnswers:
    as_of, selection = context.services.now(), _selection(context, asked[0])
    added = [one for one in asked if one.indicator.additive]
    found: dict[_Asked, tuple[Counts, list[Explanation]]] = {}
    async with context.services.database.snapshot(selection.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        if added:
            starts = sorted({start for one in added for start in one.starts})
            table = await tabled(repository, selection, [one.of for one in added], starts, selection.period.end)
            for one in added:
                found[one] = _added(one, starts, table.columns[one.of]), list(table.explanations)
        # People of different conditions are counted by themselves: sets of them are kept for each.
        parts: defaultdict[Filter, list[_Asked]] = defaultdict(list)
        for one in asked:
            if not one.indicator.additive:
                parts[one.definition.where].append(one)
        for where, some in parts.items():
            statistics = list(dict.fromkeys(statistic for one in some for statistic in one.indicator.statistics))
            starts = sorted({start for one in some for start in one.starts})
            by_start, explanations = await _by_start(repository, replace(selection, where=where), statistics, starts)
            for one in some:
                found[one] = _counted(one, by_start), explanations
    told = []
    for one in asked:
        counts, explanations = found[one]
        told.append(_told(one, counts, None, selection.currency, explanations, as_of))
    return SloAnswers(tuple(told))


def _selection(context: Context, asked: _Asked) -> Selection:
    principal = context.require(Role.VIEWER)
    return Selection(principal.tenant_id, principal.currency, asked.definite.period, EVERYTHING)


async def _by_start(
    repository: MetricRepository, selection: Selection, statistics: Sequence[Statistic], starts: Sequence[datetime]
) -> tuple[dict[datetime, dict[Statistic, int]], list[Explanation]]:
    """What statistics come to since each start, each by itself."""
    found: dict[datetime, dict[Statistic, int]] = {}
    explanations: list[Explanation] = []
    for start in starts:
        read = await repository.statistics(
            replace(selection, period=Period(start, selection.period.end)), list(statistics)
        )
        found[start] = {one: int(value or 0) for one, value in zip(statistics, read.total, strict=True)}
        explanations += read.explanations
    return found, explanations


def _counted(asked: _Asked, by_start: Mapping[datetime, Mapping[Statistic, int]]) -> Counts:
    of = asked.indicator
    return {start: of.tally(*(by_start[start][one] for one in of.statistics)) for start in asked.starts}


def _added(asked: _Asked, starts: Sequence[datetime], columns: Sequence[Sequence[Decimal | None]]) -> Counts:
    """What the buckets from each start on add up to."""
    sums = [list(accumulate(reversed([int(value or 0) for value in column]))) for column in columns]
    since = dict(zip(reversed(starts), zip(*sums, strict=True), strict=True))
    return {start: asked.indicator.tally(*since[start]) for start in asked.starts}


def _told(
    asked: _Asked,
    counts: Counts,
    grouped: Statistics | None,
    currency: str,
    explanations: Sequence[Explanation],
    as_of: datetime,
) -> SloAnswer:
    definition, period = asked.definition, asked.definite.period
    tallies = {length: counts[period.end - length] for length in _lengths(definition)}
    rules = slo_status.rules(definition, tallies)
    state, message = slo_status.state(definition, tallies, rules)
    return SloAnswer(
        definition=definition,
        state=state,
        message=message,
        period=period,
        currency=currency,
        windows=slo_status.windows(definition, tallies),
        rules=rules,
        budget=slo_status.budget(definition, tallies, period.end),
        groups=() if grouped is None else tuple(_groups(asked, grouped, tallies[PERIOD])),
        group_count=0 if grouped is None else grouped.group_count,
        explain=dearest(explanations),
        as_of=as_of,
    )


def _groups(asked: _Asked, found: Statistics, whole: Tally) -> Iterator[SloGroup]:
    definition = asked.definition
    for place in range(len(found.groups) + (len(found.groups) in found.by_group)):
        keys = found.groups[place] if place < len(found.groups) else ()
        events, some = (int(value or 0) for value in found.by_group.get(place, (0, 0)))
        tally = asked.indicator.tally(events, some)
        yield SloGroup(
            keys=tuple(DimensionValue(name, value) for name, value in zip(asked.definite.by, keys, strict=bool(keys))),
            other=place == len(found.groups),
            total=tally.total,
            bad=tally.bad,
            burn_rate=slo_status.told(slo_status.burn_rate(tally, definition.objective)),
            share=quotient(Decimal(tally.bad), Decimal(whole.bad)),
            cost=slo_status.cost(definition, tally.bad),
        )
