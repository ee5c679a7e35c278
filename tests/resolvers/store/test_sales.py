"""The amounts of conversions, as attribution reads them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Select, text
from sqlalchemy.dialects import postgresql

from resolvers.analysis.attribution_sales import UNIT, Sales
from resolvers.analysis.periods import Period, epoch_us
from resolvers.context import Context, Principal
from resolvers.store import ledger_rows as module
from resolvers.store.attribution import SaleRepository
from resolvers.store.copying import copied
from tests.factories import NOON, event, purchase, store

DAY = Period(NOON, NOON + timedelta(days=1))


async def sales(context: Context, principal: Principal) -> Sales:
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = SaleRepository(session, context.services.memory, context.services.segments)
        return await repository.sales(principal.tenant_id, DAY, "USD")


def amounts(found: Sales) -> list[Decimal]:
    parts = zip(found.whole.tolist(), found.fraction.tolist(), strict=True)
    return [whole + Decimal(fraction) / UNIT for whole, fraction in parts]


async def test_every_conversion_is_there_with_its_exact_amount(context: Context, principal: Principal) -> None:
    await store(
        context,
        purchase("999999999999.999999999999", subject="ann"),
        purchase("1000000000000", subject="ann"),
        event(kind="CONVERSION", name="signup", subject="ann"),
        purchase("0.000000000001", subject="ann", name="churn"),
        purchase("5", subject="ann", currency="EUR"),
        purchase("7", subject="bob", occurredAt=NOON + timedelta(microseconds=1)),
        purchase("8", subject="bob"),
        purchase("9", subject="bob", occurredAt=DAY.end),
        event(subject="bob"),
    )
    found = await sales(context, principal)
    exact = ["999999999999.999999999999", "1000000000000", "0", "0.000000000001", "0", "8", "7"]
    assert amounts(found) == [Decimal(amount) for amount in exact]
    assert np.unique(found.subject, return_counts=True)[1].tolist() == [5, 2]
    assert (found.at - epoch_us(NOON)).tolist() == [0, 0, 0, 0, 0, 0, 1]


async def test_amounts_are_read_from_their_index_alone(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(context, purchase("1"))
    plans: list[str] = []

    async def explained(session: Any, query: Select[Any], fields: Any) -> Any:
        # So few rows are read faster in other ways; what matters is that this one is possible.
        for other in ("seqscan", "bitmapscan"):
            await session.exec(text(f"SET LOCAL enable_{other} = off"))
        sql = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
        plans.extend(line for (line,) in await session.exec(text(f"EXPLAIN {sql}")) if " on event" in line)
        return await copied(session, query, fields)

    monkeypatch.setattr(module, "copied", explained)
    assert amounts(await sales(context, principal)) == [1]
    assert plans
    assert all("Index Only Scan" in plan for plan in plans), plans
