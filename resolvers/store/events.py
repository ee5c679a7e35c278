"""The event log: its tables, and reading events back from it."""

import re
from binascii import unhexlify
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    Numeric,
    Row,
    SmallInteger,
    Text,
    and_,
    inspect,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.events import DIMENSIONS, Event, Interval, Kind, StoredEvent
from resolvers.store.database import rows
from resolvers.store.terms import SUBJECTS, SUBSCRIPTIONS, TERMS, TermMemory, TermRepository


def _moment(nullable: bool = False) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)


class EventKeyRow(SQLModel, table=True):
    """Which ids a tenant's log holds, whatever their time: one row an id, never partitioned."""

    __tablename__ = "event_key"

    tenant_id: int = Field(primary_key=True)
    key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    occurred_at: datetime = Field(sa_column=_moment())
    received_at: datetime = Field(sa_column=_moment())


class EventRow(SQLModel, table=True):
    """One event, its texts that repeat as codes of the tenant's dictionary; partitioned by month of occurred_at."""

    __tablename__ = "event"

    tenant_id: int = Field(primary_key=True)
    subject: int | None = Field(sa_column=Column(Integer))
    position: int = Field(sa_column=Column(BigInteger, primary_key=True))
    occurred_at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    received_at: datetime = Field(sa_column=_moment())
    kind: int = Field(sa_column=Column(SmallInteger, nullable=False))
    success: bool | None = Field(sa_column=Column(Boolean))
    assisted: bool | None = Field(sa_column=Column(Boolean))
    name: int
    channel: int | None
    campaign: int | None
    source: int | None
    persona: int | None
    segment: int | None
    provider: int | None
    model: int | None
    feature: int | None
    agent: int | None
    integration: int | None
    service: int | None
    plan: int | None
    location: int | None
    experiment: int | None
    variant: int | None
    request_type: int | None
    cost_source: int | None
    recurring: bool | None
    duration_ms: float | None = Field(sa_column=Column(Double))
    score: float | None = Field(sa_column=Column(Double))
    input_tokens: int | None = Field(sa_column=Column(BigInteger))
    output_tokens: int | None = Field(sa_column=Column(BigInteger))
    cache_read_tokens: int | None = Field(sa_column=Column(BigInteger))
    cache_write_tokens: int | None = Field(sa_column=Column(BigInteger))
    id: str = Field(sa_column=Column(Text(collation="C"), nullable=False))
    session: str | None = Field(sa_column=Column(Text(collation="C")))
    order_id: str | None = Field(sa_column=Column(Text(collation="C")))
    currency: str | None = Field(sa_column=Column(Text(collation="C")))
    amount: Decimal | None = Field(sa_column=Column(Numeric))
    cost: Decimal | None = Field(sa_column=Column(Numeric))
    properties: dict[str, Any] | None = Field(sa_column=Column(JSONB))
    subscription: int | None
    interval: str | None = Field(sa_column=Column(Text(collation="C")))


EVENT: ReadOnlyColumnCollection[str, KeyedColumnElement[Any]] = inspect(EventRow).local_table.c
"""The columns of the log, for expressions."""
_KEYS: ReadOnlyColumnCollection[str, KeyedColumnElement[Any]] = inspect(EventKeyRow).local_table.c
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UUID_LENGTH, _LONGEST_KEY, _BEGINNING = 36, 40, 24
_PLAIN = (
    "session order_id amount cost currency duration_ms input_tokens output_tokens cache_read_tokens"
    " cache_write_tokens score success assisted recurring"
).split()


def event_keys(ids: Iterable[str]) -> list[bytes]:
    """What ids are kept unique by; those that differ in any byte have keys that differ.

    Ids that follow each other have keys that do: an index grows by far the fastest at one end. A short id is its own
    key, a UUID its 16 bytes, a long id its beginning and a digest. Neither 0xFE nor 0xFF occurs in UTF-8, so that
    none of these is another.
    """
    keys = [event_id.encode() for event_id in ids]
    return [key if len(key) < _UUID_LENGTH else _shortened(key) for key in keys]


