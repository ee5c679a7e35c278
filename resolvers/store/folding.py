"""Folding: turning what is new in the log into journey segments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import cast

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Integer, func, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.columns import CODED, FLAGS, Coded, Moments
from resolvers.analysis.journeys import chronological
from resolvers.analysis.periods import epoch_us
from resolvers.store.copying import EPOCH_US, copied
from resolvers.store.database import Database, take_time
from resolvers.store.events import EVENT
from resolvers.store.ledger_folding import append_ledgers
from resolvers.store.presence_folding import fold_presence
from resolvers.store.run_parts import BrokenError, Events, aside, parts_of, within
from resolvers.store.segment_cache import Decoded
from resolvers.store.segment_codec import pack_coded, pack_moments, pack_subjects, seal
from resolvers.store.segments import Manifest, Run, SegmentRepository, month_bounds

BATCH = 100_000
"""Events of the log that one transaction folds."""
LARGEST_RUN = 3_000_000
_GROWTH = 4
"""A run is merged with one before it that has at most this many times its rows: so a month has few runs, and an
event is written few times over."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class FoldingFigures:
    """What upkeep has done since the process began, and what it saw when it last looked."""

    runs: int = 0
    """Times that a tenant was folded."""
    failures: int = 0
    """Times that this did not succeed."""
    seconds: float = 0.0
    """What both took."""
    events: int = 0
    """Events folded, those folded anew included."""
    damaged: int = 0
    """Segments that folding found damaged or gone."""
    unfolded: int | None = None
    """Events of the thousand tenants furthest behind that were not folded; None before the first look."""
    segment_bytes: int | None = None
    """What the segments of all tenants took in the database; None before the first look."""
    kept: "Kept | None" = None
    """How much all tenants kept; None before the first look."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How many of each there are, whosoever they are."""

    segments: int
    """Circles of subjects told by rules, those behind personas left out."""
    personas: int
    journey_segments: int
    """Runs of events in the order of subjects."""


async def fold(database: Database, tenant_id: int, *, batch: int = BATCH, figures: FoldingFigures | None = None) -> int:
    """Bring a tenant's presence and segments up to its log and mend what is lost; return the events folded.

    Each batch is a transaction of its own, which reads the log without locking it. Does nothing where another process
    is at it. Raises GatewayError where the database is away; the batches done until then stay.
    """
    figures = figures or FoldingFigures()
    await fold_presence(database, tenant_id, batch=batch)
    async with database.tenant(tenant_id) as session:
        await SegmentRepository(session).found(tenant_id)
    total, more = 0, True
    while more:
        try:
            folded, more = await _fold_batch(database, tenant_id, batch)
            total += folded
            figures.events += folded
        except BrokenError as broken:
            figures.damaged += 1
            log.warning("journeys.segment_damaged", run=str(broken.run))
            async with database.tenant(tenant_id) as session:
                await SegmentRepository(session).drop(tenant_id, [broken.run])
    return total


async def _fold_batch(database: Database, tenant_id: int, batch: int) -> tuple[int, bool]:
    """Fold one batch; return how many events it had, and whether more are left."""
    async with database.tenant(tenant_id) as session:
        await take_time(session)
        segments = SegmentRepository(session)
        manifest = await segments.hold(tenant_id)
        if manifest is None:
            return 0, False
        manifest = await intact(segments, tenant_id, manifest)
        version = (await segments.state(tenant_id)).version
        if manifest.behind:
            rows, through, manifest = await _mend(session, tenant_id, manifest, batch)
        elif version > manifest.folded_to:
            rows, through, manifest = await _follow(session, tenant_id, manifest, version, batch)
        else:
            return 0, False
        for month, events in _by_month(rows):
            manifest = await append(segments, tenant_id, manifest, month, through, events)
        await segments.save(tenant_id, manifest)
        return len(rows), bool(manifest.behind) or manifest.folded_to < version


async def intact(segments: SegmentRepository, tenant_id: int, manifest: Manifest) -> Manifest:
    """The manifest without what is not there; what is there without being in it is deleted."""
    present = await segments.present(tenant_id)
    manifest = manifest.intact(present)
    await segments.drop(tenant_id, sorted(present - set(manifest.runs), key=lambda run: (run.month, run.after)))
    return manifest


async def _follow(
    session: AsyncSession, tenant_id: int, manifest: Manifest, version: int, batch: int
) -> tuple[Events, int, Manifest]:
    """The next events of the log, and the manifest as if it had them."""
    through = min(version, manifest.folded_to + batch)
    rows = await arrivals(session, tenant_id, manifest.folded_to, through)
    return rows, through, replace(manifest, folded_to=through)


