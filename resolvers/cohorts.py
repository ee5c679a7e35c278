"""Cohorts: who came in the same calendar period, how many came back, and what they have brought in."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.cohorts import Cell, CohortBasis, CohortsAnswer, grid, repeated, returns, returns_among
from resolvers.analysis.estimates import Money
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, weight
from resolvers.analysis.intake_values import EARLIEST
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.periods import Granularity, Period, buckets, epoch_us
from resolvers.analysis.questions import Question
from resolvers.answers import ANYTHING, Kinds, Resolved, depends_on, kept, resolved
from resolvers.catalogue import CONVERSIONS, REFUNDS
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.store.cohorts import CohortRepository, Payments
from resolvers.store.journeys import JourneyRepository
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection
from resolvers.store.turns import turn

_WIDTHS = (Granularity.DAY, Granularity.WEEK, Granularity.MONTH)
_BEYOND = timedelta(days=63)
"""Longer than any bucket."""
_MICROSECOND = timedelta(microseconds=1)


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


async def cohorts(context: Context, of: CohortBasis, question: Question) -> CohortsAnswer:
    """The cohorts of a period, whose first bucket is taken whole; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    if question.granularity not in _WIDTHS:
        raise BadInput("Cohorts are of a DAY, a WEEK or a MONTH.", field="granularity")
    now = context.services.now()
    definite = _whole(resolved(question, principal, now))
    observed = _observed(definite, now)
    points = len(definite.buckets) * (len(definite.buckets) + 1) // 2
    context.spend(points + weight(definite.where))
    compute = partial(_answer, context, of, definite, observed)
    return await kept(context, ("cohorts", of, definite, observed), kinds(of), compute, points=points)


def _whole(asked: Resolved) -> Resolved:
    """The question with the bucket that its period begins in as a whole."""
    start = asked.period.start
    before = buckets(Period(start - _BEYOND, start + _MICROSECOND), asked.granularity, asked.timezone)
    period = Period(before[-1], asked.period.end)
    return replace(asked, period=period, buckets=buckets(period, asked.granularity, asked.timezone))


def _observed(asked: Resolved, now: datetime) -> _Observed:
    begun = [start for start in asked.buckets if start <= now]
    if not begun:
        return _Observed(0, partial=False)
    _, over, *_ = buckets(Period(begun[-1], begun[-1] + _BEYOND), asked.granularity, asked.timezone)
    return _Observed(len(begun), partial=over > min(now, asked.period.end))


async def _answer(context: Context, of: CohortBasis, asked: Resolved, observed: _Observed) -> CohortsAnswer:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    found = await (_seen if of is CohortBasis.ACTIVITY else _paid)(context, asked)
    cohorts = grid(asked.buckets, observed.buckets, found.cells)
    subjects = sum(cohort.size for cohort in cohorts)
    return CohortsAnswer(
        of=of,
        period=asked.period,
        granularity=asked.granularity,
        timezone=asked.timezone,
        currency=principal.currency,
        cohorts=cohorts,
        subjects=subjects,
        repeat=repeated(of, subjects, found.again, as_of),
        partial=observed.partial,
        unconverted=found.unconverted,
        as_of=as_of,
        explain=found.explain,
    )


async def _paid(context: Context, asked: Resolved) -> _Found:
    principal = context.require(Role.VIEWER)
    payments = Payments(principal.tenant_id, principal.currency, asked.period.end, asked.where, CONVERSIONS, REFUNDS)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await CohortRepository(session, context.services.memory).paid(payments, asked.buckets)
    return _Found(found.cells, found.again, found.unconverted, found.explanation)


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
