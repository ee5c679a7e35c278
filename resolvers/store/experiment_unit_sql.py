"""The units of an experiment as the log has them: one query that says of each what is reckoned of it.

A unit is a subject with an exposure. It is of the variant of its first exposure that counts, and of the phase in which
that was. Where none counts, the phase says why its first does not: see ``Uncounted``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Integer,
    Numeric,
    Select,
    SmallInteger,
    and_,
    bindparam,
    case,
    cast,
    distinct,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, array, distinct_on

from resolvers.analysis.events import Kind
from resolvers.analysis.exchange_rates import NO_RATES
from resolvers.analysis.experiment_units import Uncounted
from resolvers.analysis.experiments import Measure, Scheme, Tally, UnitMetric
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.metrics import MONEY_FIELDS
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import plain
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import Converted, ExchangeRateRepository
from resolvers.store.terms import TERMS, TermRepository

_EPOCH = date(1970, 1, 1)
_LONGEST = timedelta(days=366)
_OF_UNIT = ("subject", "phase", "variant", "multiple", "at", "day", "parts")
_THROUGH, _SUBJECTS = -(2**40), [-1]
"""What stands in a statement that is kept for the arguments that it is asked with."""
_WRITTEN: dict[Any, tuple[str, list[Any]]] = {}
_MOST_WRITTEN = 500


@dataclass(frozen=True, slots=True)
class Coded:
    """A scheme with the codes of the texts in it; ``experiment`` is None while no event names it."""

    tenant_id: int
    scheme: Scheme
    codes: Codes
    experiment: int | None
    variants: dict[int, int]
    """The place of each variant by its code."""
    money: Converted

    @classmethod
    async def of(cls, terms: TermRepository, tenant_id: int, scheme: Scheme) -> "Coded":
        """Look up what the scheme names."""
        filters = [part for metric in scheme.metrics for part in metric.filters()]
        known = await terms.codes(tenant_id, TERMS, [scheme.key, *scheme.variants])
        places = {known[key]: place for place, key in enumerate(scheme.variants) if key in known}
        codes = await Codes.of(terms, tenant_id, scheme.where, *filters)
        money = Converted(scheme.currency, NO_RATES)
        if scheme.money:
            span = Period(scheme.starts[0] - _LONGEST, scheme.starts[0] + 30 * _LONGEST)
            money = await ExchangeRateRepository(terms.session).converted(tenant_id, scheme.currency, span)
        return cls(tenant_id, scheme, codes, known.get(scheme.key), places, money)

    def relevant(self) -> ColumnElement[bool]:
        """Which events matter: exposures, and what any of the metrics is about."""
        return or_(self.exposure(), self._measured())

    def exposure(self) -> ColumnElement[bool]:
        """Which events say that somebody was shown a variant of the experiment."""
        return and_(EVENT.kind == int(Kind.EXPOSURE), EVENT.experiment == self.experiment)

    def counted(self) -> ColumnElement[bool]:
        """Which of the exposures count."""
        return and_(self.exposure(), EVENT.variant.in_(list(self.variants)), *self._counts())

    def _counts(self) -> list[ColumnElement[bool]]:
        scheme = self.scheme
        found = [EVENT.occurred_at >= scheme.starts[0], condition(scheme.where, self.codes)]
        return found if scheme.end is None else [*found, EVENT.occurred_at < scheme.end]

    def _measured(self) -> ColumnElement[bool]:
        filters = dict.fromkeys(part for metric in self.scheme.metrics for part in metric.filters())
        return condition(AnyOf(tuple(filters)), self.codes)

    def statement(self, through: int, subjects: Sequence[int] | None) -> tuple[str, list[Any]]:
        """``units`` as PostgreSQL reads it, and its arguments; what is asked again is not written anew."""
        if self.money.rate is not None or self.codes.members:
            return plain(self.units(through, subjects))
        codes = (_frozen(self.codes.terms), _frozen(self.codes.subjects), _frozen(self.variants))
        key = (self.tenant_id, self.scheme, self.experiment, subjects is None, codes)
        if key not in _WRITTEN:
            if len(_WRITTEN) >= _MOST_WRITTEN:
                _WRITTEN.clear()
            _WRITTEN[key] = plain(self.units(_THROUGH, None if subjects is None else _SUBJECTS))
        text, arguments = _WRITTEN[key]
        given = {id(_THROUGH): through, id(_SUBJECTS): subjects}
        return text, [given.get(id(argument), argument) for argument in arguments]

    def units(self, through: int, subjects: Sequence[int] | None) -> Select[Any]:
        """The units among ``subjects``, or all of them, as the log up to a position has them.

        Columns: subject, phase, variant, multiple, exposed_at, day (since 1970), parts (codes of the dimensions broken
        down by), and of the metrics the arrays x, y (divided by) and c (the covariate), NULL standing for 0.
        """
        first = self._first(through, subjects)
        sums = self._sums(first, through)
        metrics = list(enumerate(self.scheme.metrics))
        x = [
            case((self._reached(first, through, metric), 1))
            if metric.value.tally is Tally.STEPS
            else func.nullif(sums.c[f"x{place}"], 0)
            for place, metric in metrics
        ]
        y = [func.nullif(sums.c[f"y{place}"], 0) if metric.per else null() for place, metric in metrics]
        c = [func.nullif(sums.c[f"c{place}"], 0) if metric.before else null() for place, metric in metrics]
        return select(
            *(first.c[name] for name in _OF_UNIT),
            _numbers(x).label("x"),
            _numbers(y if any(metric.per for _, metric in metrics) else []).label("y"),
            _numbers(c if any(metric.before for _, metric in metrics) else []).label("c"),
        ).select_from(first.join(sums, true()))

    def _of(self, subject: ColumnElement[int], through: int) -> list[ColumnElement[bool]]:
        """Which events are somebody's.

        By the index of subjects, whatever the planner knows of the log: of a month that it has no statistics of yet
        every index seems as good as another, so no other one may fit. Nor does it see the times that are asked for, or
        the kinds (``_unseen``).
        """
        return [EVENT.tenant_id == self.tenant_id, EVENT.subject == subject, EVENT.position + 0 <= through]

    def _exposures(self, through: int, subjects: Sequence[int] | None) -> FromClause:
        variant = case(self.variants, value=EVENT.variant, else_=-1) if self.variants else literal(-1)
        seen = select(
            EVENT.subject,
            EVENT.occurred_at.label("at"),
            EVENT.position,
            cast(variant, SmallInteger).label("variant"),
            func.coalesce(and_(*self._counts(), variant >= 0), false()).label("counts"),
            _codes(self.scheme.breakdowns).label("parts"),
        )
        if subjects is None:
            tenant = EVENT.tenant_id == self.tenant_id
            return seen.where(tenant, EVENT.position <= through, EVENT.subject.is_not(None), self.exposure()).cte(
                "seen"
            )
        wanted = func.unnest(bindparam(None, subjects, type_=ARRAY(Integer)))
        who = select(wanted.label("subject")).subquery("who")
        own = (
            seen.where(*self._of(who.c.subject, through), _unseen(self.exposure()))
            .offset(0)
            .correlate(who)
            .lateral("own")
        )
        return select(*own.c).select_from(who.join(own, true())).cte("seen")

    def _first(self, through: int, subjects: Sequence[int] | None) -> FromClause:
        """The exposure that decides each subject's variant and phase."""
        scheme = self.scheme
        seen = self._exposures(through, subjects)
        ends = [
            find(seen.c.variant).filter(seen.c.counts).over(partition_by=seen.c.subject)
            for find in (func.min, func.max)
        ]
        starts = bindparam(None, list(scheme.starts), type_=ARRAY(DateTime(timezone=True)))
        uncounted = [
            (seen.c.variant < 0, Uncounted.UNKNOWN_VARIANT),
            (seen.c.at < scheme.starts[0], Uncounted.BEFORE_START),
        ]
        if scheme.end is not None:
            uncounted.append((seen.c.at >= scheme.end, Uncounted.AFTER_END))
        phase = case(
            (seen.c.counts, func.width_bucket(seen.c.at, starts)),
            *((told, why.value) for told, why in uncounted),
            else_=Uncounted.LEFT_OUT.value,
        )
        day = cast(func.timezone(scheme.timezone, seen.c.at), Date) - literal(_EPOCH, Date)
        return (
            select(
                seen.c.subject,
                seen.c.at,
                cast(phase, SmallInteger).label("phase"),
                seen.c.variant,
                func.coalesce(ends[0] != ends[1], false()).label("multiple"),
                cast(day, Integer).label("day"),
                seen.c.parts,
            )
            .ext(distinct_on(seen.c.subject))
            .order_by(seen.c.subject, seen.c.counts.desc(), seen.c.at, seen.c.position)
            .cte("first")
        )

    def _sums(self, first: FromClause, through: int) -> FromClause:
        """What is added up over the events of a unit: a row of each."""
        columns: list[ColumnElement[Any]] = []
        for place, metric in enumerate(self.scheme.metrics):
            if metric.value.tally is Tally.STEPS:
                continue
            after = _between(first.c.at, first.c.at + metric.window)
            columns.append(_capped(self._measure(metric.value, after), metric).label(f"x{place}"))
            if metric.per is not None:
                columns.append(self._measure(metric.per, after).label(f"y{place}"))
            if metric.before is not None:
                before = _between(first.c.at - metric.before, first.c.at)
                columns.append(_capped(self._measure(metric.value, before), metric).label(f"c{place}"))
        metrics = self.scheme.metrics
        back = max((metric.before for metric in metrics if metric.before), default=timedelta(0))
        on = max(metric.window for metric in metrics)
        since = EVENT.occurred_at - first.c.at
        inside = [since >= -back, since < on, first.c.phase > 0, _unseen(self._measured())]
        sums = select(func.count(), *columns).where(*self._of(first.c.subject, through), *inside)
        return self.money.joined(sums).correlate(first).lateral("sums")

    def _measure(self, measure: Measure, span: Sequence[ColumnElement[bool]]) -> ColumnElement[Any]:
        where = [*span, condition(measure.where, self.codes)]
        field: ColumnElement[Any] | None = None if measure.field is None else EVENT[measure.field]
        if field is not None:
            where.append(field.is_not(None))
            if field.key in MONEY_FIELDS:
                where.append(self.money.known)
                field = self.money.of(field)
        count = func.count().filter(*where)
        match measure.tally:
            case Tally.ANY:
                return case((count > 0, 1), else_=0)
            case Tally.SUM:
                assert field is not None
                return func.coalesce(func.sum(cast(field, Numeric)).filter(*where), 0)
            case Tally.ORDERS:
                loose = func.count().filter(*where, EVENT.order_id.is_(None))
                return func.count(distinct(EVENT.order_id)).filter(*where) + loose
            case _:
                return count

    def _reached(self, first: FromClause, through: int, metric: UnitMetric) -> ColumnElement[bool]:
        """Whether a unit took all steps, each being the earliest event after the one before."""
        source: FromClause | None = None
        before: FromClause | None = None
        place = tuple_(EVENT.occurred_at, EVENT.position)
        since = EVENT.occurred_at - first.c.at
        for number, step in enumerate(metric.value.steps):
            later = since >= timedelta(0) if before is None else place > tuple_(before.c.at, before.c.position)
            taken = (
                select(EVENT.occurred_at.label("at"), EVENT.position)
                .where(*self._of(first.c.subject, through), first.c.phase > 0)
                .where(later, since < metric.window, _unseen(condition(step, self.codes)))
                .order_by(EVENT.occurred_at, EVENT.position)
                .limit(1)
                .correlate(*(first, before) if before is not None else (first,))
                .lateral(f"step_{number}")
            )
            source = taken if source is None else source.join(taken, true())
            before = taken
        assert source is not None
        return select(literal(1)).select_from(source).correlate(first).exists()


def _frozen(codes: Mapping[Any, int]) -> frozenset[tuple[Any, int]]:
    return frozenset(codes.items())


def _between(start: ColumnElement[Any], end: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    return [EVENT.occurred_at >= start, EVENT.occurred_at < end]


def _unseen(asked: ColumnElement[bool]) -> ColumnElement[bool]:
    """The same of a subject's events, but nothing that an index of one kind of events is seen to hold all of."""
    return or_(asked, EVENT.subject.is_(None))


def _capped(value: ColumnElement[Any], metric: UnitMetric) -> ColumnElement[Any]:
    return value if metric.cap is None else func.least(value, metric.cap)


def _codes(dimensions: Sequence[str]) -> ColumnElement[Any]:
    return array([func.coalesce(EVENT[name], 0) for name in dimensions], type_=Integer)


def _numbers(values: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    return array([cast(value, Numeric) for value in values], type_=Numeric) if values else cast(null(), ARRAY(Numeric))
