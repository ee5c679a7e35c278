"""Word of commits over Redis, besides NOTIFY: it is still heard while the database's listening connection is deaf.

NOTIFY is part of the commit and reaches whoever listens to the database; that is what nobody may miss. What goes over
Redis comes after the commit and may be lost, so it only ever wakes somebody earlier.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from resolvers.live.shared import SharedMemory
from resolvers.live.tasks import ended

log = structlog.get_logger(__name__)

_WAITING = 1_000
_PATIENCE = 1.0


class Relay:
    """Sends announcements to the gateways that share a memory, and tells ``heard`` of theirs."""

    def __init__(self, shared: SharedMemory, heard: Callable[[str], None]) -> None:
        self._shared = shared
        self._heard = heard
        self._waiting: deque[str] = deque(maxlen=_WAITING)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._send(), name="relay sending"),
            asyncio.create_task(self._listen(), name="relay listening"),
        ]

    async def stop(self) -> None:
        await ended(self._tasks)

    def announce(self, words: str) -> None:
        """Send lines of words soon, where Redis is there; never waits, and drops the oldest where too many wait."""
        self._waiting.append(words)
        self._wake.set()

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            words = "\n".join(self._waiting)
            self._waiting.clear()
            await self._shared.publish(words.encode())

    async def _listen(self) -> None:
        while True:
            await self._shared.up.wait()
            try:
                async for words in self._shared.messages():
                    for word in words.decode().split("\n"):
                        self._heard(word)
            except Exception as error:
                # How Redis does is told elsewhere, once.
                log.debug("relay.away", error=type(error).__name__)
            await asyncio.sleep(_PATIENCE)
