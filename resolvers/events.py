"""Events: taking them in, reading them back, watching them come."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement

from resolvers.analysis.events import Conflict, Event, Kind, Receipt, Rejection, StoredEvent
from resolvers.analysis.filters import Filter, weight
from resolvers.analysis.intake import Refusal, validate
from resolvers.analysis.periods import PeriodRequest, resolve
from resolvers.answers import patiently
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.paging import page_size, wrong_cursor
from resolvers.prices import tenant_prices
from resolvers.pricing import price
from resolvers.store.conditions import Codes, condition
from resolvers.store.events import EVENT, EventRepository
from resolvers.store.versions import WHOLE_LOG, VersionRepository
from resolvers.store.writer import First

LARGEST_BATCH = 10_000
_STREAMED = 500
_CHECKED = 250
_CHECKED_WEIGHT = 8
"""Of so many events, among what goes on in a round of the event loop."""
_PRICED = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events, newest first; ``cursors[i]`` leads to what follows ``events[i]``."""

    events: tuple[StoredEvent, ...]
    cursors: tuple[str, ...]
    has_next: bool


def new_id(at: datetime) -> str:
    """An id in the form of a version 7 UUID (RFC 9562): ordered by time, 74 random bits."""
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    chance = secrets.randbits(74)
    bits = milliseconds << 80 | 0x7 << 76 | (chance >> 62) << 64 | 0b10 << 62 | chance & (1 << 62) - 1
    digits = f"{bits:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


async def ingest(context: Context, items: Sequence[Mapping[str, Any]], *, limit: int = LARGEST_BATCH) -> Receipt:
    """Take in a batch: what is sound is stored in one transaction, everything else is named in the receipt.

    ``items`` are plain mappings as ``intake.validate`` reads them. Raises BadInput for an empty batch or one over
    ``limit``, Overloaded or Unavailable where nothing was stored and trying again is safe.
    """
    principal = context.require(Role.INGEST)
    if not 1 <= len(items) <= limit:
        raise BadInput(f"A batch holds 1 to {limit:,} events; this one has {len(items):,}.", field="events")
    now = context.services.now()
    checked: list[Event | Refusal] = []
    for start in range(0, len(items), _CHECKED):
        if start:
            # Whoever else waits for this process is not to wait for a large batch, nor for many of them at once.
            await context.services.rounds.turn(_CHECKED_WEIGHT)
        checked += [validate(item, now=now, new_id=new_id) for item in items[start : start + _CHECKED]]
    rejected = tuple(
        Rejection(index, result.field, result.message)
        for index, result in enumerate(checked)
        if isinstance(result, Refusal)
    )
    sound = [(index, event) for index, event in enumerate(checked) if isinstance(event, Event)]
    events = await _completed(context, [event for _, event in sound])
    firsts = await context.services.writer.write(principal.tenant_id, events) if events else []
    conflicts = tuple(
        Conflict(index, event.id, first.occurred_at, first.received_at)
        for (index, event), first in zip(sound, firsts, strict=True)
        if first is not None and not first.same
    )
    _count(context, items, sound, firsts)
    ids: list[str | None] = [None] * len(items)
    for index, event in sound:
        ids[index] = event.id
    return Receipt(
        accepted=sum(first is None for first in firsts),
        duplicates=sum(first is not None and first.same for first in firsts),
        conflicts=conflicts,
        rejected=rejected,
        ids=tuple(ids),
    )


def _count(
    context: Context,
    items: Sequence[Mapping[str, Any]],
    sound: list[tuple[int, Event]],
    firsts: list[First | None],
) -> None:
    outcomes = Counter(
        (event.kind.name, "accepted" if first is None else "duplicate" if first.same else "conflict")
        for (_, event), first in zip(sound, firsts, strict=True)
    )
    if len(sound) < len(items):
        outcomes["UNKNOWN", "rejected"] = len(items) - len(sound)
    for (kind, outcome), count in outcomes.items():
        context.services.counted(kind, outcome, count)


