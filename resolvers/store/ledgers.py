"""Reading ledgers: the events of a kind with exact amounts, from beside segments and what the log has since."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from time import perf_counter
from typing import Generic, TypeVar, cast

import numpy as np
from sqlalchemy import ColumnElement, Integer, case, func, literal
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.columns import Coded, Coding, columns_of
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING, Filter
from resolvers.analysis.journeys import Selection, step_bits
from resolvers.analysis.ledgers import LEDGERS, Entries, Ledger, joined_entries
from resolvers.analysis.measures import Measures
from resolvers.analysis.periods import Period, epoch_us
from resolvers.store.conditions import Codes, among, condition
from resolvers.store.copying import too_many
from resolvers.store.events import EVENT
from resolvers.store.ledger_rows import entries_of, ledger_rows
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import SegmentRepository, State, overlapping, uncovered
from resolvers.store.terms import TermMemory, TermRepository

T = TypeVar("T")

_LARGEST = 256 << 20
"""Bytes of entries in memory at once."""
_ENTRY_BYTES = 48
_BLOCK = 1 << 16
"""Entries that are worked on at a time, for the memory that they take as they are."""
_HELD = frozenset({"kind", "name"})
"""The columns of codes that ledgers hold themselves."""


@dataclass(frozen=True, slots=True)
class LedgerQuestion:
    """Which entries of which ledger: those of the period that pass ``where``."""

    tenant_id: int
    ledger: str
    period: Period
    where: Filter = EVERYTHING
    steps: Sequence[Filter] = ()
    by: Sequence[str] = ()
    measured: bool = False
    """Whether their measures are read too, which only MEASURED has."""


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """What was found, and how it was come by."""

    entries: Entries
    explain: Explanation


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """What was made of entries, from what, and of how many that came from the log beside ledgers."""

    parts: list[T]
    source: Source
    late: int


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    """What was made of ledgers, and the positions from which on months come from the log."""

    parts: list[T]
    behind: Mapping[date, int]


class LedgerRepository:
    """Reads the ledgers of tenants."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)
        self.segments = SegmentRepository(session)
        self.cache = cache

    async def read(self, asked: LedgerQuestion) -> LedgerReading:
        """The entries of a question; raises BadInput where they are more than fit in memory."""
        began = perf_counter()

        async def whole(entries: Entries) -> Entries:
            return entries

        made = await self.made(asked, whole)
        entries = joined_entries(made.parts)
        explain = Explanation(made.source, entries.size, 1e3 * (perf_counter() - began), tail=made.late)
        return LedgerReading(entries, explain)

    async def read_of(self, asked: LedgerQuestion, subjects: list[int]) -> LedgerReading:
        """Those of a few subjects, which the log has by an index; raises BadInput in the same case."""
        began = perf_counter()
        codes = await Codes.of(self.terms, asked.tenant_id, asked.where, *asked.steps)
        entries = await self._logged(asked, codes, among(EVENT.subject, subjects))
        return LedgerReading(entries, Explanation(Source.LOG, entries.size, 1e3 * (perf_counter() - began)))

    async def made(self, asked: LedgerQuestion, work: Callable[[Entries], Awaitable[T]]) -> Made[T]:
        """What ``work`` makes of the entries of a question, some of them at a time.

        It may be asked for the same again. Raises BadInput where all of them are more than fit in memory.
        """
        codes = await Codes.of(self.terms, asked.tenant_id, asked.where, *asked.steps)
        names = columns_of(asked.where, *asked.steps)
        state = await self.segments.state(asked.tenant_id)
        held = None if names is None else await self._held(asked, codes, names, state, work)
        if held is not None and held.behind != state.manifest.behind:
            # Most likely runs were merged meanwhile; the new ones are known by now.
            state = await self.segments.state(asked.tenant_id)
            held = await self._held(asked, codes, names or frozenset(), state, work)
        if held is None or not held.parts:
            entries = await self._logged(asked, codes, None)
            return Made([await work(entries)], Source.LOG, 0)
        folded_to, late = state.manifest.folded_to, 0
        if state.version > folded_to or held.behind:
            entries = await self._logged(asked, codes, uncovered(folded_to, state.version, held.behind))
            late = entries.size
            held.parts.append(await work(entries))
        return Made(held.parts, Source.JOURNEYS, late)

    async def _held(
        self,
        asked: LedgerQuestion,
        codes: Codes,
        names: frozenset[str],
        state: State,
        work: Callable[[Entries], Awaitable[T]],
    ) -> _Held[T] | None:
        """What is made of ledgers; None where more of the runs would have to be looked at than is in order."""
        runs = overlapping(state.manifest, asked.period)
        columns = sorted((names | set(asked.by)) - _HELD)
        if sum(run.rows for run in runs) * len(columns) > 2 * self.cache.budget:
            return None
        period = asked.period
        selection = Selection(epoch_us(period.start), epoch_us(period.end), asked.where, asked.steps, asked.by)
        coding = Coding(codes.terms, codes.subjects, codes.members)
        behind, broken, parts, most = dict(state.manifest.behind), set[date](), list[T](), _most(asked)
        for run in runs:
            if run.month in broken:
                continue
            beside = ("measures",) if asked.measured else ()
            found = await self.cache.parts(self.segments, asked.tenant_id, run, (asked.ledger, *beside, *columns))
            ledger = None if found is None else cast(Ledger | None, found[asked.ledger])
            measures = None if found is None else cast(Measures | None, found.get("measures"))
            if found is None or ledger is None or (asked.measured and measures is None):
                broken.add(run.month)
                behind[run.month] = run.after
                continue
            coded = {name: cast(Coded | None, found[name]) for name in columns}
            select = partial(ledger.selected, LEDGERS[asked.ledger], selection, coding, coded, measures)
            # Of an empty ledger too there is a part, which tells that there is nothing.
            for start in range(0, max(1, ledger.row.size), _BLOCK):
                entries = await asyncio.to_thread(select, start, min(start + _BLOCK, ledger.row.size))
                most -= entries.size
                if most < 0:
                    raise too_many()
                parts.append(await work(entries))
        return _Held(parts, behind)

    async def _logged(self, asked: LedgerQuestion, codes: Codes, part: ColumnElement[bool] | None) -> Entries:
        """The same from the log, or from a part of it."""
        mask: ColumnElement[int] = literal(0, Integer)
        for place, step in enumerate(asked.steps):
            mask = mask + case((condition(step, codes), literal(1 << place, Integer)), else_=literal(0, Integer))
        conditions = [EVENT.occurred_at >= asked.period.start, EVENT.occurred_at < asked.period.end]
        conditions += [condition(asked.where, codes)] + ([] if part is None else [part])
        dimensions = [
            (f"d{place}", func.coalesce(EVENT[name], literal(0, Integer)).cast(Integer))
            for place, name in enumerate(asked.by)
        ]
        more = [("steps", mask.cast(Integer)), *dimensions]
        kind = LEDGERS[asked.ledger]
        rows = await ledger_rows(self.session, asked.tenant_id, kind, conditions, more, measured=asked.measured)
        values = [rows[name].astype(np.int32) for name, _ in dimensions]
        return entries_of(
            rows,
            rows["steps"].astype(step_bits(len(asked.steps))),
            np.stack(values) if values else np.empty((0, rows.size), np.int32),
        )


def _most(asked: LedgerQuestion) -> int:
    """How many entries fit in memory."""
    return _LARGEST // (_ENTRY_BYTES + 4 * len(asked.by))
