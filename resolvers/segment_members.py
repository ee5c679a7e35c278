"""The subjects in segments, page by page: of one, or of several at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from resolvers.analysis.filters import InSegment
from resolvers.analysis.subjects import Subject
from resolvers.context import Context, Role
from resolvers.errors import GatewayError
from resolvers.lanes import side_by_side
from resolvers.paging import page_start
from resolvers.store.members import MemberRepository
from resolvers.store.terms import SUBJECTS, TermRepository

_TOGETHER = 20
"""Segments whose members are held at a time."""


@dataclass(frozen=True, slots=True)
class MemberPage:
    """A page of members in the order in which they first appeared; ``cursors[i]`` leads to what follows."""

    subjects: tuple[Subject, ...]
    cursors: tuple[str, ...]
    has_next: bool


async def members(context: Context, segment_id: int, *, first: int = 50, after: str | None = None) -> MemberPage:
    """A page of the subjects in a segment; raises Forbidden, BadInput, Pending where they were not found yet.

    It is read together with all others that fields of the operation ask for at the same time.
    """
    context.require(Role.ANALYST)
    place = page_start(first, after) or 0
    return await context.batched(("members", first, place), segment_id, partial(_side_by_side, context, first, place))


async def _side_by_side(
    context: Context, first: int, place: int, ids: Sequence[int]
) -> Sequence[MemberPage | GatewayError]:
    async def alone(segment_id: int) -> MemberPage:
        return (await _pages(context, first, place, [segment_id]))[0]

    return await side_by_side(ids, partial(_pages, context, first, place), alone)


async def _pages(context: Context, first: int, place: int, ids: Sequence[int]) -> list[MemberPage]:
    principal, memory = context.require(Role.ANALYST), context.services.memory
    codes: dict[int, list[int]] = {}
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = MemberRepository(session, memory.members)
        for start in range(0, len(ids), _TOGETHER):
            leaves = [InSegment(one, field="id") for one in ids[start : start + _TOGETHER]]
            for segment_id, found in (await repository.of(principal.tenant_id, leaves)).items():
                following = np.searchsorted(found.codes, place, side="right")
                codes[int(segment_id)] = found.codes[following:][: first + 1].tolist()
        wanted = {code for own in codes.values() for code in own}
        names = await TermRepository(session, memory).values(principal.tenant_id, SUBJECTS, wanted)
    pages = []
    for segment_id in ids:
        shown = codes[segment_id][:first]
        subjects = tuple(Subject(names[code]) for code in shown)
        pages.append(MemberPage(subjects, tuple(map(str, shown)), len(codes[segment_id]) > first))
    return pages
