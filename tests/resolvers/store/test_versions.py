"""The versions of many tenants are read at once, each under its own, as of a moment after they were asked for."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from resolvers.analysis.events import Kind
from resolvers.context import Context, Services
from resolvers.errors import Unavailable
from resolvers.store.database import Database
from resolvers.store.versions import _VERSIONS, WHOLE_LOG, VersionReader, connect_reader
from tests.factories import event, new_principal, purchase, store

KINDS = (WHOLE_LOG, int(Kind.PRODUCT), int(Kind.CONVERSION), int(Kind.SPEND))


@pytest.fixture
async def reader(database_url: str) -> AsyncIterator[VersionReader]:
    reader = VersionReader(lambda: connect_reader(database_url))
    yield reader
    reader.close()


@pytest.fixture
async def contexts(services: Services, owner: Database) -> list[Context]:
    """Operations of three tenants with logs of different lengths."""
    made = [Context(services, await new_principal(owner)) for _ in range(3)]
    await store(made[1], event(id="e1"))
    await store(made[2], event(id="e1"), event(id="e2"))
    await store(made[2], purchase("1"))
    return made


def _tenant(context: Context) -> int:
    assert context.principal is not None
    return context.principal.tenant_id


async def test_tenants_who_ask_at_once_share_a_look_and_see_their_own(
    reader: VersionReader, contexts: list[Context]
) -> None:
    found = await asyncio.gather(*(reader.of(_tenant(context), KINDS) for context in contexts))
    assert found == [(0, 0, 0, 0), (1, 1, 0, 0), (3, 2, 3, 0)]
    assert reader.looks == 1


async def test_a_write_is_seen_by_whoever_asks_after_it(reader: VersionReader, contexts: list[Context]) -> None:
    tenant_id = _tenant(contexts[0])
    for number in range(1, 20):
        earlier = [asyncio.create_task(reader.of(tenant_id, KINDS)) for _ in range(3)]
        await asyncio.sleep(0)
        await store(contexts[0], event(id=f"later{number}"))
        assert await reader.of(tenant_id, KINDS) == (number, number, 0, 0)
        for found in await asyncio.gather(*earlier):
            assert found[0] in (number - 1, number)


@pytest.mark.parametrize("avoided", ["nestloop", "indexscan", "seqscan", "hashjoin", "mergejoin", "material"])
async def test_whatever_the_plan_each_tenant_is_entered_before_it_is_read(
    database_url: str, contexts: list[Context], avoided: str
) -> None:
    connection = await connect_reader(database_url, **{f"enable_{avoided}": "off"})
    try:
        wanted = [_tenant(context) for context in contexts]
        rows = await connection.fetch(_VERSIONS, wanted)
        whole = {tenant_id: version for tenant_id, kind, version in rows if kind == WHOLE_LOG}
        assert whole == {wanted[1]: 1, wanted[2]: 3}
        assert {tenant_id for tenant_id, _, _ in await connection.fetch(_VERSIONS, wanted[1:2])} == {wanted[1]}
        # Nothing of it stays: without a tenant the policies yield nothing.
        assert await connection.fetch("SELECT * FROM data_version") == []
    finally:
        await connection.close()


async def test_a_connection_that_was_cut_is_opened_again(
    reader: VersionReader, contexts: list[Context], database_url: str
) -> None:
    tenant_id = _tenant(contexts[1])
    await reader.of(tenant_id, KINDS)
    cutter = await asyncpg.connect(database_url)
    lost = asyncio.Event()
    assert reader._connection is not None
    reader._connection.add_termination_listener(lambda _: lost.set())
    await cutter.execute("SELECT pg_terminate_backend($1)", reader._connection.get_server_pid())
    await cutter.close()
    async with asyncio.timeout(10):
        await lost.wait()
    assert await reader.of(tenant_id, KINDS) == (1, 1, 0, 0)


async def test_a_database_that_is_away_is_told_so_and_asked_again() -> None:
    tries = 0

    async def away() -> asyncpg.Connection:
        nonlocal tries
        tries += 1
        raise ConnectionRefusedError

    reader = VersionReader(away)
    for _ in range(2):
        with pytest.raises(Unavailable) as refused:
            await reader.of(1, KINDS)
        assert refused.value.retry_after
    assert tries == 2


async def test_a_database_that_does_not_answer_is_not_waited_for() -> None:
    async def silent() -> asyncpg.Connection:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Unavailable):
        await VersionReader(silent, seconds=0.01).of(1, KINDS)
