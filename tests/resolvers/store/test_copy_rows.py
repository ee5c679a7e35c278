"""COPY's binary format against a plain reading of it, and numerics against PostgreSQL itself."""

import struct
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.event_columns import Money, Some
from resolvers.store import copy_rows
from resolvers.store.copy_rows import Column, Rows
from resolvers.store.database import connect

TEXTS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
AMOUNTS = st.none() | st.decimals(0, 10**12, allow_nan=False, places=12) | st.decimals(0, 10**6, places=2)
ROWS = st.lists(st.tuples(TEXTS, AMOUNTS, st.none() | st.integers(0, 10**12), st.sampled_from([0, 1, 2])), min_size=1)


def read(data: bytes) -> list[list[bytes | None]]:
    """The values of each row, as the format lays them out."""
    assert data[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    place, rows = 19, []
    while (count := struct.unpack_from(">h", data, place)[0]) != -1:
        place += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, place)
            place += 4
            row.append(None if length < 0 else data[place : place + length])
            place += max(length, 0)
        rows.append(row)
    assert place + 2 == len(data)
    return rows


def numeric(cell: bytes) -> tuple[Decimal, int]:
    """The number of a NUMERIC, and how many decimal places it is shown with."""
    count, weight, sign, scale = struct.unpack_from(">hhhh", cell)
    digits = struct.unpack_from(f">{count}h", cell, 8)
    assert all(0 <= digit < 10_000 for digit in digits)
    value = sum((Decimal(digit) * Decimal(10_000) ** (weight - place) for place, digit in enumerate(digits)), Decimal())
    return (-value if sign else value), scale


def places(value: Decimal) -> int:
    return max(-int(value.as_tuple().exponent), 0)


@given(ROWS, st.integers(10, 10_000))
def test_rows_read_as_they_were_laid(rows: list[Any], room: int) -> None:
    """Whether columns are laid side by side or strung together, whole or in part."""
    words, sums, counts, flags = map(list, zip(*rows, strict=True))
    size = len(rows)
    some = Some.of(counts, np.int64)
    said = np.array(flags)
    room, copy_rows._ROOM = copy_rows._ROOM, room
    try:
        text = copy_rows.texts(words)
    finally:
        copy_rows._ROOM = room
    columns: dict[str, Column] = {
        "text": text,
        "tenant": copy_rows.numbers(7, ">i4"),
        "amount": copy_rows.amounts(Money.of(sums), size),
        "count": copy_rows.some_numbers(some.at, some.values, ">i8", size),
        "flag": copy_rows.numbers(said == 2, ">u1", said != 0),
    }
    laid = Rows(size, columns)
    chosen = np.arange(0, size, 2)
    for part, wanted in ((None, rows), (chosen, rows[::2])):
        for cells, (word, amount, count, flag) in zip(read(laid.encoded(part)), wanted, strict=True):
            found = dict(zip(laid.names, cells, strict=True))
            assert found["text"] == (None if word is None else word.encode())
            assert found["tenant"] == (7).to_bytes(4)
            assert found["count"] == (None if count is None else count.to_bytes(8))
            assert found["flag"] == (None, b"\0", b"\1")[flag]
            shown = None if found["amount"] is None else numeric(found["amount"])
            assert shown == (None if amount is None else (amount, places(amount)))


async def test_numerics_are_received_as_they_were(database_url: str) -> None:
    given = "0 1 10000 9999 0.1 0.0001 0.00001 123456789.123456789 999999999999.999999999999 1000000000000 49.90 100.00"
    given += " 0.000000000000000001 12345678901.000000000000000001"
    wanted = given.split()
    size = len(wanted) + 1
    columns: dict[str, Column] = {
        "n": copy_rows.numbers(range(size), ">i4"),
        "amount": copy_rows.amounts(Money.of([*map(Decimal, wanted), None]), size),
    }
    rows = Rows(size, columns)
    connection = await connect(database_url)
    try:
        await connection.execute("CREATE TEMPORARY TABLE received (n integer, amount numeric)")
        source = memoryview(rows.encoded())
        await connection.copy_to_table("received", columns=rows.names, source=source, format="binary")
        found = await connection.fetch("SELECT amount::text FROM received ORDER BY n")
        stored = await connection.fetchval("SELECT sum(pg_column_size(amount)) FROM received")
        plain = await connection.fetchval("SELECT sum(pg_column_size(v::numeric)) FROM unnest($1::text[]) AS v", wanted)
    finally:
        await connection.close()
    assert [row[0] for row in found] == [*wanted, None]
    assert abs(stored - plain) <= 3 * size
