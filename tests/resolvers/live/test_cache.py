"""The answer cache: bounded, and one computation however many ask."""

import asyncio

import pytest

from resolvers.live.cache import Cache


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


async def _settled(asked: list[asyncio.Task[object]], compute: Counted) -> list[object]:
    await asyncio.sleep(0)
    compute.go.set()
    return await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize("value", ["answer", None, 0, ()])
async def test_fifty_askers_cost_one_computation(value: object) -> None:
    cache, compute = Cache(), Counted(value)
    asked = [asyncio.create_task(cache.answer("key", compute)) for _ in range(50)]
    assert await _settled(asked, compute) == [value] * 50
    assert await cache.answer("key", compute) == value
    assert compute.times == 1
    assert (cache.hits, cache.misses) == (1, 1)


async def test_a_failure_reaches_all_who_waited_and_is_not_kept() -> None:
    cache, failing = Cache(), Counted(error=ValueError("no"))
    results = await _settled([asyncio.create_task(cache.answer("key", failing)) for _ in range(5)], failing)
    assert [type(result) for result in results] == [ValueError] * 5
    assert failing.times == 1
    working = Counted()
    working.go.set()
    assert await cache.answer("key", working) == "answer"


async def test_the_first_asker_going_away_does_not_stop_the_others() -> None:
    cache, compute = Cache(), Counted()
    first, second = (asyncio.create_task(cache.answer("key", compute)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await _settled([second], compute) == ["answer"]
    assert compute.times == 1


async def test_the_entry_used_longest_ago_makes_room() -> None:
    cache, compute = Cache(size=2), Counted()
    compute.go.set()
    for key in ("a", "b", "a", "c", "a"):
        await cache.answer(key, compute)
    assert compute.times == 3
    await cache.answer("b", compute)
    assert compute.times == 4


async def test_keys_are_told_apart_to_the_letter() -> None:
    cache = Cache()
    for key in ("1|a", "11|a", "1|A", "1|a "):
        compute = Counted(key)
        compute.go.set()
        assert await cache.answer(key, compute) == key


async def test_the_last_asker_going_away_stops_the_computation() -> None:
    cache, compute = Cache(), Counted()
    asked = [asyncio.create_task(cache.answer("key", compute)) for _ in range(2)]
    await asyncio.sleep(0)
    for asker in asked:
        asker.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert await _settled([asyncio.create_task(cache.answer("key", compute))], compute) == ["answer"]
    assert compute.times == 2


async def test_large_answers_make_others_go() -> None:
    cache, compute = Cache(weight=10), Counted()
    compute.go.set()
    for key, weight in (("a", 4), ("b", 4), ("c", 4), ("b", 4)):
        await cache.answer(key, compute, weight=weight)
    assert compute.times == 3
    await cache.answer("a", compute, weight=4)
    assert compute.times == 4
