"""Statistics from rollups: totals, buckets of time and groups by one dimension."""

import asyncio
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from time import perf_counter
from typing import Any

from resolvers.analysis.classes import EventClass
from resolvers.analysis.estimates import Money
from resolvers.analysis.exchange_rates import NO_RATES, Rates
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.planning import Plan
from resolvers.analysis.rollup_table import RollupTable
from resolvers.analysis.sums import Sums, nothing, rest, told, total
from resolvers.store.day_metrics import DayQuestion
from resolvers.store.rollup_days import RollupDays, Seen, Span
from resolvers.store.rollup_reading import Marked, Portion, RollupReader, Which
from resolvers.store.scans import Keys, Selection, Statistics, by_bucket
from resolvers.store.terms import TERMS, TermRepository

NONE = 0
"""Stands for the events that carry no value of a dimension, as codes begin at 1."""
_EVERY = 1 << 31
ByBucket = Mapping[int, Sums]


@dataclass(frozen=True, slots=True)
class Scope:
    """A question that rollups answer, its texts turned into codes."""

    plan: Plan
    names: Mapping[str, int]
    which: Which

    def marked(
        self, classes: Sequence[EventClass], statistics: Sequence[Statistic], currencies: Container[str] | None
    ) -> Marked:
        """The classes that at least one statistic is about, and which of them count their events, as bits."""
        return {
            one: sum(
                one.counts(statistic, self.names, currencies) << place for place, statistic in enumerate(statistics)
            )
            for one in classes
            if one.passes(self.plan.where, self.names)
            and any(one.passes(statistic.where, self.names) for statistic in statistics)
        }


class RollupMetrics:
    """Reads statistics of one tenant from its rollups."""

    def __init__(
        self,
        connection: Any,
        terms: TermRepository,
        days: RollupDays,
        tenant_id: int,
        seen: Seen | None,
        portion: Portion | None = None,
    ) -> None:
        self.connection = connection
        self.terms = terms
        self.days = days
        self.tenant_id = tenant_id
        self.seen = seen
        self.portion = portion
        """Of whom, where not of all."""
        self._tables: dict[tuple[str, Span], RollupTable] = {}
        self._classes: dict[Period, list[EventClass]] = {}

    async def statistics(
        self,
        selection: Selection,
        scope: Scope,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: Sequence[str] = (),
        groups: Sequence[Keys] | None = None,
        top: int = 20,
    ) -> Statistics:
        """All statistics in total, for each bucket and each group."""
        plan = scope.plan
        asked = self._of_days(selection, scope)
        if asked is not None:
            return asked.statistics(await self._converted(asked, selection.rates), statistics, tuple(buckets))
        started = perf_counter()
        reader = self._reader(selection.rates)
        marked = await self._marked(selection, scope, statistics, selection.currencies)
        # Without values to choose from, what is of any value is of every event.
        all_of = scope.which if scope.which.values is not None else Which()
        summed = await reader.sums(statistics, marked, plan.cuts, all_of, buckets)
        whole = {bucket: sums for (_, bucket), sums in summed.items()}
        by_place = {bucket: told(statistics, sums) for bucket, sums in whole.items()} if buckets else {}
        found = Statistics(
            total=told(statistics, total(statistics, whole.values())),
            columns=by_bucket(statistics, len(buckets), by_place),
            explanations=(),
        )
        if by:
            grouping = _Grouping(reader, scope, statistics, marked, whole)
            if groups is None:
                shown, count = await grouping.largest(top)
                texts = await self.terms.values(self.tenant_id, TERMS, [code for code in shown if code != NONE])
                groups = [(texts.get(code),) for code in shown]
            else:
                count = len(groups)
                codes = await self.terms.codes(self.tenant_id, TERMS, [key for (key,) in groups if key is not None])
                shown = [NONE if key is None else codes.get(key, -1) for (key,) in groups]
            found = await grouping.told(found, shown, groups, count, buckets)
        milliseconds = (perf_counter() - started) * 1e3
        explanation = Explanation(Source.ROLLUPS, reader.rows, milliseconds, tail=reader.events)
        return replace(found, explanations=(explanation,) * len(statistics))

    async def existing(self, selection: Selection, scope: Scope, statistics: Sequence[Statistic]) -> list[int]:
        """The values of the dimension that any event carries which statistics are about, as codes."""
        counts = [Statistic(Aggregate.COUNT, EVERYTHING)]
        marked = dict.fromkeys(await self._marked(selection, scope, statistics, selection.currencies), 1)
        reader = self._reader()
        found, _, _, events = await reader.largest(counts[0], marked, scope.plan.cuts, scope.which, _EVERY)
        codes = [code for code, _ in found]
        if scope.which.values is None:
            whole = await reader.sums(counts, marked, scope.plan.cuts, Which(), ())
            codes += [NONE] if total(counts, whole.values())[-1] > events else []
        return codes

    async def unconverted(self, selection: Selection, scope: Scope, sums: Sequence[Statistic]) -> tuple[Money, ...]:
        """What sums of money leave out: the money that there is no rate for, per currency."""
        asked = self._of_days(selection, scope)
        if asked is not None:
            return asked.unconverted(await self._converted(asked, selection.rates), sums)
        marked = await self._marked(selection, scope, sums, None)
        found = []
        for currency in sorted({one.currency for one in marked} - {"", selection.currency}):
            reader = self._reader(selection.rates, unconverted=True)
            own = {one: mask for one, mask in marked.items() if one.currency == currency}
            parts = await reader.sums(sums, own, scope.plan.cuts, scope.which, ())
            *amounts, _ = total(sums, parts.values())
            found.append(Money(sum(amounts, Decimal()), currency))
        return tuple(money for money in found if money.amount)

    async def currencies(self, selection: Selection, scope: Scope | None) -> set[str]:
        """The currencies that the events of a period may be in, empty for those in none."""
        asked = None if scope is None else self._of_days(selection, scope)
        if asked is not None:
            return {one.currency for one in (await self._table(asked)).classes}
        return {one.currency for one in await self._classes_of(selection.period)}

    def _of_days(self, selection: Selection, scope: Scope) -> DayQuestion | None:
        """The question, where it is one about days that fit in memory."""
        asked = DayQuestion.of(scope.plan, scope.names, selection.currency, selection.timezone)
        if asked is None or not self.days.fits((self.tenant_id, asked.timezone), asked.span):
            return None
        return asked

    def _reader(self, rates: Rates = NO_RATES, *, unconverted: bool = False) -> RollupReader:
        return RollupReader(self.connection, self.tenant_id, rates, unconverted=unconverted, portion=self.portion)

    async def _converted(self, asked: DayQuestion, rates: Rates) -> RollupTable:
        """The rollups of days, their money in the currency that is asked for."""
        table = await self._table(asked)
        return await asyncio.to_thread(table.converted, asked.currency, rates) if rates else table

    async def _table(self, asked: DayQuestion) -> RollupTable:
        """The rollups of days, for as long as this reader is there of one state."""
        key = asked.timezone, asked.span
        if key not in self._tables:
            whose = self.tenant_id, asked.timezone
            self._tables[key] = await self.days.read(self.connection, whose, asked.span, self.seen)
        return self._tables[key]

    async def _marked(
        self,
        selection: Selection,
        scope: Scope,
        statistics: Sequence[Statistic],
        currencies: Container[str] | None,
    ) -> Marked:
        return scope.marked(await self._classes_of(selection.period), statistics, currencies)

    async def _classes_of(self, period: Period) -> list[EventClass]:
        if period not in self._classes:
            self._classes[period] = await self._reader().classes(period)
        return self._classes[period]


