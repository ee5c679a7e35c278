"""Statistics straight from the log: totals, buckets of time and groups of dimension values in one scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Select,
    and_,
    bindparam,
    distinct,
    func,
    literal,
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.estimates import Money
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.sums import Values, total
from resolvers.store.conditions import Codes, condition
from resolvers.store.database import rows as fetched
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import Converted
from resolvers.store.scans import Keys, Selection, Statistics, by_bucket
from resolvers.store.terms import TERMS, TermRepository

_ADDITIVE = (Aggregate.COUNT, Aggregate.SUM, Aggregate.SUM_OF_SQUARES)
_MOST_ADDED = 10_000
"""Groups that are added up here; of more, the database picks those to show."""


class LogMetrics:
    """Reads statistics of one tenant from its events, one by one: answers everything."""

    def __init__(self, session: AsyncSession, terms: TermRepository) -> None:
        self.session = session
        self.terms = terms

    async def statistics(
        self,
        selection: Selection,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: Sequence[str],
        groups: Sequence[Keys] | None,
        top: int,
    ) -> Statistics:
        """All statistics in total, for each bucket and each group."""
        started = perf_counter()
        codes = await self._codes(selection, statistics)
        rows = _rows(selection, statistics, codes)
        money = Converted(selection.currency, selection.rates)
        columns = [_column(statistic, codes, money) for statistic in statistics]
        if by and groups is None and not buckets and all(one.aggregate in _ADDITIVE for one in statistics):
            found = await self._added(selection.tenant_id, money, rows, statistics, columns, by, top, started)
            if found is not None:
                return found
        shown, count = await self._groups(selection.tenant_id, rows, columns[0], money, by, groups, top)
        bucket = _bucket(buckets)
        places = _Places.of(by, [codes_of for codes_of, _ in shown])
        group = null().cast(Integer) if places is None else places.group
        sets = ["()"]
        sets += ["(bucket)"] if buckets else []
        sets += ["(grp)"] if by else []
        sets += ["(grp, bucket)"] if by and buckets else []
        query = (
            select(bucket.label("bucket"), group.label("grp"), func.count(), *columns)
            .where(*rows)
            .group_by(text(f"GROUPING SETS ({', '.join(sets)})"))
        )
        scanned = await fetched(self.session, money.joined(query) if places is None else places.joined(money, query))
        return _sorted_out(scanned, [keys for _, keys in shown], count, statistics, len(buckets), started)

    async def values_of_nobody(
        self, selection: Selection, statistics: Sequence[Statistic], dimension: str
    ) -> list[int]:
        """The codes of a dimension's values, 0 for none, on the events without a subject that matter."""
        codes = await self._codes(selection, statistics)
        # Found by the index of subjects.
        rows = [*_rows(selection, statistics, codes), EVENT.subject.is_(None)]
        value = func.coalesce(EVENT[dimension], literal(0, Integer))
        return [row[0] for row in await fetched(self.session, select(value).distinct().where(*rows))]

    async def unconverted(self, selection: Selection, sums: Sequence[Statistic]) -> tuple[Money, ...]:
        """What sums of money leave out: the money that there is no rate for, per currency."""
        codes = await self._codes(selection, sums)
        money = Converted(selection.currency, selection.rates)
        totals = [_column(statistic, codes, None) for statistic in sums]
        query = (
            select(EVENT.currency, sum(totals[1:], start=totals[0]))
            .where(*_rows(selection, sums, codes), money.unknown)
            .group_by(EVENT.currency)
            .order_by(EVENT.currency)
        )
        found = await fetched(self.session, money.joined(query))
        return tuple(Money(amount, currency) for currency, amount in found if amount)

    async def _codes(self, selection: Selection, statistics: Sequence[Statistic]) -> Codes:
        return await Codes.of(self.terms, selection.tenant_id, selection.where, *(s.where for s in statistics))

    async def _groups(
        self,
        tenant_id: int,
        rows: list[ColumnElement[bool]],
        rank: ColumnElement[Any],
        money: Converted,
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
        found = await fetched(self.session, money.joined(query))
        keys = await self._keys(tenant_id, [row[:-1] for row in found])
        shown = [(tuple(code or 0 for code in row[:-1]), own) for row, own in zip(found, keys, strict=True)]
        return shown, found[0][-1] if found else 0

    async def _added(
        self,
        tenant_id: int,
        money: Converted,
        rows: list[ColumnElement[bool]],
        statistics: Sequence[Statistic],
        columns: Sequence[ColumnElement[Any]],
        by: Sequence[str],
        top: int,
        started: float,
    ) -> Statistics | None:
        """What adds up, by group, in one statement; None where there are too many groups to add up here."""
        dimensions = [EVENT[name] for name in by]
        order = (columns[0].desc().nulls_last(), *dimensions)
        query = select(*dimensions, *columns, func.count()).where(*rows).group_by(*dimensions).order_by(*order)
        found = await fetched(self.session, money.joined(query.limit(_MOST_ADDED + 1)))
        if len(found) > _MOST_ADDED:
            return None
        size = len(by)
        parts = [list(row[size:]) for row in found]
        *whole, read = total(statistics, parts)
        by_group = {place: tuple(part[:-1]) for place, part in enumerate(parts[:top])}
        if others := parts[top:]:
            by_group[top] = tuple(total(statistics, others)[:-1])
        return Statistics(
            total=tuple(whole),
            columns=[],
            explanations=(_explained(read, started),) * len(columns),
            groups=await self._keys(tenant_id, [row[:size] for row in found[:top]]),
            group_count=len(found),
            by_group=by_group,
        )

    async def _keys(self, tenant_id: int, groups: Sequence[Sequence[int | None]]) -> list[Keys]:
        """The texts of groups given by codes."""
        codes = [code for group in groups for code in group if code is not None]
        texts_of = await self.terms.values(tenant_id, TERMS, codes)
        return [tuple(None if code is None else texts_of[code] for code in group) for group in groups]


def _rows(selection: Selection, statistics: Sequence[Statistic], codes: Codes) -> list[ColumnElement[bool]]:
    """Which rows matter at all: those selected that at least one statistic is about."""
    return [
        EVENT.tenant_id == selection.tenant_id,
        EVENT.occurred_at >= selection.period.start,
        EVENT.occurred_at < selection.period.end,
        condition(selection.where, codes),
        condition(AnyOf(tuple(dict.fromkeys(statistic.where for statistic in statistics))), codes),
    ]


def _column(statistic: Statistic, codes: Codes, money: Converted | None) -> ColumnElement[Any]:
    """A statistic; its money as ``money`` says, or as it is where that is None."""
    where = condition(statistic.where, codes)
    if statistic.field is None:
        return func.count().filter(where)
    field: ColumnElement[Any] = EVENT["amount" if statistic.field in ("order", "customer") else statistic.field]
    where = and_(where, field.is_not(None))
    if statistic.in_currency and money is not None:
        where = and_(where, money.known)
        field = money.of(field)
    match statistic.aggregate:
        case Aggregate.COUNT:
            return func.count().filter(where)
        case Aggregate.DISTINCT if statistic.field == "customer":
            return func.count(distinct(EVENT.subject)).filter(where)
        case Aggregate.DISTINCT if statistic.field == "order":
            unnumbered = func.count().filter(where, EVENT.order_id.is_(None))
            return func.count(distinct(EVENT.order_id)).filter(where) + unnumbered
        case Aggregate.DISTINCT:
            return func.count(distinct(field)).filter(where)
        case Aggregate.SUM:
            return func.coalesce(func.sum(field).filter(where), 0)
        case Aggregate.SUM_OF_SQUARES:
            return func.coalesce(func.sum(field * field).filter(where), 0)
        case Aggregate.QUANTILE:
            return func.percentile_cont(statistic.q).within_group(field).filter(where)


def _bucket(starts: Sequence[datetime]) -> ColumnElement[int]:
    """Which bucket an event falls into, counted from 0; NULL where there are none."""
    if not starts:
        return null().cast(Integer)
    edges = bindparam(None, list(starts), type_=ARRAY(DateTime(timezone=True)))
    return func.width_bucket(EVENT.occurred_at, edges) - 1


@dataclass(frozen=True, slots=True)
class _Places:
    """Which of the groups shown an event belongs to, looked up in a table of them."""

    table: Any
    by: Sequence[str]
    rest: int

    @classmethod
    def of(cls, by: Sequence[str], shown: Sequence[tuple[int, ...]]) -> "_Places | None":
        """None without ``by``."""
        if not by:
            return None
        # Of groups given twice the first one counts.
        first = {codes: place for place, codes in reversed(list(enumerate(shown)))}
        columns = [list(first.values()), *([codes[place] for codes in first] for place in range(len(by)))]
        names = ["place", *(f"code{place}" for place in range(len(by)))]
        given = [bindparam(None, column, type_=ARRAY(Integer)) for column in columns]
        return cls(func.unnest(*given).table_valued(*names).render_derived(name="shown"), by, len(shown))

    @property
    def group(self) -> ColumnElement[int]:
        """From 0; the number of groups for an event of any other."""
        return func.coalesce(self.table.c.place, literal(self.rest, Integer)).cast(Integer)

    def joined(self, money: Converted, query: Select[Any]) -> Select[Any]:
        """A query of events, with the group of each."""
        own = [
            func.coalesce(EVENT[name], literal(0, Integer)) == self.table.c[f"code{place}"]
            for place, name in enumerate(self.by)
        ]
        return query.select_from(money.events().outerjoin(self.table, and_(*own)))


def _sorted_out(
    rows: Sequence[Any],
    groups: list[Keys],
    group_count: int,
    statistics: Sequence[Statistic],
    size: int,
    started: float,
) -> Statistics:
    whole: Values = ()
    read = 0
    buckets: dict[int, Values] = {}
    by_group: dict[int, Values] = {}
    by_both: dict[tuple[int, int], Values] = {}
    for bucket, group, count, *values in rows:
        # A column that a row was not grouped by is NULL; neither column is ever NULL of itself.
        if bucket is None and group is None:
            whole, read = tuple(values), count
        elif group is None:
            buckets[bucket] = tuple(values)
        elif bucket is None:
            by_group[group] = tuple(values)
        else:
            by_both[group, bucket] = tuple(values)
    columns = by_bucket(statistics, size, buckets)
    explanations = (_explained(read, started),) * len(statistics)
    return Statistics(whole, columns, explanations, groups, group_count, by_group, by_both)


def _explained(read: int, started: float) -> Explanation:
    return Explanation(Source.LOG, read, (perf_counter() - started) * 1e3)
