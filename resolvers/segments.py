"""Segments: groups of subjects told by rules, kept under a name."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from resolvers.analysis.filters import InSegment
from resolvers.analysis.segment_json import from_json, to_json
from resolvers.analysis.segments import Rule, Segment, references
from resolvers.context import Context, Role
from resolvers.errors import BadInput, GatewayError, NotFound, said_by
from resolvers.paging import page_start
from resolvers.segment_checks import check_name, check_refresh, check_size, checked
from resolvers.segment_funnels import with_numbers
from resolvers.segment_uses import check_unused
from resolvers.store.members import MemberRepository, no_segment
from resolvers.store.segment_definitions import Kept, SegmentDefinitions, SegmentRow
from resolvers.store.segment_finding import dependents, names_itself, refresh
from resolvers.store.terms import SUBJECTS, TermRepository
from resolvers.store.turns import turn

MOST_SEGMENTS = 500
HOURLY = timedelta(hours=1)
_PATIENCE = 2.5
"""Seconds that whoever changes a segment waits for its members; upkeep goes on where they take longer."""


@dataclass(frozen=True, slots=True)
class SegmentPage:
    """A page of segments, oldest first; ``cursors[i]`` leads to what follows ``segments[i]``."""

    segments: tuple[Segment, ...]
    cursors: tuple[str, ...]
    has_next: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """A segment as it is to be kept; ``id`` is that of the one to change, None for the one that has the name, or a new
    one.
    """

    name: str
    rules: Rule
    description: str | None = None
    refresh_every: timedelta = HOURLY
    id: int | None = None


async def save_segment(context: Context, draft: Draft) -> Segment:
    """Keep a segment, and find its members unless that takes long; raises BadInput, NotFound, Forbidden."""
    principal, now = context.require(Role.ANALYST), context.services.now()
    check_name(draft.name, draft.description)
    check_refresh(draft.refresh_every)
    checked(draft.rules, principal.timezone, now)
    async with context.services.database.tenant(principal.tenant_id) as session:
        definitions = SegmentDefinitions(session, principal.tenant_id)
        await definitions.hold()
        segment_id = await keep_draft(definitions, draft, now)
    await find_members(context, segment_id)
    return (await segments_by_id(context, [segment_id]))[segment_id]


async def keep_draft(definitions: SegmentDefinitions, draft: Draft, now: datetime, *, managed: bool = False) -> int:
    """Keep a checked draft, whose segment is ``managed`` by a persona or by nobody; return the segment's number.

    To be done while the segments are held. Raises BadInput, NotFound.
    """
    rows = {row.segment_id or 0: row for row in await definitions.rows()}
    row = _chosen(draft, rows)
    if row is not None and row.managed != managed:
        raise BadInput("The segment of this name belongs to a persona, or to none.", field="id" if draft.id else "name")
    rules = await with_numbers(
        definitions.session, definitions.tenant_id, draft.rules, rows.values(), itself=draft.name
    )
    known = {number: from_json(other.rules) for number, other in rows.items()}
    columns = _columns(draft, rules)
    if row is None:
        if len(rows) >= MOST_SEGMENTS:
            raise BadInput(f"At most {MOST_SEGMENTS} segments are kept; delete one first.", field="name")
        check_size(known | {0: rules}, {0})
        row = SegmentRow(tenant_id=definitions.tenant_id, due_at=now, managed=managed, **columns)
        await definitions.add(row)
        return row.segment_id or 0
    segment_id = row.segment_id or 0
    known[segment_id] = rules
    if names_itself(segment_id, known):
        raise BadInput("The rules lead back to the segment itself.", field="rules")
    following = dependents({segment_id}, known)
    check_size(known, {segment_id, *following})
    if columns["rules"] != row.rules:
        await definitions.touch({segment_id, *following}, now)
        await definitions.session.refresh(row)
    if columns["name"] != row.name:
        # What was kept with the number of a segment is none the worse for it.
        await check_unused(definitions.session, definitions.tenant_id, {row.name}, "name")
    row.sqlmodel_update(columns | {"updated_at": now})
    await definitions.session.flush()
    return segment_id


def _chosen(draft: Draft, rows: Mapping[int, SegmentRow]) -> SegmentRow | None:
    """The segment that a draft changes."""
    named = next((row for row in rows.values() if row.name == draft.name), None)
    if draft.id is None:
        return named
    if draft.id not in rows:
        raise NotFound("There is no such segment.", field="id")
    if named is not None and named.segment_id != draft.id:
        raise BadInput("Another segment has this name.", field="name")
    return rows[draft.id]


def _columns(draft: Draft, rules: Rule) -> dict[str, Any]:
    return {
        "name": draft.name,
        "description": draft.description,
        "rules": to_json(rules),
        "refresh_seconds": draft.refresh_every // timedelta(seconds=1),
    }


async def delete_segment(context: Context, which: int | str) -> Segment:
    """Delete a segment, given by its id or its name, and return it as it was.

    Raises NotFound, Forbidden, BadInput where anything needs it.
    """
    principal, field = context.require(Role.ANALYST), said_by(which)
    async with context.services.database.tenant(principal.tenant_id) as session:
        definitions = SegmentDefinitions(session, principal.tenant_id)
        await definitions.hold()
        kept = await definitions.named([which])
        if not kept:
            raise NotFound("There is no such segment.", field=field)
        segment = _segment(kept[0])
        rows = await definitions.rows()
        users = [row.name for row in rows if segment.id in references(from_json(row.rules))]
        if users:
            raise BadInput(f"The rules of {_listed(users)} name it; change or delete these first.", field=field)
        if kept[0].row.managed:
            raise BadInput("The segment belongs to a persona; delete that instead.", field=field)
        await check_unused(session, principal.tenant_id, {segment.id, segment.name}, field)
        await definitions.remove(kept[0].row)
        return segment


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


async def refresh_segment(context: Context, which: int | str) -> tuple[Segment, bool]:
    """Find the members of a segment, given by its id or its name, anew; raises NotFound, Forbidden.

    Returns whether they were found; where that takes too long for a request, upkeep does it.
    """
    context.require(Role.ANALYST)
    found = await segments_called(context, [which])
    done = bool(found) and await find_members(context, found[0].id)
    kept = await segments_called(context, [one.id for one in found])
    if not kept:
        raise NotFound("There is no such segment.", field=said_by(which))
    return kept[0], done


async def find_members(context: Context, segment_id: int) -> bool:
    """Whether the members of a segment were found in the time that a request has; else upkeep is to find them."""
    tenant_id, services = context.require(Role.ANALYST).tenant_id, context.services
    try:
        async with asyncio.timeout(_PATIENCE), turn(services.heavy):
            now = services.now()
            return await refresh(services.database, services.memory, services.segments, tenant_id, segment_id, now)
    except NotFound:
        raise
    except (TimeoutError, GatewayError):
        async with services.database.tenant(tenant_id) as session:
            await MemberRepository(session, services.memory.members).due(tenant_id, [segment_id])
        return False


async def segments_by_id(context: Context, ids: Sequence[int]) -> dict[int, Segment]:
    """Those of the ids that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await SegmentDefinitions(session, principal.tenant_id).by_ids(ids)
    return {segment.id: segment for segment in map(_segment, found)}


