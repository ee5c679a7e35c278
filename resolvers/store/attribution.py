"""What attribution reads beside journeys: the amounts of conversions."""

import numpy as np
from sqlalchemy import BigInteger, Integer, Numeric, func, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.attribution_sales import PLACES, UNIT, Sales
from resolvers.analysis.events import Kind
from resolvers.analysis.journeys import chronological
from resolvers.analysis.periods import Period
from resolvers.store.copying import EPOCH_US, copied
from resolvers.store.events import EVENT
from resolvers.store.exchange_rates import ExchangeRateRepository

_FIELDS = [("position", ">i8"), ("subject", ">i4"), ("at", ">i8"), ("whole", ">i8"), ("fraction", ">i8")]


class SaleRepository:
    """Reads the conversions of one tenant with their amounts; no other kind of event has any."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def sales(self, tenant_id: int, period: Period, currency: str) -> Sales:
        """Every conversion of the period, amounts in ``currency``; one that cannot be converted counts as none.

        What is converted is rounded to the decimal places that an amount may have, a half away from zero.
        Reads what the index of conversions holds and nothing else. Raises BadInput where they are more than fit in
        memory.
        """
        money = await ExchangeRateRepository(self.session).converted(tenant_id, currency, period)
        exact = func.coalesce(money.of(EVENT.amount), literal(0, Numeric))
        amount = exact if money.rate is None else func.round(exact, literal(PLACES, Integer))
        query = select(
            EVENT.position,
            EVENT.subject,
            EVENT.occurred_at,
            func.trunc(amount).cast(BigInteger),
            (func.mod(amount, literal(1, Integer)) * literal(UNIT, BigInteger)).cast(BigInteger),
        ).where(
            EVENT.tenant_id == tenant_id,
            EVENT.kind == int(Kind.CONVERSION),
            EVENT.subject.is_not(None),
            EVENT.occurred_at >= period.start,
            EVENT.occurred_at < period.end,
        )
        rows = await copied(self.session, money.joined(query), _FIELDS)
        rows = rows[np.argsort(rows["position"])]
        subject, at = rows["subject"].astype(np.int32), rows["at"].astype(np.int64) + EPOCH_US
        order = chronological(subject, at)
        whole, fraction = (rows[name].astype(np.int64)[order] for name in ("whole", "fraction"))
        return Sales(subject[order], at[order], whole, fraction)
