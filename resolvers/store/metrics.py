"""Statistics straight from the log: totals, buckets of time and groups of dimension values in one scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from time import perf_counter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Text,
    bindparam,
    func,
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.estimates import Money
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.filters import Filter
from resolvers.analysis.histograms import quantile
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.planning import RollupPlan, in_rollups, rollup_plan
from resolvers.store.conditions import Codes
from resolvers.store.database import rows as fetched
from resolvers.store.events import EVENT
from resolvers.store.sources import LogSource, RollupSource, StatisticsSource
from resolvers.store.terms import TERMS, TermMemory, TermRepository

Values = tuple[Decimal | int | float | None, ...]
"""One value for each statistic asked for, in that order."""
Keys = tuple[str | None, ...]
"""One dimension value for each dimension asked for; None where the events carry none."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of which tenant are aggregated."""

    tenant_id: int
    currency: str
    period: Period
    where: Filter


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a scan found. Buckets and groups are numbered from 0; the group after the last one shown is the rest."""

    total: Values
    buckets: Mapping[int, Values]
    groups: Sequence[Keys]
    group_count: int
    by_group: Mapping[int, Values]
    by_group_and_bucket: Mapping[tuple[int, int], Values]
    read: int
    """How many rows were read."""
    explanations: tuple[Explanation, ...] = ()
    """How each statistic was come by."""


class MetricRepository:
    """Aggregates the events of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)

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
        everything else is summed up as one more group. What rollups hold is read from them, the rest from the log.
        """
        plan = rollup_plan(selection.where, selection.period, buckets, by)
        held = [place for place, statistic in enumerate(statistics) if plan is not None and in_rollups(statistic)]
        rest = [place for place in range(len(statistics)) if place not in held]
        scans = [
            (places, await self._scan(selection, [statistics[place] for place in places], buckets, by, groups, top, of))
            for places, of in ((held, plan), (rest, None))
            if places
        ]
        return scans[0][1] if len(scans) == 1 else _joined(scans, statistics)

    async def _scan(
        self,
        selection: Selection,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: Sequence[str],
        groups: Sequence[Keys] | None,
        top: int,
        plan: RollupPlan | None,
    ) -> Statistics:
        source = await self._source(selection, statistics, plan)
        rows = _rows(selection, statistics, source)
        columns = [source.column(statistic, selection.currency) for statistic in statistics]
        shown, count = await self._groups(selection.tenant_id, rows, columns[0], by, groups, top)
        bucket = _bucket(source.at, buckets)
        group = _group(by, [codes_of for codes_of, _ in shown])
        sets = ["()"]
        sets += ["(bucket)"] if buckets else []
        sets += ["(grp)"] if by else []
        sets += ["(grp, bucket)"] if by and buckets else []
        query = (
            select(bucket.label("bucket"), group.label("grp"), func.count(), *columns)
            .where(*rows)
            .group_by(text(f"GROUPING SETS ({', '.join(sets)})"))
        )
        started = perf_counter()
        found = [list(row) for row in await fetched(self.session, query)]
        seconds = perf_counter() - started
        for place, statistic in enumerate(statistics, 3):
            if plan is not None and statistic.aggregate is Aggregate.QUANTILE:
                for row in found:
                    row[place] = quantile(statistic.q or 0.0, [row[place] or []])
        sorted_out = _sorted_out(found, [keys for _, keys in shown], count)
        origin = Source.LOG if plan is None else Source.ROLLUPS
        explanation = Explanation(origin, sorted_out.read, seconds * 1e3)
        return replace(sorted_out, explanations=(explanation,) * len(statistics))

    async def _source(
        self, selection: Selection, statistics: Sequence[Statistic], plan: RollupPlan | None
    ) -> StatisticsSource:
        codes = await Codes.of(self.terms, selection.tenant_id, selection.where, *(s.where for s in statistics))
        return LogSource(selection.where, codes) if plan is None else RollupSource(plan, codes)

    async def _groups(
        self,
        tenant_id: int,
        rows: list[ColumnElement[bool]],
        rank: ColumnElement[Any],
        by: Sequence[str],
        given: Sequence[Keys] | None,
        top: int,
    ) -> tuple[list[tuple[tuple[int, ...], Keys]], int]:
        """The groups to show, as codes (0 for none) and as texts, and how many there are in all."""
        if not by:
            return [], 0
        if given is not None:
            texts = {text for keys in given for text in keys if text is not None}
            code = await self.terms.codes(tenant_id, TERMS, texts)
            coded = [tuple(0 if key is None else code.get(key, -1) for key in keys) for keys in given]
            return list(zip(coded, given, strict=True)), len(given)
        columns = [EVENT[name] for name in by]
        query = (
            select(*columns, func.count().over())
            .where(*rows)
            .group_by(*columns)
            .order_by(rank.desc().nulls_last(), *columns)
            .limit(top)
        )
        found = await fetched(self.session, query)
        texts_of = await self.terms.values(tenant_id, TERMS, [code for row in found for code in row[:-1]])
        shown = [
            (
                tuple(code or 0 for code in row[:-1]),
                tuple(None if code is None else texts_of[code] for code in row[:-1]),
            )
            for row in found
        ]
        return shown, found[0][-1] if found else 0

    async def unconverted(self, selection: Selection, sums: Sequence[Statistic]) -> tuple[Money, ...]:
        """What sums of money leave out: the money in other currencies than the tenant's, per currency."""
        plan = rollup_plan(selection.where, selection.period, (), ())
        source = await self._source(selection, sums, plan)
        totals = [source.column(statistic, None) for statistic in sums]
        query = (
            select(source.currency, sum(totals[1:], start=totals[0]))
            .where(*_rows(selection, sums, source), source.currency != selection.currency)
            .group_by(source.currency)
            .order_by(source.currency)
        )
        found = await fetched(self.session, query)
        return tuple(Money(amount, currency) for currency, amount in found if amount)


