"""Days on which subjects bought, and what for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Date, Double, Integer, cast, func, literal, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.behaviour import GAIN
from resolvers.analysis.filters import Filter
from resolvers.analysis.lifetime_value import Beginnings
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import copied
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import Converted, ExchangeRateRepository
from resolvers.store.terms import TERMS, TermMemory, TermRepository

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
        day = cast(func.timezone(timezone, EVENT.occurred_at), Date)
        number = cast(day - cast(literal(_FIRST_DAY), Date), Integer)
        money = await ExchangeRateRepository(self.session).converted(tenant_id, currency, period)
        total = func.sum(money.of(EVENT.amount))
        query = (
            select(EVENT.subject, number, cast(total, Double))
            .where(*await self._purchases(tenant_id, where, period, money))
            .group_by(EVENT.subject, number)
            .having(total > 0)
        )
        rows = await copied(self.session, money.joined(query), [("subject", ">i4"), ("day", ">i4"), ("amount", ">f8")])
        return PurchaseDays(
            rows["subject"].astype(np.int32), rows["day"].astype(np.int64), rows["amount"].astype(np.float64)
        )

    async def beginnings(
        self, tenant_id: int, currency: str, where: Filter, period: Period, names: Sequence[str]
    ) -> Beginnings:
        """What the first such conversion of everybody carried in some dimensions; of two at one instant the first."""
        money = await ExchangeRateRepository(self.session).converted(tenant_id, currency, period)
        query = (
            select(EVENT.subject, *(func.coalesce(EVENT[name], literal(0, Integer)) for name in names))
            .where(*await self._purchases(tenant_id, where, period, money))
            .ext(distinct_on(EVENT.subject))
            .order_by(EVENT.subject, EVENT.occurred_at, EVENT.position)
        )
        rows = await copied(self.session, money.joined(query), [(name, ">i4") for name in ("subject", *names)])
        codes = {name: rows[name].astype(np.int32) for name in names}
        known = np.unique(np.concatenate([*codes.values()])) if codes else np.empty(0, np.int32)
        texts = await self.terms.values(tenant_id, TERMS, [code for code in known.tolist() if code])
        return Beginnings(rows["subject"].astype(np.int32), codes, texts)

    async def _purchases(
        self, tenant_id: int, where: Filter, period: Period, money: Converted
    ) -> list[ColumnElement[bool]]:
        codes = await Codes.of(self.terms, tenant_id, where, GAIN)
        return [
            EVENT.tenant_id == tenant_id,
            EVENT.subject.is_not(None),
            EVENT.occurred_at >= period.start,
            EVENT.occurred_at < period.end,
            money.known,
            EVENT.amount.is_not(None),
            condition(GAIN, codes),
            condition(where, codes),
        ]
