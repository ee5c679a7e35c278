"""What ledgers hold of an event, as it is read from the log."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Integer,
    Text,
    and_,
    case,
    func,
    literal,
    literal_column,
    select,
)
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.attribution_sales import UNIT
from resolvers.analysis.events import Kind
from resolvers.analysis.ledgers import Entries
from resolvers.analysis.measures import MEASURES, Floats
from resolvers.analysis.subscriptions import TIMES_A_YEAR
from resolvers.store.copying import EPOCH_US, copied
from resolvers.store.events import EVENT

Rows = NDArray[np.void]

_ROOM = literal(9_000_000, Integer)
"""Amounts below this have their 12 decimal places in a number of 64 bits, which is several times as quick to make as to
take whole and fraction apart."""
_NONE = literal(0, Integer)
_CURRENCY: ColumnElement[int] = literal_column(
    "ascii(substr(event.currency, 1, 1)) * 65536 + ascii(substr(event.currency, 2, 1)) * 256"
    " + ascii(substr(event.currency, 3, 1))"
)
# The first 63 bits of a digest, and then 1. Whose orders are compared has one order or more; that two of one person
# agree in all of these is not to be expected in the age of the universe.
_ORDER: ColumnElement[int] = literal_column(
    "(('x' || substr(encode(sha256(convert_to(nullif(event.order_id, ''), 'UTF8')), 'hex'), 1, 16))::bit(64)::bigint"
    " | 1)"
)


_ZERO = literal(0, BigInteger)
_NAN = literal("NaN", Text).cast(Double)
_MEASURES: dict[str, ColumnElement[Any]] = {
    "duration": EVENT.duration_ms,
    "score": EVENT.score,
    "success": EVENT.success.cast(Integer),
    "tokens": case(
        (and_(EVENT.input_tokens.is_(None), EVENT.output_tokens.is_(None)), None),
        else_=func.coalesce(EVENT.input_tokens, _ZERO) + func.coalesce(EVENT.output_tokens, _ZERO),
    ),
}


def _columns(kind: Kind) -> dict[str, tuple[str, ColumnElement[Any]]]:
    amount = EVENT.cost if kind is Kind.AI_INTERACTION else EVENT.amount
    large = amount >= _ROOM
    part: Any = case((large, func.mod(amount, literal(1, Integer))), else_=amount)
    columns: dict[str, tuple[str, ColumnElement[Any]]] = {
        "position": (">i8", EVENT.position),
        "subject": (">i4", EVENT.subject),
        "at": (">i8", EVENT.occurred_at),
        "name": (">i4", EVENT.name),
        "currency": (">i4", case((amount.is_(None), _NONE), else_=func.coalesce(_CURRENCY, _NONE)).cast(Integer)),
        "whole": (">i8", case((large, func.trunc(amount)), else_=_NONE).cast(BigInteger)),
        "part": (">i8", func.coalesce((part * literal(UNIT, BigInteger)).cast(BigInteger), literal(0, BigInteger))),
    }
    if kind is Kind.CONVERSION:
        columns["thing"] = (">i8", func.coalesce(_ORDER, literal(0, BigInteger)))
    if kind is Kind.SUBSCRIPTION:
        due = case({interval.value: times for interval, times in TIMES_A_YEAR.items()}, value=EVENT.interval, else_=0)
        columns["thing"] = (">i8", func.coalesce(EVENT.subscription, _NONE).cast(BigInteger))
        columns["times"] = (">i4", due.cast(Integer))
    return columns


async def ledger_rows(
    session: AsyncSession,
    tenant_id: int,
    kind: Kind,
    conditions: Sequence[ColumnElement[bool]],
    more: Sequence[tuple[str, ColumnElement[Any]]] = (),
    *,
    measured: bool = False,
) -> Rows:
    """Events of a kind that meet conditions, in order of arrival, with what ledgers hold of them and integers ``more``.

    So are their measures where ``measured``. Raises BadInput where they are more than fit in memory.
    """
    columns = _columns(kind) | {name: (">i4", column) for name, column in more}
    if measured:
        columns |= {name: (">f8", func.coalesce(_MEASURES[name].cast(Double), _NAN)) for name in MEASURES}
    query = select(*(column.label(name) for name, (_, column) in columns.items())).where(
        EVENT.tenant_id == tenant_id,
        # Said in the text of the statement, for there are indexes that hold one kind only.
        EVENT.kind == literal(int(kind), literal_execute=True),
        EVENT.subject.is_not(None),
        *conditions,
    )
    rows = await copied(session, query, [(name, form) for name, (form, _) in columns.items()])
    position = rows["position"].astype(np.int64)
    return rows if np.all(position[1:] >= position[:-1]) else rows[np.argsort(position)]


def entries_of(
    rows: Rows, steps: NDArray[np.unsignedinteger] | None = None, dimensions: NDArray[np.int32] | None = None
) -> Entries:
    """The rows as entries."""
    part = rows["part"].astype(np.int64)
    held = rows.dtype.names or ()
    return Entries(
        subject=rows["subject"].astype(np.int32),
        at=rows["at"].astype(np.int64) + EPOCH_US,
        name=rows["name"].astype(np.int32),
        currency=rows["currency"].astype(np.int32),
        whole=rows["whole"].astype(np.int64) + part // UNIT,
        fraction=part % UNIT,
        thing=rows["thing"].astype(np.int64) if "thing" in held else np.zeros(rows.size, np.int8),
        times=rows["times"].astype(np.int16) if "times" in held else np.zeros(rows.size, np.int16),
        steps=np.zeros(rows.size, np.uint8) if steps is None else steps,
        dimensions=np.empty((0, rows.size), np.int32) if dimensions is None else dimensions,
        measures=measures_of(rows) if "duration" in held else np.empty((0, rows.size)),
    )


def measures_of(rows: Rows) -> Floats:
    """The measures of rows that were read with them, a row for each of MEASURES."""
    return np.stack([rows[name].astype(np.float64) for name in MEASURES])
