"""Import of a file of events: its rows are read, mapped and stored batch by batch, in flat memory.

A row without an id gets one made of its place and its content, so that importing a file again adds nothing while
equal rows of one file stay different events.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from gateway.import_columns import Mapper, Unreadable
from gateway.import_plan import ImportPlan
from gateway.import_rows import Row, Rows, open_rows
from resolvers.analysis.events import Receipt

BATCH = 5_000
_AHEAD = 2
"""Batches under way besides the one that is read."""

Ingest = Callable[[Sequence[dict[str, Any]]], Awaitable[Receipt]]


@dataclass(slots=True)
class ImportSummary:
    """What became of the rows so far: each is skipped, accepted, a duplicate, a conflict or rejected."""

    rows: int = 0
    bytes_read: int = 0
    """Of the file as it lies on disk, so that its size is the whole."""
    skipped: int = 0
    """Rows that the conditions leave out."""
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: list[Row]
    items: list[dict[str, Any]]
    unreadable: list[tuple[Row, str | None, str]]
    read: int
    position: int


async def import_file(
    path: Path,
    plan: ImportPlan,
    ingest: Ingest,
    *,
    rejects_path: Path,
    progress: Callable[[ImportSummary], None] = lambda summary: None,
) -> ImportSummary:
    """Store the events of ``path`` through ``ingest``, in batches of at most 5,000 items.

    Rows that are refused go to ``rejects_path``, a line of JSON each (line, field, reason, row); it is written only
    if there are any. ``progress`` is called after each batch. Raises BadInput where the file or the plan cannot be
    used at all; whatever ``ingest`` raises ends the import, which may simply be run again.
    """
    summary = ImportSummary()
    with open_rows(path, plan) as rows, _Rejects(rejects_path, rows, summary) as rejects:
        batches = _batches(rows, Mapper(plan, rows.cell_of))
        storing: deque[tuple[_Batch, asyncio.Future[Receipt]]] = deque()

        async def settle() -> None:
            batch, stored = storing.popleft()
            receipt = await stored
            summary.rows += batch.read
            summary.bytes_read = batch.position
            summary.skipped += batch.read - len(batch.items) - len(batch.unreadable)
            summary.accepted += receipt.accepted
            summary.duplicates += receipt.duplicates
            rejects.take(batch, receipt)
            progress(summary)

        try:
            # Batches are read and judged while the database is at work on those before.
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                storing.append((batch, asyncio.ensure_future(_stored(ingest, batch))))
                if len(storing) > _AHEAD:
                    await settle()
            while storing:
                await settle()
        finally:
            await asyncio.gather(*(stored for _, stored in storing), return_exceptions=True)
    return summary


async def _stored(ingest: Ingest, batch: _Batch) -> Receipt:
    return await ingest(batch.items) if batch.items else Receipt()


def _batches(rows: Rows, mapper: Mapper) -> Iterator[_Batch]:
    source = iter(rows)
    while True:
        batch = _Batch([], [], [], 0, 0)
        read = 0
        for row in islice(source, BATCH):
            read += 1
            if row.values is None:
                batch.unreadable.append((row, None, row.problem))
            elif mapper.wants(row.values):
                try:
                    batch.items.append(mapper.item(row.values, row.line, row.raw))
                    batch.rows.append(row)
                except Unreadable as bad:
                    batch.unreadable.append((row, bad.field, bad.message))
        if not read:
            return
        yield _Batch(batch.rows, batch.items, batch.unreadable, read, rows.position())


class _Rejects:
    """The file of refused rows, made when the first one comes."""

    def __init__(self, path: Path, rows: Rows, summary: ImportSummary) -> None:
        self._path = path
        self._rows = rows
        self._summary = summary
        self._stack = ExitStack()
        self._file: TextIO | None = None

    def __enter__(self) -> "_Rejects":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def take(self, batch: _Batch, receipt: Receipt) -> None:
        self._summary.conflicts += len(receipt.conflicts)
        self._summary.rejected += len(batch.unreadable) + len(receipt.rejected)
        for row, field, reason in batch.unreadable:
            self._write(row, field, reason)
        for rejection in receipt.rejected:
            self._write(batch.rows[rejection.index], rejection.field, rejection.message)
        for conflict in receipt.conflicts:
            first = f"{conflict.first_occurred_at:%Y-%m-%dT%H:%M:%SZ}"
            reason = f"the id {conflict.id} is taken by another event of {first}"
            self._write(batch.rows[conflict.index], "id", reason)

    def _write(self, row: Row, field: str | None, reason: str) -> None:
        if self._file is None:
            self._file = self._stack.enter_context(self._path.open("w", encoding="ascii"))
        shown = {"line": row.line, "field": field, "reason": reason, "row": self._rows.shown(row)}
        self._file.write(json.dumps(shown) + "\n")
