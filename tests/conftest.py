"""What every test may ask for."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.embedded import EmbeddedPostgres
from resolvers.context import Context, Principal, Services
from resolvers.store.database import Database
from resolvers.store.schema_version import migrate
from tests.factories import new_principal, running_services


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a PostgreSQL of this test run (one per worker), its data thrown away afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="gateway-test-") as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        yield server.url


async def fresh_database(url: str, name: str, *, template: str = "template1") -> str:
    """Create an empty database, or a copy of ``template``, in place of any of that name; returns its URL."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await connection.close()
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@pytest.fixture(scope="session")
async def database_url(postgres_url: str) -> str:
    """URL of a database at this version's schema, shared by the tests: each makes tenants of its own in it."""
    url = await fresh_database(postgres_url, "gateway_test")
    await migrate(url)
    return url


@pytest.fixture(scope="session")
async def owner(database_url: str) -> AsyncIterator[Database]:
    """The database under the owner's role: makes tenants and keys, reads no tenant's events."""
    database = await Database.open(database_url, owner=True, pool_size=2)
    yield database
    await database.close()


@pytest.fixture(scope="session")
async def services(database_url: str) -> AsyncIterator[Services]:
    """What a process has one of, running."""
    async with running_services(database_url) as services:
        yield services


@pytest.fixture
async def principal(owner: Database) -> Principal:
    """The admin of a tenant that nobody else has."""
    return await new_principal(owner)


@pytest.fixture
def context(services: Services, principal: Principal) -> Context:
    """An operation of that admin."""
    return Context(services, principal)
