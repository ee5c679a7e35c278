"""Segments made anew from the log, and held against it, a month (UTC) at a time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.columns import CODED, Coded, Moments
from resolvers.analysis.journeys import chronological
from resolvers.analysis.ledgers import LEDGERS, MEASURED, Ledger
from resolvers.analysis.measures import Measures
from resolvers.analysis.periods import epoch_us
from resolvers.store.copying import EPOCH_US
from resolvers.store.database import Database, rows, take_time
from resolvers.store.events import EVENT
from resolvers.store.folding import BATCH, append, arrivals, intact
from resolvers.store.ledger_rows import entries_of, ledger_rows, measures_of
from resolvers.store.run_parts import Events, between, within
from resolvers.store.segment_cache import Decoded, decoded
from resolvers.store.segment_codec import Damaged
from resolvers.store.segments import Run, SegmentRepository, month_bounds


async def refold(database: Database, tenant_id: int, month: date, *, batch: int = BATCH) -> int:
    """Make a month's runs anew from the log, as far as the segments reach; return how many events they hold.

    One transaction, for which folding waits: everybody else reads the runs that were there until it ends.
    """
    async with database.tenant(tenant_id) as session:
        await take_time(session, statement_seconds=0)
        segments = SegmentRepository(session)
        manifest = await segments.hold(tenant_id, wait=True)
        if manifest is None:
            return 0
        manifest = await intact(segments, tenant_id, manifest)
        through = min(manifest.folded_to, (await segments.state(tenant_id)).version)
        old = manifest.months().get(month, [])
        await segments.drop(tenant_id, old)
        # From before where the old runs began, so that nobody takes the new ones for those he has in memory.
        start = min([0, *(run.after for run in old)]) - 1
        manifest = manifest.without(month, folded_to=through)
        total, after, more = 0, 0, True
        while more:
            events = await arrivals(session, tenant_id, after, through, within(month), limit=batch)
            more = len(events) == batch
            after = int(events["position"][-1]) if more else through
            if len(events):
                manifest = await append(segments, tenant_id, manifest, month, after, events, start)
            total += len(events)
        await segments.save(tenant_id, manifest)
        return total


@dataclass(frozen=True, slots=True)
class MonthChecked:
    """What was found of a month: its runs, the events they are to hold, and in which ways they do not."""

    month: date
    segments: int
    events: int
    faults: tuple[str, ...]


async def check(database: Database, tenant_id: int, month: date) -> MonthChecked:
    """Hold a month's runs, and what is read from the log beside them, against the log; keeps nobody waiting."""
    async with database.snapshot(tenant_id) as session:
        await take_time(session, statement_seconds=0)
        return await _Check(session, tenant_id, month).made()


