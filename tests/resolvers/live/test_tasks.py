"""Tasks end, whatever their cancellation meets."""

import asyncio
from typing import Any

from resolvers.live.bus import Bus
from resolvers.live.tasks import ended


class Stubborn:
    """A driver that tells of an error of its own where it is cancelled, some times over."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.begun = asyncio.Event()

    async def work(self) -> Any:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.times -= 1
            if self.times < 0:
                raise
            raise OSError("cancelled") from None

    async def again_and_again(self) -> None:
        while True:
            try:
                await self.work()
            except OSError:
                continue


async def test_tasks_are_cancelled_until_they_end() -> None:
    drivers = [Stubborn(times) for times in range(3)]
    tasks = [asyncio.create_task(driver.again_and_again()) for driver in drivers]
    for driver in drivers:
        await driver.begun.wait()
    async with asyncio.timeout(10):
        await ended(tasks)
        await ended(tasks)
        await ended([])
    assert all(task.cancelled() for task in tasks)
    assert [driver.times for driver in drivers] == [-1] * 3


async def test_a_bus_stops_though_its_driver_takes_the_first_word_of_it_for_an_error() -> None:
    driver = Stubborn(1)
    bus = Bus(driver.work)
    bus.start()
    await driver.begun.wait()
    async with asyncio.timeout(10):
        await bus.stop()
    assert driver.times == -1
