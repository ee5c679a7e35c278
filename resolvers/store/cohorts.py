"""Cohorts by what they paid: one pass over the conversions of all time, which comes back as cells of a grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from sqlalchemy import ColumnElement, DateTime, and_, bindparam, case, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.cohorts import Cell
from resolvers.analysis.estimates import Money
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import Filter
from resolvers.analysis.intake_values import EARLIEST
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.database import rows
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import Converted, ExchangeRateRepository
from resolvers.store.terms import TermMemory, TermRepository


@dataclass(frozen=True, slots=True)
class PaidCohorts:
    """What a pass found."""

    cells: list[Cell]
    again: int
    """How many subjects of the cohorts had two orders or more."""
    unconverted: tuple[Money, ...]
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Payments:
    """Which conversions of whom count: those that pass ``where`` and either of two filters, until ``end``."""

    tenant_id: int
    currency: str
    end: datetime
    where: Filter
    paid: Filter
    refunded: Filter


class CohortRepository:
    """Reads the paying cohorts of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)

    async def paid(self, asked: Payments, starts: Sequence[datetime]) -> PaidCohorts:
        """Who paid first in which of the buckets that begin at ``starts``, and what the cohorts did in each bucket.

        Whoever paid before the first bucket is of no cohort. What was given back counts against the revenue of its
        own bucket; given back before anything was paid, it is of no cohort.
        """
        codes = await Codes.of(self.terms, asked.tenant_id, asked.where, asked.paid, asked.refunded)
        exchange = ExchangeRateRepository(self.session)
        money = await exchange.converted(asked.tenant_id, asked.currency, Period(EARLIEST, asked.end))
        refunded = condition(asked.refunded, codes)
        signed = case((refunded, -EVENT.amount), else_=EVENT.amount)
        counts = _rows(asked, codes)
        edges = bindparam(None, list(starts), type_=ARRAY(DateTime(timezone=True)))
        payment = select(
            EVENT.subject,
            (func.width_bucket(EVENT.occurred_at, edges) - 1).label("bucket"),
            case((~refunded, func.coalesce(EVENT.order_id, ""))).label("order_id"),
            money.of(signed).label("amount"),
        ).where(*counts, money.known)
        own = money.joined(payment).subquery().c
        # Whether there are two orders tells itself from the first and the last, with no need to sort all of them.
        first, last = (one(own.order_id).filter(own.order_id != "") for one in (func.min, func.max))
        unnamed = func.count().filter(own.order_id == "")
        person = (
            select(
                own.subject,
                own.bucket,
                (func.count(own.order_id) > 0).label("paid"),
                or_(unnamed > 1, and_(unnamed > 0, first.is_not(None)), first != last).label("again"),
                func.sum(own.amount).label("revenue"),
                func.count().label("read"),
            )
            .group_by(func.grouping_sets(tuple_(own.subject, own.bucket), tuple_(own.subject)))
            .subquery()
        )
        # A row of no bucket is of the subject as a whole, and comes before none.
        begun = func.min(person.c.bucket).filter(person.c.paid).over(partition_by=person.c.subject)
        told = select(person, begun.label("cohort")).subquery().c
        query = (
            select(
                told.cohort,
                told.bucket,
                func.count().filter(told.paid),
                func.sum(told.revenue),
                func.count().filter(told.again),
                func.sum(told.read),
            )
            .where(told.cohort >= 0, func.coalesce(told.bucket, told.cohort) >= told.cohort)
            .group_by(told.cohort, told.bucket)
        )
        started = perf_counter()
        found = await rows(self.session, query)
        others = await self._unconverted(money, starts[0], signed, counts)
        seconds = perf_counter() - started
        return PaidCohorts(
            cells=[Cell(*row[:4]) for row in found if row.bucket is not None],
            again=sum(row[4] for row in found if row.bucket is None),
            unconverted=others,
            explanation=Explanation(Source.LOG, sum(int(row[5]) for row in found if row.bucket is None), seconds * 1e3),
        )

    async def _unconverted(
        self, money: Converted, start: datetime, signed: ColumnElement[Any], counts: Sequence[ColumnElement[bool]]
    ) -> tuple[Money, ...]:
        """What was paid since ``start`` and cannot be converted, by currency."""
        query = (
            select(EVENT.currency, func.sum(signed))
            .where(*counts, money.unknown, EVENT.occurred_at >= start)
            .group_by(EVENT.currency)
            .order_by(EVENT.currency)
        )
        found = await rows(self.session, money.joined(query))
        return tuple(Money(amount, currency) for currency, amount in found if amount)


def _rows(asked: Payments, codes: Codes) -> list[ColumnElement[bool]]:
    return [
        EVENT.tenant_id == asked.tenant_id,
        # Said in the text of the statement too, so that an index of conversions alone may be used.
        EVENT.kind == literal(int(Kind.CONVERSION), literal_execute=True),
        EVENT.occurred_at < asked.end,
        EVENT.subject.is_not(None),
        EVENT.amount.is_not(None),
        condition(asked.where, codes),
        or_(condition(asked.paid, codes), condition(asked.refunded, codes)),
    ]
