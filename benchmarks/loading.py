"""A company's events brought into a log at the speed of COPY, exactly as the gateway's writer would have stored them.

Blocks go into a staging table as they are in memory; one statement each turns them into rows of the log. What is
derived from the log (rollups, journeys) is then made by the gateway's own upkeep.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from benchmarks.company import (
    AI,
    DAYS,
    FIRST_DAY,
    PURCHASE,
    SORTS,
    TERMS,
    VALUES,
    Block,
    Company,
    instant,
    order_id,
    plain,
    subject_name,
)
from resolvers import upkeep
from resolvers.store.database import Database
from resolvers.store.terms import SUBJECTS
from resolvers.store.terms import TERMS as TERM_SPACE

CODES = {text: code for code, text in enumerate(TERMS, 1)}
"""The dictionary of a loaded log, subjects apart, whose codes are their numbers."""
DAYS_OF_LOG = upkeep.days(FIRST_DAY.date(), (FIRST_DAY + timedelta(days=DAYS - 1)).date())
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH_MS = 946_684_800_000
"""Binary timestamps count from 2000-01-01, this many milliseconds after 1970."""
_FIELDS: tuple[tuple[str, str, str], ...] = (
    ("position", ">i8", "bigint"),
    ("subject", ">i4", "integer"),
    ("occurred_at", ">i8", "timestamptz"),
    ("kind", ">i2", "smallint"),
    ("name", ">i4", "integer"),
    *((dimension, ">i4", "integer") for dimension in VALUES),
    ("success", ">i2", "smallint"),
    ("duration", ">i4", "integer"),
    ("tokens", ">i4", "integer"),
    ("cents", ">i4", "integer"),
    ("cost", ">i4", "integer"),
    ("content", "V16", "bytea"),
)
_ROW = np.dtype(
    [("count", ">i2"), *(part for name, form, _ in _FIELDS for part in ((f"{name}_", ">i4"), (name, form)))]
)
_MAKE_STAGE = f"CREATE TEMPORARY TABLE stage ({', '.join(f'{name} {kind}' for name, _, kind in _FIELDS)})"
_KEYS = """
INSERT INTO event_key (tenant_id, key, content, position, occurred_at, received_at)
SELECT $1, convert_to('e' || position, 'UTF8'), content, position, occurred_at, $2 FROM stage ORDER BY 2
"""
_EVENTS = f"""
INSERT INTO event (tenant_id, subject, position, occurred_at, received_at, kind, success, name, {", ".join(VALUES)},
    cost_source, recurring, duration_ms, input_tokens, output_tokens, id, order_id, currency, amount, cost)
SELECT $1, subject, position, occurred_at, $2, kind, CASE success WHEN 2 THEN true WHEN 1 THEN false END, name,
    {", ".join(f"nullif({name}, 0)" for name in VALUES)},
    CASE WHEN cost > 0 THEN {CODES["given"]} END, CASE WHEN cents > 0 THEN false END,
    nullif(duration, 0), nullif(tokens, 0), nullif(tokens, 0) / 2, 'e' || position,
    CASE WHEN cents > 0 THEN 'o' || position END, CASE WHEN cents > 0 OR cost > 0 THEN 'USD' END,
    trim_scale(nullif(cents, 0) * 0.01), trim_scale(nullif(cost, 0) * 0.0001)
FROM stage ORDER BY position
"""


async def load(url: str, tenant_id: int, company: Company, progress: Callable[[int], None]) -> None:
    """Fill an empty log with all of a company's events, and make its rollups; ``progress`` is told the events done."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(_MAKE_STAGE)
        async with connection.transaction():
            await _dictionary(connection, tenant_id, company)
        for month in sorted({day.date().replace(day=1) for day in DAYS_OF_LOG}):
            await connection.execute("SELECT ensure_event_partition($1)", month)
        done = 0
        async for data, size in _prepared(company):
            async with connection.transaction():
                await connection.copy_to_table("stage", source=_source(data), format="binary")
                for statement in (_KEYS, _EVENTS):
                    await connection.execute(statement, tenant_id, datetime.now(UTC))
                await connection.execute("TRUNCATE stage")
            done += size
            progress(done)
        await connection.execute(
            "INSERT INTO data_version SELECT $1, k, $2 FROM unnest($3::smallint[]) AS k",
            tenant_id,
            company.events,
            [0, *sorted({int(sort.kind) for sort in SORTS})],
        )
        await connection.execute("VACUUM (ANALYZE) event, event_key, term, data_version")
    finally:
        await connection.close()


