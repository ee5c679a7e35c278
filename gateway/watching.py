"""A subscription under way, as its caller takes its answers and the observer is told of it."""

import time

from gateway.answers import Answer
from gateway.endpoint import Observer
from gateway.fanout import Watch


class Watching:
    """One subscription, from its opening, of which the observer knows, to ``close``."""

    __slots__ = ("_code", "_name", "_observer", "_over", "_started", "_watch")

    def __init__(self, watch: Watch, name: str | None, observer: Observer) -> None:
        self._watch = watch
        self._name = name
        self._observer = observer
        self._started = time.perf_counter()
        self._code: str | None = None
        self._over = False
        observer.subscription_opened(name)

    @property
    def rests(self) -> bool:
        """Whether its listener will be woken."""
        return self._watch.rests

    def rest(self) -> bool:
        """Whether its listener is passed what comes from now on, or woken, as there is nothing to take."""
        return not self._over and self._watch.rest()

    async def take(self) -> Answer | None:
        """The next answer; None after the last one, which may not be ``executed``."""
        answer = None if self._over else await self._watch.take()
        if answer is not None:
            self._code, self._over = answer.code, not answer.executed
        return answer

    async def close(self) -> None:
        """Watch no more."""
        try:
            await self._watch.leave()
        finally:
            self._observer.subscription_closed(self._name, time.perf_counter() - self._started, self._code)