class _Check:
    """One look at a month: does every event up to where segments reach lie in one run, whole and in its order?"""

    def __init__(self, session: AsyncSession, tenant_id: int, month: date) -> None:
        self.session = session
        self.segments = SegmentRepository(session)
        self.tenant_id = tenant_id
        self.month = month
        self.faults: list[str] = []

    async def made(self) -> MonthChecked:
        state = await self.segments.state(self.tenant_id)
        runs = state.manifest.months().get(self.month, [])
        reach = min(state.manifest.behind.get(self.month, state.manifest.folded_to), state.version)
        done = min(0, runs[0].after) if runs else 0
        for run in runs:
            await self._absent(done, run.after)
            if run.after < done:
                self.faults.append(f"the segment {_named(run)} holds what the one before it does")
            self.faults += [f"the segment {_named(run)} {fault}" for fault in await self._faults(run)]
            done = run.through
        await self._absent(done, reach)
        if done > reach:
            self.faults.append(f"segments reach to position {done} and the log is read from {reach} on")
        events = await self._count(0, reach)
        return MonthChecked(self.month, len(runs), events, tuple(self.faults))

    async def _absent(self, after: int, through: int) -> None:
        if after < through and (count := await self._count(after, through)):
            self.faults.append(f"{count:,} events of positions {after + 1} to {through} are in no segment")

    async def _count(self, after: int, through: int) -> int:
        query = select(func.count()).where(
            EVENT.tenant_id == self.tenant_id,
            EVENT.position > after,
            EVENT.position <= through,
            EVENT.subject.is_not(None),
            within(self.month),
        )
        return int((await rows(self.session, query))[0][0])

    async def _faults(self, run: Run) -> list[str]:
        """In which ways a run is not what the log says."""
        names = ("subject", "at", *CODED, *LEDGERS, "measures")
        sealed = await self.segments.sealed(self.tenant_id, run, names)
        if sealed is None:
            return ["is gone"]
        columns: dict[str, Decoded] = {}
        for name in names:
            try:
                columns[name] = await asyncio.to_thread(decoded, sealed[name], name, run, self.tenant_id)
            except Damaged:
                return [f"is damaged: {name}"]
        subject, moments = cast(Ascending, columns["subject"]).codes, cast(Moments, columns["at"])
        pages = [
            (page["subject"].astype(np.int32), _microseconds(page), page["position"].astype(np.int64))
            async for page in self._pages(run)
        ]
        subjects = np.concatenate([np.empty(0, np.int32), *(page[0] for page in pages)])
        times, positions = (np.concatenate([np.empty(0, np.int64), *(page[of] for page in pages)]) for of in (1, 2))
        if not subject.size == subjects.size == run.rows:
            return [f"holds {subject.size:,} events, the log {subjects.size:,}"]
        order = chronological(subjects, times)
        wrong = np.count_nonzero((subject != subjects[order]) | (moments.microseconds() != times[order]))
        if wrong:
            return [f"has other subjects or times for {wrong:,} of its {run.rows:,} events"]
        differing = await self._differing(run, columns, order)
        return [
            *(f"has another {name} for {count:,} of its {run.rows:,} events" for name, count in differing.items()),
            *[fault async for fault in self._ledger_faults(run, columns, positions[order])],
        ]

    async def _ledger_faults(
        self, run: Run, columns: dict[str, Decoded], positions: NDArray[np.int64]
    ) -> AsyncIterator[str]:
        """Which ledgers are not what the log says; ``positions`` are those of the run's rows."""
        arrival = np.argsort(positions)
        for name, kind in LEDGERS.items():
            held = cast(Ledger | None, columns[name])
            if held is None:
                # Not made yet, so that everybody reads the log.
                continue
            reach = between(run.after, run.through, run.month)
            found = await ledger_rows(self.session, self.tenant_id, kind, reach, measured=name == MEASURED)
            rows = arrival[np.searchsorted(positions[arrival], found["position"].astype(np.int64))]
            true = Ledger.of(rows, entries_of(found), epoch_us(month_bounds(run.month)[0]))
            if not np.array_equal(held.row.codes, true.row.codes):
                yield f"has {held.row.size:,} {name}, the log {true.row.size:,}, or they are others"
            elif count := held.differing(true):
                yield f"has other {name} for {count:,} of its {held.row.size:,}"
            measures = cast(Measures | None, columns["measures"])
            if name != MEASURED or measures is None:
                continue
            said = Measures.of(measures_of(found)[:, np.argsort(rows)])
            if measures.size != said.size:
                yield f"has measures of {measures.size:,} {name}, the log of {said.size:,}"
            elif count := measures.differing(said):
                yield f"has other measures for {count:,} of its {said.size:,} {name}"

    async def _differing(self, run: Run, columns: dict[str, Decoded], order: NDArray[np.intp]) -> Counter[str]:
        """For how many events each column of codes is not what the log says."""
        place = np.empty(order.size, np.intp)
        place[order] = np.arange(order.size)
        found, seen = Counter[str](), 0
        async for page in self._pages(run):
            here = place[seen : seen + len(page)]
            seen += len(page)
            for name in CODED:
                column = cast(Coded | None, columns[name])
                held = np.zeros(len(page), np.int32) if column is None else column.values(here)
                found[name] += int(np.count_nonzero(held != page[name]))
        return +found

    async def _pages(self, run: Run) -> AsyncIterator[Events]:
        """What the log has for a run, in order of arrival."""
        after, more = run.after, True
        while more:
            page = await arrivals(self.session, self.tenant_id, after, run.through, within(run.month), limit=BATCH)
            more = len(page) == BATCH
            if len(page):
                after = int(page["position"][-1])
                yield page


def _microseconds(page: Events) -> NDArray[np.int64]:
    return page["at"].astype(np.int64) + EPOCH_US


def _named(run: Run) -> str:
    return f"of positions {max(run.after, 0) + 1} to {run.through}"
