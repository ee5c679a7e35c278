"""Reading a tenant's journeys: from segments and what the log has since, or from the log alone."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Any, Generic, TypeVar

import asyncpg
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Integer, case, func, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.columns import Coding, EventColumns, columns_of
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.filters import Filter
from resolvers.analysis.funnels import Constant
from resolvers.analysis.journeys import SMALL, Journeys, Selection, gathered, joined, scattered, step_bits
from resolvers.analysis.numbering import Numbering
from resolvers.analysis.periods import Period, epoch_us
from resolvers.errors import BadInput, Unavailable
from resolvers.store.conditions import Codes, condition, trait
from resolvers.store.copying import EPOCH_US, copied, too_many
from resolvers.store.events import EVENT
from resolvers.store.scans import Keys
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import Run, SegmentRepository, State, overlapping, uncovered
from resolvers.store.terms import TERMS, TermMemory, TermRepository

T = TypeVar("T")

_LARGEST = 256 << 20
"""Bytes of journeys in memory at once."""
_FAR_BEHIND = 500_000
"""Events that are not folded yet which a question may fail for; upkeep takes about ten seconds for so many."""
_ROW_BYTES = 12
"""What subject and time of an event take, decoded."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What was made of journeys, and what it took."""

    parts: list[T]
    segments: int
    """How many segments were read; 0 where all came from the log."""
    explain: Explanation
    """From what; its rows are the events looked at."""


@dataclass(frozen=True, slots=True)
class _Question:
    tenant_id: int
    period: Period
    where: Filter
    steps: Sequence[Filter]
    by: Sequence[str]
    codes: Codes
    constant: Sequence[Constant]
    way: Callable[..., Any]
    """How parts are made of runs."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Runs in memory, or several of them as one."""

    columns: list[EventColumns]
    runs: int
    rows: int


