"""The body of an ingest request: read against the clock, unpacked and split, never holding more than is allowed."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

MIB = 1024 * 1024
_LINE = re.compile(rb"\S[^\n]*")
"""A line that is not blank: millions of blank ones would cost time otherwise."""
UNREADABLE = "event"
"""The field that is named where an item is no JSON object at all."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How much a request may take; sizes in bytes, times in seconds."""

    items: int = 10_000
    packed: int = 8 * MIB
    expanded: int = 64 * MIB
    document: int = 16 * MIB
    """A body that is one JSON document is parsed in one go, which must not hold up everybody else."""
    line: int = MIB
    weight: int = 128 * MIB
    """Memory of one request once parsed, as estimated by ``weigh``."""
    all_weight: int = 192 * MIB
    """The same of all requests together."""
    members: int = 1_000
    """Members of a gzip body: each takes an unpacker, however little it holds."""
    between_chunks: float = 5.0
    whole: float = 30.0


class BodyRefused(Exception):
    """A body that is not taken, with the HTTP status and the error code that say so."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


@dataclass(slots=True)
class Items:
    """The items of a body: the objects with their index, and what is wrong with the others by index."""

    good: list[dict[str, Any]] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    bad: dict[int, str] = field(default_factory=dict)

    def add(self, value: Any) -> None:
        if type(value) is dict:
            self.indexes.append(len(self))
            self.good.append(value)
        else:
            self.bad[len(self)] = "must be a JSON object"

    def __len__(self) -> int:
        return len(self.good) + len(self.bad)


class Memory:
    """The weight of all bodies that are being worked on."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._held = 0

    def share(self) -> "Share":
        return Share(self)

    def _take(self, weight: int, already: int) -> None:
        if weight + already > self._limits.weight:
            raise _too_large("The body holds too much; send it in several requests.")
        if weight + self._held > self._limits.all_weight:
            raise BodyRefused(503, "OVERLOADED", "Too much is being ingested at the moment.", retry_after=1)
        self._held += weight

    def _give_back(self, weight: int) -> None:
        self._held -= weight


class Share:
    """What one request holds of the memory, until its ``with`` block ends."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._held = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *error: object) -> None:
        self._memory._give_back(self._held)

    def take(self, weight: int) -> None:
        self._memory._take(weight, self._held)
        self._held += weight


def weigh(document: bytes) -> int:
    """About the memory that a JSON text takes once parsed: its length, and an object for each of its values."""
    return len(document) + 64 * (document.count(b",") + document.count(b"[") + document.count(b"{"))


async def read_lines(request: Request, packed: bool, limits: BodyLimits, share: Share) -> Items:
    """The items of newline-delimited JSON; an unreadable line spoils itself alone. Raises BodyRefused."""
    items = Items()
    begun: list[bytes] = []
    size = 0
    async for piece in _expanded(request, packed, limits):
        head, newline, tail = piece.rpartition(b"\n")
        if newline:
            too_long = size > limits.line
            for line in _LINE.findall(b"".join(begun) + head):
                _read_line(line, too_long, items, limits, share)
                too_long = False
            begun, size = [], 0
        size += len(tail)
        if size <= limits.line:
            begun.append(tail)
        else:
            # Nothing is kept of a line that is too long but that it is there.
            begun = [b"-"]
    _read_line(b"".join(begun), size > limits.line, items, limits, share)
    return items


def _read_line(line: bytes, too_long: bool, items: Items, limits: BodyLimits, share: Share) -> None:
    line = line.strip()
    if not line:
        return
    index = len(items)
    if index >= limits.items:
        raise _too_many(limits)
    if too_long or len(line) > limits.line:
        items.bad[index] = f"must have at most {limits.line} bytes"
        return
    share.take(weigh(line))
    try:
        items.add(orjson.loads(line))
    except orjson.JSONDecodeError:
        items.bad[index] = "is not valid JSON"


async def read_document(request: Request, packed: bool, limits: BodyLimits, share: Share) -> Items:
    """The items of a JSON array, or the one that is the body. Raises BodyRefused."""
    pieces: list[bytes] = []
    size = 0
    async for piece in _expanded(request, packed, limits):
        size += len(piece)
        if size > limits.document:
            raise _too_large(
                f"A JSON document may have {limits.document} bytes; send more as lines of application/x-ndjson."
            )
        share.take(len(piece))
        pieces.append(piece)
    body = b"".join(pieces)
    share.take(weigh(body))
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BodyRefused(400, "BAD_USER_INPUT", "The body is not valid JSON.") from None
    items = Items()
    for value in document if type(document) is list else [document]:
        if len(items) >= limits.items:
            raise _too_many(limits)
        items.add(value)
    return items


async def _expanded(request: Request, packed: bool, limits: BodyLimits) -> AsyncIterator[bytes]:
    size = 0
    source = _chunks(request, limits.packed if packed else limits.expanded, limits)
    async for piece in _unpacked(source, limits.members) if packed else source:
        size += len(piece)
        if size > limits.expanded:
            raise _too_large(f"The body may have {limits.expanded} bytes once unpacked.")
        yield piece


async def _unpacked(source: AsyncIterator[bytes], members: int) -> AsyncIterator[bytes]:
    """The content of gzip members, at most a MiB at a time, so that what is small packed cannot be large at once."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        async for chunk in source:
            while chunk:
                if unpacker.eof:
                    members -= 1
                    if not members:
                        raise _too_large("The gzip body has too many members.")
                    unpacker = zlib.decompressobj(wbits=31)
                yield unpacker.decompress(chunk, MIB)
                chunk = unpacker.unconsumed_tail or unpacker.unused_data
                await asyncio.sleep(0)
        while piece := unpacker.decompress(b"", MIB):
            yield piece
    except zlib.error:
        raise BodyRefused(400, "BAD_USER_INPUT", "The body is not valid gzip.") from None
    if not unpacker.eof:
        raise BodyRefused(400, "BAD_USER_INPUT", "The gzip body ends too early.")


async def drop_rest(request: Request, limits: BodyLimits) -> None:
    """Read and drop what is left of a body that was refused: a client that is still sending reads no answer."""
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # the last one where nothing is left
        async with asyncio.timeout(limits.between_chunks):
            async for _ in request.stream():
                pass


async def _chunks(request: Request, most: int, limits: BodyLimits) -> AsyncIterator[bytes]:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > most:
        raise _too_large(f"The body may have {most} bytes.")
    size = 0
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.whole
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + limits.between_chunks)):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise BodyRefused(408, "TIMEOUT", "The body did not arrive in time.") from None
        if chunk is None:
            return
        size += len(chunk)
        if size > most:
            raise _too_large(f"The body may have {most} bytes.")
        if chunk:
            yield chunk


def _too_large(message: str) -> BodyRefused:
    return BodyRefused(413, "PAYLOAD_TOO_LARGE", message)


def _too_many(limits: BodyLimits) -> BodyRefused:
    return _too_large(f"A request may hold {limits.items} events; send more in several requests.")
