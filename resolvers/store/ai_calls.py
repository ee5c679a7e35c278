"""Reading AI interactions one by one, with what each cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Integer, Numeric, case, func, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.ai_calls import AiCalls
from resolvers.analysis.attribution_sales import PLACES, UNIT
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import Filter
from resolvers.analysis.numbering import Numbering
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition
from resolvers.store.copying import EPOCH_US, copied
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository
from resolvers.store.terms import TermMemory, TermRepository

_KNOWN, _PRICED = 2, 1


class AiCallRepository:
    """Reads the AI interactions of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)

    async def calls(
        self, tenant_id: int, period: Period, currency: str, where: Filter, by: Sequence[str], numbering: Numbering
    ) -> AiCalls:
        """Those of a period that pass ``where``; their values of ``by`` get their numbers from ``numbering``.

        Costs are in ``currency``, what is converted being rounded to the decimal places that a cost may have.
        Raises BadInput where they are more than fit in memory.
        """
        codes = await Codes.of(self.terms, tenant_id, where)
        money = await ExchangeRateRepository(self.session).converted(tenant_id, currency, period)
        exact = func.coalesce(money.of(EVENT.cost), literal(0, Numeric))
        cost = exact if money.rate is None else func.round(exact, literal(PLACES, Integer))
        state: Any = case((EVENT.cost.is_(None), 0), (money.known, _KNOWN), else_=_PRICED)
        query = select(
            func.coalesce(EVENT.subject, literal(0, Integer)),
            EVENT.occurred_at,
            func.trunc(cost).cast(BigInteger),
            (func.mod(cost, literal(1, Integer)) * literal(UNIT, BigInteger)).cast(BigInteger),
            state.cast(Integer),
            *(func.coalesce(EVENT[name], literal(0, Integer)).cast(Integer) for name in by),
        ).where(
            EVENT.tenant_id == tenant_id,
            EVENT.kind == int(Kind.AI_INTERACTION),
            EVENT.occurred_at >= period.start,
            EVENT.occurred_at < period.end,
            condition(where, codes),
        )
        dimensions = [(f"d{place}", ">i4") for place in range(len(by))]
        fields = [("subject", ">i4"), ("at", ">i8"), ("whole", ">i8"), ("fraction", ">i8"), ("state", ">i4")]
        rows = await copied(self.session, money.joined(query), [*fields, *dimensions])
        rows = rows[np.argsort(rows["at"], kind="stable")]
        return AiCalls(
            subject=rows["subject"].astype(np.int32),
            at=rows["at"].astype(np.int64) + EPOCH_US,
            group=numbering.numbers([rows[name] for name, _ in dimensions], rows.size),
            whole=rows["whole"].astype(np.int64),
            fraction=rows["fraction"].astype(np.int64),
            known=rows["state"] == _KNOWN,
            priced=rows["state"] >= _PRICED,
        )
