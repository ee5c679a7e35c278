"""Statistics of a tenant's events, each from where it costs least: sums that are kept, or the log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.code_sets import EMPTY, CodeSet
from resolvers.analysis.columns import leaves
from resolvers.analysis.estimates import Money
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, DimensionIs, Filter, NameIs
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.planning import in_journeys, in_presence, in_rollups, plan_of
from resolvers.store.database import driver, rows
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.journey_metrics import JourneyMetrics
from resolvers.store.log_metrics import LogMetrics
from resolvers.store.presence_cache import PresenceCache
from resolvers.store.presence_metrics import PresenceMetrics
from resolvers.store.rollup_days import RollupDays
from resolvers.store.rollup_metrics import RollupMetrics, Scope
from resolvers.store.rollup_reading import Which
from resolvers.store.scans import Keys, Selection, Statistics, joined
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.terms import TERMS, TermMemory, TermRepository
from resolvers.store.versions import LogState


@dataclass(frozen=True, slots=True)
class Kept:
    """What a process holds in memory of what is kept, and the places of those who read journeys."""

    presence: PresenceCache
    days: RollupDays
    segments: SegmentCache
    heavy: asyncio.Semaphore


class MetricRepository:
    """Aggregates the events of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory, kept: Kept, state: LogState | None = None) -> None:
        """``state`` is what was known of the log before the session began, if anything was."""
        self.session = session
        self.seen = None if state is None else state.rollups
        self.unrated = state is not None and not state.rates
        self.memory = memory
        self.kept = kept
        self.terms = TermRepository(session, memory)
        self._known: dict[str, int | None] = {}
        self._rates: dict[Period, Rates] = {}
        self._rollups: RollupMetrics | None = None

    async def statistics(
        self,
        selection: Selection,
        statistics: Sequence[Statistic],
        *,
        buckets: Sequence[datetime] = (),
        by: Sequence[str] = (),
        groups: Sequence[Keys] | None = None,
        top: int = 20,
    ) -> Statistics:
        """All statistics in total, for each bucket (given by its start) and for each group.

        The ``top`` groups with the largest first statistic are shown, or exactly those of ``groups`` where given;
        everything else is summed up as one more group. What is kept of the log answers what it can, the log the rest.
        """
        scope = await self._scope(selection, statistics, buckets, by)
        selection = await self._converting(selection, scope, statistics)
        scans: list[tuple[list[int], Statistics]] = []
        logged = list(range(len(statistics)))
        # The groups of one statistic are those of all.
        if scope is not None and (not by or all(map(in_rollups, statistics))):
            scans = await self._kept(selection, scope, statistics, buckets, by, groups, top)
            logged = [place for place in logged if not any(place in places for places, _ in scans)]
        walked = [place for place in logged if in_journeys(statistics[place], selection.where, selection.period)]
        if walked and (not by or (scope is not None and walked == logged)):
            own = [statistics[place] for place in walked]
            found = await self._walked(selection, scope, own, buckets, by, groups, top)
            if found is not None:
                scans.append((walked, found))
                logged = [place for place in logged if place not in walked]
        if logged:
            own = [statistics[place] for place in logged]
            log = LogMetrics(self.session, self.terms)
            scans.append((logged, await log.statistics(selection, own, buckets, by, groups, top)))
        return joined(scans, statistics)

    async def _kept(
        self,
        selection: Selection,
        scope: Scope,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: Sequence[str],
        groups: Sequence[Keys] | None,
        top: int,
    ) -> list[tuple[list[int], Statistics]]:
        """What is kept of the log about some of the statistics, given by their places."""
        connection, tenant_id = await driver(self.session), selection.tenant_id
        scans: list[tuple[list[int], Statistics]] = []
        places = [place for place, one in enumerate(statistics) if in_rollups(one)]
        if places:
            rollups = await self._reader(tenant_id)
            own = [statistics[place] for place in places]
            scans.append((places, await rollups.statistics(selection, scope, own, buckets, by, groups, top)))
        places = [place for place, one in enumerate(statistics) if in_presence(one) and scope.plan.dimension is None]
        if places:
            presence = PresenceMetrics(connection, self.kept.presence, tenant_id)
            found = await presence.statistics(selection, scope, [statistics[place] for place in places], buckets)
            scans += [] if found is None else [(places, found)]
        return scans

    async def _walked(
        self,
        selection: Selection,
        scope: Scope | None,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: Sequence[str],
        groups: Sequence[Keys] | None,
        top: int,
    ) -> Statistics | None:
        """What journeys tell of statistics."""
        existing: list[int] = []
        if by and scope is not None:
            rollups = await self._reader(selection.tenant_id)
            existing = await rollups.existing(selection, scope, statistics)
        journeys = JourneyMetrics(self.session, self.memory, self.kept.segments, self.kept.heavy)
        return await journeys.statistics(selection, statistics, buckets, next(iter(by), None), groups, existing, top)

    async def subjects(
        self, selection: Selection, buckets: Sequence[datetime]
    ) -> tuple[list[CodeSet], Explanation] | None:
        """The subjects of all time before the buckets, then those of each; None where only the events themselves tell.

        The period begins with the first bucket.
        """
        first = select(EVENT.occurred_at).where(EVENT.tenant_id == selection.tenant_id).order_by(EVENT.occurred_at)
        begun = [row.occurred_at for row in await rows(self.session, first.limit(1))]
        # Days on which nothing was yet would take longer to pass over than the others to read.
        start = min([*begun, buckets[0]]).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        whole = replace(selection, period=Period(start, selection.period.end))
        starts = [start, *buckets] if start < buckets[0] else list(buckets)
        statistic = Statistic(Aggregate.DISTINCT, EVERYTHING, "subject")
        scope = await self._scope(whole, [statistic], starts, ())
        if scope is None or scope.plan.dimension is not None:
            return None
        presence = PresenceMetrics(await driver(self.session), self.kept.presence, selection.tenant_id)
        found = await presence.by_bucket(whole, scope, statistic, starts)
        return None if found is None else ([EMPTY] * (len(buckets) + 1 - len(starts)) + found[0], found[1])

    async def unconverted(self, selection: Selection, sums: Sequence[Statistic]) -> tuple[Money, ...]:
        """What sums of money leave out: the money that there is no rate for, per currency."""
        scope = await self._scope(selection, sums, (), ())
        selection = await self._converting(selection, scope, sums)
        if scope is None:
            return await LogMetrics(self.session, self.terms).unconverted(selection, sums)
        rollups = await self._reader(selection.tenant_id)
        return await rollups.unconverted(selection, scope, sums)

    async def _scope(
        self, selection: Selection, statistics: Sequence[Statistic], buckets: Sequence[datetime], by: Sequence[str]
    ) -> Scope | None:
        """How what is kept answers; None where it cannot."""
        plan = plan_of(selection.where, selection.period, buckets, by)
        if plan is None:
            return None
        names = await self._names(selection.tenant_id, selection.where, *(one.where for one in statistics))
        values = None if plan.values is None else [names[one] for one in plan.values if one in names]
        return Scope(plan, names, Which(plan.dimension, values))

    async def _converting(
        self, selection: Selection, scope: Scope | None, statistics: Sequence[Statistic]
    ) -> Selection:
        """The selection with the rates that it takes to answer in its currency, looked up once."""
        if self.unrated or not any(statistic.in_currency for statistic in statistics):
            return selection
        if selection.period not in self._rates:
            currencies = await (await self._reader(selection.tenant_id)).currencies(selection, scope)
            self._rates[selection.period] = await ExchangeRateRepository(self.session).rates(
                selection.tenant_id, selection.currency, selection.period, currencies
            )
        return replace(selection, rates=self._rates[selection.period])

    async def _reader(self, tenant_id: int) -> RollupMetrics:
        if self._rollups is None:
            connection = await driver(self.session)
            self._rollups = RollupMetrics(connection, self.terms, self.kept.days, tenant_id, self.seen)
        return self._rollups

    async def _names(self, tenant_id: int, *filters: Filter) -> dict[str, int]:
        """The codes of the names and dimension values that filters name, each looked up once."""
        texts = set[str]()
        for leaf in (leaf for root in filters for leaf in leaves(root)):
            match leaf:
                case NameIs(values) | DimensionIs(values=values):
                    texts.update(values)
        if missing := texts - self._known.keys():
            found = await self.terms.codes(tenant_id, TERMS, missing)
            self._known |= {text: found.get(text) for text in missing}
            if self.seen is not None and missing - found.keys():
                self.kept.days.miss(tenant_id, self.seen, frozenset(missing - found.keys()))
        return {text: code for text in texts if (code := self._known[text]) is not None}