@dataclass(frozen=True, slots=True)
class _Grouping:
    """A breakdown by one dimension. What carries no value of it is all events but those that carry one."""

    reader: RollupReader
    scope: Scope
    statistics: Sequence[Statistic]
    marked: Marked
    whole: ByBucket

    async def largest(self, top: int) -> tuple[list[int], int]:
        """The groups with the largest first statistic, as codes, and how many groups there are."""
        first = self.statistics[0]
        found, count, ranks, events = await self.reader.largest(
            first, self.marked, self.scope.plan.cuts, self.scope.which, top
        )
        everything = total(self.statistics, self.whole.values())
        if self.scope.which.values is None and everything[-1] > events:
            without = rest([everything[0], everything[-1]], [ranks, events])
            (rank,) = told([first], without)
            found.append((NONE, rank))
            count += 1
            found.sort(key=lambda one: (one[1] is None, -(one[1] or 0), one[0] == NONE, one[0]))
        return [code for code, _ in found[:top]], count

    async def told(
        self, found: Statistics, shown: Sequence[int], groups: Sequence[Keys], count: int, buckets: Sequence[datetime]
    ) -> Statistics:
        """What was found, with the groups shown and the rest."""
        sums = await self._by_group(shown, buckets)
        by_group = {place: total(self.statistics, parts.values()) for place, parts in sums.items() if parts}
        return replace(
            found,
            groups=groups,
            group_count=count,
            by_group={place: told(self.statistics, one) for place, one in by_group.items() if one[-1]},
            by_group_and_bucket={
                (place, bucket): told(self.statistics, one)
                for place, parts in sums.items()
                for bucket, one in parts.items()
                if buckets and one[-1]
            },
        )

    async def _by_group(self, shown: Sequence[int], buckets: Sequence[datetime]) -> dict[int, ByBucket]:
        """The sums of each group by bucket, and last of what is in no group."""
        which = self.scope.which
        if NONE not in shown:
            which = replace(which, values=shown)
        codes = [code for code in shown if code != NONE]
        found = await self.reader.sums(self.statistics, self.marked, self.scope.plan.cuts, which, buckets, codes)
        by_value: dict[int, dict[int, Sums]] = {code: {} for code in (*shown, NONE)}
        for (value, bucket), sums in found.items():
            by_value[value][bucket] = sums
        others = by_value.pop(NONE)
        if NONE in shown:
            carried = [*by_value.values(), others]
            by_value[NONE] = self._rest(carried)
        else:
            others = self._rest(by_value.values())
        return {**{place: by_value[code] for place, code in enumerate(shown)}, len(shown): others}

    def _rest(self, parts: Any) -> dict[int, Sums]:
        """What all events add up to less those of the parts, by bucket."""
        empty = nothing(self.statistics)
        return {
            bucket: rest(sums, total(self.statistics, [part.get(bucket, empty) for part in parts]))
            for bucket, sums in self.whole.items()
        }
