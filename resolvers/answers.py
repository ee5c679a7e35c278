"""How any analysis is answered: the question made definite, the answer kept for as long as it is true."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, TypeVar, cast

from resolvers.analysis import filters
from resolvers.analysis.events import DIMENSIONS, Kind
from resolvers.analysis.filters import Filter
from resolvers.analysis.periods import (
    Compare,
    Granularity,
    Period,
    buckets,
    fitting_granularity,
    resolve,
)
from resolvers.analysis.previous_periods import previous
from resolvers.analysis.questions import Question
from resolvers.context import Context, Principal, Role
from resolvers.errors import BadInput, Overloaded, TimedOut, Unavailable
from resolvers.live.cache import LASTING
from resolvers.store.database import driver
from resolvers.store.rollup_days import editions_of
from resolvers.store.versions import EXCHANGE_RATES, REBUILT, SEGMENTS, WHOLE_LOG, LogState

T = TypeVar("T")
Kinds = frozenset[int]

ANYTHING: Kinds = frozenset({WHOLE_LOG})
_MOST_GROUPS = 100
_MOST_DIMENSIONS = 3
_PATIENCE = 5.0
"""Seconds after which a live question that took too long is asked again."""
_ROLLOVER = 60.0
"""Seconds after which a live answer is looked at again without a commit: its period may have moved on."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A question made definite: instants instead of ``last 30d``, a granularity instead of a fitting one."""

    question: Question = field(repr=False)
    """As it was asked."""
    period: Period
    previous: Period | None
    timezone: str
    granularity: Granularity
    buckets: tuple[datetime, ...] = field(repr=False)
    """As period, granularity and zone say."""
    by: tuple[str, ...]
    where: Filter
    top: int


def resolved(question: Question, principal: Principal, now: datetime, *, compare: Compare | None = None) -> Resolved:
    """Make a question definite; raises BadInput naming the argument at fault.

    ``compare`` is what the answer is held against where the question does not say.
    """
    timezone = question.timezone or principal.timezone
    period = resolve(question.period, timezone, now)
    granularity = question.granularity or fitting_granularity(period)
    unknown = [name for name in question.by if name not in DIMENSIONS]
    if unknown:
        raise BadInput(f"There is no dimension {unknown[0]}.", field="by")
    if len(set(question.by)) < len(question.by):
        raise BadInput("A dimension is named twice.", field="by")
    if len(question.by) > _MOST_DIMENSIONS:
        raise BadInput(f"A breakdown is by at most {_MOST_DIMENSIONS} dimensions.", field="by")
    if not 1 <= question.top <= _MOST_GROUPS:
        raise BadInput(f"top is between 1 and {_MOST_GROUPS}.", field="top")
    # A whole minute, so that the same question asked again within it is the same.
    minute = now.replace(second=0, microsecond=0)
    earlier = None
    compare = question.compare or compare
    if compare is not None:
        earlier = previous(period, compare, timezone, minute)
    return Resolved(
        question,
        period,
        earlier,
        timezone,
        granularity,
        buckets(period, granularity, timezone),
        question.by,
        question.where,
        question.top,
    )


def kinds_of(root: Filter) -> Kinds | None:
    """The kinds that events passing a filter can be of; None where it does not say."""
    match root:
        case filters.KindIs(kinds):
            return frozenset(map(int, kinds))
        case filters.All(of):
            known = [kinds for kinds in map(kinds_of, of) if kinds is not None]
            return frozenset.intersection(*known) if known else None
        case filters.Any(of):
            each = [kinds_of(part) for part in of]
            if not each or None in each:
                return None
            return frozenset().union(*(kinds for kinds in each if kinds is not None))
        case _:
            return None


def depends_on(*roots: Filter, money: bool = False) -> Kinds:
    """The kinds whose commits can change an answer about events passing any of the filters, or about their money."""
    kinds = (kinds_of(filters.Any(roots)) or ANYTHING) | segments_of(*roots)
    return kinds | {EXCHANGE_RATES} if money else kinds


def segments_of(*roots: Filter) -> Kinds:
    """What an answer depends on where filters name segments: that of the segments, else nothing."""
    return frozenset({SEGMENTS}) if filters.in_segments(*roots) else frozenset()


async def kept(
    context: Context, subject: tuple[object, ...], kinds: Kinds, compute: Callable[[], Awaitable[T]], *, points: int = 1
) -> T:
    """The answer to ``subject``, as ``kept_as_of`` has it, by those who need not know what was seen of the log."""
    return await kept_as_of(context, subject, kinds, lambda _: compute(), points=points)


