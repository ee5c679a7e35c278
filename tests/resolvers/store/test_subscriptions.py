"""Reading subscriptions: what was stored comes back, by an index that holds nothing else."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.ledgers import currency_of, number_of
from resolvers.analysis.subscriptions import PLACES, Step
from resolvers.context import Context, Principal
from resolvers.errors import BadInput
from resolvers.events import events
from resolvers.store.database import Database
from resolvers.store.folding import fold
from resolvers.store.schema_version import migrate
from resolvers.store.subscriptions import SubscriptionLog, SubscriptionRepository
from tests.conftest import fresh_database
from tests.factories import event, new_principal, purchase, running_services, store


def said(name: str, amount: str | None = None, interval: str = "MONTH", **more: Any) -> dict[str, Any]:
    due = {} if amount is None else {"amount": amount, "interval": interval}
    return event(**{"kind": "SUBSCRIPTION", "name": name} | due | more)


async def read(context: Context, principal: Principal, *by: str) -> SubscriptionLog:
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = SubscriptionRepository(session, context.services.memory, context.services.segments)
        (log,) = await repository.ever(principal.tenant_id, [EVERYTHING], by, currency=principal.currency)
    return log


@pytest.mark.parametrize("folded", [False, True])
async def test_what_was_said_comes_back(context: Context, principal: Principal, folded: bool) -> None:
    await store(
        context,
        said("started", "1200.000000000012", "YEAR", subscription="a", dimensions={"plan": "pro"}),
        said("changed", "1000000000000", "DAY", currency="EUR", occurredAt=datetime(2026, 4, 1, tzinfo=UTC)),
        said("ended", subscription="a", subject="bob", dimensions={"plan": "pro", "channel": "ads"}),
        said("started", "9000000.5", subject="cleo", occurredAt=datetime(2026, 5, 1, tzinfo=UTC)),
        purchase("7"),
    )
    if folded:
        await fold(context.services.database, principal.tenant_id)
    log = await read(context, principal, "plan", "channel")
    events = log.events
    assert log.explanation.rows == events.step.size == 4
    assert log.explanation.source is (Source.JOURNEYS if folded else Source.LOG)
    columns = (events.monthly, events.currency, events.group, events.subscription, events.step)
    rows = sorted(zip(*(column.tolist() for column in columns), strict=True))
    assert [Step(row[-1]) for row in rows] == [Step.ENDED, Step.STARTED, Step.STARTED, Step.CHANGED]
    assert [Decimal(row[0]).scaleb(-PLACES) for row in rows] == [
        0,
        Decimal("100.000000000001"),
        Decimal("9000000.5"),
        Decimal("30416666666666.666666666667"),
    ]
    assert [currency_of(row[1]) for row in rows if row[1]] == ["USD", "USD", "EUR"]
    assert [log.groups[row[2]] for row in rows] == [("pro", "ads"), ("pro", None), *[(None, None)] * 2]
    assert rows[0][3] == rows[1][3] != rows[2][3] == rows[3][3] == 0
    assert len(set(events.customer.tolist())) == 3


@pytest.mark.parametrize("currency", ["USD", "EUR", "ZWG"])
def test_a_currency_is_a_number_and_back(currency: str) -> None:
    assert currency_of(number_of(currency)) == currency


async def test_nothing_said_is_no_rows(context: Context, principal: Principal) -> None:
    await store(context, purchase("7"))
    log = await read(context, principal, "plan")
    assert (log.events.step.size, log.groups) == (0, [])
    assert (await read(context, principal)).groups == []


async def test_more_than_can_be_walked_is_refused(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.store.subscriptions._MOST", 1)
    await store(context, said("started", "1"), said("ended"))
    with pytest.raises(BadInput, match=r"More than 1 events .* send one only"):
        await read(context, principal)


async def test_every_month_has_an_index_of_subscriptions_alone(context: Context, owner: Database) -> None:
    await store(context, said("started", "1", occurredAt=datetime(2024, 2, 29, tzinfo=UTC)))
    statement = text(
        "SELECT count(*), count(*) FILTER (WHERE pg_get_expr(indpred, indrelid) = '(kind = 7)') FROM pg_inherits"
        " LEFT JOIN pg_index ON indrelid = inhrelid AND indpred IS NOT NULL AND indisvalid"
        " AND pg_get_expr(indpred, indrelid) LIKE '%7%' WHERE inhparent = 'event'::regclass"
    )
    async with owner.engine.connect() as connection:
        months, indexed = (await connection.execute(statement)).one()
    assert months == indexed > 0


async def test_a_log_that_was_begun_before_subscriptions_takes_them(postgres_url: str) -> None:
    url = await fresh_database(postgres_url, "gateway_before_subscriptions")
    await migrate(url, "0004")
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT ensure_event_partition('2026-03-01')")
    await connection.execute(
        "INSERT INTO event (tenant_id, position, occurred_at, received_at, kind, name, id)"
        " VALUES (1, 1, '2026-03-09Z', now(), 5, 1, 'old')"
    )
    await connection.execute("INSERT INTO term VALUES (1, 0, 1, 'page_view')")
    await connection.execute("INSERT INTO data_version VALUES (1, 0, 1), (1, 5, 1)")
    await connection.close()
    await migrate(url)
    owner = await Database.open(url, owner=True, pool_size=1)
    principal = await new_principal(owner)
    await owner.close()
    assert principal.tenant_id == 1
    async with running_services(url) as services:
        context = Context(services, principal)
        await store(context, said("started", "10", subscription="s"))
        log = await read(context, principal)
        assert log.events.step.tolist() == [Step.STARTED]
        found = (await events(context, where=EVERYTHING)).events
        assert [(one.event.name, one.event.subscription) for one in found] == [("started", "s"), ("page_view", None)]
