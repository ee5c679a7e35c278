"""What other processes, and this one, have just committed: woken by NOTIFY, asked by nobody.

The bus holds one listening connection. After a gap (the connection was lost) it tells every listener that anything
may have changed. Word of a commit may come another way too; what comes by NOTIFY needs no other.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import structlog

from resolvers.live.tasks import ended

CHANNEL = "gateway"
_COMMIT = re.compile(r"v (\d+) \d+ (\d+(?:,\d+)*)", re.ASCII)
_REVOCATION = re.compile(r"k (\d+)", re.ASCII)
_PATIENCE = (0.05, 0.2, 1.0, 2.0)
_PROBE = 5.0
_REMEMBERED = 1_000

log = structlog.get_logger()


class Mailbox:
    """One listener's slot: what has changed since it last looked, however much that was."""

    def __init__(self) -> None:
        self._kinds: set[int] = set()
        self._anything = False
        self._event = asyncio.Event()

    def put(self, kinds: frozenset[int] | None) -> None:
        """Note that events of ``kinds`` were committed; None where anything may have been."""
        if kinds is None:
            self._anything = True
        else:
            self._kinds |= kinds
        self._event.set()

    async def wait(self, kinds: frozenset[int]) -> None:
        """Return when something of ``kinds`` has changed since the last return."""
        while True:
            await self._event.wait()
            self._event.clear()
            changed = self._anything or bool(self._kinds & kinds)
            self._anything = False
            self._kinds.clear()
            if changed:
                return


class Bus:
    """Passes commits on to those who wait for them.

    ``connect`` opens a connection for LISTEN. ``revoked`` is called with a key's id when the key is revoked anywhere,
    ``resumed`` whenever the bus hears again after a gap in which it may have missed one.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        *,
        revoked: Callable[[int], None] = lambda _: None,
        resumed: Callable[[], None] = lambda: None,
    ) -> None:
        self._connect = connect
        self._revoked = revoked
        self._resumed = resumed
        self._listeners: dict[int, set[Mailbox]] = {}
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._notified: dict[str, None] = {}
        """The last announcements that came by NOTIFY, oldest first."""
        self.ready = asyncio.Event()
        """Set while the bus hears of commits."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="bus")

    async def stop(self) -> None:
        if self._task is not None:
            await ended([self._task])

    @contextlib.contextmanager
    def listen(self, tenant_id: int) -> Iterator[Mailbox]:
        """A mailbox for a tenant's commits, from now until the block ends."""
        mailbox = Mailbox()
        self._listeners.setdefault(tenant_id, set()).add(mailbox)
        try:
            yield mailbox
        finally:
            mailboxes = self._listeners[tenant_id]
            mailboxes.discard(mailbox)
            if not mailboxes:
                del self._listeners[tenant_id]

    @property
    def listening(self) -> int:
        """How many mailboxes there are."""
        return sum(len(mailboxes) for mailboxes in self._listeners.values())

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                connection = await self._connect()
                try:
                    await self._hear(connection)
                finally:
                    if self.ready.is_set():
                        tries = 0
                    self.ready.clear()
                    connection.terminate()
            except Exception as error:
                # Whatever it was, asyncpg's own confusion over a cut connection included: it must hear again.
                log.warning("bus.away", error=type(error).__name__)
            await asyncio.sleep(_PATIENCE[min(tries, len(_PATIENCE) - 1)])
            tries += 1

    async def _hear(self, connection: asyncpg.Connection) -> None:
        """Listen until the connection is lost; it is probed, because a dead peer does not always say so."""
        self._lost.clear()
        connection.add_termination_listener(lambda _: self._lost.set())
        await connection.add_listener(CHANNEL, self._heard)
        self.ready.set()
        self._anything_may_have_changed()
        self._resumed()
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PROBE):
                    await self._lost.wait()
            if not self._lost.is_set():
                await connection.execute("SELECT 1", timeout=_PROBE)

    def _anything_may_have_changed(self) -> None:
        for mailboxes in self._listeners.values():
            for mailbox in mailboxes:
                mailbox.put(None)

    def relayed(self, word: str) -> None:
        """Take in the announcement of a commit that came another way, unless it came by NOTIFY before.

        It never stands for the one that comes by NOTIFY afterwards.
        """
        commit = _COMMIT.fullmatch(word)
        if commit is not None and word not in self._notified:
            self._wake(commit)

    def _wake(self, commit: re.Match[str]) -> None:
        changed = frozenset(map(int, commit[2].split(",")))
        for mailbox in self._listeners.get(int(commit[1]), ()):
            mailbox.put(changed)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        word = str(payload)
        if commit := _COMMIT.fullmatch(word):
            self._notified[word] = None
            if len(self._notified) > _REMEMBERED:
                del self._notified[next(iter(self._notified))]
            self._wake(commit)
        elif revocation := _REVOCATION.fullmatch(word):
            self._revoked(int(revocation[1]))
        else:
            log.warning("bus.unknown", payload=word[:80])
