"""A client that sends requests at a rate of its own, whether or not earlier ones are answered, as crowds do."""

import asyncio
import itertools
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from benchmarks.processes import Served

_TICK = 0.005
_CONNECTIONS = 2_000
_AT_ONCE = 50
_PATIENCE = 15.0
"""Seconds that answers are waited for when the flood is over."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_CODE = re.compile(rb'"code":"([A-Z_]+)"')
_WAIT = re.compile(rb"^retry-after: *\d+\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class Outcome:
    """What became of a flood's requests."""

    answers: Counter[str] = field(default_factory=Counter)
    """By HTTP status, and error code where there is one, or by what else happened."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """How long those that were served took, by sort of request."""
    unexplained: int = 0
    """Refusals that do not say when to come back."""
    held_back: int = 0
    """Requests that this client had no connection for."""

    lag: float = 0.0
    """Seconds by which this client itself was late, at most."""

    @property
    def served(self) -> list[float]:
        """How long all that were served took, in order."""
        return sorted(itertools.chain.from_iterable(self.seconds.values()))


class _Line(asyncio.Protocol):
    """A keep-alive connection with one request at a time."""

    def __init__(self, flood: "_Flood") -> None:
        self._flood = flood
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self.transport: asyncio.Transport | None = None
        self.sort: str | None = None
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, sort: str, request: bytes) -> None:
        assert self.transport is not None
        self.sort, self._sent = sort, self._loop.time()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[: end + 2])
        length = _LENGTH.search(head)
        end += 4 + (int(length[1]) if length else 0)
        if len(self._received) < end or self.sort is None:
            return
        self._flood.answered(
            self.sort, head, bytes(self._received[len(head) + 2 : end]), self._loop.time() - self._sent
        )
        del self._received[:end]
        self.sort = None
        self._flood.idle.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None
        if self.sort is not None:
            self._flood.outcome.answers[f"{self.sort} closed"] += 1
            self._flood.open -= 1
            self.sort = None


class _Flood:
    def __init__(self, served: Served) -> None:
        self.outcome = Outcome()
        self.idle: deque[_Line] = deque()
        self.open = 0
        """Requests without an answer."""
        self._served = served
        self._lines: list[_Line] = []

    async def connect(self, count: int) -> None:
        """Open the connections first, as that is not what is to be measured."""
        loop = asyncio.get_running_loop()
        while len(self._lines) < count:
            opening = (
                loop.create_connection(lambda: _Line(self), self._served.host, self._served.port)
                for _ in range(min(_AT_ONCE, count - len(self._lines)))
            )
            self._lines += [line for _, line in await asyncio.gather(*opening)]
        self.idle += self._lines

    def answered(self, sort: str, head: bytes, body: bytes, seconds: float) -> None:
        self.open -= 1
        status = _STATUS.match(head)
        code = _CODE.search(body) if b'"errors":' in body else None
        told = status[1].decode() if status else "no HTTP"
        if told == "200" and code is None:
            self.outcome.seconds.setdefault(sort, []).append(seconds)
        elif told in ("429", "503") and not _WAIT.search(head):
            self.outcome.unexplained += 1
        self.outcome.answers[told if code is None else f"{told} {code[1].decode()}"] += 1

    def send(self, sort: str, request: bytes) -> None:
        while self.idle:
            line = self.idle.popleft()
            if line.transport is not None and not line.transport.is_closing():
                self.open += 1
                line.send(sort, request)
                return
        self.outcome.held_back += 1

    async def end(self) -> None:
        until = asyncio.get_running_loop().time() + _PATIENCE
        while self.open and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110  # a poll costs the least
            await asyncio.sleep(_TICK)
        for line in self._lines:
            if line.sort is not None:
                self.outcome.answers[f"{line.sort} not answered"] += 1
                line.sort = None
            if line.transport is not None:
                line.transport.abort()


async def flood(served: Served, loads: Mapping[str, tuple[Iterator[bytes], float]], seconds: float) -> Outcome:
    """Send each sort of request at its rate a second for so long; returns when all are answered, or never will be."""
    crowd, loop = _Flood(served), asyncio.get_running_loop()
    rates = sum(rate for _, rate in loads.values())
    await crowd.connect(min(_CONNECTIONS, max(10, int(rates * seconds))))
    started = loop.time()
    sent = dict.fromkeys(loads, 0)
    looked = started
    while (now := loop.time()) < started + seconds:
        crowd.outcome.lag = max(crowd.outcome.lag, now - looked - _TICK)
        for sort, (requests, rate) in loads.items():
            while sent[sort] < (now - started) * rate:
                sent[sort] += 1
                crowd.send(sort, next(requests))
        looked = loop.time()
        await asyncio.sleep(_TICK)
    await crowd.end()
    return crowd.outcome
