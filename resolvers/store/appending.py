"""New events as rows of the log: coded by the dictionary, copied into its tables.

Policies refuse COPY, and are checked row by row where they do not. So the tables beneath the log and its dictionary
carry none, and one role may insert into them: it can read nothing, change nothing and touch nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import orjson

from resolvers.analysis.event_columns import COUNTS, FLAGS, FLOATS, MONEY, EventColumns, Ints, microseconds
from resolvers.analysis.events import Event
from resolvers.analysis.rollups import deltas
from resolvers.store import rollups
from resolvers.store.copy_rows import Column, Rows, amounts, codes, instants, numbers, octets, some_numbers, texts
from resolvers.store.database import APP_ROLE
from resolvers.store.terms import SUBJECTS, SUBSCRIPTIONS, TERMS, TermMemory, intern

WRITER_ROLE = "gateway_writer"

_KEY_TABLE = "event_keys"
_TERM_TABLE = "terms"
_OPTIONAL_TEXTS = ("session", "order_id", "currency", "interval")
_JSONB_VERSION = b"\x01"
_occurred_at = attrgetter("occurred_at")
_MONTH = np.dtype("datetime64[M]")

Codes = dict[str, Ints]
T = TypeVar("T")
W = TypeVar("W")


@dataclass(slots=True)
class Learnt:
    """What a process may act upon once its transaction has committed."""

    codes: list[tuple[int, int, dict[str, int]]] = field(default_factory=list)
    """Codes by tenant and space."""
    announcements: list[str] = field(default_factory=list)


def months_of(events: Iterable[Event]) -> set[date]:
    """The first days of the months that events lie in."""
    return {date(year, month, 1) for year, month in {(at.year, at.month) for at in map(_occurred_at, events)}}


async def meanwhile(asked: Awaitable[T], work: Callable[[], W]) -> tuple[T, W]:
    """What the database answers, and what this process has done while it was at it."""
    answer = asyncio.ensure_future(asked)
    try:
        # In the next turn of the loop the question is put, at the end of that it is sent.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done = work()
    except BaseException:
        answer.cancel()
        await asyncio.wait([answer])
        raise
    return await answer, done


@dataclass(frozen=True, slots=True)
class Coded:
    """Texts of a batch as numbers of the tenant's dictionary, and the texts that it does not hold yet."""

    codes: Codes
    """Of names, subjects, subscriptions, sources of costs and dimensions; 0 where an event has none."""
    new: dict[int, dict[str, int]]
    """By space."""


async def coded(connection: Any, memory: TermMemory, tenant_id: int, columns: EventColumns, learnt: Learnt) -> Coded:
    """The texts as codes, made where they are missing; to be called while holding the tenant's log."""
    wanted = {
        TERMS: dict.fromkeys(columns.texts["name"]),
        SUBJECTS: dict.fromkeys(columns.texts["subject"]),
        SUBSCRIPTIONS: dict.fromkeys(columns.texts["subscription"]),
    }
    for values in (columns.texts["cost_source"], *(values for _, values in columns.dimensions.values())):
        wanted[TERMS].update(dict.fromkeys(values))
    known: dict[int, dict[str | None, int]] = {}
    new: dict[int, dict[str, int]] = {}
    for space, found in wanted.items():
        told = await intern(connection, memory, tenant_id, space, [value for value in found if value])
        learnt.codes.append((tenant_id, space, told.fresh))
        known[space] = {None: 0, "": 0}
        known[space].update(told.codes)
        if told.new:
            new[space] = told.new
    result = {
        name: np.array([known[space][value] for value in columns.texts[name]])
        for name, space in (("name", TERMS), ("cost_source", TERMS), ("subject", SUBJECTS))
    }
    if len(wanted[SUBSCRIPTIONS]) > 1 or None not in wanted[SUBSCRIPTIONS]:
        numbered = known[SUBSCRIPTIONS]
        result["subscription"] = np.array([numbered[value] for value in columns.texts["subscription"]])
    for dimension, (at, values) in columns.dimensions.items():
        result[dimension] = np.zeros(columns.size, np.int64)
        result[dimension][at] = [known[TERMS][value] for value in values]
    return Coded(result, new)


def term_rows(tenant_id: int, new: dict[int, dict[str, int]]) -> Rows:
    """New texts as rows of the dictionary, in the order of its index of texts, which takes a third less time so."""
    spaces, values, numbered = [], [], []
    for space, made in sorted(new.items()):
        ordered = sorted(made)
        values += ordered
        numbered += [made[value] for value in ordered]
        spaces += [space] * len(ordered)
    columns: dict[str, Column] = {
        "tenant_id": numbers(tenant_id, ">i4"),
        "space": numbers(spaces, ">i2"),
        "code": numbers(numbered, ">i4"),
        "value": texts(values),
    }
    return Rows(len(values), columns)


