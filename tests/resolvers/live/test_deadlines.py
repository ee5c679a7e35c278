"""Deadlines: as ``asyncio.timeout`` for each block, with one timer for all."""

import asyncio

import pytest

from resolvers.live.deadlines import Deadlines


async def test_a_block_that_takes_longer_is_broken_off() -> None:
    deadlines = Deadlines(0.001)
    with pytest.raises(TimeoutError), deadlines():
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert (len(deadlines), task.cancelling()) == (0, 0)


async def test_each_of_many_is_given_its_own_time_by_one_timer() -> None:
    deadlines, ended = Deadlines(0.001), list[int]()

    async def late(number: int) -> None:
        try:
            with deadlines():
                await asyncio.Event().wait()
        except TimeoutError:
            ended.append(number)

    async def soon() -> str:
        with deadlines():
            await asyncio.sleep(0)
        return "done"

    answers = await asyncio.gather(late(1), soon(), late(2), soon(), late(3))
    assert (ended, answers[1], answers[3]) == ([1, 2, 3], "done", "done")
    # And again after the timer has found nobody.
    await late(4)
    assert ended[-1] == 4


async def test_who_is_cancelled_is_cancelled_though_the_time_is_over_too() -> None:
    deadlines, begun = Deadlines(60), asyncio.Event()

    async def work() -> None:
        with deadlines():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    (deadline,) = deadlines
    deadline.pass_()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(deadlines) == 0


async def test_what_a_block_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="its own"), Deadlines(60)():
        raise ValueError("its own")


async def test_the_inner_of_two_is_told_from_the_outer() -> None:
    outer, inner = Deadlines(60), Deadlines(0.001)
    with outer():
        with pytest.raises(TimeoutError), inner():
            await asyncio.Event().wait()
        assert len(outer) == 1


def test_it_serves_one_loop_after_another() -> None:
    deadlines = Deadlines(0.001)

    async def once(waits: bool) -> None:
        with deadlines():
            if waits:
                await asyncio.Event().wait()

    asyncio.run(once(waits=False))
    with pytest.raises(TimeoutError):
        asyncio.run(once(waits=True))