async def _mend(session: AsyncSession, tenant_id: int, manifest: Manifest, batch: int) -> tuple[Events, int, Manifest]:
    """The next events of a month that is behind, and the manifest as if it had them."""
    month, after = min(manifest.behind.items())
    rows = await arrivals(session, tenant_id, after, manifest.folded_to, within(month), limit=batch)
    through = int(rows["position"][-1]) if len(rows) == batch else manifest.folded_to
    behind = {other: position for other, position in manifest.behind.items() if other != month}
    if through < manifest.folded_to:
        behind[month] = through
    return rows, through, replace(manifest, behind=behind)


async def arrivals(
    session: AsyncSession,
    tenant_id: int,
    after: int,
    through: int,
    condition: ColumnElement[bool] | None = None,
    limit: int | None = None,
) -> Events:
    """Events of somebody with after < position <= through, in order of arrival, with what segments hold of them."""
    coded = []
    for name in CODED:
        value = EVENT[name].cast(Integer)
        coded.append(func.coalesce(value + 1 if name in FLAGS else value, literal(0, Integer)))
    query = select(EVENT.position, EVENT.subject, EVENT.occurred_at, *coded).where(
        EVENT.tenant_id == tenant_id,
        EVENT.position > after,
        EVENT.position <= through,
        EVENT.subject.is_not(None),
    )
    if condition is not None:
        query = query.where(condition)
    fields = [("position", ">i8"), ("subject", ">i4"), ("at", ">i8"), *((name, ">i4") for name in CODED)]
    return await copied(session, query.order_by(EVENT.position).limit(limit), fields)


async def append(
    segments: SegmentRepository,
    tenant_id: int,
    manifest: Manifest,
    month: date,
    through: int,
    events: Events,
    start: int = 0,
) -> Manifest:
    """Write a month's new events, together with those of its runs that have become small beside them.

    A month without runs begins after position ``start``.
    """
    kept = manifest.months().get(month, [])
    old: list[Run] = []
    rows = len(events)
    while kept and kept[-1].rows <= _GROWTH * rows and kept[-1].rows + rows <= LARGEST_RUN:
        old.insert(0, kept.pop())
        rows += old[0].rows
    after = old[0].after if old else kept[-1].through if kept else start
    run = Run(month, after, through, rows)
    # One column at a time: all of them at once would take many times the memory.
    subjects, times = [await parts_of(segments, tenant_id, old, name) for name in ("subject", "at")]
    order, *sealed = await aside(_ordered, tenant_id, run, subjects, times, events)
    await segments.add(tenant_id, run, *sealed)
    del subjects, times, sealed
    for name in CODED:
        parts = list(zip(old, await parts_of(segments, tenant_id, old, name), strict=True))
        column = await aside(_coded, tenant_id, run, name, parts, events, order)
        if column is not None:
            await segments.fill(tenant_id, run, name, column)
    await append_ledgers(segments, tenant_id, run, old, events, order)
    await segments.drop(tenant_id, old)
    runs = [one for one in manifest.runs if one not in old]
    return replace(manifest, runs=tuple(sorted([*runs, run], key=lambda one: (one.month, one.after))))


def _by_month(events: Events) -> Iterator[tuple[date, Events]]:
    """The events of each month they lie in."""
    months = (events["at"].astype(np.int64) + EPOCH_US).view("datetime64[us]").astype("datetime64[M]")
    for month in np.unique(months):
        yield month.astype(date), events[months == month]


def _ordered(
    tenant_id: int, run: Run, subjects: Sequence[Decoded], times: Sequence[Decoded], events: Events
) -> tuple[NDArray[np.intp], bytes, bytes]:
    """The order of the rows of a run made of other runs and new events, and its subjects and times, sealed."""
    before = [cast(Ascending, part).codes for part in subjects]
    subject = np.concatenate([*before, events["subject"].astype(np.int32)])
    old = [cast(Moments, part).microseconds() for part in times]
    at = np.concatenate([*old, events["at"].astype(np.int64) + EPOCH_US])
    del old, before
    order = chronological(subject, at)
    packed = pack_subjects(subject[order])
    at = at[order]
    moments = Moments.of(at, epoch_us(month_bounds(run.month)[0]))
    return (
        order,
        seal(packed, run.place(tenant_id, "subject")),
        seal(pack_moments(moments), run.place(tenant_id, "at")),
    )


def _coded(
    tenant_id: int, run: Run, name: str, parts: Sequence[tuple[Run, Decoded]], events: Events, order: NDArray[np.intp]
) -> bytes | None:
    """A column of codes of such a run, sealed; None where no event carries any."""
    values = [np.zeros(one.rows, np.int32) if part is None else cast(Coded, part).values() for one, part in parts]
    column = Coded.of(np.concatenate([*values, events[name].astype(np.int32)])[order])
    return None if column.blank else seal(pack_coded(column), run.place(tenant_id, name))
