"""What every test may ask for."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest

from gateway.app import Gateway
from gateway.embedded import EmbeddedPostgres
from resolvers.context import Context, Principal, Role, Services
from resolvers.keys import create_key, pepper
from resolvers.live import shared
from resolvers.store.database import Database
from resolvers.store.schema_version import migrate
from tests.client import Client, running_gateway
from tests.factories import new_principal, running_services
from tests.redis_server import RedisServer, running


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


@pytest.fixture(scope="session")
async def gateway(database_url: str) -> AsyncIterator[tuple[str, Gateway]]:
    """A gateway that serves the tests' database on loopback: its ``host:port`` and itself."""
    async with running_gateway(database_url, upkeep=False) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """Connections to the gateway, as many as a test wants."""
    async with httpx2.AsyncClient(timeout=20, limits=httpx2.Limits(max_connections=None)) as client:
        yield client


@pytest.fixture
async def client(gateway: tuple[str, Gateway], owner: Database, http: httpx2.AsyncClient) -> Client:
    """The admin of a tenant that nobody else has."""
    return await new_client(gateway[0], owner, http)


@pytest.fixture
async def stranger(gateway: tuple[str, Gateway], owner: Database, http: httpx2.AsyncClient) -> Client:
    """The admin of another tenant."""
    return await new_client(gateway[0], owner, http)


@pytest.fixture
def redis_seconds() -> float:
    """How long Redis is waited for: longer than in earnest, since what is slow in a test is the machine."""
    return 10.0


@pytest.fixture
def patient(redis_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is waited for as long as the test says."""
    monkeypatch.setattr(shared, "_SECONDS", redis_seconds)


@pytest.fixture
async def redis(patient: None, tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis that nobody else has."""
    async with running(RedisServer(tmp_path)) as server:
        yield server


async def new_client(address: str, owner: Database, http: httpx2.AsyncClient, role: Role = Role.ADMIN) -> Client:
    """A key of a tenant made for it."""
    principal = await new_principal(owner)
    made = await create_key(owner, principal.tenant_id, role, "test", pepper=await pepper(owner))
    return Client(address, made.secret, http)
