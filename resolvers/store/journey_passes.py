"""Journeys of some of the subjects at a time, so that what is in memory at once does not grow with the log."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from time import perf_counter
from typing import TypeVar, cast

import numpy as np

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.columns import Coding, EventRun, columns_of
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.journeys import Journeys, narrow
from resolvers.store.conditions import Codes
from resolvers.store.journeys import Held, JourneyRepository, Loaded, Reading, large_first
from resolvers.store.logged_journeys import JourneyQuestion
from resolvers.store.segments import Run, overlapping, uncovered

T = TypeVar("T")

_ROWS = 2 << 20
"""Rows of segments that are decoded at once."""


async def in_passes(
    journeys: JourneyRepository,
    tenant_id: int,
    asked: JourneyQuestion,
    work: Callable[[Journeys], T],
    between: Callable[[], Awaitable[None]],
) -> Reading[T]:
    """What ``work`` makes of the events of a question, in parts none of which shares a subject with another.

    A pass over some of the subjects decodes one column after the other and keeps what these have of it. A log that is
    small enough is read at once. To be called in a snapshot, so that all passes see one state of the log. Raises
    BadInput as ``JourneyRepository.by_subject`` does.
    """
    names = columns_of(asked.where, *asked.steps)
    if names is not None:
        readings = await _passes(journeys, tenant_id, asked, sorted({*names, *asked.by}), work, between)
        if readings:
            return _together(readings)
    held = await journeys.hold(tenant_id, [asked])
    return await asyncio.to_thread(held.made, 0, work, narrow)


async def _passes(
    journeys: JourneyRepository,
    tenant_id: int,
    asked: JourneyQuestion,
    names: Sequence[str],
    work: Callable[[Journeys], T],
    between: Callable[[], Awaitable[None]],
) -> list[Reading[T]]:
    """The readings of all passes; none where one is enough or a run is gone or damaged."""
    began = perf_counter()
    state = await journeys.segments.state(tenant_id)
    runs = overlapping(state.manifest, asked.period)
    many = -(-sum(run.rows for run in runs) // _ROWS)
    subjects = await _subjects(journeys, tenant_id, runs) if many > 1 else []
    if not subjects:
        return []
    longest = max(subjects, key=lambda one: one.size)
    bounds = np.unique(longest.every(-(-longest.size // many)))
    cuts = [list(pairwise([0, *one.places(bounds), one.size])) for one in subjects]
    del subjects, longest
    codes = await Codes.of(journeys.terms, tenant_id, asked.where, *asked.steps)
    coding = Coding(codes.terms, codes.subjects, codes.members)
    late = [dict[int, Journeys]() for _ in range(bounds.size + 1)]
    folded_to, behind = state.manifest.folded_to, state.manifest.behind
    if state.version > folded_to or behind:
        beside = uncovered(folded_to, state.version, behind)
        tail = (await journeys.unfolded(tenant_id, [asked], codes, beside, state))[0].in_order()
        ends = [0, *np.searchsorted(tail.subject, bounds).tolist(), tail.subject.size]
        late = [{0: tail.part(*rows)} for rows in pairwise(ends)]
    readings = []
    for rows, tails in zip(zip(*cuts, strict=True), late, strict=True):
        await between()
        loaded = await _loaded(journeys, tenant_id, list(zip(runs, rows, strict=True)), names)
        if loaded is None:
            return []
        held = Held([asked], coding, loaded, tails, {}, began)
        del loaded
        await between()
        readings.append(await asyncio.to_thread(held.made, 0, work, narrow))
        # Let go of before the next pass takes as much.
        del held
    return readings


async def _subjects(journeys: JourneyRepository, tenant_id: int, runs: Sequence[Run]) -> list[Ascending]:
    """The subjects of each run; none where one is gone or damaged."""
    found = []
    for run in runs:
        parts = await journeys.cache.parts(journeys.segments, tenant_id, run, ["subject"])
        if parts is None:
            return []
        found.append(cast(Ascending, parts["subject"]))
    return found


async def _loaded(
    journeys: JourneyRepository, tenant_id: int, parts: Sequence[tuple[Run, tuple[int, int]]], names: Sequence[str]
) -> Loaded | None:
    """Some rows of runs in memory; None where one is gone or damaged."""
    found = list[tuple[Run, EventRun]]()
    for run, (start, end) in parts:
        columns = await journeys.cache.piece(journeys.segments, tenant_id, run, names, start, end)
        if columns is None:
            return None
        found.append((run, columns))
    return Loaded(large_first(found), len(found), sum(columns.size for _, columns in found))


def _together(readings: Sequence[Reading[T]]) -> Reading[T]:
    last = readings[-1].explain
    rows, late = (
        sum(counts) for counts in zip(*((one.explain.rows, one.explain.tail) for one in readings), strict=True)
    )
    parts = [part for reading in readings for part in reading.parts]
    return Reading(parts, readings[-1].segments, Explanation(last.source, rows, last.milliseconds, tail=late))