def _rows(selection: Selection, statistics: Sequence[Statistic], source: StatisticsSource) -> list[ColumnElement[bool]]:
    """Which rows matter at all: those selected that at least one statistic is about."""
    return [
        source.tenant_id == selection.tenant_id,
        source.at >= selection.period.start,
        source.at < selection.period.end,
        *source.rows(),
        source.where(AnyOf(tuple(dict.fromkeys(statistic.where for statistic in statistics)))),
    ]


def _bucket(at: ColumnElement[Any], starts: Sequence[datetime]) -> ColumnElement[int]:
    """Which bucket a row falls into, counted from 0; NULL where there are none."""
    if not starts:
        return null().cast(Integer)
    edges = bindparam(None, list(starts), type_=ARRAY(DateTime(timezone=True)))
    return func.width_bucket(at, edges) - 1


def _group(by: Sequence[str], shown: Sequence[tuple[int, ...]]) -> ColumnElement[int]:
    """Which of the groups shown an event belongs to, from 0; their number for any other; NULL without ``by``."""
    if not by:
        return null().cast(Integer)
    key = func.concat_ws(":", *(func.coalesce(EVENT[name], 0) for name in by))
    known = bindparam(None, [":".join(map(str, codes)) for codes in shown], type_=ARRAY(Text))
    return func.coalesce(func.array_position(known, key) - 1, len(shown))


def _sorted_out(rows: Sequence[Any], groups: list[Keys], group_count: int) -> Statistics:
    total: Values = ()
    read = 0
    buckets: dict[int, Values] = {}
    by_group: dict[int, Values] = {}
    by_both: dict[tuple[int, int], Values] = {}
    for bucket, group, count, *values in rows:
        # A column that a row was not grouped by is NULL; neither column is ever NULL of itself.
        if bucket is None and group is None:
            total, read = tuple(values), count
        elif group is None:
            buckets[bucket] = tuple(values)
        elif bucket is None:
            by_group[group] = tuple(values)
        else:
            by_both[group, bucket] = tuple(values)
    return Statistics(total, buckets, groups, group_count, by_group, by_both, read)


def _joined(scans: Sequence[tuple[list[int], Statistics]], statistics: Sequence[Statistic]) -> Statistics:
    """Scans without groups, of some statistics each, as one of them all; ``places`` are those of each scan's own."""

    def joined(parts: Sequence[Values | None]) -> Values:
        values: list[Decimal | int | float | None] = list(nothing)
        for (places, _), part in zip(scans, parts, strict=True):
            for place, value in zip(places, part or (), strict=part is not None):
                values[place] = value
        return tuple(values)

    nothing = [None if statistic.aggregate is Aggregate.QUANTILE else 0 for statistic in statistics]
    explanations = {
        place: explanation
        for places, scan in scans
        for place, explanation in zip(places, scan.explanations, strict=True)
    }
    buckets = sorted({bucket for _, scan in scans for bucket in scan.buckets})
    total = joined([scan.total for _, scan in scans])
    return Statistics(
        total=total,
        buckets={bucket: joined([scan.buckets.get(bucket) for _, scan in scans]) for bucket in buckets},
        groups=[],
        group_count=0,
        by_group={},
        by_group_and_bucket={},
        read=sum(scan.read for _, scan in scans),
        explanations=tuple(explanations[place] for place in range(len(statistics))),
    )
