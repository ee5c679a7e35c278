"""Days on which subjects bought, and what for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Date, Double, Integer, cast, func, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.behaviour import GAIN
from resolvers.analysis.filters import Filter
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import copied
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.terms import TermMemory, TermRepository

_FIRST_DAY = "1970-01-01"


@dataclass(frozen=True, slots=True, eq=False)
class PurchaseDays:
    """One row for each subject and local day (counted from 1 January 1970) with purchases, and their amount in all.

    The amount is what models learn from, not money that anybody is told.
    """

    subject: NDArray[np.int32]
    day: NDArray[np.int64]
    amount: NDArray[np.float64]


class PurchaseRepository:
    """Reads the purchases of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)

    async def days(self, tenant_id: int, currency: str, where: Filter, period: Period, timezone: str) -> PurchaseDays:
        """The days on which conversions other than churn and refunds came to more than nothing in ``currency``.

        Raises BadInput where they are more than fit in memory.
        """
        codes = await Codes.of(self.terms, tenant_id, where, GAIN)
        day = cast(func.timezone(timezone, EVENT.occurred_at), Date)
        number = cast(day - cast(literal(_FIRST_DAY), Date), Integer)
        money = await ExchangeRateRepository(self.session).converted(tenant_id, currency, period)
        total = func.sum(money.of(EVENT.amount))
        query = (
            select(EVENT.subject, number, cast(total, Double))
            .where(
                EVENT.tenant_id == tenant_id,
                EVENT.subject.is_not(None),
                EVENT.occurred_at >= period.start,
                EVENT.occurred_at < period.end,
                money.known,
                EVENT.amount.is_not(None),
                condition(GAIN, codes),
                condition(where, codes),
            )
            .group_by(EVENT.subject, number)
            .having(total > 0)
        )
        rows = await copied(self.session, money.joined(query), [("subject", ">i4"), ("day", ">i4"), ("amount", ">f8")])
        return PurchaseDays(
            rows["subject"].astype(np.int32), rows["day"].astype(np.int64), rows["amount"].astype(np.float64)
        )
