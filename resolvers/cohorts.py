"""Cohorts: who came in the same calendar period, how many came back, and what they have brought in."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.cohorts import (
    Cell,
    Cohort,
    CohortBasis,
    CohortGroup,
    CohortsAnswer,
    grid,
    held_against,
    repeated,
    returns,
    returns_among,
)
from resolvers.analysis.estimates import Money, quotient
from resolvers.analysis.explanations import Explanation, dearest
from resolvers.analysis.filters import EVERYTHING, All, Filter, Not, having, weight
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.intake_values import EARLIEST
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.ledgers import joined_entries
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.paying_cohorts import NOTHING_PAID, Paid, paid_further
from resolvers.analysis.periods import Granularity, Period, PeriodRequest, buckets, epoch_us
from resolvers.analysis.previous_periods import previous_buckets
from resolvers.analysis.questions import Question
from resolvers.answers import ANYTHING, Kinds, Resolved, depends_on, kept, resolved, segments_of
from resolvers.catalogue import CONVERSIONS, REFUNDS
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.metrics import metrics
from resolvers.store.database import driver
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.journeys import JourneyRepository
from resolvers.store.ledgers import LedgerQuestion, LedgerRepository
from resolvers.store.metrics import MetricRepository
from resolvers.store.paying_cohorts import Editions, PaidBefore
from resolvers.store.rollup_days import editions_of
from resolvers.store.scans import Selection
from resolvers.store.turns import Turn, turn
from resolvers.store.versions import EXCHANGE_RATES, REBUILT

MOST_GROUPS = 10
_RANKED = {CohortBasis.ACTIVITY: "unique_subjects", CohortBasis.REVENUE: "revenue"}
"""By which metric of the period groups are ranked."""
_WIDTHS = (Granularity.DAY, Granularity.WEEK, Granularity.MONTH)
_BEYOND = timedelta(days=63)
"""Longer than any bucket."""
_MICROSECOND = timedelta(microseconds=1)
_LATE = timedelta(days=1)
"""How long after a day is over events of it still come often."""


@dataclass(frozen=True, slots=True)
class _Observed:
    """How much of the buckets there is to see."""

    buckets: int
    """Those that have begun."""
    partial: bool
    """Whether the last of them is not over, or is cut."""


@dataclass(frozen=True, slots=True)
class _Found:
    cells: list[Cell]
    again: int
    unconverted: tuple[Money, ...]
    explain: Explanation


def kinds(of: CohortBasis) -> Kinds:
    """The kinds of events that cohorts depend on."""
    return ANYTHING if of is CohortBasis.ACTIVITY else depends_on(CONVERSIONS, REFUNDS, money=True)


async def cohorts(context: Context, of: CohortBasis, question: Question, *, whole: bool = True) -> CohortsAnswer:
    """The cohorts of a period, whose first bucket is taken whole; raises BadInput naming the argument at fault.

    Unless ``whole`` the first bucket begins with the period, so that the cohorts are of nobody but who came in it.
    """
    principal = context.require(Role.VIEWER)
    if question.granularity not in _WIDTHS:
        raise BadInput("Cohorts are of a DAY, a WEEK or a MONTH.", field="granularity")
    now = context.services.now()
    definite = resolved(question, principal, now)
    if whole:
        definite = _whole(definite, now)
    observed = _observed(definite, now)
    if definite.by and definite.top > MOST_GROUPS:
        raise BadInput(f"Each group is a pass of its own: ask for at most {MOST_GROUPS}.", field="top")
    points = len(definite.buckets) * (len(definite.buckets) + 1) // 2 * (definite.top + 2 if definite.by else 1)
    points *= 1 if definite.previous is None else 2
    context.spend(points + weight(definite.where))
    compute = partial(_answer, context, of, definite, observed)
    return await kept(context, ("cohorts", of, definite, observed), kinds(of), compute, points=points)


def _whole(asked: Resolved, now: datetime) -> Resolved:
    """The question with the bucket that its period begins in as a whole, and as many buckets to compare with."""
    start = asked.period.start
    before = buckets(Period(start - _BEYOND, start + _MICROSECOND), asked.granularity, asked.timezone)
    period = Period(before[-1], asked.period.end)
    starts = buckets(period, asked.granularity, asked.timezone)
    earlier, compare = None, asked.question.compare
    if compare is not None:
        minute = now.replace(second=0, microsecond=0)
        earlier = previous_buckets(starts, period.end, asked.granularity, compare, asked.timezone, minute)
    return replace(asked, period=period, previous=earlier, buckets=starts)


def _observed(asked: Resolved, now: datetime) -> _Observed:
    begun = [start for start in asked.buckets if start <= now]
    if not begun:
        return _Observed(0, partial=False)
    _, over, *_ = buckets(Period(begun[-1], begun[-1] + _BEYOND), asked.granularity, asked.timezone)
    return _Observed(len(begun), partial=over > min(now, asked.period.end))


async def _answer(context: Context, of: CohortBasis, asked: Resolved, observed: _Observed) -> CohortsAnswer:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    found = await _found(context, of, asked)
    figures = await _figures(context, of, asked, observed, found, as_of)
    groups: list[CohortGroup] = []
    count = 0
    if asked.by:
        keys, count = await _groups(context, of, asked)
        shown = tuple(having(**{key.dimension: key.value for key in one}) for one in keys)
        wheres: list[tuple[tuple[DimensionValue, ...], Filter]] = list(zip(keys, shown, strict=True))
        wheres += [((), Not(AnyOf(shown)))] if count > len(keys) else []
        for of_group, where in wheres:
            own = replace(asked, where=All((asked.where, where)))
            told = await _figures(context, of, own, observed, await _found(context, of, own), as_of)
            groups.append(CohortGroup(keys=of_group, other=not of_group, **told))
    return CohortsAnswer(
        of=of,
        period=asked.period,
        previous_period=asked.previous,
        granularity=asked.granularity,
        timezone=asked.timezone,
        currency=principal.currency,
        **figures,
        partial=observed.partial,
        groups=tuple(groups),
        group_count=count,
        unconverted=found.unconverted,
        as_of=as_of,
        explain=found.explain,
    )


async def _found(context: Context, of: CohortBasis, asked: Resolved) -> _Found:
    return await (_seen if of is CohortBasis.ACTIVITY else _paid)(context, asked)


async def _figures(
    context: Context, of: CohortBasis, asked: Resolved, observed: _Observed, found: _Found, as_of: datetime
) -> dict[str, Any]:
    """The fields that an answer and its groups have alike."""
    cohorts = grid(asked.buckets, observed.buckets, found.cells)
    subjects = sum(cohort.size for cohort in cohorts)
    earlier, before, again = await _earlier(context, of, asked)
    return {
        "cohorts": held_against(cohorts, earlier),
        "subjects": subjects,
        "previous_subjects": before,
        "repeat": repeated(of, subjects, found.again, as_of, again),
    }


async def _earlier(
    context: Context, of: CohortBasis, asked: Resolved
) -> tuple[tuple[Cohort, ...], int | None, Decimal | None]:
    """The cohorts to compare with, how many subjects they have, and the share that came back."""
    period = asked.previous
    if period is None:
        return (), None, None
    if period.end <= max(period.start, EARLIEST):
        # Before all time, or to be held against what is to come.
        return (), 0, None
    starts = buckets(period, asked.granularity, asked.timezone)
    found = await _found(context, of, replace(asked, period=period, buckets=starts))
    cohorts = grid(starts, len(starts), found.cells)
    subjects = sum(cohort.size for cohort in cohorts)
    return cohorts, subjects, quotient(Decimal(found.again), Decimal(subjects))


async def _groups(context: Context, of: CohortBasis, asked: Resolved) -> tuple[list[tuple[DimensionValue, ...]], int]:
    """The values whose cohorts are shown, and how many groups there are in all."""
    period = PeriodRequest(start=asked.period.start, end=asked.period.end)
    question = Question(period, asked.timezone, Granularity.MONTH, by=asked.by, where=asked.where, top=asked.top)
    (ranked,) = await metrics(context, [_RANKED[of]], question)
    return [group.keys for group in ranked.groups if not group.other], ranked.group_count


async def _paid(context: Context, asked: Resolved) -> _Found:
    """What was paid: what is known of days that are over, and the payments that followed."""
    principal, services = context.require(Role.VIEWER), context.services
    key = (principal.tenant_id, principal.currency, asked.where, asked.buckets[0], asked.granularity, asked.timezone)
    beside = tuple(sorted(segments_of(asked.where) | {EXCHANGE_RATES, REBUILT}))
    seen = await services.versions.of(principal.tenant_id, beside)
    known = services.paid.of(key, seen)
    large = known is None and await context.of_large_log()
    async with (
        turn(services.heavy, large=large) as held,
        services.database.tenant(principal.tenant_id) as session,
    ):
        payments = _Payments(context, session, held, asked)
        over = _over(asked, services.now())
        editions = await payments.editions(over)
        before = known if known is not None and known.holds(over, editions) else PaidBefore(EARLIEST, (), NOTHING_PAID)
        if before.until < over:
            before = PaidBefore(over, editions, await payments.further(before.paid, before.until, over, kept=True))
        paid = await payments.further(before.paid, over, asked.period.end, kept=False)
        # What was read in parts is of one moment if nothing came to the first of them meanwhile.
        if (
            await payments.editions(over) == editions
            and await services.versions.of(principal.tenant_id, beside) == seen
        ):
            services.paid.keep(key, seen, before)
        else:
            paid = await payments.further(NOTHING_PAID, EARLIEST, asked.period.end, kept=False)
    found = paid.told()
    return _Found(found.cells, found.again, found.unconverted, dearest(payments.explanations))


def _over(asked: Resolved, now: datetime) -> datetime:
    """The end of those days (UTC) of a period of which hardly anything new is to come."""
    return max(_midnight(min(asked.period.end, now)) - _LATE, EARLIEST)


def _midnight(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class _Payments:
    """The payments that a question about cohorts is about."""

    context: Context
    session: AsyncSession
    turn: Turn
    asked: Resolved
    explanations: list[Explanation] = field(default_factory=list)
    """How they were come by, each time."""

    async def editions(self, until: datetime) -> Editions:
        """The days before an instant, with their editions."""
        tenant_id = self.context.require(Role.VIEWER).tenant_id
        return await editions_of(await driver(self.session), tenant_id, Period(EARLIEST, until))

    async def further(self, before: Paid, start: datetime, end: datetime, *, kept: bool) -> Paid:
        """What was paid before ``start`` and from then on to before ``end``."""
        principal, services = self.context.require(Role.VIEWER), self.context.services
        where = All((self.asked.where, AnyOf((CONVERSIONS, REFUNDS))))
        question = LedgerQuestion(principal.tenant_id, "sales", Period(start, end), where, (REFUNDS,))
        ledgers = LedgerRepository(self.session, services.memory, services.segments)
        reading = await ledgers.read(question)
        self.explanations.append(reading.explain)
        entries = joined_entries([before.waiting, reading.entries]) if before.waiting.size else reading.entries
        rates = await ExchangeRateRepository(self.session).rates_of(principal.tenant_id, principal.currency, entries)
        starts = [epoch_us(start) for start in self.asked.buckets]
        await self.turn.breathe()
        return await asyncio.to_thread(paid_further, before, entries, starts, principal.currency, rates, kept=kept)


async def _seen(context: Context, asked: Resolved) -> _Found:
    principal = context.require(Role.VIEWER)
    selection = Selection(principal.tenant_id, principal.currency, asked.period, asked.where)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        found = await repository.subjects(selection, asked.buckets)
    if found is None:
        return await _walked(context, asked)
    (before, *there), explanation = found
    return _cells(await asyncio.to_thread(returns_among, before, there), explanation)


async def _walked(context: Context, asked: Resolved) -> _Found:
    principal = context.require(Role.VIEWER)
    ever = Period(EARLIEST, asked.period.end)
    edges = [epoch_us(instant) for instant in (*asked.buckets, asked.period.end)]
    async with turn(context.services.heavy), context.services.database.tenant(principal.tenant_id) as session:
        repository = JourneyRepository(session, context.services.memory, context.services.segments)
        reading = await repository.by_subject(
            principal.tenant_id, ever, asked.where, [EVERYTHING], (), partial(_returned, edges)
        )
    counts = sum(reading.parts, np.zeros((len(asked.buckets), len(edges)), np.int64))
    return _cells(counts, reading.explain)


def _cells(counts: NDArray[np.int64], explanation: Explanation) -> _Found:
    cells = [Cell(int(row), int(column), int(counts[row, column])) for row, column in np.argwhere(counts[:, :-1])]
    return _Found(cells, int(counts[:, -1].sum()), (), explanation)


def _returned(edges: Sequence[int], journeys: Journeys) -> NDArray[np.int64]:
    return returns(journeys.subject, journeys.at, edges)
