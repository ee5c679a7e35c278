"""Admission: how many requests are under way at once, so that those that are get their answers soon."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resolvers.errors import Overloaded

_WINDOW_SECONDS = 0.25
_GROWTH = 1.5


class Crowd:
    """Lets in ``most`` requests at a time, and fewer while even the quickest one takes long.

    Where for a while no answer took less than ``seconds``, requests only wait for one another. A burst is let in all
    the same, but once more than ``most`` have come since answers were quick, there is room for as many as are answered
    in that time, though never for fewer than ``least``, and whoever comes beyond that is refused at once. Room comes
    back as soon as answers are quick again.
    """

    def __init__(
        self, most: int = 1_500, *, least: int = 64, seconds: float = 0.3, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = clock
        self._most = most
        self._least = min(least, most)
        self._seconds = seconds
        self.room = most
        """How many may be under way."""
        self.under_way = 0
        self._since = clock()
        self._answered = 0
        self._quickest = 0.0
        self._come = 0
        """Requests that have come since answers were quick."""

    def knock(self) -> float:
        """The time, for a request that comes; raises Overloaded where there is no room for it."""
        self._come += 1
        if self.under_way >= self.room:
            raise Overloaded("The gateway has too much to do; try again.", retry_after=1)
        return self.now()

    @contextmanager
    def inside(self, came: float) -> Iterator[None]:
        """Be under way, for a request that ``came`` when it knocked; what an exception ends was not answered."""
        self.under_way += 1
        try:
            yield
            self._note(came)
        finally:
            self.under_way -= 1

    def _note(self, came: float) -> None:
        now = self.now()
        self._quickest = min(self._quickest, now - came) if self._answered else now - came
        self._answered += 1
        if (span := now - self._since) < _WINDOW_SECONDS:
            return
        if self._quickest <= self._seconds:
            self._come = 0
            self.room = min(self._most, int(self.room * _GROWTH) + 1)
        elif self._come > self._most:
            self.room = max(self._least, min(self.room, int(self._answered / span * self._seconds)))
        self._since, self._answered = now, 0
