"""Segments are held against the log and made anew from it, whatever is wrong with them and whoever reads meanwhile."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

import asyncpg
import numpy as np
import pytest

from resolvers import upkeep
from resolvers.analysis.columns import Coded, Moments
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.periods import epoch_us
from resolvers.context import Context, Principal
from resolvers.errors import GatewayError
from resolvers.events import ingest
from resolvers.store import refolding
from resolvers.store.database import driver
from resolvers.store.folding import fold
from resolvers.store.refolding import MonthChecked, check, refold
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segment_codec import pack_coded, pack_moments, pack_subjects, seal
from resolvers.store.segments import Manifest, SegmentRepository, month_bounds
from tests.factories import event
from tests.resolvers.store.journey_logs import (
    ALL_TIME,
    START,
    STEPS,
    execute,
    made,
    manifest,
    read,
    same,
    take,
)

JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)
MONTHS = (JANUARY, FEBRUARY, date(2026, 3, 1))
QUESTION = (ALL_TIME, EVERYTHING, STEPS, ("channel", "persona"))


async def checked(context: Context, tenant_id: int) -> list[MonthChecked]:
    return [found async for found in upkeep.verify_journeys(context.services.database, tenant_id, MONTHS)]


async def faults(context: Context, tenant_id: int) -> str:
    return "; ".join(fault for month in await checked(context, tenant_id) for fault in month.faults)


async def rebuilt(context: Context, tenant_id: int) -> int:
    found = [month async for month in upkeep.rebuild_journeys(context.services.database, tenant_id, MONTHS)]
    return sum(month.events for month in found)


async def save(context: Context, tenant_id: int, change: Callable[[Manifest], Manifest]) -> None:
    async with context.services.database.tenant(tenant_id) as session:
        segments = SegmentRepository(session)
        held = await segments.hold(tenant_id)
        assert held is not None
        await segments.save(tenant_id, change(held))


@pytest.fixture
async def folded(context: Context, principal: Principal, plain: Principal) -> Random:
    """A log of three months, of which two have two runs, folded; ``plain`` has the same, not folded."""
    random = Random(7)
    for start, count in (0, 280), (280, 30):
        await take(context, plain, [made(random, start + number) for number in range(count)])
        await fold(context.services.database, principal.tenant_id)
    found = [(run.month, run.after) for run in (await manifest(context, principal.tenant_id)).runs]
    assert found[:4] == [(JANUARY, 0), (JANUARY, 280), (FEBRUARY, 0), (FEBRUARY, 280)]
    return random


async def test_what_was_folded_holds_while_events_come_late(
    context: Context, principal: Principal, folded: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refolding, "BATCH", 17)
    for start in range(310, 370, 20):
        assert not await faults(context, principal.tenant_id)
        assert (await ingest(context, [made(folded, start + number) for number in range(20)])).accepted == 20
        assert not await faults(context, principal.tenant_id)
        await fold(context.services.database, principal.tenant_id, batch=7)
    january, february, march = await checked(context, principal.tenant_id)
    held = (await manifest(context, principal.tenant_id)).runs
    assert january.events + february.events + march.events == sum(run.rows for run in held)
    assert january.segments + february.segments + march.segments == len(held)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE journey_segment SET {column} = set_byte({column}, 30, 255 - get_byte({column}, 30))", "is damaged"),
        ("UPDATE journey_segment SET {column} = substr({column}, 1, 12)", "is damaged"),
        ("DELETE FROM journey_segment", "is gone"),
    ],
)
@pytest.mark.parametrize("column", ["subject", "at", "name", "channel"])
async def test_damage_is_found_and_healed(
    context: Context, principal: Principal, plain: Principal, folded: Random, statement: str, said: str, column: str
) -> None:
    where = " WHERE month = '2026-02-01' AND after > 0"
    await execute(context, principal.tenant_id, statement.format(column=column) + where)
    january, february, _ = await checked(context, principal.tenant_id)
    assert not january.faults
    (fault,) = february.faults
    assert said in fault
    assert "positions 281 to 310" in fault
    events = await rebuilt(context, principal.tenant_id)
    assert not await faults(context, principal.tenant_id)
    assert events == sum(run.rows for run in (await manifest(context, principal.tenant_id)).runs)
    cache = SegmentCache()
    found = await read(context, principal.tenant_id, cache, *QUESTION)
    assert cache.size
    assert same(found, await read(context, plain.tenant_id, SegmentCache(), *QUESTION))


@pytest.mark.parametrize(
    ("column", "said"),
    [("channel", "another channel for"), ("at", "other subjects or times"), ("subject", "other subjects or times")],
)
async def test_what_is_sealed_but_wrong_is_found_healed_and_forgotten(
    context: Context, principal: Principal, plain: Principal, folded: Random, column: str, said: str
) -> None:
    cache = SegmentCache()
    run = next(run for run in (await manifest(context, principal.tenant_id)).runs if run.month == FEBRUARY)
    # All events are of one subject, at one time or of one channel.
    body = {
        "subject": pack_subjects(np.ones(run.rows, np.int32)),
        "at": pack_moments(Moments.of(np.full(run.rows, epoch_us(START)), epoch_us(month_bounds(JANUARY)[0]))),
        "channel": pack_coded(Coded.of(np.ones(run.rows, np.int32))),
    }[column]
    async with context.services.database.tenant(principal.tenant_id) as session:
        sealed = seal(body, run.place(principal.tenant_id, column))
        await SegmentRepository(session).fill(principal.tenant_id, run, column, sealed)
    expected = await read(context, plain.tenant_id, SegmentCache(), *QUESTION)
    assert not same(await read(context, principal.tenant_id, cache, *QUESTION), expected)
    assert said in await faults(context, principal.tenant_id)
    await rebuilt(context, principal.tenant_id)
    assert not await faults(context, principal.tenant_id)
    # Nobody goes on to read from memory what was wrong.
    assert same(await read(context, principal.tenant_id, cache, *QUESTION), expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: replace(held, runs=held.runs[1:]), "are in no segment"),
        (lambda held: replace(held, runs=held.runs[:-1]), "are in no segment"),
        (lambda held: replace(held, behind={FEBRUARY: 100}), "the log is read from 100 on"),
        (lambda held: replace(held, runs=(*held.runs[:3], replace(held.runs[3], after=150))), "what the one before"),
    ],
)
async def test_a_manifest_that_is_wrong_is_found_and_healed(
    context: Context, principal: Principal, folded: Random, change: Callable[[Manifest], Manifest], said: str
) -> None:
    await save(context, principal.tenant_id, change)
    assert said in await faults(context, principal.tenant_id)
    await rebuilt(context, principal.tenant_id)
    assert not await faults(context, principal.tenant_id)


@pytest.mark.parametrize("statement", ["hold", "present", "state", "add", "fill", "drop", "save"])
async def test_a_rebuild_killed_at_any_statement_leaves_what_was(
    context: Context, principal: Principal, plain: Principal, folded: Random, statement: str
) -> None:
    before = await manifest(context, principal.tenant_id)
    original = getattr(SegmentRepository, statement)

    async def killed(self: SegmentRepository, *arguments: Any, **more: Any) -> Any:
        result = await original(self, *arguments, **more)
        connection: asyncpg.Connection = await driver(self.session)
        connection.terminate()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentRepository, statement, killed)
        with pytest.raises(GatewayError):
            await refold(context.services.database, principal.tenant_id, FEBRUARY)
    assert await manifest(context, principal.tenant_id) == before
    assert not await faults(context, principal.tenant_id)
    # The server notices that its client has gone and lets go of the state.
    async with asyncio.timeout(10):
        await rebuilt(context, principal.tenant_id)
    assert not await faults(context, principal.tenant_id)
    expected = await read(context, plain.tenant_id, SegmentCache(), *QUESTION)
    assert same(await read(context, principal.tenant_id, SegmentCache(), *QUESTION), expected)


async def test_events_are_written_folded_and_read_while_all_is_made_anew(
    context: Context, principal: Principal, folded: Random
) -> None:
    done = asyncio.Event()
    database = context.services.database

    async def again_and_again() -> None:
        while not done.is_set():
            for month in MONTHS:
                await refold(database, principal.tenant_id, month, batch=50)

    async def folding() -> None:
        while not done.is_set():
            await fold(database, principal.tenant_id, batch=30)

    async def verifying() -> None:
        while not done.is_set():
            assert not await faults(context, principal.tenant_id)

    cache = SegmentCache()
    there = (await read(context, principal.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS)).subject.size
    async with asyncio.TaskGroup() as tasks:
        for work in again_and_again, folding, verifying:
            tasks.create_task(work())
        for batch in range(1, 16):
            days = [timedelta(days=folded.randrange(40)) for _ in range(20)]
            assert (await ingest(context, [event(occurredAt=START + day) for day in days])).accepted == 20
            found = await read(context, principal.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS)
            assert found.subject.size == there + 20 * batch
        done.set()


async def test_a_tenant_is_held_against_its_own_log_only(
    context: Context, principal: Principal, plain: Principal, folded: Random
) -> None:
    await fold(context.services.database, plain.tenant_id)
    await execute(context, plain.tenant_id, "DELETE FROM journey_segment")
    before = await manifest(context, plain.tenant_id)
    assert not await faults(context, principal.tenant_id)
    await rebuilt(context, principal.tenant_id)
    assert await manifest(context, plain.tenant_id) == before
    assert "is gone" in await faults(context, plain.tenant_id)


async def test_what_was_never_folded_holds_and_is_not_made_anew(context: Context, principal: Principal) -> None:
    assert await refold(context.services.database, principal.tenant_id, JANUARY) == 0
    await ingest(context, [event()])
    found = await check(context.services.database, principal.tenant_id, date(2026, 3, 1))
    assert (found.segments, found.events, found.faults) == (0, 0, ())