async def kept_as_of(
    context: Context,
    subject: tuple[object, ...],
    kinds: Kinds,
    compute: Callable[[LogState], Awaitable[T]],
    *,
    points: int = 1,
) -> T:
    """The answer to ``subject``, computed unless nothing of ``kinds`` was committed since it last was.

    ``compute`` is told what was seen of the log.

    ``subject`` must print everything that the answer depends on apart from the log and the tenant's settings;
    ``points`` says how large the answer is. Where a question accepts an older answer, one that is young enough will do,
    whatever was committed since; the log is not even looked at.
    """
    principal, cache, now = context.require(Role.VIEWER), context.services.cache, context.services.now()
    definite = [part for part in subject if isinstance(part, Resolved)]
    accepted = min((part.question.max_age for part in definite if part.question.max_age is not None), default=None)
    kinds |= segments_of(*(part.where for part in definite))
    asked = [replace(part.question, max_age=None) if isinstance(part, Resolved) else part for part in subject]
    # Whoever may read analyses reads the same in them.
    caller = f"{principal.tenant_id}|{Role.VIEWER.name}|{principal.currency}|{principal.timezone}"
    key = f"{caller}|{_hashed(asked)}"
    if accepted is not None and (recent := await cache.recent(key, now - accepted, now)) is not None:
        if context.reliance is not None:
            context.reliance.accept(recent.at + accepted)
        return cast(T, recent.value)
    seen = await context.services.versions.seen(principal.tenant_id)
    versions = seen.of(sorted(kinds))
    state = f"{_hashed(definite)}|{','.join(map(str, versions))}"
    lasting = max(LASTING, accepted or LASTING)
    found = await cache.answer(key, state, now, lambda: compute(seen.state), weight=points, lasting=lasting)
    if context.reliance is not None:
        ends = [part.period.end for part in definite]
        until = None if accepted is None else found.at + accepted
        context.reliance.add(sorted(kinds), versions, min(ends, default=None), until)
    return found.value


def _hashed(parts: list[Any]) -> str:
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


async def of_history(
    context: Context, subject: tuple[object, ...], asked: Resolved, compute: Callable[[], Awaitable[T]], *, points: int
) -> T:
    """The answer to ``subject`` about a period that is over, computed unless none of its days has changed since.

    For what is dear, within what ``kept`` computes: events of today make that ask anew, and are none of the period's.
    ``subject`` must print everything that the answer depends on apart from the log and the tenant's settings.
    """
    principal, services = context.require(Role.VIEWER), context.services
    beside = tuple(sorted(segments_of(asked.where) | {EXCHANGE_RATES, REBUILT}))
    versions = await services.versions.of(principal.tenant_id, beside)
    async with services.database.tenant(principal.tenant_id) as session:
        editions = await editions_of(await driver(session), principal.tenant_id, asked.period)
    key = f"history|{principal.tenant_id}|{principal.currency}|{principal.timezone}|{_hashed(list(subject))}"
    state = f"{_hashed([editions])}|{','.join(map(str, versions))}"
    found = await services.cache.answer(key, state, services.now(), compute, weight=points)
    return found.value


async def patiently(context: Context, ask: Callable[[], Awaitable[T]]) -> T:
    """What ``ask`` answers in its turn, once the database is there and has time: a watcher outlives its restart."""
    # In a line of their own: however many watch, who asks once is not to wait behind all of them.
    line = ("live", context.require(Role.VIEWER).tenant_id)
    while True:
        try:
            async with context.services.turns.turn(line, patient=True):
                return await ask()
        except (Overloaded, TimedOut, Unavailable) as error:
            await asyncio.sleep(error.retry_after or _PATIENCE)


async def live(context: Context, kinds: Kinds, ask: Callable[[], Awaitable[T]], every: timedelta) -> AsyncIterator[T]:
    """The present answer at once, then each that differs from the one before, at most one per ``every``.

    Commits that happen while an answer is computed, sent or held back are covered by the next one.
    """
    principal = context.require(Role.VIEWER)
    watched = kinds | set(map(int, Kind)) if WHOLE_LOG in kinds else kinds
    loop = asyncio.get_running_loop()
    with context.services.bus.listen(principal.tenant_id) as mailbox:
        context.renew()
        last = await patiently(context, ask)
        yield last
        sent = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_ROLLOVER):
                    await mailbox.wait(watched)
            await asyncio.sleep(max(0.0, sent + every.total_seconds() - loop.time()))
            context.renew()
            present = await patiently(context, ask)
            if present != last:
                last = present
                yield last
                sent = loop.time()
