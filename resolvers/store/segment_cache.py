"""Decoded columns of journey segments, as many as fit."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast
from weakref import WeakValueDictionary

import structlog

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.columns import Coded, EventRun, Moments
from resolvers.analysis.ledgers import LEDGERS, Ledger
from resolvers.analysis.measures import Measures
from resolvers.analysis.merging import merged
from resolvers.store.segment_codec import (
    Damaged,
    opened,
    unpack_ascending,
    unpack_coded,
    unpack_ledger,
    unpack_measures,
    unpack_moments,
)
from resolvers.store.segments import Run, SegmentRepository

Decoded = Ascending | Moments | Coded | Ledger | Measures | None
Key = tuple[int, Run, str]
Span = tuple[int, tuple[Run, ...], int, int, tuple[str, ...]]
"""A tenant's runs between two instants (microseconds since 1970), with the coded columns named."""

BUDGET = 128 << 20
_LEAST = 48 << 20
"""Bytes that there are for them however much is held beside: enough for a month of a few million events."""
_ROW_BYTES = 5
_SPANS = 32
_LARGEST_SPAN = 0.3
"""The part of the budget that one span may take."""

_DECODING = ThreadPoolExecutor(max_workers=2, thread_name_prefix="decoding")
"""Few threads: what a column takes while it is decoded is twice what is kept of it."""

log = structlog.get_logger(__name__)


