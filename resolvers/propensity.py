"""Propensity: who is likely to churn, or to convert, in the next 30 days."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from resolvers.analysis.behaviour import (
    DIMENSIONS,
    GAIN,
    LOOKBACK_DAYS,
    RECENT_DAYS,
    Behaviour,
    joined,
    observed,
    steps,
)
from resolvers.analysis.code_groups import Keys
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, All, Filter, NameIs, in_segments, weight
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.members import Table, chosen
from resolvers.analysis.periods import epoch_us
from resolvers.analysis.planning import by_members
from resolvers.analysis.propensity_answers import (
    Moment,
    Propensities,
    PropensityAnswer,
    Ranked,
    assessed,
    compared,
    whom,
)
from resolvers.answers import Kinds, Resolved, depends_on, kept, of_history
from resolvers.context import Context, Role
from resolvers.cutoffs import POINTS, Asking, cursor_of, definite, earlier, place_of
from resolvers.errors import BadInput
from resolvers.lanes import abreast
from resolvers.paging import page_size
from resolvers.store.journey_passes import in_passes
from resolvers.store.journeys import JourneyRepository
from resolvers.store.journeys import Reading as Walk
from resolvers.store.logged_journeys import JourneyQuestion
from resolvers.store.members import MemberRepository
from resolvers.store.propensity import Spend, SpendRepository
from resolvers.store.terms import SUBJECTS, TERMS, TermRepository
from resolvers.store.turns import Turn, turn

LONGEST_NAME = 200
_HORIZON = timedelta(days=RECENT_DAYS)
"""How far is foretold."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that is likely to do it, and why."""

    subject: str
    probability: float
    last_event_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CandidatePage:
    """A page of candidates, the likeliest first; ``cursors[i]`` leads to what follows ``candidates[i]``."""

    candidates: tuple[Candidate, ...]
    cursors: tuple[str, ...]
    has_next: bool
    cutoff: datetime


def kinds() -> Kinds:
    """The kinds of events that a propensity depends on."""
    return depends_on(EVERYTHING, money=True)


async def churn_risk(context: Context, asking: Asking) -> PropensityAnswer:
    """How likely subjects are to churn; raises BadInput naming the argument at fault."""
    return await _answered(context, asking, "", {})


async def churn_risks(context: Context, askings: Sequence[Asking]) -> list[PropensityAnswer]:
    """The same of several circles of subjects; what differs by segments alone is read once."""
    readings: Readings = {}
    return [await _answered(context, asking, "", readings) for asking in askings]


async def conversion_propensity(context: Context, name: str, asking: Asking) -> PropensityAnswer:
    """How likely subjects are to have a conversion of that name; raises BadInput naming the argument at fault."""
    return await _answered(context, asking, _named(name), {})


async def subjects_at_risk(context: Context, asking: Asking, *, first: int, after: str | None) -> CandidatePage:
    """The subjects most likely to churn; raises BadInput, Forbidden."""
    context.require(Role.ANALYST)
    return await _page(context, asking, "", first, after)


async def upsell_candidates(
    context: Context, name: str, asking: Asking, *, first: int, after: str | None
) -> CandidatePage:
    """The subjects most likely to have a conversion of that name; raises BadInput, Forbidden."""
    context.require(Role.ANALYST)
    return await _page(context, asking, _named(name), first, after)


async def candidates(context: Context, name: str, asking: Asking, subjects: Sequence[str]) -> dict[str, Candidate]:
    """Those of the subjects that are on the list of the likeliest; ``name`` is empty for churn."""
    principal = context.require(Role.ANALYST)
    asked = definite(asking, principal, context.services.now())
    found = await _propensities(context, asked, name and _named(name), {})
    async with context.services.database.tenant(principal.tenant_id) as session:
        terms = SpendRepository(session, context.services.memory).terms
        codes = await terms.codes(principal.tenant_id, SUBJECTS, set(subjects))
    wanted = {code: subject for subject, code in codes.items()}
    return {wanted[one.subject]: _shown(one, wanted[one.subject]) for one in found.ranked if one.subject in wanted}


