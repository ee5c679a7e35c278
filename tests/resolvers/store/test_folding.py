"""Segments and what the log has since are the log, whatever happens to either."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import numpy as np
import pytest
from structlog.testing import capture_logs

from resolvers.analysis import filters
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import (
    EVERYTHING,
    All,
    DimensionIs,
    Filter,
    FlagIs,
    KindIs,
    MeasureIs,
    NameIs,
    Not,
    Op,
    SubjectIs,
)
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.periods import Period
from resolvers.context import Context, Principal
from resolvers.errors import GatewayError
from resolvers.events import ingest
from resolvers.store import folding
from resolvers.store.database import Database, driver
from resolvers.store.folding import fold, fold_due
from resolvers.store.journeys import JourneyRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import Manifest, SegmentRepository
from tests.factories import event, new_principal

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


@pytest.fixture
async def plain(owner: Database) -> Principal:
    """The admin of a tenant whose log is never folded, to compare with."""
    return await new_principal(owner)


async def take(context: Context, plain: Principal, events: list[dict[str, Any]]) -> None:
    for one in (context, Context(context.services, plain)):
        assert not (await ingest(one, events)).rejected


@pytest.mark.parametrize("seed", range(6))
async def test_answers_are_those_of_the_log(
    context: Context, principal: Principal, plain: Principal, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "LARGEST_RUN", 60)
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
            found = await read(context, principal.tenant_id, cache, *question)
            expected = await read(context, plain.tenant_id, cache, *question)
            assert not expected.ordered
            assert same(found, expected), question
    await fold(context.services.database, principal.tenant_id)
    found = await read(context, principal.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS)
    assert found.ordered
    assert found.subject.size == sum(one["subject"] != "" for one in sent)
    assert (await manifest(context, principal.tenant_id)).folded_to == len(sent)


async def test_what_segments_do_not_hold_is_asked_of_the_log(context: Context, principal: Principal) -> None:
    await ingest(context, [event(kind="CONVERSION", name="buy", amount=str(n), currency="USD") for n in range(4)])
    await fold(context.services.database, principal.tenant_id)
    cache = SegmentCache()
    dear = MeasureIs("amount", Op.GT, 1)  # type: ignore[arg-type]
    found = await read(context, principal.tenant_id, cache, ALL_TIME, dear, STEPS)
    assert (found.subject.size, found.ordered, cache.size) == (2, False, 0)


async def test_a_question_too_large_for_the_budget_goes_to_the_log(context: Context, principal: Principal) -> None:
    await ingest(context, [event() for _ in range(20)])
    await fold(context.services.database, principal.tenant_id)
    cache = SegmentCache(budget=50)
    found = await read(context, principal.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS)
    assert (found.subject.size, found.ordered, cache.size) == (20, False, 0)


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
    cache = SegmentCache()
    question = (ALL_TIME, Not(DimensionIs("channel", Op.IN, ("a",))), STEPS, ("channel",))
    expected = await read(context, plain.tenant_id, cache, *question)
    with capture_logs() as logs:
        assert same(await read(context, principal.tenant_id, cache, *question), expected)
    assert [entry["event"] for entry in logs] == ["journeys.segment_damaged"]
    assert cache.lost == {principal.tenant_id}
    assert await fold_due(context.services.database, cache, events=10**9, age=timedelta(days=1)) > 0
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
    await fold(context.services.database, principal.tenant_id, batch=9)
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


@pytest.mark.parametrize("statement", ["hold", "present", "state", "sealed", "drop", "add", "save"])
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
    await fold_due(context.services.database, cache, events=1, age=timedelta(0))
    await take(context, plain, [event() for _ in range(10)])
    # A log that was never folded is due at once, later ones when they are long or old enough.
    assert await fold_due(context.services.database, cache, events=10**6, age=long) == 20
    await ingest(context, [event() for _ in range(3)])
    assert await fold_due(context.services.database, cache, events=4, age=long) == 0
    await ingest(context, [event()])
    assert await fold_due(context.services.database, cache, events=4, age=long) == 4
    await ingest(context, [event()])
    assert await fold_due(context.services.database, cache, events=4, age=timedelta(0)) == 1


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
