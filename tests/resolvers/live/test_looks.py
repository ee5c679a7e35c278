"""Looks: shared by those who ask together, and never begun before they asked."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from resolvers.live.looks import Looks


class Counted:
    """A look that takes until the gate opens, and tells which it is."""

    def __init__(self) -> None:
        self.begun = 0
        self.looking = asyncio.Event()
        self.gate = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        self.looking.set()
        await self.gate.wait()
        return number


async def test_who_asks_while_a_look_is_under_way_shares_the_next() -> None:
    counted = Counted()
    looks = Looks(counted)
    early = [asyncio.create_task(looks.fresh()) for _ in range(3)]
    await counted.looking.wait()
    late = [asyncio.create_task(looks.fresh()) for _ in range(3)]
    counted.gate.set()
    assert await asyncio.gather(*early) == [1] * 3
    assert await asyncio.gather(*late) == [2] * 3
    assert await looks.fresh() == 3
    assert looks.tasks == set()


async def test_one_who_goes_away_stops_nothing_for_the_others() -> None:
    counted = Counted()
    looks = Looks(counted)
    first, second = asyncio.create_task(looks.fresh()), asyncio.create_task(looks.fresh())
    await counted.looking.wait()
    first.cancel()
    counted.gate.set()
    assert await second == 1


async def test_a_look_that_fails_fails_for_those_who_shared_it_alone() -> None:
    results = iter([RuntimeError("first"), None])

    async def look() -> str:
        if (error := next(results)) is not None:
            raise error
        return "seen"

    looks = Looks(look)
    failed = await asyncio.gather(looks.fresh(), looks.fresh(), return_exceptions=True)
    assert [str(error) for error in failed] == ["first", "first"]
    assert await looks.fresh() == "seen"


async def test_a_look_that_fails_leaves_nothing_to_be_collected() -> None:
    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError

    async def ask() -> None:
        with pytest.raises(ValueError, match=r"^$"):
            await Looks(fail).fresh()

    await ask()
    gc.collect()
    gc.disable()
    try:
        await asyncio.gather(*(asyncio.create_task(ask()) for _ in range(20)))
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert not [one for one in gc.garbage if isinstance(one, (ValueError, asyncio.Future, Looks))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_who_waits_for_a_look_that_is_cancelled_waits_no_more() -> None:
    counted = Counted()
    looks = Looks(counted)
    early = asyncio.create_task(looks.fresh())
    await counted.looking.wait()
    late = asyncio.create_task(looks.fresh())
    await asyncio.sleep(0)
    (task,) = looks.tasks
    task.cancel()
    gone = await asyncio.gather(early, late, return_exceptions=True)
    assert [type(one) for one in gone] == [asyncio.CancelledError] * 2
    counted.gate.set()
    assert await looks.fresh() == 2


async def test_so_it_is_where_it_is_cancelled_before_it_began() -> None:
    begun: list[asyncio.Task[None]] = []

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        begun.append(asyncio.create_task(work))
        return begun[-1]

    async def look() -> str:
        return "seen"

    looks = Looks(look, start)
    waiting = asyncio.create_task(looks.fresh())
    await asyncio.sleep(0)
    begun[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await looks.fresh() == "seen"
