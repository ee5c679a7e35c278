"""What rules of segments count: each subject's events of some sort, from journeys where they hold it, else the log."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Integer, Numeric, Select, and_, func, literal, select, true
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.columns import columns_of
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.metrics import MONEY_FIELDS
from resolvers.analysis.periods import Period
from resolvers.analysis.segment_rules import Tally
from resolvers.analysis.segments import Total
from resolvers.errors import BadInput
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import copied
from resolvers.store.database import driver
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import Converted, ExchangeRateRepository
from resolvers.store.journeys import JourneyRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import Run, SegmentRepository, month_bounds
from resolvers.store.terms import TermMemory, TermRepository

_TOGETHER = 16
"""Tallies that one walk over journeys counts."""
_ROWS = 4_000_000
"""Events of journeys that are walked at once."""
_ROOM = "SET LOCAL work_mem = '64MB'"
"""For a sum of each of half a million subjects: what has no room in memory is written to disk and read again."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts by tally, and how many events of journeys and how many subjects from the log they were made of."""

    counts: dict[Tally, Ints]
    walked: int = 0
    summed: int | None = None
    """None where the log was not asked."""


class TallyRepository:
    """Counts the events of one tenant's subjects."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache) -> None:
        self.session = session
        self.memory = memory
        self.journeys = JourneyRepository(session, memory, cache)

    async def counted(self, tenant_id: int, tallies: Collection[Tally], currency: str, length: int) -> Counted:
        """Each tally for the codes from 0 to before ``length``.

        Whoever is beyond appeared after the length was looked up, within another transaction's view.
        """
        found = Counted({})
        by_period: dict[Period, list[Tally]] = {}
        for tally in dict.fromkeys(tallies):
            if tally.total is None and columns_of(tally.where) is not None:
                by_period.setdefault(tally.period, []).append(tally)
        runs = (await SegmentRepository(self.session).state(tenant_id)).manifest.runs if by_period else ()
        if runs:
            for period, own in by_period.items():
                spans = _spans(runs, period)
                for start in range(0, len(own), _TOGETHER):
                    found = _joined(found, await self._walked(tenant_id, spans, own[start : start + _TOGETHER], length))
        left: dict[Period, list[Tally]] = {}
        for tally in dict.fromkeys(tallies):
            if tally not in found.counts:
                left.setdefault(tally.period, []).append(tally)
        for own in left.values():
            for start in range(0, len(own), _TOGETHER):
                together = own[start : start + _TOGETHER]
                found = _joined(found, await self._summed(tenant_id, together, currency, length))
        return found

    async def _walked(self, tenant_id: int, spans: Sequence[Period], tallies: Sequence[Tally], length: int) -> Counted:
        """What journeys tell of spans that follow one another; nothing where they are more than fit in memory."""
        counts = {tally: np.zeros(length, np.int64) for tally in tallies}
        steps = [tally.where for tally in tallies]
        rows = 0
        for span in spans:
            try:
                reading = await self.journeys.scattered(
                    tenant_id, span, EVERYTHING, steps, lambda part: _counted(part, len(tallies), length)
                )
            except BadInput as refused:
                if refused.field != "period":
                    raise
                return Counted({}, rows)
            rows += reading.explain.rows
            for first, part in reading.parts:
                for tally, numbers in zip(tallies, part, strict=True):
                    counts[tally][first : first + numbers.size] += numbers
        return Counted(counts, rows)

    async def _summed(self, tenant_id: int, tallies: Sequence[Tally], currency: str, length: int) -> Counted:
        """What the log tells of tallies of one period, added up there in one pass."""
        period, wheres = tallies[0].period, [tally.where for tally in tallies]
        codes = await Codes.of(TermRepository(self.session, self.memory), tenant_id, *wheres)
        money: Converted | None = None
        if any(tally.total is not None and tally.total.measure in MONEY_FIELDS for tally in tallies):
            money = await ExchangeRateRepository(self.session).converted(tenant_id, currency, period)
        query: Select[Any] = (
            select(EVENT.subject, *(_value(tally, condition(tally.where, codes), money) for tally in tallies))
            .where(
                EVENT.tenant_id == tenant_id,
                EVENT.subject.is_not(None),
                EVENT.occurred_at >= period.start,
                EVENT.occurred_at < period.end,
                condition(AnyOf(tuple(dict.fromkeys(wheres))), codes),
            )
            .group_by(EVENT.subject)
        )
        query = query if money is None else money.joined(query)
        await (await driver(self.session)).execute(_ROOM)
        names = [f"value{place}" for place in range(len(tallies))]
        rows = await copied(self.session, query, [("subject", ">i4"), *((name, ">i8") for name in names)])
        known = rows["subject"] < length
        found: dict[Tally, Ints] = {}
        for tally, name in zip(tallies, names, strict=True):
            # Whoever has no event has a sum of nothing.
            nothing = tally.total is not None and tally.total.holds_for_nothing
            found[tally] = np.full(length, int(nothing), np.int64)
            found[tally][rows["subject"][known]] = rows[name][known]
        return Counted(found, summed=len(rows))


def _value(tally: Tally, where: ColumnElement[bool], money: Converted | None) -> ColumnElement[int]:
    """How many events of a subject a tally counts, or whether what they add up to is within its bounds."""
    if tally.total is None:
        return func.count().filter(where)
    of = money if tally.total.measure in MONEY_FIELDS else None
    return _within(tally.total, where, of).cast(Integer).cast(BigInteger)


def _spans(runs: Sequence[Run], period: Period) -> list[Period]:
    """The period in parts, each of which has room in memory."""
    cuts, held = [period.start], 0
    for month, own in groupby(runs, key=lambda run: run.month):
        start, end = month_bounds(month)
        if start < period.end and period.start < end:
            rows = sum(run.rows for run in own)
            if held and held + rows > _ROWS:
                cuts.append(start)
                held = 0
            held += rows
    return [Period(start, end) for start, end in pairwise([*cuts, period.end])]


def _within(total: Total, where: ColumnElement[bool], money: Converted | None) -> ColumnElement[bool]:
    """Whether a subject's sum is within bounds; it is reckoned exactly, ``money`` in the tenant's currency."""
    measure: ColumnElement[Any] = EVENT[total.measure].cast(Numeric)
    summed: ColumnElement[Any] = func.sum(measure if money is None else money.of(measure)).filter(where)
    summed = func.coalesce(summed, literal(0, Numeric))
    bounds = [] if total.at_least is None else [summed >= literal(total.at_least, Numeric)]
    bounds += [] if total.at_most is None else [summed <= literal(total.at_most, Numeric)]
    return and_(true(), *bounds)


def _counted(part: Journeys, tallies: int, length: int) -> tuple[int, list[NDArray[np.intp]]]:
    """A first subject, and how many events of each tally those from it on have, up to before ``length``."""
    first = int(part.subject.min(initial=length))
    rows = (
        part.subject[(part.steps & part.steps.dtype.type(1 << place) != 0) & (part.subject < length)]
        for place in range(tallies)
    )
    return first, [np.bincount(own - first) for own in rows]


def _joined(one: Counted, other: Counted) -> Counted:
    summed = [part.summed for part in (one, other) if part.summed is not None]
    return Counted(one.counts | other.counts, one.walked + other.walked, sum(summed) if summed else None)
