"""Open WebSockets, event streams and exports: counted, bounded, and ended from outside when a key or the process goes.

A session ends in one of two ways: its peer leaves, or ``Session.end`` asks its handler to close it. Work that
must outlive its handler (a write whose sender left, the clean-up of a stream) is kept here until it is done.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from math import inf
from typing import Any, NamedTuple, TypeVar

from gateway.limits import Limits
from resolvers.context import Principal
from resolvers.errors import Overloaded, Unauthenticated

T = TypeVar("T")

REVOKED = 4403
RESTARTING = 1012


class Kind(StrEnum):
    """What a session runs over."""

    WEBSOCKET = "websocket"
    EVENT_STREAM = "event_stream"
    EXPORT = "export"


class Ending(NamedTuple):
    """Why a session is closed, as a WebSocket's close code and reason."""

    code: int
    reason: str


class Session:
    """One open WebSocket, event stream or export."""

    def __init__(self, kind: Kind, principal: Principal | None, token: str | None) -> None:
        self.kind = kind
        self.principal = principal
        self.token = token
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        """Done once the session is asked to close; its handler then does."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once its handler has."""

    def end(self, code: int, reason: str) -> None:
        """Ask for the session to be closed; the first ending asked for holds."""
        if not self.ended.done():
            self.ended.set_result(Ending(code, reason))


class Sessions:
    """The open sessions of this process."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._open: set[Session] = set()
        self._keys: Counter[int | None] = Counter()
        self._tenants: Counter[int] = Counter()
        self._kinds: Counter[Kind] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._shutdowns: set[asyncio.Task[Any] | None] = set()
        self._closing = False
        self._deadline = inf

    def count(self, kind: Kind | None = None) -> int:
        """How many sessions are open, of one kind or of both."""
        return len(self._open) if kind is None else self._kinds[kind]

    @property
    def tasks(self) -> int:
        """How many operations and clean-ups are under way that no handler may cut short."""
        return len(self._tasks)

    def open(self, kind: Kind, principal: Principal | None, token: str | None = None) -> Session:
        """Count a new session in; ``Overloaded`` if the process, the tenant or the key has too many."""
        if self._closing:
            raise Overloaded("The gateway is restarting.", retry_after=1)
        if len(self._open) >= self._limits.connections:
            raise Overloaded("Too many connections are open.", retry_after=5)
        self._admit(principal)
        session = Session(kind, principal, token)
        self._open.add(session)
        self._kinds[kind] += 1
        self._count(principal, 1)
        return session

    def identify(self, session: Session, principal: Principal | None, token: str | None) -> None:
        """Count ``session`` for the key it has presented since it opened; ``Overloaded`` as in ``open``."""
        if _key(principal) != _key(session.principal):
            self._admit(principal)
            self._count(session.principal, -1)
            self._count(principal, 1)
        session.principal, session.token = principal, token

    def close(self, session: Session) -> None:
        """Count ``session`` out; harmless when repeated."""
        if session in self._open:
            self._open.remove(session)
            self._kinds[session.kind] -= 1
            self._count(session.principal, -1)
            session.closed.set_result(None)

    def keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work`` in a task that ``shutdown`` waits for, whether or not its starter still does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def revoke(self, key_id: int) -> int:
        """Close every session of the key ``key_id`` at once; how many there were."""
        return self._end(lambda session: _key(session.principal) == key_id, REVOKED, "Forbidden")

    async def recheck(self, authenticate: Callable[[str | None], Awaitable[Principal | None]]) -> int:
        """Close the sessions whose token is no longer good; how many there were.

        For a revocation that was never heard of: to be called now and then, and after a gap in notifications.
        """
        dead = set()
        for token in {session.token for session in self._open}:
            try:
                await authenticate(token)
            except Unauthenticated:
                dead.add(token)
        return self._end(lambda session: session.token in dead, REVOKED, "Forbidden")

    async def shutdown(self, seconds: float = 5.0) -> None:
        """Refuse new sessions, close those open (1012) and wait at most ``seconds`` for all work to finish.

        Repeated, it waits no longer than it first would have.
        """
        self._closing = True
        # Shutdowns that are kept, or that overlap, must not wait for themselves or one another.
        self._shutdowns.add(asyncio.current_task())
        self._end(lambda _: True, RESTARTING, "Service restart")
        clock = asyncio.get_running_loop().time
        self._deadline = min(self._deadline, clock() + seconds)
        while (waiting := self._unfinished()) and (left := self._deadline - clock()) > 0:
            await asyncio.wait(waiting, timeout=left)

    def _unfinished(self) -> set[asyncio.Future[Any]]:
        return {*self._tasks, *(session.closed for session in self._open)} - self._shutdowns

    def _end(self, chosen: Callable[[Session], bool], code: int, reason: str) -> int:
        sessions = [session for session in self._open if chosen(session)]
        for session in sessions:
            session.end(code, reason)
        return len(sessions)

    def _admit(self, principal: Principal | None) -> None:
        limits = self._limits
        most = limits.connections_anonymous if principal is None else limits.connections_per_key
        if self._keys[_key(principal)] >= most:
            raise Overloaded("Too many connections are open for this key.", retry_after=5)
        if principal is not None and self._tenants[principal.tenant_id] >= limits.connections_per_tenant:
            raise Overloaded("Too many connections are open for this tenant.", retry_after=5)

    def _count(self, principal: Principal | None, change: int) -> None:
        _change(self._keys, _key(principal), change)
        if principal is not None:
            _change(self._tenants, principal.tenant_id, change)


K = TypeVar("K")


def _change(counter: Counter[K], key: K, change: int) -> None:
    counter[key] += change
    if not counter[key]:
        del counter[key]


def _key(principal: Principal | None) -> int | None:
    return None if principal is None else principal.key_id
