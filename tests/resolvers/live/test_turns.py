"""Places are taken in turn, and refused to whoever could not have one soon."""

import asyncio

import pytest

from resolvers.errors import Overloaded
from resolvers.live.turns import Turns


async def _hold(turns: Turns, line: str, gate: asyncio.Event, order: list[str], *, patient: bool = False) -> None:
    async with turns.turn(line, patient=patient):
        order.append(line)
        await gate.wait()


async def _settled(turns: Turns, waiting: int) -> None:
    async with asyncio.timeout(5):
        while turns.waiting != waiting:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)


async def test_places_are_bounded_and_lines_take_turns() -> None:
    turns, gate, order = Turns(1, seconds=60), asyncio.Event(), list[str]()
    tasks = [asyncio.create_task(_hold(turns, line, gate, order)) for line in ("a", "a", "a", "a", "b", "c")]
    await _settled(turns, 5)
    assert (turns.busy, order) == (1, ["a"])
    gate.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "a", "b", "c", "a", "a"]
    assert (turns.busy, turns.waiting) == (0, 0)


async def test_who_waits_too_long_is_refused_and_leaves_the_line() -> None:
    turns, gate = Turns(1, seconds=0.01, shortly=0), asyncio.Event()
    holder = asyncio.create_task(_hold(turns, "a", gate, []))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await _hold(turns, "b", gate, [])
    assert refused.value.retry_after == 1
    assert turns.waiting == 0
    gate.set()
    await holder
    assert turns.busy == 0


async def test_who_would_wait_too_long_is_refused_at_once() -> None:
    now = [0.0]
    turns = Turns(1, seconds=60, clock=lambda: now[0])
    for _ in range(100):
        async with turns.turn("a"):
            now[0] += 25
    gate = asyncio.Event()
    tasks = [asyncio.create_task(_hold(turns, line, gate, [])) for line in ("a", "a", "a")]
    await _settled(turns, 2)
    with pytest.raises(Overloaded):
        await _hold(turns, "a", gate, [])
    # Another line waits for its own only, and the patient wait for any.
    tasks += [
        asyncio.create_task(_hold(turns, "b", gate, [])),
        asyncio.create_task(_hold(turns, "a", gate, [], patient=True)),
    ]
    await _settled(turns, 4)
    gate.set()
    await asyncio.gather(*tasks)
    assert turns.busy == 0


async def test_who_is_cancelled_gives_the_place_on() -> None:
    turns, gate, order = Turns(1, seconds=60), asyncio.Event(), list[str]()
    holder = asyncio.create_task(_hold(turns, "a", gate, order))
    given, left, last = (asyncio.create_task(_hold(turns, line, gate, order)) for line in ("b", "c", "d"))
    await _settled(turns, 3)
    left.cancel()
    await asyncio.wait({left})
    assert turns.waiting == 2
    # The place is given on and its taker cancelled before it knows.
    holder.cancel()
    await asyncio.sleep(0)
    given.cancel()
    gate.set()
    await asyncio.gather(holder, given, last, return_exceptions=True)
    assert order[-1] == "d"
    assert (turns.busy, turns.waiting) == (0, 0)


async def test_who_waited_before_has_less_time_left() -> None:
    now = [10.0]
    turns, gate = Turns(1, seconds=1, shortly=1, clock=lambda: now[0]), asyncio.Event()
    holder = asyncio.create_task(_hold(turns, "a", gate, []))
    await _settled(turns, 0)
    first = asyncio.create_task(_hold(turns, "a", gate, []))
    await _settled(turns, 1)
    # One ahead takes a tenth of a second as a rule: there is time for that, unless it was spent elsewhere.
    turns._usual = 0.1
    second = asyncio.create_task(_hold(turns, "a", gate, []))
    await _settled(turns, 2)
    with pytest.raises(Overloaded):
        async with turns.turn("a", since=now[0] - 0.9):
            raise AssertionError
    gate.set()
    await asyncio.gather(holder, first, second)
    assert turns.busy == 0