async def _completed(context: Context, events: list[Event]) -> list[Event]:
    """What the sender left to the gateway: the tenant's currency, the cost of AI interactions."""
    currency = context.require(Role.INGEST).currency
    completed = [
        replace(event, currency=currency)
        if event.currency is None and (event.amount is not None or event.cost is not None)
        else event
        for event in events
    ]
    if all(event.kind is not Kind.AI_INTERACTION for event in completed):
        return completed
    prices = await tenant_prices(context.services.writer.database, context.require(Role.INGEST).tenant_id)
    for start in range(0, len(completed), _PRICED):
        part = slice(start, start + _PRICED)
        completed[part] = [price(event, prices) for event in completed[part]]
        await asyncio.sleep(0)
    return completed


async def events(
    context: Context,
    *,
    where: Filter,
    period: PeriodRequest | None = None,
    first: int = 50,
    after: str | None = None,
) -> EventPage:
    """A page of the log, newest first; ``after`` is a cursor of an earlier page of the same list."""
    principal = context.require(Role.VIEWER)
    page_size(first)
    context.spend(weight(where))
    place = None if after is None else _place(after)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = EventRepository(session, context.services.memory)
        conditions = [condition(where, await Codes.of(repository.terms, principal.tenant_id, where))]
        if period is not None:
            conditions += _within(period, principal.timezone, context.services.now())
        found = await repository.page(principal.tenant_id, conditions=conditions, after=place, limit=first + 1)
    shown = tuple(found[:first])
    return EventPage(shown, tuple(map(_cursor, shown)), len(found) > first)


def _within(request: PeriodRequest, timezone: str, now: datetime) -> list[ColumnElement[bool]]:
    period = resolve(request, timezone, now)
    return [EVENT.occurred_at >= period.start, EVENT.occurred_at < period.end]


def _cursor(stored: StoredEvent) -> str:
    return f"{(stored.event.occurred_at - _EPOCH) // _MICROSECOND}.{stored.position}"


def _place(cursor: str) -> tuple[datetime, int]:
    microseconds, _, position = cursor.partition(".")
    digits = microseconds + position
    if not (digits.isascii() and digits.isdigit() and microseconds and position) or len(digits) > 36:
        raise wrong_cursor()
    at = int(microseconds)
    if at > 4_200_000_000_000_000 or int(position) >= 1 << 63:
        raise wrong_cursor()
    return _EPOCH + at * _MICROSECOND, int(position)


async def events_by_id(context: Context, ids: Sequence[str]) -> dict[str, StoredEvent]:
    """Those of the ids that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return await EventRepository(session, context.services.memory).by_ids(principal.tenant_id, ids)


async def event(context: Context, event_id: str) -> StoredEvent | None:
    """One event by the id its sender gave it."""
    return (await events_by_id(context, [event_id])).get(event_id)


async def events_stream(context: Context, *, where: Filter) -> AsyncGenerator[tuple[StoredEvent, ...]]:
    """The events committed from now on, in the order of their commits, none left out and none twice."""
    principal = context.require(Role.VIEWER)
    services, tenant_id = context.services, principal.tenant_id
    with services.bus.listen(tenant_id) as mailbox:
        async with services.database.tenant(tenant_id) as session:
            (position,) = await VersionRepository(session).of(tenant_id, [WHOLE_LOG])
        while True:
            found, newest = await patiently(context, partial(_following, context, where, position))
            more = len(found) == _STREAMED
            position = found[-1].position if more else newest
            if found:
                yield tuple(found)
            if not more:
                await mailbox.wait(frozenset(map(int, Kind)))


async def _following(context: Context, where: Filter, position: int) -> tuple[list[StoredEvent], int]:
    """The next events after a position, and how far the log had got."""
    services, tenant_id = context.services, context.require(Role.VIEWER).tenant_id
    async with services.database.tenant(tenant_id) as session:
        repository = EventRepository(session, services.memory)
        (newest,) = await VersionRepository(session).of(tenant_id, [WHOLE_LOG])
        conditions = [
            EVENT.position <= newest,
            condition(where, await Codes.of(repository.terms, tenant_id, where)),
        ]
        found = await repository.since(tenant_id, conditions=conditions, position=position, limit=_STREAMED)
    return found, newest
