"""Reading a tenant's journeys: from segments and what the log has since, or from the log alone."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Any, Generic, TypeVar

import asyncpg
import numpy as np
from sqlalchemy import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.columns import Coding, EventRun, columns_of
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import Filter
from resolvers.analysis.funnels import Constant
from resolvers.analysis.journeys import SMALL, Journeys, Selection, gathered, joined, scattered
from resolvers.analysis.numbering import Numbering
from resolvers.analysis.periods import Period, epoch_us
from resolvers.errors import BadInput, Pending
from resolvers.store.conditions import Codes
from resolvers.store.copying import too_many
from resolvers.store.logged_journeys import JourneyQuestion, logged, span
from resolvers.store.scans import Keys
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import Run, SegmentRepository, State, overlapping, uncovered
from resolvers.store.terms import TERMS, TermMemory, TermRepository

T = TypeVar("T")
Way = Callable[..., Any]
"""How parts are made of runs."""

_LARGEST = 256 << 20
"""Bytes of journeys in memory at once."""
_FAR_BEHIND = 500_000
"""Events that are not folded yet which a question may fail for; upkeep takes about ten seconds for so many."""
_ROW_BYTES = 9
"""What subject and time of an event take at most, decoded, save where few subjects are far from each other."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What was made of journeys, and what it took."""

    parts: list[T]
    segments: int
    """How many segments were read; 0 where all came from the log."""
    explain: Explanation
    """From what; its rows are the events looked at."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Runs in memory, or several of them as one."""

    columns: list[EventRun]
    runs: int
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The events of questions in memory: what is made of them takes no more of the database."""

    asked: Sequence[JourneyQuestion]
    coding: Coding
    loaded: Loaded
    """What segments hold of all that are not in ``logged``."""
    tails: Mapping[int, Journeys]
    """By the place of a question what the log has beside segments."""
    logged: Mapping[int, Journeys]
    """By the place of a question all of its events, where segments are of no use."""
    began: float

    def made(self, place: int, work: Callable[[Journeys], T], way: Way = gathered) -> Reading[T]:
        """What ``work`` makes of the events of a question, in parts as ``way`` has them."""
        if place in self.logged:
            journeys = self.logged[place]
            parts = [work(journeys)]
            return Reading(parts, 0, Explanation(Source.LOG, journeys.subject.size, _milliseconds_since(self.began)))
        one, tail = self.asked[place], self.tails.get(place)
        selection = Selection(epoch_us(one.period.start), epoch_us(one.period.end), one.where, one.steps, one.by)
        parts = way(self.loaded.columns, tail, selection, self.coding, work)
        late = 0 if tail is None else tail.subject.size
        took = _milliseconds_since(self.began)
        return Reading(parts, self.loaded.runs, Explanation(Source.JOURNEYS, self.loaded.rows + late, took, tail=late))

    def codes(self) -> set[int]:
        """The codes of all dimension values that the questions are broken down by."""
        found = set[int]()
        for name in {name for one in self.asked for name in one.by}:
            for run in self.loaded.columns:
                column = run.coded.get(name)
                found.update(() if column is None else column.codes.tolist())
        for place, journeys in [*self.tails.items(), *self.logged.items()]:
            found.update(np.unique(journeys.dimensions[: len(self.asked[place].by)]).tolist())
        return found - {0}


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
        way: Way = gathered,
    ) -> Reading[T]:
        """What ``work`` makes of the same events, given in parts none of which shares a subject with another.

        Each of ``constant``, none of them a dimension, is one more row of ``dimensions``, under codes of this reading;
        they are read from the log. Work is done in threads. Raises BadInput where the events have to be read from the
        log and are more than fit in memory.
        """
        held = await self.hold(tenant_id, [JourneyQuestion(period, where, steps, by, constant)])
        return await asyncio.to_thread(held.made, 0, work, way)

    async def scattered(
        self, tenant_id: int, period: Period, where: Filter, steps: Sequence[Filter], work: Callable[[Journeys], T]
    ) -> Reading[T]:
        """The same where parts may share subjects, those within one being in order: for what adds up."""
        held = await self.hold(tenant_id, [JourneyQuestion(period, where, steps)])
        return await asyncio.to_thread(held.made, 0, work, scattered)

    async def hold(self, tenant_id: int, asked: Sequence[JourneyQuestion]) -> Held:
        """The events of questions, read in as many statements as those of one."""
        began = perf_counter()
        codes = await Codes.of(self.terms, tenant_id, *(part for one in asked for part in (one.where, *one.steps)))
        state = await self.segments.state(tenant_id)
        known = [columns_of(one.where, *one.steps) if not one.constant else None for one in asked]
        folded = [place for place, names in enumerate(known) if names is not None]
        names = {name for place in folded for name in (*(known[place] or ()), *asked[place].by)}
        loaded, state, behind = await self._folded(tenant_id, [asked[place].period for place in folded], names, state)
        if not loaded.runs:
            folded = []
        tails: list[Journeys] = []
        folded_to = state.manifest.folded_to
        if folded and (state.version > folded_to or behind):
            beside = uncovered(folded_to, state.version, behind)
            tails = await self.unfolded(tenant_id, [asked[place] for place in folded], codes, beside, state)
        rest = [place for place in range(len(asked)) if place not in folded]
        logged = await self.unfolded(tenant_id, [asked[place] for place in rest], codes, None, state) if rest else []
        return Held(
            asked,
            Coding(codes.terms, codes.subjects, codes.members),
            loaded,
            dict(zip(folded, tails, strict=False)),
            dict(zip(rest, logged, strict=True)),
            began,
        )

    async def texts(self, tenant_id: int, codes: Sequence[int]) -> dict[int, str]:
        """The dimension values behind codes."""
        return await self.terms.values(tenant_id, TERMS, codes)

    async def combinations(self, tenant_id: int, numbering: Numbering) -> list[Keys]:
        """The dimension values behind each combination that was met, by its number."""
        texts = await self.texts(tenant_id, [code for codes in numbering.known for code in codes])
        return [tuple(texts.get(code) for code in codes) for codes in numbering.known]

    async def _folded(
        self, tenant_id: int, periods: Sequence[Period], names: Collection[str], state: State
    ) -> "tuple[Loaded, State, Mapping[date, int]]":
        """Segments as far as they reach, no runs where they are of no use; what state they are of, what is behind."""
        if not periods:
            return Loaded([], 0, 0), state, state.manifest.behind
        asked = tenant_id, span(periods), sorted(names)
        loaded, behind = await self._loaded(*asked, state)
        if behind != state.manifest.behind:
            # Most likely runs were merged meanwhile; the new ones are known by now.
            state = await self.segments.state(tenant_id)
            loaded, behind = await self._loaded(*asked, state)
        return loaded, state, behind

    async def _loaded(
        self, tenant_id: int, period: Period, names: Sequence[str], state: State
    ) -> "tuple[Loaded, Mapping[date, int]]":
        """The runs that overlap the period, unless they are too many to hold, and the months that are behind."""
        runs = overlapping(state.manifest, period)
        behind = dict(state.manifest.behind)
        broken = set[date]()
        if sum(run.rows for run in runs) * (_ROW_BYTES + len(names)) > 2 * self.cache.budget:
            return Loaded([], 0, 0), behind
        whole = tenant_id, tuple(runs), epoch_us(period.start), epoch_us(period.end), tuple(names)
        together = self.cache.span(whole)
        if together is not None:
            return Loaded([together], len(runs), together.size), behind
        loaded: list[tuple[Run, EventRun]] = []
        for run in runs:
            if run.month in broken:
                continue
            columns = await self.cache.columns(self.segments, tenant_id, run, names)
            if columns is None:
                broken.add(run.month)
                behind[run.month] = run.after
            else:
                loaded.append((run, columns))
        columns_of_runs = large_first(loaded)
        rows = sum(run.rows for run, _ in loaded)
        if not broken and rows > SMALL and len(runs) > 1:
            together = await self.cache.merge(whole, columns_of_runs)
        return Loaded(columns_of_runs if together is None else [together], len(loaded), rows), behind

    async def unfolded(
        self,
        tenant_id: int,
        asked: Sequence[JourneyQuestion],
        codes: Codes,
        uncovered: ColumnElement[bool] | None,
        state: State,
    ) -> list[Journeys]:
        """What has to come from the log; raises Unavailable where it is too much only because upkeep is behind."""
        try:
            return await logged(self.session, tenant_id, asked, codes, uncovered)
        except (BadInput, asyncpg.QueryCanceledError):
            if state.version - state.manifest.folded_to < _FAR_BEHIND:
                raise
            raise Pending(
                "Very many events came in at once and are still being put in order; try again in a minute.",
                retry_after=30,
            ) from None


def _milliseconds_since(began: float) -> float:
    return (perf_counter() - began) * 1e3


def large_first(loaded: Sequence[tuple[Run, EventRun]]) -> list[EventRun]:
    """The runs without small ones among large ones, those of a month in their order."""
    weights: list[int] = []
    heaviest: dict[date, int] = {}
    for run, _ in reversed(loaded):
        heaviest[run.month] = max(run.rows, heaviest.get(run.month, 0))
        weights.insert(0, heaviest[run.month])
    order = sorted(range(len(loaded)), key=lambda place: -weights[place])
    return [loaded[place][1] for place in order]
