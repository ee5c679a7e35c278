"""Reading AI interactions one by one, with what each cost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Double, Integer, Numeric, Text, case, func, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.ai_calls import AiCalls, AiMeasures
from resolvers.analysis.attribution_sales import PLACES, UNIT
from resolvers.analysis.events import Kind
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.filters import Filter
from resolvers.analysis.ledgers import Entries, converted
from resolvers.analysis.numbering import Numbering
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import EPOCH_US, copied
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.ledgers import LedgerQuestion, LedgerRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.terms import TermMemory, TermRepository

_KNOWN, _PRICED = 2, 1
_MOST = literal(9_000_000, Integer)
"""Costs below it fit in 64 bits as they are, which to find out is several times as quick as to take them apart."""


def _or_none(code: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(code, literal(0, Integer)).cast(Integer)


def _or_nan(number: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(number, literal("NaN", Text).cast(Double))


def _tokens(count: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(count, literal(0, BigInteger))


_MEASURES: dict[str, tuple[str, ColumnElement[Any]]] = {
    "duration": (">f8", _or_nan(EVENT.duration_ms)),
    "score": (">f8", _or_nan(EVENT.score)),
    "success": (">i4", case((EVENT.success.is_(None), -1), (EVENT.success, 1), else_=0).cast(Integer)),
    "tokens": (">i8", (_tokens(EVENT.input_tokens) + _tokens(EVENT.output_tokens)).cast(BigInteger)),
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

    async def measured(self, tenant_id: int, asked: CallQuestion, numbering: Numbering) -> list[AiCalls]:
        """The same with what else calls say, from the log, in one part."""
        currency, period, where, by = asked.currency, asked.period, asked.where, asked.by
        codes = await Codes.of(self.terms, tenant_id, where)
        money = await self.exchange.converted(tenant_id, currency, period)
        exact = func.coalesce(money.of(EVENT.cost), literal(0, Numeric))
        cost = exact if money.rate is None else func.round(exact, literal(PLACES, Integer))
        small = (EVENT.cost if money.rate is None else cost) < _MOST
        part: Any = case((small, cost), else_=func.mod(cost, literal(1, Integer)))
        state: Any = case((EVENT.cost.is_(None), 0), (money.known, _KNOWN), else_=_PRICED)
        dimensions = {f"d{place}": (">i4", _or_none(EVENT[name])) for place, name in enumerate(by)}
        columns: dict[str, tuple[str, ColumnElement[Any]]] = {
            "subject": (">i4", _or_none(EVENT.subject)),
            "at": (">i8", EVENT.occurred_at),
            "whole": (">i8", case((small, 0), else_=func.trunc(cost).cast(BigInteger)).cast(BigInteger)),
            "fraction": (">i8", (part * literal(UNIT, BigInteger)).cast(BigInteger)),
            "state": (">i4", state.cast(Integer)),
            **dimensions,
            **_MEASURES,
        }
        query = select(*(column for _, column in columns.values())).where(
            EVENT.tenant_id == tenant_id,
            EVENT.kind == int(Kind.AI_INTERACTION),
            EVENT.occurred_at >= period.start,
            EVENT.occurred_at < period.end,
            condition(where, codes),
        )
        fields = [(name, kind) for name, (kind, _) in columns.items()]
        rows = await copied(self.session, money.joined(query), fields)
        fraction = rows["fraction"].astype(np.int64)
        calls = AiCalls.of(
            subject=rows["subject"].astype(np.int32),
            at=rows["at"].astype(np.int64) + EPOCH_US,
            group=numbering.numbers([rows[name] for name in dimensions], rows.size),
            whole=rows["whole"].astype(np.int64) + fraction // UNIT,
            fraction=fraction % UNIT,
            known=rows["state"] == _KNOWN,
            priced=rows["state"] >= _PRICED,
            measures=_measures(rows),
        )
        return [calls]


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


def _measures(rows: NDArray[np.void]) -> AiMeasures:
    return AiMeasures(
        duration=rows["duration"].astype(np.float64),
        score=rows["score"].astype(np.float64),
        success=rows["success"].astype(np.int8),
        tokens=rows["tokens"].astype(np.int64),
    )
