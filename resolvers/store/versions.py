"""Data versions: how far a tenant's log had got when it last held something new of a kind.

A version is a position in the tenant's log. Kind 0 stands for the whole log: its row is locked by whoever appends, so
that positions follow the order of commits without gaps and a reader that has seen position p has seen all before it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import BigInteger, Column, SmallInteger
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.errors import Unavailable
from resolvers.live.bus import CHANNEL
from resolvers.live.deadlines import Deadlines
from resolvers.live.looks import Looks
from resolvers.store.database import APP_ROLE, Moment, connect, driver, translated

WHOLE_LOG = 0
SEGMENTS, PERSONAS = 100, 101
"""Stand for a tenant's segments and their members, and for its personas."""
EXCHANGE_RATES = 102
"""Stands for a tenant's exchange rates; 0 where it never had any."""
AI_BUDGETS = 103
"""Stands for a tenant's budgets for AI."""
RECOMMENDATIONS = 104
"""Stands for what a tenant decided about recommendations, and for the funnels it keeps."""
FLAGS = 106
"""Stands for a tenant's feature flags."""
SLOS = 107
"""Stands for a tenant's service level objectives."""
REBUILT = 1_000
"""Stands for the rollups: its version advances when they are made anew."""
_FOLDED, _PRESENCE = -1, -2
_AWAY = "The database cannot be reached for the moment; try again."


class DataVersionRow(SQLModel, table=True):
    __tablename__ = "data_version"

    tenant_id: int = Field(primary_key=True)
    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    version: int = Field(sa_column=Column(BigInteger, nullable=False))


# One round trip, in a transaction of its own. The policy is put to the rows of a tenant only after the setting is that
# tenant's: what is lateral to a row cannot be read before the row is there, and OFFSET 0 keeps either from being merged
# into the other.
_VERSIONS = """
SELECT entered.tenant, found.kind, found.version
FROM (SELECT set_config('gateway.tenant', wanted::text, true)::integer AS tenant
      FROM unnest($1::integer[]) AS wanted OFFSET 0) AS entered
CROSS JOIN LATERAL (
    SELECT kind, version FROM data_version WHERE tenant_id = entered.tenant
    UNION ALL
    SELECT kind, version FROM presence_state
    CROSS JOIN LATERAL (VALUES (-1, folded_to), (-2, edition)) AS told (kind, version)
    WHERE tenant_id = entered.tenant
    OFFSET 0
) AS found
"""


class LogState(NamedTuple):
    """What tells that nothing of a tenant's log, and of what is kept of it beside journeys, has changed."""

    version: int
    """The last position in the log."""
    rebuilt: int
    """How often rollups were made anew."""
    folded_to: int
    """The position up to which the sets of each day hold the log."""
    presence: int
    """Their edition."""
    rates: int
    """The version of the exchange rates; 0 where there never were any."""

    @property
    def rollups(self) -> tuple[int, int]:
        """What tells that no rollup has changed."""
        return self.version, self.rebuilt


@dataclass(frozen=True, slots=True)
class Seen:
    """The versions of a tenant at one moment."""

    versions: Mapping[int, int]
    """By kind; what is not there is 0."""

    def of(self, kinds: Iterable[int]) -> tuple[int, ...]:
        """The version of each kind in the order given."""
        return tuple([self.versions.get(kind, 0) for kind in kinds])

    @property
    def state(self) -> LogState:
        """What else there is to know."""
        return LogState(*self.of((WHOLE_LOG, REBUILT, _FOLDED, _PRESENCE, EXCHANGE_RATES)))


async def connect_reader(url: str, **settings: str) -> asyncpg.Connection:
    """A connection for a ``VersionReader``, under the role that policies apply to and further ``settings``.

    Left to choose, PostgreSQL plans the statement anew each time, which takes four times as long as executing it.
    """
    return await connect(url, role=APP_ROLE, plan_cache_mode="force_generic_plan", **settings)


