"""HTTP requests of GraphQL over HTTP: what the client accepts, who it is, and the parameters it sent, in bounds."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar, cast
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope

from gateway.admission import WHOLE_BODY
from gateway.limits import Limits
from gateway.parameters import Malformed, Parameters, read_parameters
from resolvers.errors import Overloaded
from resolvers.live.deadlines import Deadlines

RESPONSE_JSON = "application/graphql-response+json"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"

T = TypeVar("T")

_REMEMBERED = 64
"""Headers that need not be read again."""
_SOON = 0.05
"""Seconds that whoever has left goes unnoticed."""


class BadRequest(Exception):
    """A request refused by HTTP itself, with its status."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Disconnected(Exception):
    """The client left before its request was complete."""


class Buffer:
    """The memory that the bodies of all requests share, and how long each may take."""

    def __init__(self, limits: Limits) -> None:
        self._free = limits.bodies
        self.deadlines = Deadlines(limits.body_seconds)

    def reservation(self, most: int) -> "Reservation":
        """Room for one body of at most so many bytes, taken as it arrives and given back on leaving its block."""
        return Reservation(self, most)

    def take(self, size: int) -> None:
        """Take ``size`` bytes; ``Overloaded`` if they are not free."""
        if size > self._free:
            raise Overloaded("Too many large requests are under way.", retry_after=1)
        self._free -= size

    def give(self, size: int) -> None:
        """Give ``size`` bytes back."""
        self._free += size


class Reservation:
    """One request's part of a buffer."""

    __slots__ = ("_buffer", "deadlines", "most", "size")

    def __init__(self, buffer: Buffer, most: int) -> None:
        self._buffer = buffer
        self.deadlines = buffer.deadlines
        self.most = most
        self.size = 0

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(self, *_: object) -> None:
        self._buffer.give(self.size)

    def extend(self, size: int) -> None:
        """Take ``size`` more bytes; ``Overloaded`` if they are not free."""
        self._buffer.take(size)
        self.size += size


@dataclass(frozen=True, slots=True)
class Accepted:
    """The media types a client would take."""

    json: str | None
    """The JSON type to answer in, or None if it takes neither."""
    stream: bool
    """Whether it named ``text/event-stream``."""


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this name, which is in lower case; None where there is none."""
    for one, value in scope["headers"]:
        if one == name:
            return cast(bytes, value).decode("latin-1")
    return None


def accepted(scope: Scope) -> Accepted:
    """What the Accept header allows: the best JSON type by weight, then by order; any is ``application/json``."""
    return _accepted(b",".join([value for name, value in scope["headers"] if name == b"accept"]) or b"*/*")


# Clients send the same few headers again and again.
@lru_cache(_REMEMBERED)
def _accepted(given: bytes) -> Accepted:
    ranges = [_media_range(part) for part in given.decode("latin-1").split(",")[:64]]
    weights = dict(reversed(ranges))
    ranked = sorted((name for name, weight in ranges if weight > 0), key=lambda name: weights[name], reverse=True)
    stream = weights.get(EVENT_STREAM, 0) > 0
    for name in ranked:
        if name in (RESPONSE_JSON, JSON):
            return Accepted(name, stream)
        if name in ("*/*", "application/*"):
            plain = RESPONSE_JSON if weights.get(JSON) == 0 else JSON
            return Accepted(plain if weights.get(plain) != 0 else None, stream)
    return Accepted(None, stream)


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
        elif key.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8"):
            weight = 0.0
    return name, weight


async def parameters_of(scope: Scope, receive: Receive, limits: Limits, reservation: Reservation) -> Parameters:
    """The GraphQL parameters of a GET or POST; ``BadRequest`` or ``Malformed`` if there are none to be read."""
    return read_parameters(await payload_of(scope, receive, limits, reservation, ("variables", "extensions")))


async def payload_of(
    scope: Scope,
    receive: Receive,
    limits: Limits,
    reservation: Reservation,
    encoded: Collection[str],
) -> object:
    """A POST's JSON, or the parameters of a GET, those ``encoded`` read as JSON; raises as ``parameters_of`` does."""
    if scope["method"] == "GET":
        return _query_parameters(scope["query_string"], limits, encoded)
    return await json_of(scope, receive, limits, reservation)


