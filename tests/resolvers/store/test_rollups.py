"""Rollups: at every moment what the log adds up to, whoever wrote it and however."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import text

from resolvers.context import Context, Role
from resolvers.events import ingest
from resolvers.store.database import Database
from resolvers.store.rollups import RollupRepository
from resolvers.store.schema_version import migrate
from tests.conftest import fresh_database
from tests.factories import event, new_principal, running_services
from tests.resolvers.test_metrics import random_events

MARCH = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=n) for n in range(32)]


async def wrong(context: Context) -> int:
    """How many rollups of March are not as the log says."""
    tenant_id = context.require(Role.ADMIN).tenant_id
    async with context.services.database.tenant(tenant_id) as session:
        return sum([(await RollupRepository(session).verify(tenant_id, day))[1] for day in MARCH])


@pytest.mark.parametrize("seed", range(4))
async def test_rollups_are_what_the_log_adds_up_to(context: Context, seed: int) -> None:
    """Random batches, large and single, late, repeated and in conflict."""
    chance = Random(seed)
    made = [one | {"id": f"e{n}"} for n, one in enumerate(random_events(seed, 900))]
    extra = [one | {"id": f"e{chance.randrange(900)}"} for one in random_events(seed + 100, 200)]
    batches, rest = [], chance.sample(made, 900) + extra + made[:100]
    while rest:
        size = chance.choice([1, 3, 250])
        batches.append(rest[:size])
        rest = rest[size:]
    await asyncio.gather(*(ingest(context, batch) for batch in batches))
    assert await wrong(context) == 0


async def test_two_processes_add_up(database_url: str, owner: Database) -> None:
    principal = await new_principal(owner)
    made = [one | {"id": f"e{n}"} for n, one in enumerate(random_events(9, 400))]
    async with running_services(database_url) as one, running_services(database_url) as two:
        await asyncio.gather(
            *(
                ingest(Context(services, principal), made[start : start + 50])
                for start in range(0, 400, 25)
                for services in (one, two)
            )
        )
        assert await wrong(Context(one, principal)) == 0


async def test_money_of_any_size_adds_up_exactly(context: Context) -> None:
    big = {"kind": "CONVERSION", "name": "purchase", "currency": "USD"}
    await ingest(context, [event(**big, amount="999999999999.999999999999") for _ in range(300)])
    await ingest(context, [event(**big, amount="0.000000000001") for _ in range(300)])
    assert await wrong(context) == 0


async def test_a_rollup_that_is_not_right_is_told_and_rebuilt(context: Context) -> None:
    await ingest(context, random_events(5, 300))
    tenant_id = context.require(Role.ADMIN).tenant_id
    async with context.services.database.tenant(tenant_id) as session:
        connection = await session.connection()
        await connection.execute(text("UPDATE rollup SET n = n + 1 WHERE ctid IN (SELECT ctid FROM rollup LIMIT 7)"))
        await connection.execute(text("DELETE FROM rollup WHERE ctid IN (SELECT ctid FROM rollup WHERE n = 1 LIMIT 2)"))
    assert await wrong(context) == 9
    async with context.services.database.tenant(tenant_id) as session:
        for day in MARCH:
            await RollupRepository(session).rebuild(tenant_id, day)
    assert await wrong(context) == 0


async def test_tenants_add_up_apart(context: Context, owner: Database) -> None:
    other = Context(context.services, await new_principal(owner))
    await asyncio.gather(ingest(context, random_events(1, 200)), ingest(other, random_events(2, 200)))
    assert await wrong(context) == await wrong(other) == 0


async def test_a_log_that_was_there_before_is_added_up(postgres_url: str) -> None:
    """The migration that brings rollups makes those of the events it finds, of every tenant."""
    url = await fresh_database(postgres_url, "gateway_before_rollups")
    await migrate(url)
    owner = await Database.open(url, owner=True, pool_size=1)
    principals = [await new_principal(owner) for _ in range(2)]
    async with running_services(url) as services:
        for seed, principal in enumerate(principals):
            await ingest(Context(services, principal), random_events(seed, 300))
    async with owner.shared() as session:
        connection = await session.connection()
        for statement in (
            "DROP TABLE rollup",
            "DROP AGGREGATE strung_histograms (bigint[])",
            "DROP FUNCTION merged_histogram",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            await connection.execute(text(statement))
    await owner.close()
    await migrate(url, "0002")
    async with running_services(url) as services:
        for principal in principals:
            assert await wrong(Context(services, principal)) == 0