def key_rows(
    tenant_id: int, positions: Ints, keys: Sequence[bytes], contents: Sequence[bytes], at: Ints, now: datetime
) -> Rows:
    """Events as rows of the table that keeps their ids unique."""
    columns: dict[str, Column] = {
        "tenant_id": numbers(tenant_id, ">i4"),
        "key": octets(keys),
        "content": octets(contents),
        "position": numbers(positions, ">i8"),
        "occurred_at": instants(at),
        "received_at": instants(microseconds([now])),
    }
    return Rows(len(keys), columns)


def event_rows(tenant_id: int, positions: Ints, columns: EventColumns, found: Codes, now: datetime) -> Rows:
    """Events as rows of the log."""
    size = columns.size
    # A column that nobody fills would cost as much as another, on both sides.
    laid: dict[str, Column] = {
        "tenant_id": numbers(tenant_id, ">i4"),
        "position": numbers(positions, ">i8"),
        "occurred_at": instants(columns.at),
        "received_at": instants(microseconds([now])),
        "kind": numbers(columns.kind, ">i2"),
        "id": texts(columns.texts["id"]),
        **{name: codes(values) for name, values in found.items() if values.any()},
    }
    for flag in FLAGS:
        if (said := columns.flags[flag]).any():
            laid[flag] = numbers(said == 2, ">u1", said != 0)
    for names, source, form in ((COUNTS, columns.counts, ">i8"), (FLOATS, columns.floats, ">f8")):
        laid |= {
            name: some_numbers(source[name].at, source[name].values, form, size)
            for name in names
            if len(source[name].at)
        }
    laid |= {name: amounts(columns.money[name], size) for name in MONEY if len(columns.money[name].at)}
    for name in _OPTIONAL_TEXTS:
        if (given := columns.texts[name]).count(None) < size:
            laid[name] = texts(given)
    if any(columns.properties):
        laid["properties"] = octets([_JSONB_VERSION + orjson.dumps(one) if one else None for one in columns.properties])
    return Rows(size, laid)


async def append(
    connection: Any,
    memory: TermMemory,
    tenant_id: int,
    version: int,
    events: Sequence[Event],
    keys: Sequence[bytes],
    now: datetime,
    learnt: Learnt,
) -> Ints:
    """Copy new events into the log, their ids and texts beside it, and add them to the rollups; returns their kinds.

    Part of the transaction of ``connection`` (asyncpg's), which holds the tenant's log at ``version``. Only for the
    copying does it have the writer's role, which has no right to anything else. What is to be sent next is made while
    the database is at what was sent before.
    """
    positions = np.arange(version + 1, version + 1 + len(events))
    at = microseconds([event.occurred_at for event in events])
    ids = key_rows(tenant_id, positions, keys, [event.content for event in events], at, now)
    async with _writing(connection):
        _, columns = await meanwhile(_copy(connection, _KEY_TABLE, ids), lambda: EventColumns.of(events, at))
    texts = await coded(connection, memory, tenant_id, columns, learnt)

    def laid() -> Rows:
        return event_rows(tenant_id, positions, columns, texts.codes, now)

    async with _writing(connection):
        if texts.new:
            _, rows = await meanwhile(_copy(connection, _TERM_TABLE, term_rows(tenant_id, texts.new)), laid)
        else:
            rows = laid()
        _, added = await meanwhile(_copy_events(connection, rows, at), lambda: deltas(columns, texts.codes))
    await rollups.add(connection, tenant_id, added)
    return np.unique(columns.kind)


async def copy_terms(connection: Any, tenant_id: int, new: dict[int, dict[str, int]]) -> None:
    """Copy new texts of spaces, with their codes, into the dictionary."""
    async with _writing(connection):
        await _copy(connection, _TERM_TABLE, term_rows(tenant_id, new))


@asynccontextmanager
async def _writing(connection: Any) -> AsyncIterator[None]:
    """Be the writer; where something fails, the transaction ends, and with it the role."""
    await connection.execute(f"SET LOCAL ROLE {WRITER_ROLE}")
    yield
    await connection.execute(f"SET LOCAL ROLE {APP_ROLE}")


async def _copy_events(connection: Any, rows: Rows, at: Ints) -> None:
    """Each into the table of its month; ``at`` are their times in microseconds since 1970."""
    months = at.astype("datetime64[us]").astype(_MONTH)
    found = np.unique(months)
    for month in found:
        places = None if len(found) == 1 else np.flatnonzero(months == month)
        await _copy(connection, f"event_{str(month).replace('-', '')}", rows, places)


async def _copy(connection: Any, table: str, rows: Rows, places: Ints | None = None) -> None:
    # Plain bytes would be taken for the name of a file.
    source = memoryview(rows.encoded(places))
    await connection.copy_to_table(table, schema_name="public", columns=rows.names, source=source, format="binary")
