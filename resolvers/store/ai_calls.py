"""Reading AI interactions one by one, with what each cost and what else it says."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Double, Integer, Text, case, func, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.ai_calls import AiCalls
from resolvers.analysis.ai_measures import AiMeasures
from resolvers.analysis.events import Kind
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.filters import Filter
from resolvers.analysis.ledgers import Entries, converted
from resolvers.analysis.numbering import Numbering
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import copied_in_blocks
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.ledgers import LedgerQuestion, LedgerRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.terms import TermMemory, TermRepository

_MEASURED_BYTES = 32
"""What is held of an interaction beside its cost, at most."""


def _or_none(code: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(code, literal(0, Integer)).cast(Integer)


def _or_nan(number: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(number, literal("NaN", Text).cast(Double))


def _or_zero(count: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(count, literal(0, BigInteger))


_TOKENS = (_or_zero(EVENT.input_tokens) + _or_zero(EVENT.output_tokens)).cast(BigInteger)
_MEASURES: dict[str, tuple[str, ColumnElement[Any]]] = {
    "duration": (">f8", _or_nan(EVENT.duration_ms)),
    "score": (">f8", _or_nan(EVENT.score)),
    "success": (">i4", case((EVENT.success.is_(None), -1), (EVENT.success, 1), else_=0).cast(Integer)),
    "tokens": (">i8", case((EVENT.cost.is_(None), literal(0, BigInteger)), else_=_TOKENS)),
}


@dataclass(frozen=True, slots=True)
class CallQuestion:
    """The AI interactions of a period that pass ``where``, with their values of ``by`` and costs in ``currency``."""

    period: Period
    currency: str
    where: Filter
    by: Sequence[str]


class AiCallRepository:
    """Reads the AI interactions of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)
        self.ledgers = LedgerRepository(session, memory, cache)
        self.exchange = ExchangeRateRepository(session)

    async def calls(self, tenant_id: int, asked: CallQuestion, numbering: Numbering) -> list[AiCalls]:
        """The interactions of a question, in parts; their values of ``by`` get their numbers from ``numbering``.

        Costs are in its currency, what is converted being rounded to the decimal places that a cost may have. Raises
        BadInput where they are more than fit in memory.
        """
        question = LedgerQuestion(tenant_id, "calls", asked.period, asked.where, by=asked.by)

        async def part(entries: Entries) -> AiCalls:
            rates = await self.exchange.rates_of(tenant_id, asked.currency, entries)
            return await asyncio.to_thread(_calls, entries, asked.currency, rates, numbering)

        return (await self.ledgers.made(question, part)).parts

    async def measures(self, tenant_id: int, asked: CallQuestion, numbering: Numbering) -> list[AiMeasures]:
        """What else the same interactions say, from the log, in parts. Raises BadInput likewise."""
        codes = await Codes.of(self.terms, tenant_id, asked.where)
        dimensions = {f"d{place}": (">i4", _or_none(EVENT[name])) for place, name in enumerate(asked.by)}
        columns = dimensions | _MEASURES
        query = select(*(column for _, column in columns.values())).where(
            EVENT.tenant_id == tenant_id,
            EVENT.kind == int(Kind.AI_INTERACTION),
            EVENT.occurred_at >= asked.period.start,
            EVENT.occurred_at < asked.period.end,
            condition(asked.where, codes),
        )

        def part(rows: NDArray[np.void]) -> AiMeasures:
            return AiMeasures.of(
                group=numbering.numbers([rows[name] for name in dimensions], rows.size),
                duration=rows["duration"].astype(np.float64),
                score=rows["score"].astype(np.float64),
                success=rows["success"].astype(np.int8),
                tokens=rows["tokens"].astype(np.int64),
            )

        fields = [(name, form) for name, (form, _) in columns.items()]
        return await copied_in_blocks(self.session, query, fields, part, _MEASURED_BYTES)


def _calls(entries: Entries, currency: str, rates: Rates, numbering: Numbering) -> AiCalls:
    cost = converted(entries, currency, rates)
    return AiCalls.of(
        subject=entries.subject,
        at=entries.at,
        group=numbering.numbers(list(entries.dimensions), entries.size),
        whole=cost.whole,
        fraction=cost.fraction,
        known=cost.known,
        priced=entries.currency != 0,
    )
