"""Places for those who read journeys, few enough that what they hold fits in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resolvers.errors import Overloaded

_WAIT_SECONDS = 2.0
"""So long that a page of some twenty questions, all opened at once, has its answers."""


@asynccontextmanager
async def turn(heavy: asyncio.Semaphore) -> AsyncIterator[None]:
    """One of the few places there are for reading journeys; raises Overloaded where none becomes free."""
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            await heavy.acquire()
    except TimeoutError:
        raise Overloaded("Too many questions about journeys are being answered; try again.", retry_after=2) from None
    try:
        yield
    finally:
        heavy.release()