async def derive(url: str, tenant_id: int, progress: Callable[[int], None]) -> None:
    """Make what is derived from the log anew; ``progress`` is told the days done."""
    patient = await Database.open(url, pool_size=1, statement_seconds=0, lock_seconds=0)
    try:
        done = 0
        async for _ in upkeep.rebuild(patient, tenant_id, DAYS_OF_LOG):
            done += 1
            progress(done)
    finally:
        await patient.close()
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM (ANALYZE) rollup, presence, term")
    await connection.close()


async def _dictionary(connection: Any, tenant_id: int, company: Company) -> None:
    for space, texts in (
        (TERM_SPACE, list(TERMS)),
        (SUBJECTS, [subject_name(number) for number in range(1, company.subjects + 1)]),
    ):
        await connection.copy_records_to_table(
            "term",
            columns=["tenant_id", "space", "code", "value"],
            records=((tenant_id, space, code, text) for code, text in enumerate(texts, 1)),
        )


async def _prepared(company: Company) -> AsyncIterator[tuple[bytes, int]]:
    """Each block as a binary COPY, the next one made while the database is at the one before."""
    blocks = company.blocks()

    def following() -> tuple[bytes, int] | None:
        block = next(blocks, None)
        return None if block is None else (_encoded(block), len(block))

    task = asyncio.create_task(asyncio.to_thread(following))
    while (found := await task) is not None:
        task = asyncio.create_task(asyncio.to_thread(following))
        yield found


async def _source(data: bytes) -> AsyncIterator[bytes]:
    yield data


def carries(dimension: str, block: Block) -> NDArray[np.bool_]:
    """Which events of a block carry a dimension."""
    return np.isin(block.sort, [place for place, sort in enumerate(SORTS) if dimension in sort.dimensions])


def _encoded(block: Block) -> bytes:
    rows = np.zeros(len(block), _ROW)
    rows["count"] = len(_FIELDS)
    for name, form, _ in _FIELDS:
        rows[f"{name}_"] = np.dtype(form).itemsize
    rows["position"] = block.position
    rows["subject"] = block.subject
    rows["occurred_at"] = (block.at - _EPOCH_MS) * 1000
    rows["kind"] = np.array([sort.kind for sort in SORTS])[block.sort]
    rows["name"] = np.array([CODES[sort.name] for sort in SORTS])[block.sort]
    for dimension, texts in VALUES.items():
        codes = np.array([CODES[text] for text in texts])[block.values[dimension]]
        rows[dimension] = np.where(carries(dimension, block), codes, 0)
    rows["success"] = np.where(block.duration > 0, 1 + block.success, 0)
    for name in ("duration", "tokens", "cents", "cost"):
        rows[name] = getattr(block, name)
    rows["content"] = _digests(_contents(block))
    return _HEADER + rows.tobytes() + _TRAILER


def _digests(digests: Iterable[bytes]) -> NDArray[np.void]:
    return np.frombuffer(b"".join(digests), "V16")


def _contents(block: Block) -> Iterator[bytes]:
    """The digests of what a client would have sent, as the intake makes them, many times faster than by way of it."""
    dimensions = {name: [f"\x1e.{name}\x1f{text}" for text in texts] for name, texts in VALUES.items()}
    values = {name: column.tolist() for name, column in block.values.items()}
    heads = [f"{sort.kind.name}\x1ename\x1f{sort.name}\x1esubject\x1f" for sort in SORTS]
    columns = (block.position, block.subject, block.at, block.sort, block.cents, block.duration, block.tokens)
    rows = zip(*(column.tolist() for column in (*columns, block.cost, block.success)), strict=True)
    for place, (position, subject, at, sort, cents, duration, tokens, cost, success) in enumerate(rows):
        text = f"{heads[sort]}{subject_name(subject)}\x1eoccurredAt\x1f{instant(at)}"
        if sort == PURCHASE:
            text += f"\x1eorderId\x1f{order_id(position)}\x1eamount\x1f{plain(cents, 2)}\x1ecurrency\x1fUSD"
        elif sort == AI:
            text += f"\x1ecost\x1f{plain(cost, 4)}\x1ecurrency\x1fUSD\x1edurationMs\x1f{duration}.0"
            text += f"\x1esuccess\x1f{success}\x1einputTokens\x1f{tokens}\x1eoutputTokens\x1f{tokens // 2}"
        text += "".join([dimensions[name][values[name][place]] for name in SORTS[sort].dimensions])
        yield blake2b(text.encode(), digest_size=16).digest()
