"""The schema: as the models say, and closed to whoever has not entered a tenant."""

import asyncpg
import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from resolvers.context import Context, Role, Services
from resolvers.store.appending import WRITER_ROLE
from resolvers.store.database import APP_ROLE, Database, driver
from resolvers.store.schema_version import migrate, revision_gap
from resolvers.store.tables import TABLES
from tests.conftest import fresh_database
from tests.factories import event, store


def _columns(connection: Connection) -> dict[str, dict[str, bool]]:
    found = inspect(connection)
    return {
        table.__tablename__: {column["name"]: column["nullable"] for column in found.get_columns(table.__tablename__)}
        for table in TABLES
    }


async def test_the_tables_are_those_of_the_models(owner: Database) -> None:
    async with owner.engine.connect() as connection:
        found = await connection.run_sync(_columns)
    declared = {
        table.__tablename__: {column.name: bool(column.nullable) for column in inspect(table).local_table.columns}
        for table in TABLES
    }
    assert found == declared


async def test_every_table_carries_its_tenant_in_every_unique_key_and_forces_its_policy(owner: Database) -> None:
    async with owner.engine.connect() as connection:
        tables = await connection.execute(
            text(
                "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
                " AND relname NOT IN ('alembic_version', 'installation')"
            )
        )
        rows = tables.all()
        assert {row.relname for row in rows} == {table.__tablename__ for table in TABLES}
        assert [row for row in rows if not (row.relrowsecurity and row.relforcerowsecurity)] == []
        keys = await connection.execute(
            text(
                "SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index JOIN pg_class ON oid = indrelid"
                " WHERE indisunique AND relnamespace = 'public'::regnamespace"
                " AND relname NOT IN ('alembic_version', 'installation', 'tenant')"
            )
        )
        assert [key.definition for key in keys if "(tenant_id" not in key.definition] == []


async def test_the_application_is_under_the_policies(services: Services) -> None:
    async with services.database.shared() as session:
        connection = await session.connection()
        role = (await connection.execute(text("SELECT * FROM pg_roles WHERE rolname = current_user"))).one()
    assert role.rolname == APP_ROLE
    assert [role.rolsuper, role.rolbypassrls, role.rolcanlogin] == [False] * 3


@pytest.mark.parametrize("setting", [None, "", "999999999"])
async def test_without_its_tenant_a_row_is_not_there(context: Context, setting: str | None) -> None:
    await store(context, event())
    async with context.services.database.shared() as session:
        connection = await session.connection()
        if setting is not None:
            await connection.execute(text("SELECT set_config('gateway.tenant', :it, true)"), {"it": setting})
        for table in TABLES:
            count = await connection.execute(text(f"SELECT count(*) FROM {table.__tablename__}"))
            assert count.scalar_one() == 0, table


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM event_202603",
        "SELECT * FROM installation",
        "DELETE FROM event",
        "UPDATE event SET amount = 0",
        "UPDATE event_key SET content = ''",
        "SELECT ensure_event_partition('1999-01-01')",
        "SELECT ensure_event_partition('2099-01-01')",
        "INSERT INTO term (tenant_id, space, code, value) VALUES (-1, 0, 1, 'x')",
        "INSERT INTO event SELECT * FROM event",
        "INSERT INTO event_key SELECT * FROM event_key",
        "SELECT * FROM event_keys",
        "ALTER TABLE event DISABLE ROW LEVEL SECURITY",
    ],
)
async def test_the_application_cannot(context: Context, statement: str) -> None:
    await store(context, event())
    async with context.services.database.engine.connect() as connection:
        tenant_id = str(context.require(Role.ADMIN).tenant_id)
        await connection.execute(text("SELECT set_config('gateway.tenant', :it, true)"), {"it": tenant_id})
        with pytest.raises(DBAPIError):
            await connection.execute(text(statement))


_READABLE = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
    AND (has_table_privilege('gateway_writer', oid, 'SELECT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
         OR has_any_column_privilege('gateway_writer', oid, 'SELECT, UPDATE, REFERENCES'))
"""
_WRITABLE = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    AND relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege('gateway_writer', oid, 'INSERT')
"""
_CALLABLE = """
SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
    AND has_function_privilege('gateway_writer', oid, 'EXECUTE')
"""


async def test_the_writer_may_insert_into_the_log_and_nothing_else(context: Context, owner: Database) -> None:
    await store(context, event())
    async with owner.engine.connect() as connection:
        role = (await connection.execute(text(f"SELECT * FROM pg_roles WHERE rolname = '{WRITER_ROLE}'"))).one()
        assert [role.rolsuper, role.rolbypassrls, role.rolcanlogin, role.rolcreaterole] == [False] * 4
        assert (await connection.execute(text(_READABLE))).all() == []
        assert (await connection.execute(text(_CALLABLE))).all() == []
        writable = {row.relname for row in await connection.execute(text(_WRITABLE))}
        months = await connection.execute(
            text("SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'event'::regclass")
        )
        assert writable == {"event_keys", "terms", *(row.relname for row in months)}


@pytest.mark.parametrize(
    "statement",
    [
        *(f"SELECT count(*) FROM {table.__tablename__}" for table in TABLES),
        "SELECT position FROM event_keys",
        "SELECT id FROM event_202603",
        "COPY event_202603 TO STDOUT",
        "DELETE FROM event_202603",
        "UPDATE event_keys SET content = ''",
        "INSERT INTO event_keys SELECT * FROM event_keys",
        "INSERT INTO event_keys VALUES (1, '', '', 1, now(), now()) RETURNING content",
        "SELECT * FROM term_codes(1, 0::smallint, ARRAY['purchase'])",
        "SET LOCAL row_security = off; SELECT count(*) FROM event",
    ],
)
async def test_the_writer_cannot(context: Context, statement: str) -> None:
    await store(context, event())
    tenant_id = context.require(Role.ADMIN).tenant_id
    async with context.services.database.tenant(tenant_id) as session:
        connection = await driver(session)
        await connection.execute(f"SET LOCAL ROLE {WRITER_ROLE}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_a_tenant_cannot_write_into_another(context: Context) -> None:
    await store(context, event())
    async with context.services.database.engine.connect() as connection:
        await connection.execute(text("SELECT set_config('gateway.tenant', '1', true)"))
        with pytest.raises(DBAPIError, match="row-level security"):
            await connection.execute(text("INSERT INTO data_version (tenant_id, kind, version) VALUES (2, 0, 1)"))


async def test_an_unknown_schema_is_told_in_words(postgres_url: str) -> None:
    url = await fresh_database(postgres_url, "gateway_unknown")
    assert "gateway migrate" in str(await revision_gap(url))
    assert await migrate(url) == await migrate(url)
    assert await revision_gap(url) is None
    database = await Database.open(url, owner=True, pool_size=1)
    async with database.shared() as session:
        await (await session.connection()).execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    assert "newer" in str(await revision_gap(url))