class SegmentCache:
    """Keeps the columns used last, within a budget of bytes that they share with other caches.

    A run never changes, and its key says which events it holds; so what is kept cannot be out of date.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.beside: Callable[[], int] = lambda: 0
        """How many bytes other caches hold."""
        self.size = 0
        """Bytes held."""
        self.lost: set[int] = set()
        """Tenants of which a run was found missing or damaged, for upkeep to mend."""
        self._full = False
        """Whether something had to make room since it was last told to spare."""
        self.damaged = 0
        """How many runs were found damaged."""
        self._columns: OrderedDict[Key | Span, Decoded | EventRun] = OrderedDict()
        self._asked: OrderedDict[Span, bool] = OrderedDict()
        """Whether a span that was asked for may be merged, as far as is known."""
        self._loading: WeakValueDictionary[tuple[int, Run], asyncio.Lock] = WeakValueDictionary()

    async def columns(
        self, segments: SegmentRepository, tenant_id: int, run: Run, names: Sequence[str]
    ) -> EventRun | None:
        """A run with the coded columns named; None where the run is not there or damaged, which drops it."""
        found = await self.parts(segments, tenant_id, run, ("subject", "at", *names))
        return None if found is None else _run(found, names)

    async def parts(
        self, segments: SegmentRepository, tenant_id: int, run: Run, wanted: Sequence[str]
    ) -> Mapping[str, Decoded] | None:
        """Columns, ledgers and measures of a run, each None where it is not written; None for all in the same cases.

        Of those who want the same run at the same time, one reads and decodes what is missing.
        """
        lock = self._loading.setdefault((tenant_id, run), asyncio.Lock())
        async with lock:
            found = self._held(tenant_id, run, wanted)
            missing = [name for name in wanted if name not in found]
            if missing:
                loaded = await self._load(segments, tenant_id, run, missing)
                if loaded is None:
                    return None
                for name, column in loaded.items():
                    self._keep((tenant_id, run, name), column)
                found |= loaded
        return found

    async def piece(
        self, segments: SegmentRepository, tenant_id: int, run: Run, names: Sequence[str], start: int, end: int
    ) -> EventRun | None:
        """The rows of a run from ``start`` to before ``end``, with the coded columns named; None in the same cases.

        One column is decoded at a time, and none is kept beyond what there was already, as all would not fit.
        """
        found: dict[str, Decoded] = {}
        for name in ("subject", "at", *names):
            held: Mapping[str, Decoded] | None = self._held(tenant_id, run, [name])
            if not held:
                self._full = True
                held = await self._load(segments, tenant_id, run, [name])
            if held is None:
                return None
            found[name] = await asyncio.to_thread(_cut, held[name], start, end)
        return _run(found, names)

    def span(self, span: Span) -> EventRun | None:
        """What runs hold of a span, merged, if that was done."""
        found = self._columns.get(span)
        if found is not None:
            self._columns.move_to_end(span)
        return cast(EventRun | None, found)

    async def merge(self, span: Span, runs: Sequence[EventRun]) -> EventRun | None:
        """The same, made where it is asked for again and fits; None otherwise."""
        _, _, start_us, end_us, names = span
        if span not in self._asked:
            self._asked[span] = True
            if len(self._asked) > _SPANS:
                self._asked.popitem(last=False)
            return None
        if not self._asked[span]:
            return None
        rows = sum(run.moments.count(start_us, end_us) for run in runs)
        if rows * (_ROW_BYTES + len(names)) > self.budget * _LARGEST_SPAN:
            # Counted once, as that takes as long as selecting from some of them.
            self._asked[span] = False
            return None
        found = await asyncio.to_thread(merged, runs, start_us, end_us)
        self._keep(span, found)
        return found

    async def _load(
        self, segments: SegmentRepository, tenant_id: int, run: Run, names: Sequence[str]
    ) -> Mapping[str, Decoded] | None:
        sealed = await segments.sealed(tenant_id, run, names)
        if sealed is None:
            self.lost.add(tenant_id)
            return None
        try:
            loop = asyncio.get_running_loop()
            columns = await asyncio.gather(
                *(loop.run_in_executor(_DECODING, decoded, sealed[name], name, run, tenant_id) for name in names)
            )
        except Damaged as damage:
            log.warning("journeys.segment_damaged", place=str(damage))
            self.damaged += 1
            self.lost.add(tenant_id)
            await segments.drop(tenant_id, [run])
            return None
        return dict(zip(names, columns, strict=True))

    def _held(self, tenant_id: int, run: Run, names: Sequence[str]) -> dict[str, Decoded]:
        found: dict[str, Decoded] = {}
        for name in names:
            key = (tenant_id, run, name)
            if key in self._columns:
                self._columns.move_to_end(key)
                found[name] = cast(Decoded, self._columns[key])
        return found

    def _keep(self, key: Key | Span, column: Decoded | EventRun) -> None:
        if key in self._columns:
            self.size -= _size(self._columns.pop(key))
        self._columns[key] = column
        self.size += _size(column)
        self._keep_to(max(min(_LEAST, self.budget), self.budget - self.beside()))

    def spare(self) -> None:
        """Keep the least only, where what was read lately did not fit anyway."""
        if self._full:
            self._keep_to(_LEAST)
            self._full = False

    def _keep_to(self, room: int) -> None:
        while self.size > room:
            self.size -= _size(self._columns.popitem(last=False)[1])
            self._full = True


def _run(found: Mapping[str, Decoded], names: Sequence[str]) -> EventRun:
    return EventRun(
        cast(Ascending, found["subject"]),
        cast(Moments, found["at"]),
        {name: cast(Coded | None, found[name]) for name in names},
    )


def _cut(column: Decoded, start: int, end: int) -> Decoded:
    """Some rows of a column, which the rest of it may be let go of for."""
    match column:
        case Ascending():
            return Ascending.of(column.part(start, end))
        case Moments():
            return replace(column, ticks=column.ticks[start:end].copy())
        case Coded():
            return replace(column, index=column.index[start:end].copy())
        case _:
            return None


def decoded(sealed: bytes | None, name: str, run: Run, tenant_id: int) -> Decoded:
    """A column, a ledger or the measures of a run; None where that is not written, a column if no event carries it.

    Raises Damaged.
    """
    place = run.place(tenant_id, name)
    if sealed is None:
        return None
    body = opened(sealed, place)
    if name == "subject":
        return unpack_ascending(body)
    if name in LEDGERS:
        return unpack_ledger(body)
    if name == "measures":
        return unpack_measures(body)
    return unpack_moments(body) if name == "at" else unpack_coded(body)


def _size(column: Decoded | EventRun) -> int:
    return 64 if column is None else column.nbytes + 64
