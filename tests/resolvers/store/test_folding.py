"""Folding: segments follow the log, and whatever befalls them is mended."""

import asyncio
from datetime import timedelta
from random import Random
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from resolvers.analysis.filters import EVERYTHING, DimensionIs, Not, Op
from resolvers.context import Context, Principal
from resolvers.errors import GatewayError, Unavailable
from resolvers.events import ingest
from resolvers.store import upkeep
from resolvers.store.database import Database, driver
from resolvers.store.folding import FoldingFigures, fold
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import SegmentRepository
from resolvers.store.upkeep import fold_due, keep_folded
from tests.factories import event
from tests.resolvers.store.journey_logs import (
    ALL_TIME,
    STEPS,
    execute,
    made,
    manifest,
    read,
    same,
    take,
)


async def test_runs_of_a_month_stay_few(context: Context, principal: Principal) -> None:
    for size in [200, 1, 1, 1, 30, 1, 1]:
        await ingest(context, [event() for _ in range(size)])
        await fold(context.services.database, principal.tenant_id)
    runs = (await manifest(context, principal.tenant_id)).runs
    assert [run.rows for run in runs] == [200, 33, 2]
    assert [(run.after, run.through) for run in runs] == [(0, 200), (200, 233), (233, 235)]


async def test_folding_again_changes_nothing(context: Context, principal: Principal) -> None:
    await ingest(context, [event() for _ in range(5)])
    assert await fold(context.services.database, principal.tenant_id) == 5
    before = await manifest(context, principal.tenant_id)
    assert await fold(context.services.database, principal.tenant_id) == 0
    assert await manifest(context, principal.tenant_id) == before


async def test_a_tenant_without_events_folds_to_nothing(context: Context, principal: Principal) -> None:
    assert await fold(context.services.database, principal.tenant_id) == 0
    found = await read(context, principal.tenant_id, SegmentCache(), ALL_TIME, EVERYTHING, STEPS)
    assert not found.subject.size


@pytest.mark.parametrize("column", ["subject", "at", "name", "channel"])
@pytest.mark.parametrize("first", [True, False])
async def test_a_damaged_segment_is_found_passed_over_and_made_again(
    context: Context, principal: Principal, plain: Principal, column: str, first: bool
) -> None:
    random = Random(1)
    await take(context, plain, [made(random, number) for number in range(200)])
    await fold(context.services.database, principal.tenant_id)
    await take(context, plain, [made(random, 200 + number) for number in range(40)])
    await fold(context.services.database, principal.tenant_id)
    healthy = await manifest(context, principal.tenant_id)
    run = healthy.runs[0 if first else 1]
    await execute(
        context,
        principal.tenant_id,
        f"UPDATE journey_segment SET {column} = set_byte({column}, 30, 1 + get_byte({column}, 30) & 255)"
        " WHERE tenant_id = $1 AND (month, after, through) = ($2, $3, $4)",
        principal.tenant_id,
        run.month,
        run.after,
        run.through,
    )
    cache, figures = SegmentCache(), FoldingFigures()
    question = (ALL_TIME, Not(DimensionIs("channel", Op.IN, ("a",))), STEPS, ("channel",))
    expected = await read(context, plain.tenant_id, cache, *question)
    with capture_logs() as logs:
        assert same(await read(context, principal.tenant_id, cache, *question), expected)
    assert [entry["event"] for entry in logs] == ["journeys.segment_damaged"]
    assert (cache.lost, cache.damaged) == ({principal.tenant_id}, 1)
    mended_events = await fold_due(context.services.database, cache, figures, events=10**9, age=timedelta(days=1))
    assert mended_events == figures.events > 0
    assert not cache.lost
    mended = await manifest(context, principal.tenant_id)
    assert not mended.behind
    assert sum(one.rows for one in mended.runs) == sum(one.rows for one in healthy.runs)
    assert same(await read(context, principal.tenant_id, cache, *question), expected)


async def test_damage_met_while_merging_is_mended(context: Context, principal: Principal, plain: Principal) -> None:
    random = Random(2)
    await take(context, plain, [made(random, number) for number in range(20)])
    await fold(context.services.database, principal.tenant_id)
    await execute(context, principal.tenant_id, "UPDATE journey_segment SET agent = 'x', plan = 'y'")
    await take(context, plain, [made(random, 20 + number) for number in range(20)])
    figures = FoldingFigures()
    await fold(context.services.database, principal.tenant_id, batch=9, figures=figures)
    # One of each month.
    assert figures.damaged == 2
    question = (ALL_TIME, EVERYTHING, STEPS, ("channel", "plan", "agent"))
    expected = await read(context, plain.tenant_id, SegmentCache(), *question)
    assert same(await read(context, principal.tenant_id, SegmentCache(), *question), expected)
    found = await manifest(context, principal.tenant_id)
    assert (found.folded_to, found.behind) == (40, {})