def _shortened(key: bytes) -> bytes:
    if len(key) == _UUID_LENGTH and _UUID.fullmatch(key):
        return b"\xfe" + unhexlify(key.translate(None, b"-"))
    if len(key) <= _LONGEST_KEY:
        return key
    return key[:_BEGINNING] + b"\xff" + blake2b(key, digest_size=16).digest()


class EventRepository:
    """Reads events of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)

    async def page(
        self,
        tenant_id: int,
        *,
        conditions: Sequence[ColumnElement[bool]],
        after: tuple[datetime, int] | None,
        limit: int,
    ) -> list[StoredEvent]:
        """Newest first, from the one after ``after`` (occurred_at, position) on."""
        query = select(*EVENT).where(EVENT.tenant_id == tenant_id, *conditions)
        if after is not None:
            # The plain bound on time is implied, and is what lets older months be skipped.
            query = query.where(
                and_(EVENT.occurred_at <= after[0], tuple_(EVENT.occurred_at, EVENT.position) < tuple_(*after))
            )
        query = query.order_by(EVENT.occurred_at.desc(), EVENT.position.desc()).limit(limit)
        return await self._events(tenant_id, query)

    async def since(
        self, tenant_id: int, *, conditions: Sequence[ColumnElement[bool]], position: int, limit: int
    ) -> list[StoredEvent]:
        """The next events of the log after ``position``, in the order of commits."""
        query = (
            select(*EVENT)
            .where(EVENT.tenant_id == tenant_id, EVENT.position > position, *conditions)
            .order_by(EVENT.position)
            .limit(limit)
        )
        return await self._events(tenant_id, query)

    async def by_ids(self, tenant_id: int, ids: Sequence[str]) -> dict[str, StoredEvent]:
        """Those of the ids that the log holds."""
        keys = select(_KEYS.position, _KEYS.occurred_at).where(
            _KEYS.tenant_id == tenant_id, _KEYS.key.in_(event_keys(ids))
        )
        places = [tuple(row) for row in await rows(self.session, keys)]
        if not places:
            return {}
        query = select(*EVENT).where(
            EVENT.tenant_id == tenant_id,
            EVENT.occurred_at.in_([at for _, at in places]),
            tuple_(EVENT.position, EVENT.occurred_at).in_(places),
        )
        return {stored.event.id: stored for stored in await self._events(tenant_id, query)}

    async def _events(self, tenant_id: int, query: Any) -> list[StoredEvent]:
        found = await rows(self.session, query)
        codes = [code for row in found for code in (row.name, row.cost_source, *_dimension_codes(row))]
        terms = await self.terms.values(tenant_id, TERMS, codes)
        subjects = await self.terms.values(tenant_id, SUBJECTS, [row.subject for row in found])
        subscriptions = await self.terms.values(tenant_id, SUBSCRIPTIONS, [row.subscription for row in found])
        return [_event(row, terms, subjects, subscriptions) for row in found]


def _dimension_codes(row: Row[Any]) -> list[int | None]:
    return [getattr(row, dimension) for dimension in DIMENSIONS]


def _event(
    row: Row[Any], terms: dict[int, str], subjects: dict[int, str], subscriptions: dict[int, str]
) -> StoredEvent:
    dimensions = {
        dimension: terms[code]
        for dimension, code in zip(DIMENSIONS, _dimension_codes(row), strict=True)
        if code is not None
    }
    properties = row.properties
    event = Event(
        id=row.id,
        kind=Kind(row.kind),
        name=terms[row.name],
        subject="" if row.subject is None else subjects[row.subject],
        occurred_at=row.occurred_at,
        content=b"",
        cost_source=None if row.cost_source is None else terms[row.cost_source],
        subscription=None if row.subscription is None else subscriptions[row.subscription],
        interval=None if row.interval is None else Interval(row.interval),
        dimensions=dimensions,
        properties=orjson.loads(properties) if isinstance(properties, str) else properties or {},
        **{name: getattr(row, name) for name in _PLAIN},
    )
    return StoredEvent(event=event, position=row.position, received_at=row.received_at)
