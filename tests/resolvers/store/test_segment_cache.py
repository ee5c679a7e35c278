"""The cache of decoded columns: within its budget, and each column decoded once."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from resolvers.context import Context, Principal
from resolvers.errors import Unavailable
from resolvers.events import ingest
from resolvers.store.folding import fold
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import Run, SegmentRepository
from tests.factories import event
from tests.resolvers.store.journey_logs import manifest


@pytest.fixture
async def run(context: Context, principal: Principal) -> Run:
    """A segment of a thousand events."""
    await ingest(context, [event(dimensions={"channel": "paid"}) for _ in range(1000)])
    await fold(context.services.database, principal.tenant_id)
    (found,) = (await manifest(context, principal.tenant_id)).runs
    return found


class Loads:
    """Which columns were read from the database."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.failures = 0
        original = SegmentRepository.sealed

        async def sealed(
            segments: SegmentRepository, tenant_id: int, run: Run, names: Sequence[str]
        ) -> Mapping[str, bytes | None] | None:
            self.names += names
            await asyncio.sleep(0)
            if self.failures:
                self.failures -= 1
                raise ConnectionError
            return await original(segments, tenant_id, run, names)

        monkeypatch.setattr(SegmentRepository, "sealed", sealed)


async def load(context: Context, principal: Principal, cache: SegmentCache, run: Run, *names: str) -> int:
    async with context.services.database.tenant(principal.tenant_id) as session:
        columns = await cache.columns(SegmentRepository(session), principal.tenant_id, run, names)
    assert columns is not None
    assert columns.coded.keys() == set(names)
    return columns.subject.size


async def test_those_who_ask_at_once_share_one_load(
    context: Context, principal: Principal, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, cache = Loads(monkeypatch), SegmentCache()
    asked = [load(context, principal, cache, run, "name", "plan") for _ in range(6)]
    assert await asyncio.gather(*asked) == [1000] * 6
    assert loads.names == ["subject", "at", "name", "plan"]
    await load(context, principal, cache, run, "plan", "channel")
    assert loads.names[4:] == ["channel"]


async def test_a_load_that_fails_leaves_it_to_the_next(
    context: Context, principal: Principal, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, cache = Loads(monkeypatch), SegmentCache()
    loads.failures = 1
    outcomes = await asyncio.gather(
        *(load(context, principal, cache, run, "name") for _ in range(3)), return_exceptions=True
    )
    failed = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    assert (len(failed), outcomes.count(1000)) == (1, 2)


async def test_what_was_used_longest_ago_makes_room(
    context: Context, principal: Principal, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, cache = Loads(monkeypatch), SegmentCache(budget=7_500)
    await load(context, principal, cache, run, "name")
    await load(context, principal, cache, run, "channel")
    await load(context, principal, cache, run, "kind")
    assert cache.size <= cache.budget
    assert loads.names == ["subject", "at", "name", "channel", "kind"]
    await load(context, principal, cache, run, "channel")
    assert len(loads.names) == 5
    await load(context, principal, cache, run, "name")
    assert loads.names[5:] == ["name"]


async def test_what_others_hold_is_left_to_them(
    context: Context, principal: Principal, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.store.segment_cache._LEAST", 5_000)
    cache, beside = SegmentCache(budget=16_000), [0]
    cache.beside = lambda: beside[0]
    await load(context, principal, cache, run, "name", "channel")
    assert cache.size > 7_000
    beside[0] = 9_500
    await load(context, principal, cache, run, "kind")
    assert 5_000 < cache.size <= 16_000 - 9_500
    # There is something for segments, however much others hold.
    beside[0] = 1_000_000
    await load(context, principal, cache, run, "plan")
    assert 0 < cache.size <= 5_000
    beside[0] = 0
    await load(context, principal, cache, run, "name", "channel", "kind")
    assert cache.size > 5_000
    cache.spare()
    assert 0 < cache.size <= 5_000
    # What fits is kept.
    await load(context, principal, cache, run, "name", "channel", "kind")
    held = cache.size
    cache.spare()
    assert cache.size == held > 5_000
    assert context.services.segments.beside() == context.services.beside_segments() > 0


async def test_nothing_is_kept_beyond_the_budget(context: Context, principal: Principal, run: Run) -> None:
    cache = SegmentCache(budget=0)
    assert await load(context, principal, cache, run, "name") == 1000
    assert cache.size == 0


async def test_a_run_that_is_gone_is_told(context: Context, principal: Principal, run: Run) -> None:
    cache = SegmentCache()
    gone = Run(run.month, run.after, run.through + 1, run.rows)
    async with context.services.database.tenant(principal.tenant_id) as session:
        assert await cache.columns(SegmentRepository(session), principal.tenant_id, gone, ["name"]) is None
    assert cache.lost == {principal.tenant_id}