@pytest.mark.parametrize("table", ["journey_segment", "journey_state"])
async def test_whatever_is_dropped_is_made_again(
    context: Context, principal: Principal, plain: Principal, table: str
) -> None:
    random = Random(3)
    await take(context, plain, [made(random, number) for number in range(90)])
    await fold(context.services.database, principal.tenant_id)
    await execute(context, principal.tenant_id, f"DELETE FROM {table}")
    await take(context, plain, [made(random, 90 + number) for number in range(9)])
    question = (ALL_TIME, EVERYTHING, STEPS, ("channel",))
    expected = await read(context, plain.tenant_id, SegmentCache(), *question)
    assert same(await read(context, principal.tenant_id, SegmentCache(), *question), expected)
    await fold(context.services.database, principal.tenant_id, batch=20)
    cache = SegmentCache()
    assert same(await read(context, principal.tenant_id, cache, *question), expected)
    assert cache.size
    async with context.services.database.tenant(principal.tenant_id) as session:
        assert await SegmentRepository(session).present(principal.tenant_id) == set(
            (await manifest(context, principal.tenant_id)).runs
        )


class _Killed(Exception):
    pass


@pytest.mark.parametrize("statement", ["hold", "present", "state", "sealed", "add", "fill", "drop", "save"])
async def test_a_fold_killed_at_any_statement_leaves_what_was(
    context: Context, principal: Principal, plain: Principal, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(4)
    await take(context, plain, [made(random, number) for number in range(30)])
    await fold(context.services.database, principal.tenant_id)
    before = await manifest(context, principal.tenant_id)
    await take(context, plain, [made(random, 30 + number) for number in range(30)])
    original = getattr(SegmentRepository, statement)

    async def killed(self: SegmentRepository, *arguments: Any) -> Any:
        result = await original(self, *arguments)
        connection: asyncpg.Connection = await driver(self.session)
        connection.terminate()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(SegmentRepository, statement, killed)
        with pytest.raises(GatewayError):
            await fold(context.services.database, principal.tenant_id)
    assert await manifest(context, principal.tenant_id) == before
    question = (ALL_TIME, EVERYTHING, STEPS, ("channel",))
    expected = await read(context, plain.tenant_id, SegmentCache(), *question)
    assert same(await read(context, principal.tenant_id, SegmentCache(), *question), expected)
    # The server notices that its client has gone and lets go of the state.
    async with asyncio.timeout(10):
        while await fold(context.services.database, principal.tenant_id) == 0:
            pass
    assert same(await read(context, principal.tenant_id, SegmentCache(), *question), expected)
    assert (await manifest(context, principal.tenant_id)).folded_to == 60


async def test_upkeep_goes_on_after_a_failure_and_does_not_let_others_wait(
    context: Context, principal: Principal, plain: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take(context, plain, [event()])
    folded = asyncio.Event()
    failures = [Unavailable("away"), ValueError("a defect")]
    figures = FoldingFigures()

    async def failing(database: Database, tenant_id: int, *, figures: FoldingFigures) -> int:
        if tenant_id == principal.tenant_id and failures:
            raise failures.pop()
        count = await fold(database, tenant_id, figures=figures)
        if tenant_id == principal.tenant_id:
            folded.set()
        return count

    monkeypatch.setattr(upkeep, "fold", failing)
    with capture_logs() as logs:
        task = asyncio.create_task(keep_folded(context.services.database, SegmentCache(), figures, every=0))
        async with asyncio.timeout(20):
            await folded.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [entry["event"] for entry in logs] == ["journeys.upkeep_failed", "journeys.upkeep_delayed"]
    assert figures.failures == 2
    assert figures.runs >= 4
    assert figures.seconds > 0
    for tenant in (principal, plain):
        assert (await manifest(context, tenant.tenant_id)).folded_to == 1


async def test_only_one_of_several_folds_at_a_time(context: Context, principal: Principal) -> None:
    await ingest(context, [event() for _ in range(10)])
    await fold(context.services.database, principal.tenant_id)
    await ingest(context, [event() for _ in range(10)])
    async with context.services.database.tenant(principal.tenant_id) as session:
        assert await SegmentRepository(session).hold(principal.tenant_id) is not None
        assert await fold(context.services.database, principal.tenant_id) == 0
    assert await fold(context.services.database, principal.tenant_id) == 10


async def test_tenants_are_folded_when_they_are_due(context: Context, principal: Principal, plain: Principal) -> None:
    cache = SegmentCache()
    long = timedelta(days=1)
    await fold_due(context.services.database, cache, FoldingFigures(), events=1, age=timedelta(0))
    await take(context, plain, [event() for _ in range(10)])
    # A log that was never folded is due at once, later ones when they are long or old enough.
    assert await fold_due(context.services.database, cache, FoldingFigures(), events=10**6, age=long) == 20
    await ingest(context, [event() for _ in range(3)])
    assert await fold_due(context.services.database, cache, FoldingFigures(), events=4, age=long) == 0
    await ingest(context, [event()])
    assert await fold_due(context.services.database, cache, FoldingFigures(), events=4, age=long) == 4
    await ingest(context, [event()])
    assert await fold_due(context.services.database, cache, FoldingFigures(), events=4, age=timedelta(0)) == 1
