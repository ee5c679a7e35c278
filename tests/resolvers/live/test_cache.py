"""The answer cache: bounded, and one computation however many ask."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from resolvers.live.cache import Cache

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Counted:
    """Computes a value, counting how often, when let to."""

    def __init__(self, value: object = "answer", error: Exception | None = None) -> None:
        self.times = 0
        self.go = asyncio.Event()
        self.value = value
        self.error = error

    async def __call__(self) -> object:
        self.times += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return self.value


async def answer(cache: Cache, key: str, compute: Counted, weight: int = 1, *, state: str = "state") -> object:
    return (await cache.answer(key, state, NOW, compute, weight=weight)).value


async def _settled(asked: list[asyncio.Task[object]], compute: Counted) -> list[object]:
    await asyncio.sleep(0)
    compute.go.set()
    return await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize("value", ["answer", None, 0, ()])
async def test_fifty_askers_cost_one_computation(value: object) -> None:
    cache, compute = Cache(), Counted(value)
    asked = [asyncio.create_task(answer(cache, "key", compute)) for _ in range(50)]
    assert await _settled(asked, compute) == [value] * 50
    assert await answer(cache, "key", compute) == value
    assert compute.times == 1
    assert (cache.hits, cache.misses) == (1, 1)


async def test_a_failure_reaches_all_who_waited_and_is_not_kept() -> None:
    cache, failing = Cache(), Counted(error=ValueError("no"))
    results = await _settled([asyncio.create_task(answer(cache, "key", failing)) for _ in range(5)], failing)
    assert [type(result) for result in results] == [ValueError] * 5
    assert failing.times == 1
    working = Counted()
    working.go.set()
    assert await answer(cache, "key", working) == "answer"


async def test_the_first_asker_going_away_does_not_stop_the_others() -> None:
    cache, compute = Cache(), Counted()
    first, second = (asyncio.create_task(answer(cache, "key", compute)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await _settled([second], compute) == ["answer"]
    assert compute.times == 1


async def test_the_entry_used_longest_ago_makes_room() -> None:
    cache, compute = Cache(size=2), Counted()
    compute.go.set()
    for key in ("a", "b", "a", "c", "a"):
        await answer(cache, key, compute)
    assert compute.times == 3
    await answer(cache, "b", compute)
    assert compute.times == 4


async def test_keys_are_told_apart_to_the_letter() -> None:
    cache = Cache()
    for key in ("1|a", "11|a", "1|A", "1|a "):
        compute = Counted(key)
        compute.go.set()
        assert await answer(cache, key, compute) == key


async def test_the_last_asker_going_away_stops_the_computation() -> None:
    cache, compute = Cache(), Counted()
    asked = [asyncio.create_task(answer(cache, "key", compute)) for _ in range(2)]
    await asyncio.sleep(0)
    for asker in asked:
        asker.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert await _settled([asyncio.create_task(answer(cache, "key", compute))], compute) == ["answer"]
    assert compute.times == 2


async def test_large_answers_make_others_go() -> None:
    cache, compute = Cache(weight=10), Counted()
    compute.go.set()
    for key, weight in (("a", 4), ("b", 4), ("c", 4), ("b", 4)):
        await answer(cache, key, compute, weight)
    assert compute.times == 3
    await answer(cache, "a", compute, 4)
    assert compute.times == 4


async def test_an_answer_to_another_state_is_computed_and_takes_its_place() -> None:
    cache = Cache()
    for value, state in ((1, "old"), (2, "new"), (2, "new"), (3, "old")):
        compute = Counted(value)
        compute.go.set()
        assert await answer(cache, "key", compute, state=state) == value
    assert (cache.hits, cache.misses, len(cache.entries)) == (1, 3, 1)


async def test_a_slow_computation_does_not_drive_out_what_was_read_after_it() -> None:
    cache, slow, quick = Cache(), Counted("old"), Counted("new")
    quick.go.set()
    waiting = asyncio.create_task(answer(cache, "key", slow, state="old"))
    await asyncio.sleep(0)
    await cache.answer("key", "new", NOW + SECOND, quick)
    assert await _settled([waiting], slow) == ["old"]
    assert await answer(cache, "key", slow, state="new") == "new"


async def test_an_answer_is_recent_for_as_long_as_its_reader_says() -> None:
    cache, compute = Cache(), Counted()
    compute.go.set()
    await answer(cache, "key", compute)
    for age, accepted in ((0, 0), (1, 1), (5, 60)):
        kept = await cache.recent("key", NOW + (age - accepted) * SECOND, NOW + age * SECOND)
        assert kept is not None
        assert (kept.value, kept.at) == ("answer", NOW)
    assert await cache.recent("key", NOW + SECOND, NOW + 2 * SECOND) is None
    assert await cache.recent("other", NOW, NOW) is None
    # The clock was set back: nobody knows how old it is.
    assert await cache.recent("key", NOW - 2 * SECOND, NOW - SECOND) is None


async def test_any_number_of_questions_takes_bounded_room() -> None:
    cache, compute = Cache(size=50, weight=100), Counted()
    compute.go.set()
    for number in range(500):
        await answer(cache, f"key {number}", compute, number % 7 + 1, state=f"state {number}")
        await answer(cache, "the same", compute, number % 7 + 1, state=f"state {number}")
        assert len(cache.entries) <= 50
    assert compute.times == 1_000
    for key in ("the same", "key 499"):
        assert await cache.recent(key, NOW, NOW) is not None
