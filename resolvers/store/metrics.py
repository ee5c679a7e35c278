"""Statistics of a tenant's events, each from where it costs least: sums that are kept, or the log."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.code_sets import EMPTY, CodeSet
from resolvers.analysis.estimates import Money
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import (
    EVERYTHING,
    All,
    DimensionIs,
    Filter,
    InSegment,
    NameIs,
    Op,
    in_segments,
    leaves,
)
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.planning import Plan, in_journeys, in_presence, in_rollups, plan_of
from resolvers.store.database import driver, rows
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.journey_metrics import JourneyMetrics
from resolvers.store.log_metrics import LogMetrics
from resolvers.store.members import MemberRepository
from resolvers.store.presence_cache import PresenceCache
from resolvers.store.presence_metrics import PresenceMetrics
from resolvers.store.rollup_days import RollupDays
from resolvers.store.rollup_metrics import RollupMetrics, Scope
from resolvers.store.rollup_reading import Which
from resolvers.store.sale_metrics import SaleMetrics, in_sales
from resolvers.store.scans import Keys, Selection, Statistics, joined
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segment_rollups import SegmentRollups
from resolvers.store.terms import TERMS, TermMemory, TermRepository
from resolvers.store.turns import Heavy
from resolvers.store.versions import LogState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a process holds in memory of what is kept, and the places of those who read journeys."""

    presence: PresenceCache
    days: RollupDays
    segments: SegmentCache
    heavy: Heavy


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
        sold = [place for place, one in enumerate(statistics) if by and in_sales([one], selection)]
        others = [place for place in range(len(statistics)) if place not in sold]
        if sold and others and (groups is not None or _ranked_by(others, statistics)):
            # What adds up says which groups there are.
            own = [statistics[place] for place in others]
            added = await self.statistics(selection, own, buckets=buckets, by=by, groups=groups, top=top)
            distinct = await self._sold(selection, [statistics[place] for place in sold], buckets, by, added.groups)
            return joined([(others, added), (sold, distinct)], statistics)
        if sold and not others and groups is not None:
            return await self._sold(selection, statistics, buckets, by, groups)
        scans: list[tuple[list[int], Statistics]] = []
        logged = list(range(len(statistics)))
        # The groups of one statistic are those of all.
        members = scope is not None and scope.plan.members is not None
        if scope is not None and (not by or (all(map(in_rollups, statistics)) and not members)):
            scans = await self._kept(selection, scope, statistics, buckets, by, groups, top)
            logged = [place for place in logged if not any(place in places for places, _ in scans)]
        sold = [] if by else [place for place in logged if in_sales([statistics[place]], selection)]
        if sold:
            scans.append((sold, await self._sold(selection, [statistics[place] for place in sold], buckets, (), ())))
            logged = [place for place in logged if place not in sold]
        walked = [place for place in logged if in_journeys(statistics[place], selection.where, selection.period)]
        # Which values several statistics have is told by sums alone.
        together = walked == logged and (len(walked) == 1 or (scope is not None and not members))
        if walked and len(by) <= 1 and (not by or together):
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

    async def _sold(
        self,
        selection: Selection,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: Sequence[str],
        groups: Sequence[Keys],
    ) -> Statistics:
        """Distinct orders and customers, by given groups, from ledgers where they fit in memory."""
        sales = SaleMetrics(self.session, self.memory, self.kept.segments, self.kept.heavy)
        found = await sales.statistics(selection, statistics, buckets, by, groups)
        if found is None:
            log = LogMetrics(self.session, self.terms)
            found = await log.statistics(selection, statistics, buckets, by, groups, len(groups))
        return found

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
        tenant_id = selection.tenant_id
        scans: list[tuple[list[int], Statistics]] = []
        members = scope.plan.members
        places = [place for place, one in enumerate(statistics) if in_rollups(one)]
        if places and members is None:
            rollups = await self._reader(tenant_id)
            own = [statistics[place] for place in places]
            scans.append((places, await rollups.statistics(selection, scope, own, buckets, by, groups, top)))
        elif members is not None:
            # Rollups of a segment hold no histograms.
            places = [place for place in places if statistics[place].aggregate is not Aggregate.QUANTILE]
            own = [statistics[place] for place in places]
            rolled = await self._of_segment(selection, scope, lambda of: of.statistics(selection, scope, own, buckets))
            scans += [(places, rolled)] if places and rolled is not None else []
        places = [place for place, one in enumerate(statistics) if in_presence(one) and scope.plan.dimension is None]
        if members is not None:
            # Sets of orders do not say whose they are.
            places = [place for place in places if statistics[place].field != "order"]
        if places:
            presence = await self._presence(tenant_id, scope)
            found = await presence.statistics(selection, scope, [statistics[place] for place in places], buckets)
            scans += [] if found is None else [(places, found)]
        return scans

    async def _presence(self, tenant_id: int, scope: Scope) -> PresenceMetrics:
        members = scope.plan.members
        known = MemberRepository(self.session, self.memory.members)
        named = await known.of(tenant_id, [] if members is None else in_segments(members))
        return PresenceMetrics(await driver(self.session), self.kept.presence, tenant_id, named)

    async def _of_segment(
        self, selection: Selection, scope: Scope, ask: Callable[[RollupMetrics], Awaitable[T]]
    ) -> T | None:
        """What the rollups of a segment tell, where the condition is on one segment alone; None where they do not."""
        match scope.plan:
            case Plan(dimension=None, members=All(of=(InSegment(op=Op.IN) as leaf,))):
                pass
            case _:
                return None
        tenant_id = selection.tenant_id
        known = MemberRepository(self.session, self.memory.members)
        members = (await known.of(tenant_id, [leaf]))[leaf.segment]
        segment_id = await known.number(tenant_id, leaf.segment)
        rollups = SegmentRollups(self.session, tenant_id)
        portion = await rollups.portion(segment_id, members)
        if portion is None:
            return None
        reader = RollupMetrics(await driver(self.session), self.terms, self.kept.days, tenant_id, None, portion)
        found = await ask(reader)
        return found if await rollups.portion(segment_id, members) == portion else None

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
        existing: list[int] | None = None
        possible: list[int] | None = None
        nobodys: list[int] = []
        if by and scope is None:
            nobodys = await LogMetrics(self.session, self.terms).values_of_nobody(selection, statistics, by[0])
        elif by and scope is not None:
            # Which values there are sums tell, but not which of them members have.
            rollups = await self._reader(selection.tenant_id)
            possible = await rollups.existing(selection, scope, statistics)
            existing = possible if scope.plan.members is None else None
        journeys = JourneyMetrics(self.session, self.memory, self.kept.segments, self.kept.heavy)
        one = next(iter(by), None)
        return await journeys.statistics(selection, statistics, buckets, one, groups, existing, possible, nobodys, top)

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
        presence = await self._presence(selection.tenant_id, scope)
        found = await presence.by_bucket(whole, scope, statistic, starts)
        return None if found is None else ([EMPTY] * (len(buckets) + 1 - len(starts)) + found[0], found[1])

    async def unconverted(self, selection: Selection, sums: Sequence[Statistic]) -> tuple[Money, ...]:
        """What sums of money leave out: the money that there is no rate for, per currency."""
        scope = await self._scope(selection, sums, (), ())
        if scope is not None and scope.plan.members is not None:
            own, converting = scope, await self._converting(selection, scope, sums)
            rolled = await self._of_segment(selection, own, lambda of: of.unconverted(converting, own, sums))
            if rolled is not None:
                return rolled
        selection = await self._converting(selection, scope, sums)
        if scope is None or scope.plan.members is not None:
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


def _ranked_by(places: Sequence[int], statistics: Sequence[Statistic]) -> bool:
    """Whether some of the statistics tell the groups of all: the first is among them, and no other is about more."""
    return 0 in places and {one.where for one in statistics} == {statistics[place].where for place in places}
