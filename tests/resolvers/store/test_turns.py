"""Places for those who read journeys: few, and one for those who hold very much."""

import asyncio

import pytest

from resolvers.errors import Overloaded
from resolvers.store import turns
from resolvers.store.turns import Heavy, turn


class Work:
    """Turns that last until they are told to end."""

    def __init__(self, heavy: Heavy) -> None:
        self.heavy = heavy
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    async def take(self, name: str, *, large: bool = False) -> None:
        self.ends[name] = asyncio.Event()
        async with turn(self.heavy, large=large):
            self.begun.append(name)
            await self.ends[name].wait()

    def begin(self, name: str, *, large: bool = False) -> asyncio.Task[None]:
        return asyncio.create_task(self.take(name, large=large))


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_large_ones_go_one_at_a_time_and_leave_a_place_to_others() -> None:
    told: list[bool] = []
    work = Work(Heavy(2, told.append))
    tasks = [work.begin("roi", large=True), work.begin("churn", large=True), work.begin("funnel")]
    await settled()
    assert work.begun == ["roi", "funnel"]
    work.ends["funnel"].set()
    await settled()
    # There is a place, but not for another one that is large.
    assert (work.begun, told) == (["roi", "funnel"], [True, False])
    work.ends["roi"].set()
    await settled()
    assert work.begun == ["roi", "funnel", "churn"]
    work.ends["churn"].set()
    await asyncio.gather(*tasks)
    await settled()
    assert told == [True, False, True, True, True]


async def test_a_large_one_has_room_made_in_its_midst() -> None:
    told: list[str] = []

    def reclaim(large: bool) -> asyncio.Future[None] | None:
        if not large:
            return None
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: (told.append("given back"), given.set_result(None)))
        return given

    heavy = Heavy(2, reclaim, lambda: told.append("spared"))
    async with turn(heavy) as small:
        await small.breathe()
        assert told == []
    async with turn(heavy, large=True) as held:
        await settled()
        told.clear()
        await held.breathe()
        assert told == ["spared", "given back"]


async def test_whoever_waits_too_long_is_refused_and_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_LARGE_WAIT_SECONDS", 0)
    work = Work(Heavy(1))
    funnel = work.begin("funnel")
    await settled()
    with pytest.raises(Overloaded):
        await work.take("roi", large=True)
    work.ends["funnel"].set()
    await funnel
    monkeypatch.undo()
    roi = work.begin("roi", large=True)
    await settled()
    assert work.begun == ["funnel", "roi"]
    work.ends["roi"].set()
    await roi


async def test_what_fails_gives_its_places_back() -> None:
    heavy = Heavy(1)

    async def failing() -> None:
        async with turn(heavy, large=True):
            raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError, match=r"^$"):
            await failing()
