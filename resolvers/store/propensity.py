"""What subjects spent, as a feature of models."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Double, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.behaviour import GAIN
from resolvers.analysis.filters import Filter
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import copied
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.terms import TermMemory, TermRepository


@dataclass(frozen=True, slots=True, eq=False)
class Spend:
    """The spend of subjects, ascending by code; a feature, not an amount that anybody is told as money."""

    subject: NDArray[np.int32]
    amount: NDArray[np.float64]

    def of(self, subjects: NDArray[np.int32]) -> NDArray[np.float64]:
        """The spend of each of some subjects, 0 where there was none."""
        if not self.subject.size:
            return np.zeros(subjects.size)
        place = np.minimum(np.searchsorted(self.subject, subjects), self.subject.size - 1)
        return np.where(self.subject[place] == subjects, self.amount[place], 0.0)


class SpendRepository:
    """Sums up what the subjects of one tenant spent."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)

    async def before(
        self, tenant_id: int, currency: str, where: Filter, cutoffs: Sequence[datetime], days: int
    ) -> list[Spend]:
        """The amounts in ``currency`` of conversions but churn and refunds, in the ``days`` before each cut-off."""
        codes = await Codes.of(self.terms, tenant_id, where, GAIN)
        back = timedelta(days=days)
        period = Period(min(cutoffs) - back, max(cutoffs))
        money = await ExchangeRateRepository(self.session).converted(tenant_id, currency, period)
        spent = money.of(EVENT.amount)
        sums = [
            func.coalesce(
                func.sum(spent).filter(EVENT.occurred_at >= cutoff - back, EVENT.occurred_at < cutoff), 0
            ).cast(Double)
            for cutoff in cutoffs
        ]
        query = (
            select(EVENT.subject, *sums)
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
            .group_by(EVENT.subject)
            .order_by(EVENT.subject)
        )
        names = [f"amount_{place}" for place in range(len(cutoffs))]
        rows = await copied(self.session, money.joined(query), [("subject", ">i4"), *((name, ">f8") for name in names)])
        subject = rows["subject"].astype(np.int32)
        return [Spend(subject, rows[name].astype(np.float64)) for name in names]
