"""What subjects spent, as a feature of models."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Double, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.behaviour import GAIN
from resolvers.analysis.filters import Filter
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import copied
from resolvers.store.events import EVENT
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

    async def before(self, tenant_id: int, currency: str, where: Filter, cutoff: datetime, days: int) -> Spend:
        """The amounts in ``currency`` of conversions other than churn, in the ``days`` before a cut-off."""
        codes = await Codes.of(self.terms, tenant_id, where, GAIN)
        query = (
            select(EVENT.subject, func.sum(EVENT.amount).cast(Double))
            .where(
                EVENT.tenant_id == tenant_id,
                EVENT.subject.is_not(None),
                EVENT.occurred_at >= cutoff - timedelta(days=days),
                EVENT.occurred_at < cutoff,
                EVENT.currency == currency,
                EVENT.amount.is_not(None),
                condition(GAIN, codes),
                condition(where, codes),
            )
            .group_by(EVENT.subject)
            .order_by(EVENT.subject)
        )
        rows = await copied(self.session, query, [("subject", ">i4"), ("amount", ">f8")])
        return Spend(rows["subject"].astype(np.int32), rows["amount"].astype(np.float64))
