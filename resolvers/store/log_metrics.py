"""Statistics straight from the log: totals, buckets of time and groups of dimension values in one scan."""

from collections.abc import Sequence
from datetime import datetime
from time import perf_counter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Text,
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
from resolvers.analysis.sums import Values
from resolvers.store.conditions import Codes, condition
from resolvers.store.database import rows as fetched
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import Converted
from resolvers.store.scans import Keys, Selection, Statistics, by_bucket
from resolvers.store.terms import TERMS, TermRepository


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
        shown, count = await self._groups(selection.tenant_id, rows, columns[0], money, by, groups, top)
        bucket = _bucket(buckets)
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
        found = await fetched(self.session, money.joined(query))
        return _sorted_out(found, [keys for _, keys in shown], count, statistics, len(buckets), started)

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
        texts_of = await self.terms.values(tenant_id, TERMS, [code for row in found for code in row[:-1]])
        shown = [
            (
                tuple(code or 0 for code in row[:-1]),
                tuple(None if code is None else texts_of[code] for code in row[:-1]),
            )
            for row in found
        ]
        return shown, found[0][-1] if found else 0


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


def _group(by: Sequence[str], shown: Sequence[tuple[int, ...]]) -> ColumnElement[int]:
    """Which of the groups shown an event belongs to, from 0; their number for any other; NULL without ``by``."""
    if not by:
        return null().cast(Integer)
    key = func.concat_ws(":", *(func.coalesce(EVENT[name], 0) for name in by))
    known = bindparam(None, [":".join(map(str, codes)) for codes in shown], type_=ARRAY(Text))
    return func.coalesce(func.array_position(known, key) - 1, len(shown))


def _sorted_out(
    rows: Sequence[Any],
    groups: list[Keys],
    group_count: int,
    statistics: Sequence[Statistic],
    size: int,
    started: float,
) -> Statistics:
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
    explanation = Explanation(Source.LOG, read, (perf_counter() - started) * 1e3)
    columns, explanations = by_bucket(statistics, size, buckets), (explanation,) * len(statistics)
    return Statistics(total, columns, explanations, groups, group_count, by_group, by_both)
