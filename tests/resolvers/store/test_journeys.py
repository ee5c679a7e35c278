"""Segments and what the log has since are the log, whoever reads while whatever changes."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg
import pytest

from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import EVERYTHING, MeasureIs, Op
from resolvers.analysis.periods import Period
from resolvers.context import Context, Principal
from resolvers.errors import BadInput, Unavailable
from resolvers.events import ingest
from resolvers.store import copying, folding, journeys
from resolvers.store.folding import fold
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import Manifest, SegmentRepository
from tests.factories import event
from tests.resolvers.store.journey_logs import (
    ALL_TIME,
    START,
    STEPS,
    condition,
    execute,
    made,
    manifest,
    read,
    reader,
    same,
    take,
)


@pytest.mark.parametrize("seed", range(6))
async def test_answers_are_those_of_the_log(
    context: Context, principal: Principal, plain: Principal, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "LARGEST_RUN", 60)
    monkeypatch.setattr(journeys, "SMALL", 0)
    random = Random(seed)
    cache = SegmentCache(random.choice([2_000, 1 << 20]))
    sent: list[dict[str, Any]] = []
    for _ in range(6):
        new = [made(random, len(sent) + place) for place in range(random.randrange(1, 40))]
        again = random.sample(sent, min(len(sent), 5))
        sent += new
        await take(context, plain, [*new, *again])
        if random.random() < 0.7:
            await fold(context.services.database, principal.tenant_id, batch=random.choice([7, 1000]))
        for _ in range(6):
            ends = sorted(START + timedelta(microseconds=random.randrange(40 * 86_400_000_000)) for _ in range(2))
            period = random.choice([ALL_TIME, Period(*ends)])
            steps = [condition(random) for _ in range(random.choice([1, 3, 9]))]
            by = random.sample(["channel", "persona", "agent"], random.randrange(3))
            question = (period, random.choice([EVERYTHING, condition(random)]), steps, by)
            # Whoever asks again reads what runs hold of the period as one.
            for _ in range(random.choice([1, 3])):
                found = await read(context, principal.tenant_id, cache, *question)
            expected = await read(context, plain.tenant_id, cache, *question)
            assert not expected.ordered
            assert same(found, expected), question
    await fold(context.services.database, principal.tenant_id)
    found = await read(context, principal.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS)
    assert found.ordered
    assert found.subject.size == sum(one["subject"] != "" for one in sent)
    assert (await manifest(context, principal.tenant_id)).folded_to == len(sent)


async def test_runs_of_a_span_are_merged_for_who_asks_again(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journeys, "SMALL", 0)
    random, cache = Random(3), SegmentCache()
    await ingest(context, [made(random, number) for number in range(60)])
    await fold(context.services.database, principal.tenant_id)
    sizes, found = [], []
    for _ in range(4):
        found.append(await read(context, principal.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS))
        sizes.append(cache.size)
    assert sizes[0] < sizes[1] == sizes[2] == sizes[3]
    assert all(same(found[0], one) for one in found)
    # More than fits beside what it is made of is not merged.
    small = SegmentCache(budget=sizes[0])
    for _ in range(3):
        assert same(found[0], await read(context, principal.tenant_id, small, ALL_TIME, EVERYTHING, STEPS))
        assert small.size <= sizes[0]


async def test_what_it_took_is_told(context: Context, principal: Principal) -> None:
    await ingest(context, [event() for _ in range(30)])
    await fold(context.services.database, principal.tenant_id)
    await ingest(context, [event() for _ in range(4)])
    missing = (MeasureIs("amount", Op.MISSING),)
    for steps, segments, source, tail in (STEPS, 1, Source.JOURNEYS, 4), (missing, 0, Source.LOG, 0):
        async with reader(context, principal.tenant_id, SegmentCache()) as repository:
            found = await repository.by_subject(
                principal.tenant_id, ALL_TIME, EVERYTHING, steps, (), lambda part: part.subject.size
            )
        assert (sum(found.parts), found.segments) == (34, segments)
        assert (found.explain.source, found.explain.rows, found.explain.tail) == (source, 34, tail)
        assert found.explain.milliseconds > 0


async def test_what_segments_do_not_hold_is_asked_of_the_log(context: Context, principal: Principal) -> None:
    await ingest(context, [event(kind="CONVERSION", name="buy", amount=str(n), currency="USD") for n in range(4)])
    await fold(context.services.database, principal.tenant_id)
    cache = SegmentCache()
    dear = MeasureIs("amount", Op.GT, Decimal(1))
    found = await read(context, principal.tenant_id, cache, ALL_TIME, dear, STEPS)
    assert (found.subject.size, found.ordered, cache.size) == (2, False, 0)


async def test_a_question_too_large_for_the_budget_goes_to_the_log(context: Context, principal: Principal) -> None:
    await ingest(context, [event() for _ in range(20)])
    await fold(context.services.database, principal.tenant_id)
    cache = SegmentCache(budget=50)
    found = await read(context, principal.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS)
    assert (found.subject.size, found.ordered, cache.size) == (20, False, 0)


async def test_runs_merged_under_a_reader_are_read_anew(
    context: Context, principal: Principal, plain: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(5)
    await take(context, plain, [made(random, number) for number in range(30)])
    await fold(context.services.database, principal.tenant_id)
    await take(context, plain, [made(random, 30 + number) for number in range(30)])
    original = SegmentRepository.state
    folds = [True]

    async def overtaken(self: SegmentRepository, tenant_id: int) -> Any:
        state = await original(self, tenant_id)
        if folds and folds.pop():
            await fold(context.services.database, tenant_id)
        return state

    monkeypatch.setattr(SegmentRepository, "state", overtaken)
    cache = SegmentCache()
    question = (ALL_TIME, EVERYTHING, STEPS, ("channel",))
    found = await read(context, principal.tenant_id, cache, *question)
    assert same(found, await read(context, plain.tenant_id, cache, *question))
    assert cache.size


async def test_writing_and_reading_go_on_while_folding(
    context: Context, principal: Principal, plain: Principal
) -> None:
    random = Random(6)
    done = asyncio.Event()

    async def folding_all_the_time() -> None:
        while not done.is_set():
            await fold(context.services.database, principal.tenant_id, batch=random.choice([11, 50]))

    cache = SegmentCache()
    counts = []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(folding_all_the_time())
        for _ in range(25):
            days = [timedelta(days=random.randrange(60)) for _ in range(20)]
            assert (await ingest(context, [event(occurredAt=START + day) for day in days])).accepted == 20
            found = await read(context, principal.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS)
            counts.append(found.subject.size)
        done.set()
    assert counts == [20 * (batch + 1) for batch in range(25)]


async def test_a_tenant_reads_its_own_segments_only(context: Context, principal: Principal, plain: Principal) -> None:
    await ingest(context, [event()])
    await fold(context.services.database, principal.tenant_id)
    async with context.services.database.tenant(plain.tenant_id) as session:
        segments = SegmentRepository(session)
        assert await segments.present(principal.tenant_id) == set()
        assert (await segments.state(principal.tenant_id)).manifest == Manifest()
        assert await segments.hold(principal.tenant_id) is None
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(
            context,
            plain.tenant_id,
            "INSERT INTO journey_state (tenant_id, folded_to, folded_at, manifest) VALUES ($1, 0, now(), '{}')",
            principal.tenant_id + 10**6,
        )


async def test_what_is_not_folded_yet_and_too_much_is_worth_another_try(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(3)
    await ingest(context, [made(random, place) for place in range(30)])
    question = (context, principal.tenant_id, SegmentCache(), ALL_TIME, EVERYTHING, STEPS)
    with monkeypatch.context() as small:
        small.setattr(copying, "_LARGEST", 300)
        with pytest.raises(BadInput):
            await read(*question)
        small.setattr(journeys, "_FAR_BEHIND", 20)
        with pytest.raises(Unavailable, match="try again") as refused:
            await read(*question)
        assert refused.value.retry_after
    await fold(context.services.database, principal.tenant_id)
    assert (await read(*question)).subject.size
