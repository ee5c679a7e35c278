"""New events as rows of the log: coded by the dictionary, copied into its tables.

Policies refuse COPY, and are checked row by row where they do not. So the tables beneath the log carry none, and one
role may insert into them: it can read nothing, change nothing and touch nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import attrgetter
from typing import Any

import orjson

from resolvers.analysis.events import DIMENSIONS, Event
from resolvers.store.database import APP_ROLE
from resolvers.store.terms import SUBJECTS, TERMS, TermMemory, intern

WRITER_ROLE = "gateway_writer"

_PLAIN = (
    "occurred_at",
    "success",
    "assisted",
    "recurring",
    "duration_ms",
    "score",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "id",
    "session",
    "order_id",
    "currency",
    "amount",
    "cost",
)
_GETTERS = {name: attrgetter(name) for name in _PLAIN}
_KEY_TABLE = "event_key_rows"
_KEY_COLUMNS = ("tenant_id", "key", "content", "position", "occurred_at", "received_at")

Columns = dict[str, Sequence[Any]]


@dataclass(slots=True)
class Learnt:
    """What a process may act upon once its transaction has committed."""

    codes: list[tuple[int, int, dict[str, int]]] = field(default_factory=list)
    """Codes by tenant and space."""
    announcements: list[str] = field(default_factory=list)


def months_of(events: Iterable[Event]) -> set[date]:
    """The first days of the months that events lie in."""
    return {date(year, month, 1) for year, month in {(at.year, at.month) for at in map(_occurred_at, events)}}


_occurred_at = _GETTERS["occurred_at"]


async def coded(
    connection: Any, memory: TermMemory, tenant_id: int, events: Sequence[Event], learnt: Learnt
) -> Columns:
    """The events as columns of the log by name, their texts as codes; to be called while holding the tenant's log."""
    texts = dict.fromkeys(event.name for event in events)
    for event in events:
        if event.dimensions:
            texts.update(dict.fromkeys(event.dimensions.values()))
    texts.update(dict.fromkeys(event.cost_source for event in events if event.cost_source is not None))
    terms, fresh = await intern(connection, memory, tenant_id, TERMS, texts)
    learnt.codes.append((tenant_id, TERMS, fresh))
    people = dict.fromkeys(event.subject for event in events if event.subject)
    subjects, fresh = await intern(connection, memory, tenant_id, SUBJECTS, people)
    learnt.codes.append((tenant_id, SUBJECTS, fresh))
    columns: Columns = {name: list(map(get, events)) for name, get in _GETTERS.items()}
    columns["subject"] = [subjects[event.subject] if event.subject else None for event in events]
    columns["kind"] = [int(event.kind) for event in events]
    columns["name"] = [terms[event.name] for event in events]
    columns["cost_source"] = [terms[event.cost_source] if event.cost_source else None for event in events]
    columns["properties"] = [orjson.dumps(event.properties).decode() if event.properties else None for event in events]
    return columns | _dimensions(events, terms)


def _dimensions(events: Sequence[Event], terms: dict[str, int]) -> Columns:
    columns: dict[str, list[int | None]] = {dimension: [None] * len(events) for dimension in DIMENSIONS}
    for place, event in enumerate(events):
        for dimension, value in event.dimensions.items():
            columns[dimension][place] = terms[value]
    return dict(columns)


async def append(
    connection: Any,
    tenant_id: int,
    positions: Sequence[int],
    keys: Sequence[bytes],
    contents: Sequence[bytes],
    columns: Columns,
    now: datetime,
) -> None:
    """Copy events into the log and its keys, within the transaction of ``connection`` (asyncpg's).

    Only here does it have the writer's role, which has no right to anything else.
    """
    times = columns["occurred_at"]
    size = len(times)
    tenants, received = [tenant_id] * size, [now] * size
    await connection.execute(f"SET LOCAL ROLE {WRITER_ROLE}")
    await connection.copy_records_to_table(
        _KEY_TABLE,
        schema_name="public",
        columns=_KEY_COLUMNS,
        records=zip(tenants, keys, contents, positions, times, received, strict=True),
    )
    # A column that nobody fills costs as much as another, on both sides.
    filled = {name: column for name, column in columns.items() if column.count(None) < size}
    names = ("tenant_id", "position", "received_at", *filled)
    rows = zip(tenants, positions, received, *filled.values(), strict=True)
    for month, records in _by_month(times, rows):
        await connection.copy_records_to_table(
            f"event_{month:%Y%m}", schema_name="public", columns=names, records=records
        )
    await connection.execute(f"SET LOCAL ROLE {APP_ROLE}")


def _by_month(times: Sequence[datetime], rows: Iterable[Any]) -> Iterable[tuple[date, Iterable[Any]]]:
    if len({(at.year, at.month) for at in times}) == 1:
        return [(times[0], rows)]
    parts: dict[tuple[int, int], list[Any]] = {}
    for at, row in zip(times, rows, strict=True):
        parts.setdefault((at.year, at.month), []).append(row)
    return [(date(year, month, 1), part) for (year, month), part in parts.items()]
