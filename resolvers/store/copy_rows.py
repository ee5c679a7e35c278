"""Rows in COPY's binary format, laid out by whole columns: a row is a count, then length and bytes of each value.

https://www.postgresql.org/docs/current/sql-copy.html, section "Binary Format". A value's bytes are those that its
type's receive function takes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.event_columns import Ints, Money
from resolvers.store.copying import EPOCH_US

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_ROOM = 2 << 20
"""Bytes that a column may take with all of its values as wide as the widest; one that takes more is strung together."""
_BASE, _PER_DIGIT = 10_000, 4
"""NUMERIC counts in digits of four decimal places."""
_NEGATIVE = 0x4000

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of a column: ``lengths[row]`` of the bytes in ``data[row]`` count; of NULL, whose length is -1, none.

    Either may have one row only, which then is every row's.
    """

    data: Bytes
    lengths: Ints


@dataclass(frozen=True, slots=True)
class Strung:
    """The values of a column of which some are much longer than most: each with its length before it."""

    values: Sequence[bytes]


Column = Cells | Strung


def numbers(values: Any, form: str, present: NDArray[np.bool_] | None = None) -> Cells:
    """Numbers, or one for all rows, of a big-endian NumPy type, such as ``>i4`` for integer; NULL where not present."""
    data = np.atleast_1d(np.asarray(values)).astype(form)
    width = data.dtype.itemsize
    lengths = np.array([width]) if present is None else np.where(present, width, -1)
    return Cells(data.view(np.uint8).reshape(-1, width), lengths)


def some_numbers(at: Ints, values: NDArray[Any], form: str, size: int) -> Cells:
    """Numbers of some of the rows."""
    data = np.zeros(size, values.dtype)
    data[at] = values
    present = np.zeros(size, np.bool_)
    present[at] = True
    return numbers(data, form, present)


def codes(values: Ints) -> Cells:
    """Numbers of the dictionary; 0 is NULL."""
    return numbers(values, ">i4", values != 0)


def instants(microseconds: Any) -> Cells:
    """Times with time zone, given in microseconds since 1970."""
    return numbers(np.asarray(microseconds) - EPOCH_US, ">i8")


def octets(values: Sequence[bytes | None]) -> Column:
    """Strings of bytes, as text and bytea take them."""
    given = [value or b"" for value in values]
    lengths = np.fromiter(map(len, given), np.int64, len(given))
    if None in values:
        lengths[[value is None for value in values]] = -1
    width = max(int(lengths.max()), 1)
    if width * len(values) > _ROOM:
        return Strung([_NULL if value is None else len(value).to_bytes(4) + value for value in values])
    return Cells(np.array(given, f"S{width}").view(np.uint8).reshape(len(values), width), lengths)


def texts(values: Sequence[str | None]) -> Column:
    """Texts; raises UnicodeEncodeError for what is none."""
    return octets([None if value is None else value.encode() for value in values])


def amounts(money: Money, size: int) -> Cells:
    """Numerics of some of the rows."""
    behind = -(-money.places // _PER_DIGIT)
    factor = 10 ** (behind * _PER_DIGIT - money.places)
    whole = np.abs(money.values)
    greatest = int(whole.max(initial=0)) * factor
    count = max(-(-len(str(greatest)) // _PER_DIGIT), behind + 1)
    if greatest >= 1 << 63 or _BASE**count >= 1 << 63:
        whole = whole.astype(object)
    whole = whole * factor
    data = np.zeros((size, 4 + count), ">i2")
    sign = np.where(money.values < 0, _NEGATIVE, 0)
    for column, values in enumerate((count, count - 1 - behind, sign, money.scales)):
        data[money.at, column] = values
    for digit in range(count):
        # Zeros at either end are dropped where the value is received.
        data[money.at, 4 + digit] = whole // _BASE ** (count - 1 - digit) % _BASE
    lengths = np.full(size, -1)
    lengths[money.at] = data.shape[1] * 2
    return Cells(data.view(np.uint8).reshape(size, -1), lengths)


class Rows:
    """Rows of so many columns, to be sent whole or in part."""

    def __init__(self, size: int, columns: Mapping[str, Column]) -> None:
        cells = {name: column for name, column in columns.items() if isinstance(column, Cells)}
        strung = {name: column.values for name, column in columns.items() if isinstance(column, Strung)}
        self.names = (*cells, *strung)
        """The columns in the order in which they are sent."""
        self._strung = list(strung.values())
        width = 2 + sum(4 + column.data.shape[1] for column in cells.values())
        self._data = np.zeros((size, width), np.uint8)
        self._sent = np.ones((size, width), np.bool_)
        self._data[:, :2] = np.array([len(columns)], ">i2").view(np.uint8)
        begin = 2
        for column in cells.values():
            begin = self._lay(begin, column)

    def _lay(self, begin: int, column: Cells) -> int:
        width: int = column.data.shape[1]
        value = slice(begin + 4, begin + 4 + width)
        self._data[:, begin : begin + 4] = column.lengths.astype(">i4").view(np.uint8).reshape(-1, 4)
        self._data[:, value] = column.data
        if int(column.lengths.min()) < width:
            self._sent[:, value] = np.arange(width) < column.lengths[:, None]
        return begin + 4 + width

    def encoded(self, rows: Ints | None = None) -> bytes:
        """Those of the rows, or all, as COPY takes them."""
        data, sent = (self._data, self._sent) if rows is None else (self._data[rows], self._sent[rows])
        content = np.compress(sent.ravel(), data.ravel()).tobytes()
        if self._strung:
            places = range(len(data)) if rows is None else rows.tolist()
            strung = [[column[place] for place in places] for column in self._strung]
            content = b"".join(chain.from_iterable(zip(_cut(content, sent), *strung, strict=True)))
        return b"".join((_HEADER, content, _TRAILER))


def _cut(content: bytes, sent: NDArray[np.bool_]) -> Iterator[bytes]:
    begin = 0
    for end in sent.sum(axis=1).cumsum().tolist():
        yield content[begin:end]
        begin = end
