"""Statistics straight from the log: totals, buckets of time and groups of dimension values in one scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
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
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.estimates import Money
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.filters import Filter
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.database import rows as fetched
from resolvers.store.events import EVENT
from resolvers.store.terms import TERMS, TermMemory, TermRepository

Values = tuple[Decimal | int | float | None, ...]
"""One value for each statistic asked for, in that order."""
Keys = tuple[str | None, ...]
"""One dimension value for each dimension asked for; None where the events carry none."""

MONEY_FIELDS = ("amount", "cost")


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
        everything else is summed up as one more group.
        """
        codes = await Codes.of(self.terms, selection.tenant_id, selection.where, *(s.where for s in statistics))
        rows = _rows(selection, statistics, codes)
        columns = [_column(statistic, selection.currency, codes) for statistic in statistics]
        shown, count = await self._groups(selection.tenant_id, rows, columns[0], by, groups, top)
        bucket = _bucket(buckets)
        group = _group(by, [codes_of for codes_of, _ in shown])
        sets = ["()"]
        sets += ["(bucket)"] if buckets else []
        sets += ["(grp)"] if by else []
        sets += ["(grp, bucket)"] if by and buckets else []
        query = (
            select(bucket.label("bucket"), group.label("grp"), *columns)
            .where(*rows)
            .group_by(text(f"GROUPING SETS ({', '.join(sets)})"))
        )
        found = await fetched(self.session, query)
        return _sorted_out(found, [keys for _, keys in shown], count)

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
        codes = await Codes.of(self.terms, selection.tenant_id, selection.where, *(s.where for s in sums))
        totals = [
            func.coalesce(func.sum(EVENT[s.field or "amount"]).filter(condition(s.where, codes)), 0) for s in sums
        ]
        query = (
            select(EVENT.currency, sum(totals[1:], start=totals[0]))
            .where(*_rows(selection, sums, codes), EVENT.currency != selection.currency)
            .group_by(EVENT.currency)
            .order_by(EVENT.currency)
        )
        found = await fetched(self.session, query)
        return tuple(Money(amount, currency) for currency, amount in found if amount)


def _rows(selection: Selection, statistics: Sequence[Statistic], codes: Codes) -> list[ColumnElement[bool]]:
    """Which rows matter at all: those selected that at least one statistic is about."""
    return [
        EVENT.tenant_id == selection.tenant_id,
        EVENT.occurred_at >= selection.period.start,
        EVENT.occurred_at < selection.period.end,
        condition(selection.where, codes),
        condition(AnyOf(tuple(dict.fromkeys(statistic.where for statistic in statistics))), codes),
    ]


def _column(statistic: Statistic, currency: str, codes: Codes) -> ColumnElement[Any]:
    where = condition(statistic.where, codes)
    if statistic.field is None:
        return func.count().filter(where)
    field = EVENT["amount" if statistic.field in ("order", "customer") else statistic.field]
    where = and_(where, field.is_not(None))
    if field.key in MONEY_FIELDS:
        where = and_(where, EVENT.currency == currency)
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


def _sorted_out(rows: Sequence[Any], groups: list[Keys], count: int) -> Statistics:
    total: Values = ()
    buckets: dict[int, Values] = {}
    by_group: dict[int, Values] = {}
    by_both: dict[tuple[int, int], Values] = {}
    for bucket, group, *values in rows:
        # A column that a row was not grouped by is NULL; neither column is ever NULL of itself.
        if bucket is None and group is None:
            total = tuple(values)
        elif group is None:
            buckets[bucket] = tuple(values)
        elif bucket is None:
            by_group[group] = tuple(values)
        else:
            by_both[group, bucket] = tuple(values)
    return Statistics(total, buckets, groups, count, by_group, by_both)
