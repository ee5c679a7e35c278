"""Columns of a journey segment as bytes: packed, compressed and sealed with a digest.

A sealed column is: format version (1 byte), BLAKE2b digest (16 bytes) over the place it belongs to and its body, body.
A body is a header followed by arrays; an array is its item size, its length and the planes of its bytes (all lowest
bytes first), each of them deflated where that pays.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.columns import Coded, Moments
from resolvers.analysis.ledgers import Ledger
from resolvers.analysis.measures import Measures, Numbers

FORMAT = 1
_DIGEST = 16
_LEVEL = 1
_SAMPLE = 1 << 16
_WORTHWHILE = 0.9
_ARRAY = struct.Struct("<BQ")
_PLANE = struct.Struct("<BQ")
_MOMENTS = struct.Struct("<qi")
_PART = struct.Struct("<Q")
_UNIT = struct.Struct("<Q")


class Damaged(Exception):
    """A column whose bytes are not what was written, or that this version cannot read."""


def seal(body: bytes, place: str) -> bytes:
    """A body with what proves it whole and in its place."""
    return bytes([FORMAT]) + _digest(body, place) + body


def opened(sealed: bytes, place: str) -> memoryview:
    """The body of a sealed column; raises Damaged."""
    body = memoryview(sealed)[1 + _DIGEST :]
    if sealed[:1] != bytes([FORMAT]) or sealed[1 : 1 + _DIGEST] != _digest(body, place):
        raise Damaged(place)
    return body


def _digest(body: bytes | memoryview, place: str) -> bytes:
    digest = blake2b(place.encode() + b"\0", digest_size=_DIGEST)
    digest.update(body)
    return digest.digest()


def pack_subjects(subject: NDArray[np.int32]) -> bytes:
    """Subject codes in ascending order, by the distances between them."""
    steps = np.diff(subject, prepend=np.int32(0))
    return pack(steps.astype(np.min_scalar_type(int(steps.max(initial=0)))))


def unpack_subjects(body: memoryview) -> NDArray[np.int32]:
    steps, _ = unpack(body)
    return np.cumsum(steps, dtype=np.int32)


def unpack_ascending(body: memoryview) -> Ascending:
    """What ``pack_subjects`` has packed, as narrow as it was."""
    return Ascending.by_steps(unpack(body)[0])


def pack_moments(moments: Moments) -> bytes:
    return _MOMENTS.pack(moments.start_us, moments.unit_us) + pack(moments.ticks)


def unpack_moments(body: memoryview) -> Moments:
    start_us, unit_us = _MOMENTS.unpack_from(body)
    ticks, _ = unpack(body[_MOMENTS.size :])
    return Moments(ticks, start_us, unit_us)


def pack_coded(column: Coded) -> bytes:
    return pack(column.codes.astype(np.uint32)) + pack(column.index)


def unpack_coded(body: memoryview) -> Coded:
    codes, rest = unpack(body)
    return Coded(codes.astype(np.int32), unpack(rest)[0])


def pack_ledger(ledger: Ledger) -> bytes:
    """A ledger as its columns, each after its length."""
    parts = [
        pack_subjects(ledger.row.codes),
        pack_subjects(ledger.subject.codes),
        pack_moments(ledger.moments),
        pack_coded(ledger.name),
        pack_coded(ledger.currency),
        pack(ledger.whole),
        _UNIT.pack(ledger.unit) + pack(ledger.fraction),
        pack(ledger.thing),
        pack(ledger.times),
    ]
    return _after_lengths(parts)


def pack_measures(measures: Measures) -> bytes:
    """Measures as their columns, each after its length."""
    return _after_lengths([_UNIT.pack(column.scale) + pack(column.ticks) for column in measures.columns])


def unpack_measures(body: memoryview) -> Measures:
    return Measures(tuple(Numbers(unpack(part[_UNIT.size :])[0], _UNIT.unpack_from(part)[0]) for part in _parts(body)))


def _after_lengths(parts: Iterable[bytes]) -> bytes:
    return b"".join(_PART.pack(len(part)) + part for part in parts)


def _parts(body: memoryview) -> Iterator[memoryview]:
    while body:
        (length,) = _PART.unpack_from(body)
        yield body[_PART.size : _PART.size + length]
        body = body[_PART.size + length :]


def unpack_ledger(body: memoryview) -> Ledger:
    row, subject, moments, name, currency, whole, fraction, thing, times = _parts(body)
    return Ledger(
        row=unpack_ascending(row),
        subject=unpack_ascending(subject),
        moments=unpack_moments(moments),
        name=unpack_coded(name),
        currency=unpack_coded(currency),
        whole=unpack(whole)[0],
        unit=_UNIT.unpack_from(fraction)[0],
        fraction=unpack(fraction[_UNIT.size :])[0],
        thing=unpack(thing)[0],
        times=unpack(times)[0],
    )


def pack(values: NDArray[np.unsignedinteger]) -> bytes:
    """An array as it lies in a body."""
    size = values.dtype.itemsize
    planes = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    bytes_of = planes.view(np.uint8).reshape(-1, size)
    parts = [_ARRAY.pack(size, values.size)]
    for plane in range(size):
        content = bytes_of[:, plane].tobytes()
        sample = content[:_SAMPLE]
        deflated = len(zlib.compress(sample, _LEVEL)) < _WORTHWHILE * len(sample)
        if deflated:
            content = zlib.compress(content, _LEVEL)
        parts += [_PLANE.pack(deflated, len(content)), content]
    return b"".join(parts)


def unpack(body: memoryview) -> tuple[NDArray[np.unsignedinteger], memoryview]:
    """The first array of a body, and what follows it."""
    size, length = _ARRAY.unpack_from(body)
    body = body[_ARRAY.size :]
    planes = np.empty((length, size), np.uint8)
    for plane in range(size):
        deflated, taken = _PLANE.unpack_from(body)
        content = body[_PLANE.size : _PLANE.size + taken]
        planes[:, plane] = np.frombuffer(zlib.decompress(content) if deflated else content, np.uint8)
        body = body[_PLANE.size + taken :]
    return planes.reshape(-1).view(np.dtype(f"<u{size}")), body