def _named(name: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInput(f"A name has 1 to {LONGEST_NAME} printable characters.", field="name")
    if name == "churn":
        raise BadInput("Churn is no conversion; ask for churnRisk.", field="name")
    return name


async def _page(context: Context, asking: Asking, name: str, first: int, after: str | None) -> CandidatePage:
    principal = context.require(Role.ANALYST)
    size = page_size(first)
    place = None if after is None else place_of(after)
    asked = definite(asking, principal, context.services.now())
    found = await _propensities(context, asked, name, {})
    following = [one for one in found.ranked if place is None or (-one.probability, one.subject) > place]
    shown = following[:size]
    async with context.services.database.tenant(principal.tenant_id) as session:
        terms = SpendRepository(session, context.services.memory).terms
        texts = await terms.values(principal.tenant_id, SUBJECTS, [one.subject for one in shown])
    return CandidatePage(
        tuple(_shown(one, texts[one.subject]) for one in shown),
        tuple(cursor_of(one.probability, one.subject) for one in shown),
        len(following) > size,
        found.answer.cutoff,
    )


def _shown(one: Ranked, subject: str) -> Candidate:
    seen = _EPOCH + timedelta(microseconds=one.last_us)
    return Candidate(subject, one.probability, seen, one.reason)


async def _answered(context: Context, asking: Asking, name: str, readings: "Readings") -> PropensityAnswer:
    """The answer, held against that of an earlier moment if it is asked to be."""
    principal, now = context.require(Role.VIEWER), context.services.now()
    asked = definite(asking, principal, now)
    before = earlier(asking, asked, _HORIZON, principal, now)
    found = (await _propensities(context, asked, name, readings)).answer
    if before is None:
        return found
    like = tuple(group.keys for group in found.groups if not group.other)
    return compared(found, (await _propensities(context, before, name, readings, like)).answer)


async def _propensities(
    context: Context, asked: Resolved, name: str, readings: "Readings", like: tuple[Keys, ...] | None = None
) -> Propensities:
    """What is foretold; of the largest groups, or of those that are ``like`` given ones."""
    context.spend(POINTS + weight(asked.where))
    subject = ("propensity", name, asked, *(() if like is None else (like,)))
    compute = partial(_computed, context, asked, name, readings, like)
    # Nothing after the cut-off matters, so that a day's first answer is that of the whole day.
    unless = partial(of_history, context, subject, asked, compute, points=POINTS)
    return await kept(context, subject, kinds(), unless, points=POINTS)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """What subjects had done by 30 days before the cut-off and by it."""

    past: Moment
    present: Moment
    explain: Explanation

    def among(self, table: Table) -> "_Reading":
        """The same of those subjects for whose codes a table is true."""
        past, present = (moment.of(table[moment.at.subject]) for moment in (self.past, self.present))
        return _Reading(past, present, self.explain)

    @property
    def size(self) -> int:
        """No code of a subject is as high."""
        return max((int(moment.at.subject.max(initial=0)) for moment in (self.past, self.present)), default=0) + 1


Readings = dict[tuple[object, ...], _Reading]
"""What was read, by what was asked for; whoever asks for several answers may have it read once."""


async def _computed(
    context: Context, asked: Resolved, name: str, readings: Readings, like: tuple[Keys, ...] | None
) -> Propensities:
    as_of, tenant_id = context.services.now(), context.require(Role.VIEWER).tenant_id
    read = (*DIMENSIONS, *(dimension for dimension in asked.by if dimension not in DIMENSIONS))
    members, where = by_members(asked.where)
    async with turn(context.services.heavy, large=await context.of_large_log()) as held:
        key = asked.period, where, name, read
        if key not in readings:
            readings[key] = await _read(context, held, replace(asked, where=where), name, read)
        found = readings[key]
        async with context.services.database.tenant(tenant_id) as session:
            if members is not None:
                known = await MemberRepository(session, context.services.memory.members).of(
                    tenant_id, in_segments(members)
                )
                found = found.among(chosen(members, known, found.size))
            shown = slice(0 if asked.by else 1, None)
            codes = set[int]().union(
                *(np.unique(moment.at.dimensions[shown]).tolist() for moment in (found.past, found.present))
            )
            terms = TermRepository(session, context.services.memory)
            texts = await terms.values(tenant_id, TERMS, sorted(codes - {0}))
    return await asyncio.to_thread(
        assessed,
        whom(found.present.at, name),
        found.past,
        found.present,
        by=[read.index(dimension) for dimension in asked.by],
        names=asked.by,
        top=asked.top,
        texts=texts,
        cutoff=asked.period.end,
        as_of=as_of,
        explain=found.explain,
        like=like,
    )


async def _read(context: Context, held: Turn, asked: Resolved, name: str, dimensions: Sequence[str]) -> _Reading:
    # Nothing is the target of churn, which the behaviour tells by itself.
    target = All((GAIN, NameIs((name,)))) if name else AnyOf(())
    cutoffs = (asked.period.end - timedelta(days=RECENT_DAYS), asked.period.end)
    moments = tuple(map(epoch_us, cutoffs))
    reading, spends = await abreast(
        _behaviour(context, held, asked, steps(target), dimensions, moments), _spend(context, asked, cutoffs)
    )
    # What was joined is let go of at once, as it is much of a large tenant.
    found: list[Moment] = []
    while spends:
        await held.breathe()
        parts = (part.pop(0) for part in reading.parts)
        found.append(await asyncio.to_thread(_moment, parts, spends.pop(0), moments[len(found)]))
    await held.breathe()
    past, present = found
    return _Reading(past, present, reading.explain)


async def _behaviour(
    context: Context,
    held: Turn,
    asked: Resolved,
    wanted: Sequence[Filter],
    dimensions: Sequence[str],
    moments: Sequence[int],
) -> Walk[list[Behaviour]]:
    principal, services = context.require(Role.VIEWER), context.services
    async with services.database.snapshot(principal.tenant_id) as session:
        repository = JourneyRepository(session, services.memory, services.segments)
        question = JourneyQuestion(asked.period, asked.where, wanted, dimensions)
        return await in_passes(
            repository, principal.tenant_id, question, partial(observed, cutoffs_us=moments), held.breathe
        )


async def _spend(context: Context, asked: Resolved, cutoffs: Sequence[datetime]) -> list[Spend]:
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = SpendRepository(session, context.services.memory)
        return await repository.before(principal.tenant_id, principal.currency, asked.where, cutoffs, LOOKBACK_DAYS)


def _moment(parts: Iterable[Behaviour], spend: Spend, cutoff_us: int) -> Moment:
    at = joined(parts)
    return Moment(at, spend.of(at.subject), cutoff_us)
