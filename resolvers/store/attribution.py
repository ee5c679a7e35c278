"""What attribution reads beside journeys: the amounts of conversions."""

import asyncio

import numpy as np
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

        async def part(entries: Entries) -> Sales:
            rates = await self.exchange.rates_of(tenant_id, currency, entries)
            return await asyncio.to_thread(_sales, entries, currency, rates)

        made = await self.ledgers.made(LedgerQuestion(tenant_id, "sales", period), part)
        return await asyncio.to_thread(_in_order, made.parts)


def _sales(entries: Entries, currency: str, rates: Rates) -> Sales:
    found = converted(entries, currency, rates)
    return Sales(entries.subject, entries.at, found.whole, found.fraction)


def _in_order(parts: list[Sales]) -> Sales:
    """All parts, simultaneous ones in the order of arrival; the list is emptied, for the memory that it takes."""
    names = ("subject", "at", "whole", "fraction")
    columns = {name: [getattr(part, name) for part in parts] for name in names}
    parts.clear()
    joined = {name: np.concatenate(columns.pop(name)) for name in names}
    order = chronological(joined["subject"], joined["at"])
    return Sales(**{name: joined.pop(name)[order] for name in names})