class JourneyRepository:
    """Reads a tenant's events as arrays."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)
        self.segments = SegmentRepository(session)
        self.cache = cache

    async def read(
        self, tenant_id: int, period: Period, where: Filter, steps: Sequence[Filter], by: Sequence[str] = ()
    ) -> Journeys:
        """Events of the period that have a subject, pass ``where`` and qualify for at least one of at most 31 steps.

        Raises BadInput where they are more than fit in memory.
        """
        found = (await self.by_subject(tenant_id, period, where, steps, by, lambda part: part)).parts
        if sum(part.nbytes for part in found) > _LARGEST:
            raise too_many()
        return joined(found, ordered=found[0].ordered)

    async def by_subject(
        self,
        tenant_id: int,
        period: Period,
        where: Filter,
        steps: Sequence[Filter],
        by: Sequence[str],
        work: Callable[[Journeys], T],
        constant: Sequence[Constant] = (),
    ) -> Reading[T]:
        """What ``work`` makes of the same events, given in parts none of which shares a subject with another.

        Each of ``constant``, none of them a dimension, is one more row of ``dimensions``, under codes of this reading;
        they are read from the log. Work is done in threads. Raises BadInput where the events have to be read from the
        log and are more than fit in memory.
        """
        codes = await Codes.of(self.terms, tenant_id, where, *steps)
        return await self._made(_Question(tenant_id, period, where, steps, by, codes, constant, gathered), work)

    async def scattered(
        self, tenant_id: int, period: Period, where: Filter, steps: Sequence[Filter], work: Callable[[Journeys], T]
    ) -> Reading[T]:
        """The same where parts may share subjects, those within one being in order: for what adds up."""
        codes = await Codes.of(self.terms, tenant_id, where, *steps)
        return await self._made(_Question(tenant_id, period, where, steps, (), codes, (), scattered), work)

    async def _made(self, asked: _Question, work: Callable[[Journeys], T]) -> Reading[T]:
        began = perf_counter()
        needed = columns_of(asked.where, *asked.steps)
        state = await self.segments.state(asked.tenant_id)
        if needed is not None and not asked.constant:
            found = await self._folded(asked, state, sorted(needed | set(asked.by)), work, began)
            if found is not None:
                return found
        journeys = await self._unfolded(asked, None, state)
        parts = [await asyncio.to_thread(work, journeys)]
        return Reading(parts, 0, Explanation(Source.LOG, journeys.subject.size, _milliseconds_since(began)))

    async def texts(self, tenant_id: int, codes: Sequence[int]) -> dict[int, str]:
        """The dimension values behind codes."""
        return await self.terms.values(tenant_id, TERMS, codes)

    async def combinations(self, tenant_id: int, numbering: Numbering) -> list[Keys]:
        """The dimension values behind each combination that was met, by its number."""
        texts = await self.texts(tenant_id, [code for codes in numbering.known for code in codes])
        return [tuple(texts.get(code) for code in codes) for codes in numbering.known]

    async def _folded(
        self, asked: _Question, state: State, names: Sequence[str], work: Callable[[Journeys], T], began: float
    ) -> Reading[T] | None:
        """Segments as far as they reach, the log from there on; None where segments are of no use."""
        loaded, behind = await self._loaded(asked, names, state)
        if behind != state.manifest.behind:
            # Most likely runs were merged meanwhile; the new ones are known by now.
            state = await self.segments.state(asked.tenant_id)
            loaded, behind = await self._loaded(asked, names, state)
        if not loaded.runs:
            return None
        start_us, end_us = epoch_us(asked.period.start), epoch_us(asked.period.end)
        selection = Selection(start_us, end_us, asked.where, asked.steps, asked.by)
        coding = Coding(asked.codes.terms, asked.codes.subjects, asked.codes.members)
        folded_to, tail = state.manifest.folded_to, None
        if state.version > folded_to or behind:
            tail = await self._unfolded(asked, uncovered(folded_to, state.version, behind), state)
        parts = await asyncio.to_thread(asked.way, loaded.columns, tail, selection, coding, work)
        late = 0 if tail is None else tail.subject.size
        rows = loaded.rows + late
        return Reading(parts, loaded.runs, Explanation(Source.JOURNEYS, rows, _milliseconds_since(began), tail=late))

    async def _loaded(
        self, asked: _Question, names: Sequence[str], state: State
    ) -> "tuple[_Loaded, Mapping[date, int]]":
        """The runs that overlap the period, unless they are too many to hold, and the months that are behind."""
        runs = overlapping(state.manifest, asked.period)
        behind = dict(state.manifest.behind)
        broken = set[date]()
        if sum(run.rows for run in runs) * (_ROW_BYTES + len(names)) > 2 * self.cache.budget:
            return _Loaded([], 0, 0), behind
        span = asked.tenant_id, tuple(runs), epoch_us(asked.period.start), epoch_us(asked.period.end), tuple(names)
        together = self.cache.span(span)
        if together is not None:
            return _Loaded([together], len(runs), together.subject.size), behind
        loaded: list[tuple[Run, EventColumns]] = []
        for run in runs:
            if run.month in broken:
                continue
            columns = await self.cache.columns(self.segments, asked.tenant_id, run, names)
            if columns is None:
                broken.add(run.month)
                behind[run.month] = run.after
            else:
                loaded.append((run, columns))
        columns_of_runs = _large_first(loaded)
        rows = sum(run.rows for run, _ in loaded)
        if not broken and rows > SMALL and len(runs) > 1:
            together = await self.cache.merge(span, columns_of_runs)
        return _Loaded(columns_of_runs if together is None else [together], len(loaded), rows), behind

    async def _unfolded(self, asked: _Question, uncovered: ColumnElement[bool] | None, state: State) -> Journeys:
        """What has to come from the log; raises Unavailable where it is too much only because upkeep is behind."""
        try:
            return await self._logged(asked, uncovered)
        except (BadInput, asyncpg.QueryCanceledError):
            if state.version - state.manifest.folded_to < _FAR_BEHIND:
                raise
            raise Unavailable(
                "Very many events came in at once and are still being put in order; try again in a minute.",
                retry_after=30,
            ) from None

    async def _logged(self, asked: _Question, uncovered: ColumnElement[bool] | None) -> Journeys:
        """The same from the log, or from the part of it that meets a condition."""
        mask: ColumnElement[int] = literal(0, Integer)
        for place, step in enumerate(asked.steps):
            bit = literal(1 << place, Integer)
            mask = mask + case((condition(step, asked.codes), bit), else_=literal(0, Integer))
        query = select(
            EVENT.position,
            EVENT.subject,
            EVENT.occurred_at,
            mask.cast(Integer),
            *(func.coalesce(EVENT[name], literal(0, Integer)).cast(Integer) for name in asked.by),
            *(func.coalesce(trait(one), literal(0, BigInteger)).cast(BigInteger) for one in asked.constant),
        ).where(
            EVENT.tenant_id == asked.tenant_id,
            EVENT.subject.is_not(None),
            EVENT.occurred_at >= asked.period.start,
            EVENT.occurred_at < asked.period.end,
            condition(asked.where, asked.codes),
            condition(AnyOf(tuple(asked.steps)), asked.codes),
        )
        if uncovered is not None:
            query = query.where(uncovered)
        dimensions = [(f"d{place}", ">i4") for place in range(len(asked.by))]
        constants = [(f"c{place}", ">i8") for place in range(len(asked.constant))]
        fields = [("position", ">i8"), ("subject", ">i4"), ("at", ">i8"), ("steps", ">i4"), *dimensions, *constants]
        rows = await copied(self.session, query, fields)
        position = rows["position"].astype(np.int64)
        if np.any(position[1:] < position[:-1]):
            # A scan mostly meets rows in the order they came in, so that this is rarely needed.
            rows = rows[np.argsort(position)]
        codes = [rows[name].astype(np.int32) for name, _ in dimensions]
        codes += [_numbered(rows[name]) for name, _ in constants]
        return Journeys(
            subject=rows["subject"].astype(np.int32),
            at=rows["at"].astype(np.int64) + EPOCH_US,
            steps=rows["steps"].astype(step_bits(len(asked.steps))),
            dimensions=np.stack(codes) if codes else np.empty((0, len(rows)), np.int32),
            ordered=False,
        )


def _numbered(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """The values under codes from 1 on, 0 staying itself."""
    codes = np.unique(values, return_inverse=True)[1].astype(np.int32) + 1
    codes[values == 0] = 0
    return codes


def _milliseconds_since(began: float) -> float:
    return (perf_counter() - began) * 1e3


def _large_first(loaded: Sequence[tuple[Run, EventColumns]]) -> list[EventColumns]:
    """The runs without small ones among large ones, those of a month in their order."""
    weights: list[int] = []
    heaviest: dict[date, int] = {}
    for run, _ in reversed(loaded):
        heaviest[run.month] = max(run.rows, heaviest.get(run.month, 0))
        weights.insert(0, heaviest[run.month])
    order = sorted(range(len(loaded)), key=lambda place: -weights[place])
    return [loaded[place][1] for place in order]
