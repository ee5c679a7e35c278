"""Logs to fold, questions to ask of them, and asking them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np

from resolvers.analysis import filters
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import (
    EVERYTHING,
    All,
    DimensionIs,
    Filter,
    FlagIs,
    KindIs,
    NameIs,
    Not,
    Op,
    SubjectIs,
)
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.periods import Period
from resolvers.context import Context, Principal
from resolvers.events import ingest
from resolvers.store.database import driver
from resolvers.store.journeys import JourneyRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import Manifest, SegmentRepository
from tests.factories import event

START = datetime(2026, 1, 30, 23, 59, 59, tzinfo=UTC)
ALL_TIME = Period(datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
STEPS = (NameIs(("view",)), NameIs(("cart", "view")), EVERYTHING)


def made(random: Random, number: int) -> dict[str, Any]:
    """An event of few people at few moments around two turns of the month, so that many are simultaneous."""
    steps = random.choice([1, 1000, 1_000_000, 40 * 3_600_000_000])
    at = START + timedelta(microseconds=steps * random.randrange(20))
    kind = random.choice([Kind.PRODUCT, Kind.CONVERSION, Kind.SPEND])
    fields: dict[str, Any] = {"kind": kind.name, "occurredAt": at, "id": f"e{number}"}
    fields["name"] = random.choice(["view", "cart", "buy"])
    fields["subject"] = random.choice(["ann", "bob", "cleo", "dan"])
    if kind is Kind.SPEND:
        fields |= {"cost": "1", "currency": "USD", "subject": random.choice(["", "ann"])}
    if random.random() < 0.6:
        fields["dimensions"] = {
            name: random.choice("abc") for name in random.sample(["channel", "persona", "plan"], random.randrange(1, 4))
        }
    if kind is Kind.CONVERSION and random.random() < 0.5:
        fields[random.choice(["assisted", "recurring"])] = random.random() < 0.5
    return event(**fields)


def condition(random: Random, depth: int = 3) -> Filter:
    some = tuple(random.sample(["view", "cart", "buy", "never"], random.randrange(3)))
    parts = tuple(condition(random, depth - 1) for _ in range(random.randrange(3))) if depth else ()
    leaves: list[Filter] = [
        KindIs(tuple(random.sample(list(Kind), 2))),
        NameIs(some),
        SubjectIs(tuple(random.sample(["ann", "bob", "never"], 2))),
        FlagIs(random.choice(["assisted", "recurring", "success"]), random.random() < 0.5),
        DimensionIs(
            random.choice(["channel", "persona", "agent"]),
            random.choice([Op.IN, Op.NOT_IN, Op.EXISTS, Op.MISSING]),
            tuple(random.sample("abcz", 2)),
        ),
        All(parts),
        filters.Any(parts),
        Not(parts[0] if parts else NameIs(some)),
    ]
    return random.choice(leaves)


@asynccontextmanager
async def reader(context: Context, tenant_id: int, cache: SegmentCache) -> AsyncIterator[JourneyRepository]:
    async with context.services.database.tenant(tenant_id) as session:
        yield JourneyRepository(session, context.services.memory, cache)


async def read(context: Context, tenant_id: int, cache: SegmentCache, *question: Any) -> Journeys:
    async with reader(context, tenant_id, cache) as repository:
        return await repository.read(tenant_id, *question)


def same(one: Journeys, other: Journeys) -> bool:
    one, other = one.in_order(), other.in_order()
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("subject", "at", "steps", "dimensions")
    )


async def manifest(context: Context, tenant_id: int) -> Manifest:
    async with context.services.database.tenant(tenant_id) as session:
        return (await SegmentRepository(session).state(tenant_id)).manifest


async def execute(context: Context, tenant_id: int, statement: str, *arguments: Any) -> None:
    async with context.services.database.tenant(tenant_id) as session:
        await (await driver(session)).execute(statement, *arguments)


async def take(context: Context, plain: Principal, events: list[dict[str, Any]]) -> None:
    for one in (context, Context(context.services, plain)):
        assert not (await ingest(one, events)).rejected
