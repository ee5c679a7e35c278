"""Reading AI interactions one by one, with what each cost and what else it says."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count

from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.ai_calls import AiCalls
from resolvers.analysis.ai_measures import AiMeasures
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.filters import Filter
from resolvers.analysis.ledgers import MEASURED, Entries, converted
from resolvers.analysis.numbering import Numbering
from resolvers.analysis.periods import Period
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.ledgers import LedgerQuestion, LedgerRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.terms import TermMemory

_PARTS = 8
"""Parts after which what they took beside what is kept of them is worth giving back."""


@dataclass(frozen=True, slots=True)
class CallQuestion:
    """The AI interactions of a period that pass ``where``, with their values of ``by`` and costs in ``currency``.

    What they say beside their cost is read where ``measured``.
    """

    period: Period
    currency: str
    where: Filter
    by: Sequence[str]
    measured: bool


class AiCallRepository:
    """Reads the AI interactions of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache) -> None:
        self.ledgers = LedgerRepository(session, memory, cache)
        self.exchange = ExchangeRateRepository(session)

    async def calls(
        self, tenant_id: int, asked: CallQuestion, numbering: Numbering, between: Callable[[], Awaitable[None]]
    ) -> list[AiCalls]:
        """The interactions of a question, in parts; their values of ``by`` get their numbers from ``numbering``.

        Costs are in its currency, what is converted being rounded to the decimal places that a cost may have. Now and
        then, ``between`` parts, there is time to give memory back. Raises BadInput where they are more than fit in it.
        """
        made = count(1)
        question = LedgerQuestion(tenant_id, MEASURED, asked.period, asked.where, by=asked.by, measured=asked.measured)

        async def part(entries: Entries) -> AiCalls:
            if next(made) % _PARTS == 0:
                await between()
            rates = await self.exchange.rates_of(tenant_id, asked.currency, entries)
            return await asyncio.to_thread(_calls, entries, asked, rates, numbering)

        return (await self.ledgers.made(question, part)).parts


def _calls(entries: Entries, asked: CallQuestion, rates: Rates, numbering: Numbering) -> AiCalls:
    cost, priced = converted(entries, asked.currency, rates), entries.currency != 0
    return AiCalls.of(
        subject=entries.subject,
        at=entries.at,
        group=numbering.numbers(list(entries.dimensions), entries.size),
        whole=cost.whole,
        fraction=cost.fraction,
        known=cost.known,
        priced=priced,
        measures=AiMeasures.of(entries.measures, priced) if asked.measured else None,
    )
