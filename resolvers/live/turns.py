"""Turns: a few places for work, taken in turn by tenants, and refused at once to whoever could not have one soon."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from resolvers.errors import Overloaded

_MEMORY = 0.1
"""The weight of the last piece of work in the estimate of how long one takes."""


class Turns:
    """Gives out ``places``, at most so many at a time.

    Whoever waits stands in their own line, and a free place goes to the lines in turn: a tenant with many questions
    waits for its own. Raises Overloaded for whoever would wait longer than ``seconds`` since they came, as far as can
    be foreseen at once, and otherwise when that time is over. With no more ahead than there are places one may wait for
    ``shortly``, whatever can be foreseen: that is no crowd, but a slow machine.
    """

    def __init__(
        self,
        places: int = 4,
        seconds: float = 0.75,
        *,
        shortly: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._free = places
        self._seconds = seconds
        self._shortly = max(shortly, seconds)
        self._clock = clock
        self._usual = 0.0
        """Seconds that a place is held."""
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def busy(self) -> int:
        """How many places are taken."""
        return self._places - self._free

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return sum(map(len, self._lines.values()))

    @asynccontextmanager
    async def turn(self, line: Hashable, *, patient: bool = False, since: float | None = None) -> AsyncIterator[None]:
        """Have a place; whoever is ``patient`` waits for it without end, others came at ``since`` or just now."""
        if self._free:
            self._free -= 1
        else:
            waited = 0.0 if since is None else self._clock() - since
            await self._wait(line, None if patient else self._seconds - waited)
        began = self._clock()
        try:
            yield
        finally:
            self._usual += _MEMORY * (self._clock() - began - self._usual)
            self._pass_on()

    async def _wait(self, line: Hashable, seconds: float | None) -> None:
        ahead = len(self._lines.get(line, ())) * max(1, len(self._lines)) + 1
        short = ahead <= self._places
        if seconds is not None and short:
            seconds = self._shortly
        elif seconds is not None and ahead * self._usual > seconds * self._places:
            raise _refusal()
        given = asyncio.get_running_loop().create_future()
        self._lines.setdefault(line, deque()).append(given)
        try:
            async with asyncio.timeout(seconds):
                await given
        except BaseException as error:
            self._leave(line, given)
            if isinstance(error, TimeoutError):
                raise _refusal() from None
            raise

    def _leave(self, line: Hashable, given: "asyncio.Future[None]") -> None:
        if given.done() and not given.cancelled():
            self._pass_on()
        elif given in (waiting := self._lines.get(line, deque())):
            waiting.remove(given)
            if not waiting:
                del self._lines[line]

    def _pass_on(self) -> None:
        """Give a place that became free to the next line, which is then the last."""
        while self._lines:
            line, waiting = self._lines.popitem(last=False)
            given = waiting.popleft()
            if waiting:
                self._lines[line] = waiting
            if not given.done():
                given.set_result(None)
                return
        self._free += 1


def _refusal() -> Overloaded:
    return Overloaded("Too many questions are being answered; try again.", retry_after=1)