class VersionReader:
    """Reads the versions of tenants for all who ask at the same time, in one query on a connection of its own.

    ``connect`` opens it, under a role that policies apply to. The pool would cost several times as much as the query,
    and those who only ask whether anything is new would wait behind whoever computes.
    """

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, seconds: float = 2.0) -> None:
        self._connect = connect
        self._deadlines = Deadlines(seconds)
        self.looks = 0
        """How often the database was asked."""
        self._looks = Looks(self._read)
        self._wanted: set[int] = set()
        self._connection: asyncpg.Connection | None = None
        self._statement: Any = None
        self._closed = False

    async def of(self, tenant_id: int, kinds: tuple[int, ...]) -> tuple[int, ...]:
        """The version of each kind in the order given, as of a moment after the call.

        Raises Unavailable, Overloaded or TimedOut where the database does not do its part.
        """
        return (await self.seen(tenant_id)).of(kinds)

    async def seen(self, tenant_id: int) -> Seen:
        """All there is to know, in the same way."""
        self._wanted.add(tenant_id)
        return Seen((await self._looks.fresh()).get(tenant_id, {}))

    def close(self) -> None:
        """Leave the database for good."""
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _read(self) -> dict[int, dict[int, int]]:
        # Whoever asks from here on gets the next look.
        wanted, self._wanted = list(self._wanted), set()
        self.looks += 1
        used = self._connection is not None
        try:
            with self._deadlines():
                try:
                    rows = await self._rows(wanted)
                except Exception:
                    # A connection may have been cut while nobody looked.
                    self._leave()
                    if not used or self._closed:
                        raise
                    rows = await self._rows(wanted)
        except Exception as error:
            self._leave()
            meaning = Unavailable(_AWAY, retry_after=1) if isinstance(error, TimeoutError) else translated(error)
            if meaning is None:
                raise
            raise meaning from error
        found: dict[int, dict[int, int]] = {}
        for tenant_id, kind, version in rows:
            found.setdefault(tenant_id, {})[kind] = version
        return found

    async def _rows(self, wanted: list[int]) -> list[tuple[int, int, int]]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            if self._closed:
                self._leave()
                raise Unavailable(_AWAY, retry_after=1)
            self._statement = await self._connection.prepare(_VERSIONS)
        found: list[tuple[int, int, int]] = await self._statement.fetch(wanted)
        return found


class MomentVersions(VersionReader):
    """The versions as they were at one moment."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    async def seen(self, tenant_id: int) -> Seen:
        """As they were."""
        async with self._moment.tenant(tenant_id) as session:
            rows = await (await driver(session)).fetch(_VERSIONS, [tenant_id])
        return Seen({kind: version for _, kind, version in rows})


class VersionRepository:
    """Reads the versions of a tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def of(self, tenant_id: int, kinds: Iterable[int]) -> tuple[int, ...]:
        """The version of each kind in the order given; 0 where there never was an event of it."""
        wanted = tuple(kinds)
        query = select(DataVersionRow.kind, DataVersionRow.version).where(
            DataVersionRow.tenant_id == tenant_id, col(DataVersionRow.kind).in_(wanted)
        )
        found = dict((await self.session.exec(query)).all())
        return tuple(found.get(kind, 0) for kind in wanted)


async def hold_log(connection: Any, tenant_id: int) -> int:
    """Lock the tenant's log until the transaction ends; return the last position in it."""
    held = "SELECT version FROM data_version WHERE tenant_id = $1 AND kind = 0 FOR UPDATE"
    version = await connection.fetchval(held, tenant_id)
    if version is None:
        await connection.execute(
            "INSERT INTO data_version (tenant_id, kind, version) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING",
            tenant_id,
        )
        version = await connection.fetchval(held, tenant_id)
    return int(version)


async def advance(connection: Any, tenant_id: int, kind: int) -> int:
    """Give a kind that is no kind of events its next version, and say so to all who watch; part of the transaction.

    What a tenant defines stands for such a kind, of 100 or above: answers that depend on it are computed anew.
    """
    version = await connection.fetchval(
        "INSERT INTO data_version (tenant_id, kind, version) VALUES ($1, $2, 1)"
        " ON CONFLICT (tenant_id, kind) DO UPDATE SET version = data_version.version + 1 RETURNING version",
        tenant_id,
        kind,
    )
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"v {tenant_id} {version} {kind}")
    return int(version)
