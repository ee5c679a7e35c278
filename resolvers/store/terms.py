"""The dictionary of a tenant: texts that repeat (names, dimension values, subjects) as dense numbers.

Codes are given out by the one writer that holds the tenant's log, start at 1 and never change, so a code that was
once read from a committed transaction may be remembered for good.
"""

from collections.abc import Collection, Iterable, Mapping
from sys import getsizeof
from typing import Any, NamedTuple

from sqlalchemy import Column, Integer, SmallInteger, Text, any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import driver
from resolvers.store.members import MemberMemory

TERMS = 0
"""Event names, dimension values and cost sources."""
SUBJECTS = 1
ORDERS = 2
"""Order ids, given their codes by upkeep; the writer leaves them as they are."""
SUBSCRIPTIONS = 3
"""Ids of subscriptions."""

_REMEMBERED = 96 << 20
_ENTRY_BYTES = 200
"""About what the entries of both dictionaries take for a text, beside the text itself."""

_LOOK_UP = "SELECT value, code FROM term_codes($1, $2, $3)"
# In the order of an index, whatever statistics say: they may not know the tenant yet.
_LAST = "SELECT code FROM term WHERE tenant_id = $1 AND space = $2 ORDER BY code DESC LIMIT 1"


class TermRow(SQLModel, table=True):
    __tablename__ = "term"

    tenant_id: int = Field(primary_key=True)
    space: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    code: int = Field(sa_column=Column(Integer, primary_key=True))
    value: str = Field(sa_column=Column(Text(collation="C"), nullable=False))


class TermMemory:
    """What a process remembers of the dictionaries, both ways, for as many bytes as it may hold."""

    def __init__(self) -> None:
        self.codes: dict[tuple[int, int], dict[str, int]] = {}
        self.values: dict[tuple[int, int], dict[int, str]] = {}
        self.members = MemberMemory()
        self.size = 0
        """Bytes held, members apart."""

    def keep(self, tenant_id: int, space: int, codes: Mapping[str, int]) -> None:
        """Remember committed codes; everything is forgotten when there are too many."""
        size = sum(map(getsizeof, codes)) + _ENTRY_BYTES * len(codes)
        self.size += size
        if self.size > _REMEMBERED:
            self.codes.clear()
            self.values.clear()
            self.size = size
        self.codes.setdefault((tenant_id, space), {}).update(codes)
        values = self.values.setdefault((tenant_id, space), {})
        values.update(zip(codes.values(), codes, strict=True))


class TermRepository:
    """Translates between texts and codes for reading."""

    def __init__(self, session: AsyncSession, memory: TermMemory) -> None:
        self.session = session
        self.memory = memory

    async def codes(self, tenant_id: int, space: int, values: Collection[str]) -> dict[str, int]:
        """The codes of those texts that the tenant's log has ever held."""
        known = self.memory.codes.get((tenant_id, space), {})
        found = {value: known[value] for value in values if value in known}
        missing = [value for value in values if value not in found]
        if missing:
            fresh = dict(await (await driver(self.session)).fetch(_LOOK_UP, tenant_id, space, missing))
            self.memory.keep(tenant_id, space, fresh)
            found |= fresh
        return found

    async def values(self, tenant_id: int, space: int, codes: Iterable[int | None]) -> dict[int, str]:
        """The texts of codes."""
        wanted = {code for code in codes if code is not None}
        known = self.memory.values.get((tenant_id, space), {})
        found = {code: known[code] for code in wanted if code in known}
        missing = wanted - found.keys()
        if missing:
            query = select(TermRow.code, TermRow.value).where(
                TermRow.tenant_id == tenant_id,
                TermRow.space == space,
                col(TermRow.code) == any_(bindparam(None, list(missing), type_=ARRAY(Integer))),
            )
            fresh = dict((await self.session.exec(query)).all())
            self.memory.keep(tenant_id, space, {value: code for code, value in fresh.items()})
            found |= fresh
        return found


class Interned(NamedTuple):
    """The codes of texts."""

    codes: dict[str, int]
    fresh: dict[str, int]
    """Those read or made now, which the caller may have remembered once its transaction has committed."""
    new: dict[str, int]
    """Those made now, which the caller has to store."""


async def intern(connection: Any, memory: TermMemory, tenant_id: int, space: int, values: Collection[str]) -> Interned:
    """The codes of ``values``, made where they are missing; to be called while holding the tenant's log.

    ``connection`` is an asyncpg connection.
    """
    known = memory.codes.get((tenant_id, space), {})
    codes = {value: known[value] for value in values if value in known}
    if len(codes) == len(values):
        return Interned(codes, {}, {})
    missing = [value for value in values if value not in codes]
    last = await connection.fetchval(_LAST, tenant_id, space) or 0
    # Codes are dense: who knows as many as there are knows all. Some may have become known by reading just now.
    fresh: dict[str, int] = {value: known[value] for value in missing if value in known}
    if len(known) < last:
        fresh = dict(await connection.fetch(_LOOK_UP, tenant_id, space, missing))
    new = [value for value in missing if value not in fresh]
    made = {value: last + place for place, value in enumerate(new, 1)}
    fresh |= made
    return Interned(codes | fresh, fresh, made)
