"""Admission: how many requests are under way at once, so that those that are get their answers soon."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resolvers.errors import Overloaded

_WINDOW_SECONDS = 0.25
_GROWTH = 1.5
_REFUSALS = frozenset({429, 503})
_STREAM = b"text/event-stream"
CAME = "gateway.came"
"""The key in a scope under which the gateway's own server tells when the request came, by ``time.monotonic``."""
WHOLE_BODY = "gateway.whole_body"
"""That under which it gives, instead of the first message, the body of a request that has come as a whole; a call for
it comes to None where it has not."""


class Crowd:
    """Lets in ``most`` requests at a time, and fewer while even the quickest one takes long.

    Where for a while no answer took less than ``seconds``, requests only wait for one another. A burst is let in all
    the same, but once more than twice ``most`` have come since answers were quick, there is room for as many as are
    answered in that time, though never for fewer than ``least``, and whoever comes beyond that is refused at once. Room
    comes back as soon as answers are quick again.
    """

    def __init__(
        self, most: int = 1_000, *, least: int = 64, seconds: float = 0.3, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = clock
        self._most = most
        self._least = min(least, most)
        self._seconds = seconds
        self.room = most
        """How many may be under way."""
        self.under_way = 0
        self._since = clock()
        self._quickest = inf
        self._pace = 0.0
        """Requests answered a second, as those answered last tell: who waited behind so many waited so long."""
        self._come = 0
        """Requests that have come since answers were quick."""

    def ticket(self) -> "Ticket":
        """A ticket for one who comes now; raises Overloaded where there is no room."""
        self._come += 1
        if self.under_way >= self.room:
            raise Overloaded("The gateway has too much to do; try again.", retry_after=1)
        return Ticket(self)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be under way; raises Overloaded where there is no room. What an exception ends was not answered."""
        ticket = self.ticket()
        ticket.enter()
        try:
            yield
            ticket.answered()
        finally:
            ticket.leave()

    def note(self, came: float, ahead: int) -> None:
        """A request that ``came`` when so many were ``ahead`` of it is answered."""
        now = self.now()
        seconds = now - came
        self._quickest = min(self._quickest, seconds)
        if seconds > 0:
            self._pace = max(self._pace, (ahead + 1) / seconds)
        if now - self._since < _WINDOW_SECONDS:
            return
        if self._quickest <= self._seconds:
            self._come = 0
            self.room = min(self._most, int(self.room * _GROWTH) + 1)
        elif self._come > 2 * self._most:
            self.room = max(self._least, min(self._most, int(self._pace * self._seconds)))
        self._since, self._quickest, self._pace = now, inf, 0.0


class Ticket:
    """One request's place in a crowd, since it came."""

    __slots__ = ("_ahead", "_crowd", "_inside", "_left", "came")

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self.came = crowd.now()
        self._ahead = crowd.under_way
        self._inside = self._left = False

    def enter(self) -> None:
        """Be under way, unless it was left already: an answer may come before the request is whole."""
        if not self._inside and not self._left:
            self._inside = True
            self._crowd.under_way += 1

    def answered(self) -> None:
        """The request has its answer."""
        self._crowd.note(self.came, self._ahead)

    def leave(self) -> None:
        """Be under way no more; harmless when repeated."""
        self._left = True
        if self._inside:
            self._inside = False
            self._crowd.under_way -= 1


class Admitted:
    """An application for one request, which leaves the crowd with its answer, or when its answers begin to stream.

    ``refused`` is told where the answer is that there is too much to do.
    """

    def __init__(self, app: ASGIApp, ticket: Ticket, refused: Callable[[], None]) -> None:
        self._app = app
        self._ticket = ticket
        self._refused = refused
        self.whole: Callable[[Message, Message], bool] = lambda start, body: False
        """Sends an answer that is there as a whole, if it can: two messages would be two system calls."""
        self.body: Callable[[], bytes | None] = lambda: None
        """What ``WHOLE_BODY`` gives."""

    def drop(self) -> None:
        """The request is not to be answered by the application after all."""
        self._ticket.leave()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        ticket = self._ticket
        start: Message | None = None

        async def passed_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if message["status"] in _REFUSALS:
                    self._refused()
                else:
                    ticket.answered()
                headers = dict(message["headers"])
                if headers.get(b"content-type", b"").startswith(_STREAM):
                    ticket.leave()
                if b"content-length" in headers:
                    start = message
                    return
            elif start is not None:
                begun, start = start, None
                if not message.get("more_body") and self.whole(begun, message):
                    return
                await send(begun)
            await send(message)

        scope[WHOLE_BODY] = self.body
        try:
            await self._app(scope, receive, passed_on)
        finally:
            # The server's request has the scope: left there, the two would wait for the collector of cycles.
            del scope[WHOLE_BODY]
            ticket.leave()
