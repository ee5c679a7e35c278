"""The database as everything above it sees it: units of work bound to one tenant.

Each unit of work is one transaction under a role that row level security applies to, with the tenant set for that
transaction alone; without the setting the policies yield nothing. Repositories are bound to its session and never
commit.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import Executable, Row, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.errors import BadInput, GatewayError, Overloaded, TimedOut, Unavailable

APP_ROLE = "gateway_app"
"""The role units of work run under: no owner, no superuser, subject to every policy."""

_SETTINGS = {
    "application_name": "metrics-gateway",
    "jit": "off",
    "timezone": "UTC",
    "synchronous_commit": "on",
}
_UPKEEP_SECONDS = 60
"""What a statement of upkeep, or the work between two of them, may take."""
_BUSY = ("QueryCanceledError",)
_NUL = ("CharacterNotInRepertoireError",)
_LOCKED = ("LockNotAvailableError", "DeadlockDetectedError", "TooManyConnectionsError")
_GONE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    # What asyncpg says of a connection whose server died between two statements.
    asyncpg.InternalClientError,
)


def asyncpg_url(url: str) -> URL:
    """The SQLAlchemy address for any ``postgres…://`` address.

    A socket folder (``?host=/path``) passes through.
    """
    return make_url(url).set(drivername="postgresql+asyncpg")


async def connect(url: str, **settings: str) -> asyncpg.Connection:
    """A connection of its own, outside the pool, under the role of the address (LISTEN) unless ``settings`` say."""
    parts = asyncpg_url(url)
    query = {key: value for key, value in parts.query.items() if isinstance(value, str)}
    return await asyncpg.connect(
        host=query.get("host") or parts.host,
        port=parts.port or int(query.get("port", 5432)),
        user=parts.username or query.get("user"),
        password=parts.password,
        database=parts.database,
        server_settings=_SETTINGS | settings,
    )


def translated(error: BaseException) -> GatewayError | None:
    """What a failure of the database means to a caller; None for a defect, which is to be masked."""
    if isinstance(error, PoolTimeout):
        return Overloaded("All database connections are in use; try again.", retry_after=1)
    cause = error
    while isinstance(cause, DBAPIError) and cause.orig is not None:
        cause = cause.orig
    chain = [cause, cause.__cause__, cause.__context__]
    names = {type(link).__name__ for link in chain}
    if names & set(_BUSY):
        return TimedOut("The question took too long; ask for a shorter period, fewer groups or less detail.")
    if names & set(_NUL):
        return BadInput("Text must not hold the character NUL.")
    if names & set(_LOCKED):
        return Overloaded("The database is busy with the same data; try again.", retry_after=1)
    if isinstance(error, InterfaceError) or any(isinstance(link, _GONE) for link in chain):
        return Unavailable("The database cannot be reached for the moment; try again.", retry_after=1)
    return None


class Database:
    """A pool of connections to one PostgreSQL, handing out units of work."""

    def __init__(self, engine: AsyncEngine, url: str) -> None:
        self.engine = engine
        self.url = url

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        pool_size: int = 10,
        owner: bool = False,
        statement_seconds: float = 4,
        lock_seconds: float = 3,
        wait_seconds: float = 2,
    ) -> "Database":
        """Open a pool of at most ``pool_size`` connections.

        ``owner`` keeps the role of the address (tenants and keys are its to make). A statement may take
        ``statement_seconds``, a lock ``lock_seconds`` to be had, a connection ``wait_seconds``; 0 is without end for
        the first two.
        """
        settings = dict(_SETTINGS)
        if not owner:
            settings["role"] = APP_ROLE
        settings |= {
            "statement_timeout": str(round(statement_seconds * 1000)),
            "lock_timeout": str(round(lock_seconds * 1000)),
            "idle_in_transaction_session_timeout": "15000",
        }
        engine = create_async_engine(
            asyncpg_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=wait_seconds,
            pool_pre_ping=True,
            connect_args={"server_settings": settings, "timeout": 5, "command_timeout": None},
        )
        return cls(engine, url)

    async def close(self) -> None:
        await self.engine.dispose()

    def in_use(self) -> int:
        """How many connections are lent out."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def ping(self) -> bool:
        """Whether the database answers within two seconds."""
        try:
            async with asyncio.timeout(2), self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (DBAPIError, PoolTimeout, OSError, TimeoutError, asyncpg.PostgresError):
            return False
        return True

    @asynccontextmanager
    async def tenant(self, tenant_id: int) -> AsyncIterator[AsyncSession]:
        """A unit of work for one tenant: committed where the block ends, rolled back where it raises.

        Raises Unavailable, Overloaded or TimedOut where the database does not do its part.
        """
        async with self.shared() as session:
            await enter(session, tenant_id)
            yield session

    @asynccontextmanager
    async def snapshot(self, tenant_id: int) -> AsyncIterator[AsyncSession]:
        """A unit of work all of whose statements see what was there at the first of them: for long reading."""
        async with self.shared() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            await enter(session, tenant_id)
            yield session

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[AsyncSession]:
        """A unit of work that has not entered a tenant: under the application's role it sees no tenant's rows."""
        with _translating():
            async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
                yield session


class Moment(Database):
    """One tenant's part of a database as it was at one moment: every unit of work is the same one, which only reads."""

    def __init__(self, database: Database, session: AsyncSession, tenant_id: int) -> None:
        super().__init__(database.engine, database.url)
        self._session = session
        self._tenant_id = tenant_id
        self._free = asyncio.Lock()
        self._holder: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def tenant(self, tenant_id: int) -> AsyncIterator[AsyncSession]:
        """The unit of work, for one task at a time."""
        if tenant_id != self._tenant_id:
            raise ValueError("a moment is of one tenant")
        if self._holder is asyncio.current_task():
            yield self._session
            return
        async with self._free:
            self._holder = asyncio.current_task()
            try:
                with _translating():
                    yield self._session
            finally:
                self._holder = None

    @asynccontextmanager
    async def snapshot(self, tenant_id: int) -> AsyncIterator[AsyncSession]:
        """The same: it is a snapshot already."""
        async with self.tenant(tenant_id) as session:
            yield session


@contextmanager
def _translating() -> Iterator[None]:
    """Raise what a failure of the database means to a caller in its place."""
    try:
        yield
    except Exception as error:
        meaning = translated(error)
        if meaning is None:
            raise
        raise meaning from error


async def enter(session: AsyncSession, tenant_id: int) -> None:
    """Bind the transaction to a tenant, as the policies demand."""
    connection = await session.connection()
    await connection.execute(text("SELECT set_config('gateway.tenant', :tenant, true)"), {"tenant": str(tenant_id)})


async def rows(session: AsyncSession, query: Executable) -> Sequence[Row[*tuple[Any, ...]]]:
    """The rows of a query over columns, past the object mapper."""
    connection = await session.connection()
    return (await connection.execute(query)).all()


async def driver(session: AsyncSession) -> Any:
    """The asyncpg connection beneath a session, inside its transaction: for bulk statements and COPY."""
    connection = await session.connection()
    return (await connection.get_raw_connection()).driver_connection


async def take_time(session: AsyncSession, *, statement_seconds: int = _UPKEEP_SECONDS) -> None:
    """Let a transaction last as long as folding may need; a statement of it without end where that is 0."""
    connection = await driver(session)
    limits = {"statement_timeout": statement_seconds, "idle_in_transaction_session_timeout": _UPKEEP_SECONDS}
    for setting, seconds in limits.items():
        await connection.execute("SELECT set_config($1, $2, true)", setting, f"{seconds}s")