async def segments_named(context: Context, named: Sequence[InSegment]) -> list[Segment]:
    """The segments that conditions name, in their order; raises BadInput on the field of one that there is not."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await SegmentDefinitions(session, principal.tenant_id).named({leaf.segment for leaf in named})
    known: dict[int | str, Segment] = {}
    for segment in map(_segment, found):
        known[segment.id] = known[segment.name] = segment
    for leaf in named:
        if leaf.segment not in known:
            raise no_segment(leaf)
    return [known[leaf.segment] for leaf in named]


async def segments_called(context: Context, names: Sequence[int | str]) -> list[Segment]:
    """Those of the segments, each given by its id or its name, that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return list(map(_segment, await SegmentDefinitions(session, principal.tenant_id).named(names)))


async def numbers_named(context: Context, named: Sequence[InSegment]) -> dict[int | str, int]:
    """The number of each segment that conditions name, as they name it; raises BadInput as above."""
    found = await segments_named(context, named) if named else []
    return {leaf.segment: segment.id for leaf, segment in zip(named, found, strict=True)}


async def segments(context: Context, *, first: int = 50, after: str | None = None) -> SegmentPage:
    """A page of the segments that the tenant keeps."""
    principal = context.require(Role.VIEWER)
    place = page_start(first, after)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await SegmentDefinitions(session, principal.tenant_id).page(after=place, limit=first + 1)
    shown = tuple(map(_segment, found[:first]))
    return SegmentPage(shown, tuple(str(one.id) for one in shown), len(found) > first)


async def memberships_of(context: Context, subjects: Sequence[str], ids: Collection[int]) -> dict[str, set[int]]:
    """Those of the segments that each subject is in, as of their last refresh; one that there is not has no members.

    Each segment is looked up once.
    """
    principal, memory = context.require(Role.VIEWER), context.services.memory
    async with context.services.database.tenant(principal.tenant_id) as session:
        codes = await TermRepository(session, memory).codes(principal.tenant_id, SUBJECTS, set(subjects))
        found = await MemberRepository(session, memory.members).sealed(principal.tenant_id, ids)
    known = np.array([codes.get(subject, 0) for subject in subjects], np.int32)
    inside = {number: those.among(known).tolist() for number, those in found.items()}
    return {
        subject: {number for number, member in inside.items() if member[place]}
        for place, subject in enumerate(subjects)
    }


def _segment(kept: Kept) -> Segment:
    row = kept.row
    assert row.segment_id is not None
    return Segment(
        row.segment_id,
        row.name,
        row.description,
        from_json(row.rules),
        timedelta(seconds=row.refresh_seconds),
        row.created_at,
        row.updated_at,
        kept.size,
        kept.as_of,
        kept.current,
        row.problem,
    )
