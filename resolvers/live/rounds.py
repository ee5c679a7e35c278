"""Rounds of the event loop: what may begin in each, so that the loop soon comes round to whoever else waits for it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from resolvers.errors import Overloaded

_FRESH = 0.5
"""The part of their patience after which those who wait are passed by those who come."""

_SHARE = 0.001
"""Seconds of a round for each of which a piece may begin, up to..."""
_LEAST = 4
"""so many, whatever a round takes."""
_WASTED = 8
_DEBT = 64
"""Weights."""


class _Waiting(NamedTuple):
    since: float
    weight: int
    begin: Callable[[], None]
    refuse: Callable[[], None]


class Rounds:
    """Lets so much begin in a round of the event loop that a round takes about ``seconds`` of computing.

    The loop takes in all that comes and runs whatever is ready before it looks for more: a thousand requests that come
    together would all be worked on before it comes to the one after them. Here work begins in pieces, each with a
    weight: 1 is that of a small request, some 0.3 ms. At most ``most`` of them begin in a round, and fewer where rounds
    take long, but always one. Work that was begun goes on before other work begins.

    That begins in the order it came, until the first of it has waited for half of ``patience``: from then on the last
    that came is the first to begin. So while more comes than can be done, some are served soon instead of all late,
    and who was passed has its turn once less comes. A ``burst`` of so many is served whole. If more than that have come
    since nobody waited, whoever has waited longer than ``patience`` is refused.
    """

    def __init__(
        self,
        most: int = 32,
        seconds: float = 0.002,
        *,
        burst: int = 1_000,
        patience: float = 0.6,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._burst = burst
        self._patience = patience
        self._clock = clock
        self._spent = spent
        self.room = most
        """The weight that may begin in a round."""
        self._left = most
        self._before: float | None = None
        """What was spent before the round; None where rounds are not counted, as nothing begins."""
        self._begun: deque[_Waiting] = deque()
        self._new: deque[_Waiting] = deque()
        self._come = 0
        """How much new work has come since some began to wait, refused or not."""

    @property
    def waiting(self) -> int:
        """How many pieces of work have to wait for another round."""
        return len(self._begun) + len(self._new)

    def refused(self) -> None:
        """Somebody came and was refused, for whatever reason, before it could join."""
        self._come += 1

    def wasted(self) -> None:
        """Work that began was refused further on: let what others began come first for a while."""
        self._left = max(self._left - _WASTED, -_DEBT)
        self._count()

    def join(self, begin: Callable[[], None], refuse: Callable[[], None], weight: int = 1) -> None:
        """Begin something new in this round or a later one, or refuse it; neither may raise."""
        self._come = self._come + 1 if self._new else 1
        self._join(self._new, begin, refuse, weight)

    async def turn(self, weight: int = 1, *, new: bool = False) -> None:
        """Return when the caller may do so much, after others had the loop; for work that goes on or is ``new``.

        Raises Overloaded where what is new has waited too long.
        """
        given = asyncio.get_running_loop().create_future()
        give, refuse = partial(_give, given), partial(_refuse, given)
        if new:
            self.join(give, refuse, weight)
        else:
            self._join(self._begun, give, refuse, weight)
        if given.done():
            await asyncio.sleep(0)
        await given

    def _join(self, line: deque[_Waiting], begin: Callable[[], None], refuse: Callable[[], None], weight: int) -> None:
        # While anybody waits there is nothing left.
        if self._left > 0:
            self._left -= weight
            begin()
        else:
            line.append(_Waiting(self._clock(), weight, begin, refuse))
        self._count()

    def _count(self) -> None:
        if self._before is None:
            self._before = self._spent()
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """Begin a round. Between two calls the loop did everything that was ready, and looked for what had come."""
        now, spent = self._clock(), self._spent()
        took = 0.0 if self._before is None else spent - self._before
        if took > self._seconds:
            # Where a round takes long for other reasons, part of it is to be what begins.
            self.room = max(1, min(_LEAST, int(took / _SHARE)), int(self.room * self._seconds / took))
        else:
            self.room = min(self._most, 2 * self.room)
        self._refuse_late(now)
        # What was heavier than there was room for takes from the next rounds.
        self._left = self.room + min(self._left, 0)
        while self._left > 0 and self.waiting:
            waiting = self._following(now)
            self._left -= waiting.weight
            waiting.begin()
        if self._left < self.room:
            self._before = spent
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._before = None

    def _following(self, now: float) -> _Waiting:
        if self._begun:
            return self._begun.popleft()
        if now - self._new[0].since > self._patience * _FRESH:
            return self._new.pop()
        return self._new.popleft()

    def _refuse_late(self, now: float) -> None:
        while self._come > self._burst and self._new and now - self._new[0].since > self._patience:
            self._new.popleft().refuse()


def _give(given: "asyncio.Future[None]") -> None:
    if not given.done():
        given.set_result(None)


def _refuse(given: "asyncio.Future[None]") -> None:
    if not given.done():
        given.set_exception(Overloaded("The gateway has too much to do; try again.", retry_after=1))
