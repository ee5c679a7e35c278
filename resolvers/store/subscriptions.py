"""Reading what a tenant's subscriptions were ever said to be: few events among many, in ledgers of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.intake_values import EARLIEST
from resolvers.analysis.ledgers import number_of
from resolvers.analysis.mrr import Keys
from resolvers.analysis.numbering import Codes, combinations
from resolvers.analysis.periods import Period
from resolvers.analysis.subscriptions import (
    STEPS,
    Amounts,
    Exchange,
    Ints,
    Step,
    SubscriptionEvents,
    amounts,
    decimal,
    monthly,
)
from resolvers.errors import BadInput
from resolvers.store.database import driver
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.ledgers import LedgerQuestion, LedgerRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.terms import TERMS, TermMemory, TermRepository

EVER = Period(EARLIEST, datetime(9999, 1, 1, tzinfo=UTC))
MOST_CONDITIONS = 31
"""Conditions that are read together, a bit each."""
MOST_CUSTOMERS = 1_000
"""Customers up to which it is quicker to look each of them up than to read and walk all."""
_MOST = 1_000_000
"""Events that are walked at once; they take some 300 MB for as long as that lasts."""

_SINCE = f"""
SELECT DISTINCT subject FROM event
WHERE tenant_id = $1 AND position > $2 AND kind = {Kind.SUBSCRIPTION:d} AND subject IS NOT NULL LIMIT $3
"""  # noqa: S608  # constants only


@dataclass(frozen=True, slots=True)
class SubscriptionLog:
    """The events of a tenant's subscriptions; ``groups[i]`` are the dimension values of the group numbered i."""

    events: SubscriptionEvents
    exchange: Exchange
    groups: Sequence[Keys]
    explanation: Explanation


class SubscriptionRepository:
    """Reads the subscriptions of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)
        self.ledgers = LedgerRepository(session, memory, cache)
        self.exchange = ExchangeRateRepository(session)

    async def ever(
        self,
        tenant_id: int,
        wheres: Sequence[Filter],
        by: Sequence[str],
        *,
        currency: str,
        customers: list[int] | None = None,
    ) -> list[SubscriptionLog]:
        """All that was ever said, under each condition: whether or not it passes, as what was said may end what passes.

        There are at most ``MOST_CONDITIONS``; ``currency`` is the tenant's. Where ``customers`` are named, a few, it is
        what was said of these. Raises BadInput where the events are more than fit in memory.
        """
        question = LedgerQuestion(tenant_id, "subscriptions", EVER, steps=wheres, by=by)
        ledgers = self.ledgers
        reading = await (ledgers.read(question) if customers is None else ledgers.read_of(question, customers))
        entries = reading.entries
        if entries.size > _MOST:
            raise BadInput(
                f"More than {_MOST:,} events tell of subscriptions, which are the most that are walked at once, "
                "whatever the period: send one only where what is paid changes."
            )
        names = await self.terms.codes(tenant_id, TERMS, list(STEPS))
        group, groups = await self._groups(tenant_id, list(entries.dimensions), entries.size)
        events = SubscriptionEvents(
            customer=entries.subject,
            subscription=entries.thing,
            at=entries.at,
            # Those that contradict each other at one instant are in the order of their arrival.
            position=np.arange(entries.size),
            step=_steps(entries.name, names),
            monthly=_monthly(entries.whole, entries.fraction, entries.times),
            currency=entries.currency,
            inside=entries.step(0),
            group=group,
        )
        rates = await self.exchange.rates_of(tenant_id, currency, entries)
        factors = {
            (number_of(other), day): factor for other, by_day in rates.factors.items() for day, factor in by_day.items()
        }
        exchange = Exchange(number_of(currency), factors)
        return [
            SubscriptionLog(replace(events, inside=entries.step(place)), exchange, groups, reading.explain)
            for place in range(len(wheres))
        ]

    async def customers_since(self, tenant_id: int, version: int) -> list[int] | None:
        """Of whom something was said after that position of the log; None where they are more than a few."""
        found = await (await driver(self.session)).fetch(_SINCE, tenant_id, version, MOST_CUSTOMERS + 1)
        return [row[0] for row in found] if len(found) <= MOST_CUSTOMERS else None

    async def _groups(self, tenant_id: int, columns: Sequence[Ints], size: int) -> tuple[Ints, list[Keys]]:
        """The number of each row's group, and the groups."""
        number, first = combinations(columns, size)
        codes = [column[first].tolist() for column in columns]
        texts = await self.terms.values(tenant_id, TERMS, {code for column in codes for code in column if code})
        return number, [tuple(texts.get(column[place]) for column in codes) for place in range(first.size)]


def _steps(name: Codes, names: Mapping[str, int]) -> Ints:
    """What the events of these names say of their subscriptions."""
    found = np.full(name.size, int(Step.ENDED), np.int8)
    for text, step in STEPS.items():
        if text in names:
            found[name == names[text]] = step
    return found


def _monthly(*columns: NDArray[np.integer]) -> Amounts:
    """What amounts, given as whole units and units of 10^-12, so often a year, come to a month."""
    number, first = combinations(columns, columns[0].size)
    # Prices repeat, so that few have to be reckoned in numbers of any size.
    prices = zip(*(column[first].tolist() for column in columns), strict=True)
    known = [monthly(whole + decimal(part), times) for whole, part, times in prices]
    return amounts(known)[number]
