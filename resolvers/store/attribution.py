"""What attribution reads beside journeys: the amounts of conversions."""

import asyncio

from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.attribution_sales import Sales
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.journeys import chronological
from resolvers.analysis.ledgers import Entries, converted
from resolvers.analysis.periods import Period
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.ledgers import LedgerQuestion, LedgerRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.terms import TermMemory


class SaleRepository:
    """Reads the conversions of one tenant with their amounts; no other kind of event has any."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache) -> None:
        self.ledgers = LedgerRepository(session, memory, cache)
        self.exchange = ExchangeRateRepository(session)

    async def sales(self, tenant_id: int, period: Period, currency: str) -> Sales:
        """Every conversion of the period, amounts in ``currency``; one that cannot be converted counts as none.

        What is converted is rounded to the decimal places that an amount may have, a half away from zero. Raises
        BadInput where they are more than fit in memory.
        """
        entries = (await self.ledgers.read(LedgerQuestion(tenant_id, "sales", period))).entries
        rates = await self.exchange.rates_of(tenant_id, currency, entries)
        return await asyncio.to_thread(_sales, entries, currency, rates)


def _sales(entries: Entries, currency: str, rates: Rates) -> Sales:
    order = chronological(entries.subject, entries.at)
    found = converted(entries, currency, rates)
    return Sales(entries.subject[order], entries.at[order], found.whole[order], found.fraction[order])
