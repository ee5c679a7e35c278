"""Query results as arrays, by way of COPY in its binary format."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Dialect, Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.errors import BadInput
from resolvers.store.database import driver

T = TypeVar("T")

EPOCH_US = 946_684_800_000_000
"""Binary timestamps count from 2000-01-01; this is that instant in microseconds of 1970."""
_HEADER = 19
"""Bytes before the first row of a binary COPY: signature, flags, length of the extension area."""
_TRAILER = 2
_LARGEST = 256 << 20
_DIALECT: Dialect = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


async def copied(session: AsyncSession, query: Select[Any], fields: Sequence[tuple[str, str]]) -> NDArray[np.void]:
    """The rows of a query whose columns are never NULL, as a structured array.

    ``fields`` names the columns and gives their types: ``>i4`` or ``>i8`` (timestamps count microseconds from
    EPOCH_US). Rows are of fixed width, as the format lays them out: a count, then length and value of each field
    (https://www.postgresql.org/docs/current/sql-copy.html, section "Binary Format"). Raises BadInput where the rows
    are more than fit in memory.
    """
    return await copied_rows(await driver(session), *plain(query), fields)


def plain(query: Select[Any]) -> tuple[str, list[Any]]:
    """A query as PostgreSQL reads it, and its arguments in order."""
    compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), [compiled.params[name] for name in compiled.positiontup or ()]


async def copied_rows(
    connection: Any, query: str, arguments: Sequence[Any], fields: Sequence[tuple[str, str]]
) -> NDArray[np.void]:
    """The same as ``copied`` of a query as PostgreSQL reads it, by an asyncpg connection."""
    row = _row(fields)
    most = _LARGEST // row.itemsize
    data = bytearray()

    async def keep(chunk: bytes) -> None:
        data.extend(chunk)

    await connection.copy_from_query(_bounded(query, most), *arguments, output=keep, format="binary")
    rows = (len(data) - _HEADER - _TRAILER) // row.itemsize
    if rows > most:
        raise too_many()
    return np.frombuffer(data, row, count=rows, offset=_HEADER)


def _row(fields: Sequence[tuple[str, str]]) -> np.dtype[np.void]:
    layout: list[tuple[str, str]] = [("count", ">i2")]
    for name, kind in fields:
        layout += [(f"{name}_length", ">i4"), (name, kind)]
    return np.dtype(layout)


def _bounded(query: str, most: int) -> str:
    """The query with no more rows than tell that there are too many."""
    # Breaking a COPY off would cost the connection, and with it the transaction.
    return f"SELECT * FROM ({query}) AS found LIMIT {most + 1}"  # noqa: S608  # the queries are the store's own


def too_many() -> BadInput:
    """What to say where a question covers more events than fit in memory."""
    return BadInput(
        "The question covers more events than can be walked at once; ask for a shorter period or narrow it down "
        "with where.",
        field="period",
    )