async def json_of(scope: Scope, receive: Receive, limits: Limits, reservation: Reservation) -> object:
    """The JSON value that a body is; ``BadRequest`` or ``Malformed`` if it is none."""
    _require_json(scope)
    return _decode(await _body(scope, receive, reservation), limits)


async def while_connected(work: asyncio.Task[T], receive: Receive) -> T:
    """What ``work`` comes to; ``Disconnected``, and the work is cancelled, once the client has left."""
    try:
        # Most work is done before it is worth the while to look.
        await asyncio.wait({work}, timeout=_SOON)
        if not work.done():
            gone = asyncio.create_task(disconnected(receive))
            try:
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
        if not work.done():
            raise Disconnected
        return work.result()
    finally:
        work.cancel()


async def disconnected(receive: Receive) -> None:
    """Return once the client has left; for after its request was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _query_parameters(query_string: bytes, limits: Limits, encoded: Collection[str]) -> dict[str, object]:
    if len(query_string) > limits.url:
        raise BadRequest(414, "The query string is too long: send the request by POST.")
    try:
        pairs = parse_qsl(query_string.decode("ascii"), errors="strict", max_num_fields=16)
    except ValueError:
        raise Malformed("The query string cannot be read.") from None
    parameters: dict[str, object] = dict(pairs)
    for name in encoded:
        if isinstance(text := parameters.get(name), str):
            parameters[name] = _decode(text.encode(), limits, f"The parameter {name}")
    return parameters


@lru_cache(_REMEMBERED)
def _is_json(content_type: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [part.partition("=")[2].strip(' "') for part in parameters if part.startswith("charset")]
    return media_type == JSON and all(charset in ("utf-8", "utf8") for charset in charsets)


def _require_json(scope: Scope) -> None:
    # Any other type could be sent by a form of a foreign page, without asking the gateway first.
    if not _is_json(header(scope, b"content-type") or ""):
        raise BadRequest(415, "The body must be application/json in UTF-8.", accept=JSON)
    encoding = header(scope, b"content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise BadRequest(415, "Compressed bodies are not supported.", accept_encoding="identity")


async def _body(scope: Scope, receive: Receive, reservation: Reservation) -> bytes:
    whole: bytes | None = scope[WHOLE_BODY]() if WHOLE_BODY in scope else None
    if whole is None:
        return await _received(scope, receive, reservation)
    if len(whole) > reservation.most:
        raise _too_large(reservation)
    reservation.extend(len(whole))
    return whole


async def _received(scope: Scope, receive: Receive, reservation: Reservation) -> bytes:
    length = header(scope, b"content-length") or ""
    body = None if length.isdecimal() and int(length[:20]) > reservation.most else bytearray()
    try:
        with reservation.deadlines():
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                more = message.get("more_body", False)
                body = _extended(body, message.get("body", b""), reservation)
    except TimeoutError:
        if body is not None:
            raise BadRequest(408, "The body took too long to arrive.", connection="close") from None
    if body is None:
        raise _too_large(reservation)
    return bytes(body)


def _too_large(reservation: Reservation) -> BadRequest:
    return BadRequest(413, f"The body is larger than {reservation.most} bytes.", connection="close")


def _extended(body: bytearray | None, chunk: bytes, reservation: Reservation) -> bytearray | None:
    """``body`` with ``chunk``, or None once it is too large.

    The rest of a body that is too large is read and dropped: a client that is still sending reads no answer.
    """
    if body is None or len(body) + len(chunk) > reservation.most:
        return None
    reservation.extend(len(chunk))
    body += chunk
    return body


def _decode(body: bytes, limits: Limits, what: str = "The request") -> object:
    if body.count(b",") + body.count(b"[") + body.count(b"{") > limits.values:
        raise BadRequest(413, f"{what} holds more than {limits.values} values.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Malformed(f"{what} is not valid JSON in UTF-8.") from None
