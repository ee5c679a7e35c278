"""Whose turn it is: few questions that take much memory or time are answered at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resolvers.errors import Overloaded

_WAIT_SECONDS = 2.0


@asynccontextmanager
async def turn(heavy: asyncio.Semaphore) -> AsyncIterator[None]:
    """One of the few places there are for reading journeys; raises Overloaded where none becomes free."""
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            await heavy.acquire()
    except TimeoutError:
        raise Overloaded("Too many journeys are being read; try again.", retry_after=2) from None
    try:
        yield
    finally:
        heavy.release()
