"""The dictionary: dense codes, found without a walk over all texts."""

from sqlalchemy import text

from resolvers.context import Context, Principal, Services
from resolvers.store.appending import copy_terms
from resolvers.store.database import Database, driver
from resolvers.store.terms import SUBJECTS, TermMemory, TermRepository, intern
from resolvers.store.versions import hold_log
from tests.factories import event, new_principal, store

_MANY = 3_000


async def _interned(services: Services, memory: TermMemory, tenant_id: int, values: list[str]) -> dict[str, int]:
    async with services.database.tenant(tenant_id) as session:
        connection = await driver(session)
        await hold_log(connection, tenant_id)
        found = await intern(connection, memory, tenant_id, SUBJECTS, values)
        if found.new:
            await copy_terms(connection, tenant_id, {SUBJECTS: found.new})
    memory.keep(tenant_id, SUBJECTS, found.fresh)
    return found.codes


async def test_codes_are_dense_whoever_gives_them(services: Services, principal: Principal) -> None:
    one, two = TermMemory(), TermMemory()
    tenant_id = principal.tenant_id
    assert await _interned(services, one, tenant_id, ["a", "b"]) == {"a": 1, "b": 2}
    assert await _interned(services, two, tenant_id, ["c", "a"]) == {"a": 1, "c": 3}
    assert await _interned(services, one, tenant_id, ["d", "c", "b"]) == {"b": 2, "c": 3, "d": 4}
    assert await _interned(services, one, tenant_id, ["e", "a"]) == {"a": 1, "e": 5}


async def test_the_same_text_has_a_code_of_its_own_in_each_tenant(services: Services, owner: Database) -> None:
    first, second = await new_principal(owner), await new_principal(owner)
    memory = TermMemory()
    assert await _interned(services, memory, first.tenant_id, ["only here", "x"]) == {"only here": 1, "x": 2}
    assert await _interned(services, memory, second.tenant_id, ["x"]) == {"x": 1}
    async with services.database.tenant(second.tenant_id) as session:
        repository = TermRepository(session, TermMemory())
        assert await repository.codes(first.tenant_id, SUBJECTS, ["only here", "x"]) == {}
        assert await repository.codes(second.tenant_id, SUBJECTS, ["only here", "x"]) == {"x": 1}


async def test_looking_up_costs_by_what_is_asked_for(context: Context, owner: Database, principal: Principal) -> None:
    """Also in a tenant that the planner's statistics have never heard of."""
    await store(context, event())
    async with owner.engine.connect() as connection:
        await connection.execute(text("ANALYZE term"))
    newcomer = (await new_principal(owner)).tenant_id
    services = context.services
    texts = [f"subject {number}" for number in range(_MANY)]
    await _interned(services, TermMemory(), newcomer, texts)
    async with services.database.tenant(newcomer) as session:
        connection = await driver(session)
        before = await connection.fetchval(_WALKED)
        assert len(await TermRepository(session, TermMemory()).codes(newcomer, SUBJECTS, texts[::60])) == _MANY / 60
        assert _MANY / 60 <= await connection.fetchval(_WALKED) - before < _MANY / 6


_WALKED = """
SELECT sum(pg_stat_get_xact_tuples_fetched(oid) + pg_stat_get_xact_tuples_returned(oid))::bigint
FROM pg_class
WHERE oid = 'terms'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'terms'::regclass)
"""
