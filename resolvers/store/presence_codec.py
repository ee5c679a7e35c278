"""The sets of a day as bytes: a header, and distances between codes; apart from them the hours."""

import struct

import numpy as np
import orjson

from resolvers.analysis.classes import EventClass
from resolvers.analysis.presence import DaySets
from resolvers.store.segment_codec import opened, pack, seal, unpack

_LENGTH = struct.Struct("<I")


def sealed_sets(sets: DaySets, place: str) -> tuple[bytes, bytes]:
    """Codes and hours as they are kept, each bound to its place."""
    assert sets.hours is not None
    first = sets.starts[:-1]
    header = orjson.dumps([[*map(tuple, sets.classes)], sets.starts.tolist(), sets.codes[first].tolist()])
    steps = np.diff(sets.codes, prepend=0)
    # A class begins anew, with the code that the header tells.
    steps[first] = 0
    assert steps.min(initial=0) >= 0
    steps = steps.astype(np.min_scalar_type(int(steps.max(initial=0))))
    codes = _LENGTH.pack(len(header)) + header + pack(steps)
    return seal(codes, f"{place}/codes"), seal(pack(sets.hours), f"{place}/hours")


def opened_sets(codes: bytes, hours: bytes | None, place: str) -> DaySets:
    """The same read back, without the hours where they are not given; raises Damaged."""
    body = opened(codes, f"{place}/codes")
    (length,) = _LENGTH.unpack_from(body)
    classes, starts, first = orjson.loads(body[_LENGTH.size : _LENGTH.size + length])
    values = unpack(body[_LENGTH.size + length :])[0].astype(np.int64)
    for start, end, code in zip(starts[:-1], starts[1:], first, strict=True):
        values[start] = code
        np.cumsum(values[start:end], out=values[start:end])
    bits = None if hours is None else unpack(opened(hours, f"{place}/hours"))[0].astype(np.uint32)
    return DaySets(tuple(EventClass(*one) for one in classes), np.array(starts, np.int64), values, bits)
