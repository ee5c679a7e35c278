"""The two tables that statistics can be read from, behind one face: the log itself, and its rollups."""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, distinct, false, func, not_, or_, true
from sqlalchemy.sql.elements import KeyedColumnElement

from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.filters import All, Filter, FlagIs, KindIs, NameIs, Not
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.planning import RollupPlan
from resolvers.analysis.rollups import FLAGS
from resolvers.store.conditions import Codes, condition
from resolvers.store.events import EVENT
from resolvers.store.rollups import MEASURES, ROLLUP

MONEY_FIELDS = ("amount", "cost")


class StatisticsSource(Protocol):
    """A table, seen as what statistics are taken over."""

    at: KeyedColumnElement[Any]
    """The time of a row."""
    tenant_id: KeyedColumnElement[Any]
    currency: KeyedColumnElement[Any]

    def where(self, root: Filter) -> ColumnElement[bool]:
        """A filter of the question or of a statistic."""

    def rows(self) -> Sequence[ColumnElement[bool]]:
        """What else its rows must meet."""

    def column(self, statistic: Statistic, currency: str | None) -> ColumnElement[Any]:
        """A statistic; money only of ``currency``, or of any where that is None."""


class LogSource:
    """The events, one by one: answers everything."""

    def __init__(self, where: Filter, codes: Codes) -> None:
        self.at, self.tenant_id, self.currency = EVENT.occurred_at, EVENT.tenant_id, EVENT.currency
        self._where = where
        self._codes = codes

    def where(self, root: Filter) -> ColumnElement[bool]:
        return condition(root, self._codes)

    def rows(self) -> Sequence[ColumnElement[bool]]:
        return [self.where(self._where)]

    def column(self, statistic: Statistic, currency: str | None) -> ColumnElement[Any]:
        where = self.where(statistic.where)
        if statistic.field is None:
            return func.count().filter(where)
        field = EVENT["amount" if statistic.field in ("order", "customer") else statistic.field]
        where = and_(where, field.is_not(None))
        if field.key in MONEY_FIELDS and currency is not None:
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


class RollupSource:
    """The rollups: as many rows however many events there are."""

    def __init__(self, plan: RollupPlan, codes: Codes) -> None:
        self.at, self.tenant_id, self.currency = ROLLUP.at, ROLLUP.tenant_id, ROLLUP.currency
        self._plan = plan
        self._codes = codes

    def where(self, root: Filter) -> ColumnElement[bool]:
        match root:
            case All(of):
                return and_(true(), *map(self.where, of))
            case AnyOf(of):
                return or_(false(), *map(self.where, of))
            case Not(of):
                return not_(self.where(of))
            case KindIs(kinds):
                return ROLLUP.kind.in_([int(kind) for kind in kinds])
            case NameIs(names):
                return ROLLUP.name.in_([self._codes.terms[name] for name in names if name in self._codes.terms])
            case FlagIs(flag, value):
                return _digit(flag) == (2 if value else 1)
        raise ValueError(f"rollups do not tell {root}")

    def rows(self) -> Sequence[ColumnElement[bool]]:
        plan = self._plan
        narrowed = [ROLLUP.grain == plan.grain, self.where(plan.where)]
        if plan.dimension is None:
            return [*narrowed, ROLLUP.dimension == 0, ROLLUP.value == 0]
        values = [self._codes.terms[value] for value in plan.values if value in self._codes.terms]
        return [*narrowed, ROLLUP.dimension == 1 + DIMENSIONS.index(plan.dimension), ROLLUP.value.in_(values)]

    def column(self, statistic: Statistic, currency: str | None) -> ColumnElement[Any]:
        where = self.where(statistic.where)
        if statistic.field in FLAGS:
            return _sum(ROLLUP.n, and_(where, _digit(statistic.field) != 0))
        if statistic.field in MONEY_FIELDS and currency is not None:
            where = and_(where, ROLLUP.currency == currency)
        match statistic.aggregate:
            case Aggregate.COUNT if statistic.field is None:
                return _sum(ROLLUP.n, where)
            case Aggregate.COUNT:
                return _sum(ROLLUP[f"{MEASURES[statistic.field or '']}_n"], where)
            case Aggregate.SUM:
                return _sum(ROLLUP[f"{statistic.field}_sum"], where)
            case Aggregate.SUM_OF_SQUARES:
                return _sum(ROLLUP[f"{statistic.field}_squares"], where)
            case Aggregate.QUANTILE:
                return func.strung_histograms(ROLLUP.histogram).filter(where)
            case Aggregate.DISTINCT:
                raise ValueError("rollups hold no sets")


def _sum(column: ColumnElement[Any], where: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(column).filter(where), 0)


def _digit(flag: str) -> ColumnElement[int]:
    """What a row says of a flag: 0 nothing, 1 false, 2 true."""
    return func.div(ROLLUP.flags, 3 ** FLAGS.index(flag)) % 3
