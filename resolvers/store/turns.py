"""Places for those who read journeys, few enough that what they hold fits in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from resolvers.errors import Overloaded

LARGE_LOG = 2_000_000
"""Events of a log from which on there are analyses that hold much of it at once."""
_WAIT_SECONDS = 2.0
"""So long that a page of some twenty questions, all opened at once, has its answers."""
_LARGE_WAIT_SECONDS = 4.0
"""So long that one or two have their turn before, each of which takes seconds; a question may take five in all."""


class Heavy:
    """So many places for reading journeys, of which those who hold very much have one at a time.

    ``reclaim`` is told when somebody has let go of theirs and of what they held, and before one of those who hold much
    begins; of these with true. ``spare`` is told to keep less for others while one of them goes on.
    """

    def __init__(
        self,
        places: int,
        reclaim: Callable[[bool], Awaitable[None] | None] = lambda large: None,
        spare: Callable[[], None] = lambda: None,
    ) -> None:
        self.places = asyncio.Semaphore(places)
        self.large = asyncio.Semaphore(1)
        self.reclaim = reclaim
        self.spare = spare


@dataclass(frozen=True, slots=True)
class Turn:
    """A place that somebody has."""

    heavy: Heavy
    large: bool

    async def breathe(self) -> None:
        """Return once what was let go of since it began is no longer held, for who holds much and goes on to take as
        much again."""
        if self.large:
            self.heavy.spare()
        await self.reclaimed()

    async def reclaimed(self) -> None:
        """Return once what others have let go of is no longer held, for who holds much."""
        begun = self.heavy.reclaim(True) if self.large else None
        if begun is not None:
            await begun


@asynccontextmanager
async def turn(heavy: Heavy, *, large: bool = False) -> AsyncIterator[Turn]:
    """One of the few places there are for reading journeys; raises Overloaded where none becomes free."""
    async with AsyncExitStack() as held:
        try:
            # Whoever waits for others as large keeps nobody else from a place.
            async with asyncio.timeout(_LARGE_WAIT_SECONDS if large else _WAIT_SECONDS):
                for wanted in (heavy.large, heavy.places) if large else (heavy.places,):
                    await held.enter_async_context(wanted)
        except TimeoutError:
            message = "Too many questions about journeys are being answered; try again."
            raise Overloaded(message, retry_after=2) from None
        mine = Turn(heavy, large)
        await mine.reclaimed()
        try:
            yield mine
        finally:
            # By then the frames that held it are gone.
            asyncio.get_running_loop().call_soon(heavy.reclaim, large)
