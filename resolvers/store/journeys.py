"""The log as arrays: which steps each subject took when, for the kernels that walk journeys."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Dialect, Integer, case, func, literal, select
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.filters import Filter
from resolvers.analysis.periods import Period
from resolvers.errors import BadInput
from resolvers.store.conditions import Codes, condition
from resolvers.store.database import driver
from resolvers.store.events import EVENT
from resolvers.store.terms import TERMS, TermMemory, TermRepository

_EPOCH_US = 946_684_800_000_000
"""Binary timestamps count from 2000-01-01; this is that instant in microseconds of 1970."""
_HEADER = 19
"""Bytes before the first row of a binary COPY: signature, flags, length of the extension area."""
_TRAILER = 2
_LARGEST = 256 << 20
"""Bytes of journeys in memory at once: some six million events."""
_DIALECT: Dialect = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


@dataclass(frozen=True, slots=True)
class Journeys:
    """Events as columns of one length, in order of arrival.

    ``subject`` holds codes, ``at`` microseconds since 1970 (UTC), ``steps`` a bit for each step an event qualifies
    for, ``dimensions`` a row of codes for each dimension asked for (0 where the event carries none).
    """

    subject: NDArray[np.int32]
    at: NDArray[np.int64]
    steps: NDArray[np.int32]
    dimensions: NDArray[np.int32]


class JourneyRepository:
    """Reads a tenant's events as arrays."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)

    async def read(
        self, tenant_id: int, period: Period, where: Filter, steps: Sequence[Filter], by: Sequence[str] = ()
    ) -> Journeys:
        """Events of the period that pass ``where`` and qualify for at least one of at most 31 steps."""
        codes = await Codes.of(self.terms, tenant_id, where, *steps)
        mask: ColumnElement[int] = literal(0, Integer)
        for place, step in enumerate(steps):
            mask = mask + case((condition(step, codes), literal(1 << place, Integer)), else_=literal(0, Integer))
        query = select(
            EVENT.position,
            EVENT.subject,
            EVENT.occurred_at,
            mask.cast(Integer),
            *(func.coalesce(EVENT[name], literal(0, Integer)).cast(Integer) for name in by),
        ).where(
            EVENT.tenant_id == tenant_id,
            EVENT.subject.is_not(None),
            EVENT.occurred_at >= period.start,
            EVENT.occurred_at < period.end,
            condition(where, codes),
            condition(AnyOf(tuple(steps)), codes),
        )
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        arguments = [compiled.params[name] for name in compiled.positiontup or ()]
        data = bytearray()

        async def keep(chunk: bytes) -> None:
            data.extend(chunk)
            if len(data) > _LARGEST:
                raise BadInput(
                    "The question covers more events than can be walked at once; ask for a shorter period or "
                    "narrow it down with where.",
                    field="period",
                )

        connection = await driver(self.session)
        await connection.copy_from_query(str(compiled), *arguments, output=keep, format="binary")
        return await asyncio.to_thread(_journeys, data, len(by))

    async def texts(self, tenant_id: int, codes: Sequence[int]) -> dict[int, str]:
        """The dimension values behind codes."""
        return await self.terms.values(tenant_id, TERMS, codes)


def _journeys(data: bytearray, dimensions: int) -> Journeys:
    """Rows of fixed width, as the binary COPY format lays them out: a count, then length and value of each field.

    Format: https://www.postgresql.org/docs/current/sql-copy.html, section "Binary Format".
    """
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for name, kind in (
        ("position", ">i8"),
        ("subject", ">i4"),
        ("at", ">i8"),
        ("steps", ">i4"),
        *((f"d{n}", ">i4") for n in range(dimensions)),
    ):
        fields += [(f"{name}_length", ">i4"), (name, kind)]
    row = np.dtype(fields)
    rows = np.frombuffer(data, row, offset=_HEADER, count=(len(data) - _HEADER - _TRAILER) // row.itemsize)
    position = rows["position"].astype(np.int64)
    if np.any(position[1:] < position[:-1]):
        # A scan mostly meets rows in the order they came in, so that this is rarely needed.
        rows = rows[np.argsort(position)]
    codes = [rows[f"d{n}"].astype(np.int32) for n in range(dimensions)]
    return Journeys(
        subject=rows["subject"].astype(np.int32),
        at=rows["at"].astype(np.int64) + _EPOCH_US,
        steps=rows["steps"].astype(np.int32),
        dimensions=np.stack(codes) if codes else np.empty((0, len(rows)), np.int32),
    )
