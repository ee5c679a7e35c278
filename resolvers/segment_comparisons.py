"""How segments overlap, and what sets their members apart from everybody."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.explanations import Explanation, dearest
from resolvers.analysis.filters import EVERYTHING, DimensionIs, Filter, InSegment, Op, weight
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.members import Members
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.numbering import counts_among, ranks
from resolvers.analysis.questions import Question
from resolvers.analysis.segment_comparisons import (
    Carried,
    Carriers,
    SegmentOverlapAnswer,
    SegmentTrait,
    SegmentTraitsAnswer,
    distinguishing,
    lookalikes,
    overlap,
    traits,
)
from resolvers.analysis.segments import SegmentSummary
from resolvers.answers import ANYTHING, Kinds, Resolved, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.segments import segments_named
from resolvers.store.journeys import JourneyRepository
from resolvers.store.members import MemberRepository
from resolvers.store.turns import turn
from resolvers.store.versions import SEGMENTS

T = TypeVar("T")

MOST_SEGMENTS = 20
MOST_TRAITS = 10
"""Traits that lookalikes are looked for by."""
_TOGETHER = 4
"""Dimensions read at a time, as all at once would take more memory than there is for a large log."""

OVERLAP_KINDS: Kinds = frozenset({SEGMENTS})
TRAIT_KINDS: Kinds = ANYTHING | OVERLAP_KINDS


async def segment_overlap(context: Context, named: Sequence[InSegment], question: Question) -> SegmentOverlapAnswer:
    """How many subjects segments share; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    if not 2 <= len(named) <= MOST_SEGMENTS:
        raise BadInput(f"Name 2 to {MOST_SEGMENTS} segments.", field="segments")
    context.spend(len(named) ** 2)
    asked = resolved(question, principal, context.services.now())
    compute = partial(_overlap, context, named)
    return await kept(context, ("segment overlap", tuple(named), asked), OVERLAP_KINDS, compute, points=len(named) ** 2)


async def _overlap(context: Context, named: Sequence[InSegment]) -> SegmentOverlapAnswer:
    found = await segments_named(context, named)
    numbers = [segment.id for segment in found]
    if len(set(numbers)) < len(numbers):
        raise BadInput("A segment is named twice.", field="segments")
    principal, memory = context.require(Role.VIEWER), context.services.memory
    async with context.services.database.tenant(principal.tenant_id) as session:
        members = await MemberRepository(session, memory.members).of(principal.tenant_id, named)
    sets = [members[leaf.segment] for leaf in named]
    told = [SegmentSummary(one.id, one.name, those.size) for one, those in zip(found, sets, strict=True)]
    return await asyncio.to_thread(overlap, told, sets, context.services.now())


async def segment_traits(
    context: Context, named: InSegment, question: Question, *, dimensions: Sequence[str] = DIMENSIONS
) -> SegmentTraitsAnswer:
    """What sets the members of a segment apart; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    if not dimensions or len(set(dimensions)) < len(dimensions):
        raise BadInput("Name at least one dimension, each once.", field="dimensions")
    asked = resolved(question, principal, context.services.now())
    points = 5 * asked.top + 2 * len(dimensions) * (1 if asked.previous is None else 2)
    context.spend(points + weight(asked.where))
    compute = partial(_traits, context, named, asked, tuple(dimensions))
    return await kept(context, ("segment traits", named, asked, tuple(dimensions)), TRAIT_KINDS, compute, points=points)


async def _traits(
    context: Context, named: InSegment, asked: Resolved, dimensions: tuple[str, ...]
) -> SegmentTraitsAnswer:
    as_of = context.services.now()
    (segment,) = await segments_named(context, [named])
    principal, memory = context.require(Role.VIEWER), context.services.memory
    async with turn(context.services.heavy), context.services.database.tenant(principal.tenant_id) as session:
        members = (await MemberRepository(session, memory.members).of(principal.tenant_id, [named]))[named.segment]
        journeys = JourneyRepository(session, memory, context.services.segments)
        reader = _Reader(journeys, principal.tenant_id, asked)
        found, before = await reader.carried(dimensions, members), None
        if asked.previous is not None:
            earlier = _Reader(journeys, principal.tenant_id, replace(asked, period=asked.previous))
            before = await earlier.carried(dimensions, members)
        shown, tested = await asyncio.to_thread(traits, found, top=asked.top, as_of=as_of, previous=before)
        sharing = [one for one in shown if distinguishing(one)][:MOST_TRAITS]
        alike = lookalikes(await reader.carrying(sharing), members, reader.length) if sharing else ()
    return SegmentTraitsAnswer(
        SegmentSummary(segment.id, segment.name, members.size),
        asked.period,
        asked.previous,
        found.subjects,
        found.members,
        shown,
        tested,
        len(found.values) - tested,
        alike,
        as_of,
        dearest(reader.explanations),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What some subjects carry; ``last`` is the highest code among them."""

    subjects: int
    members: int
    last: int
    values: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]
    """For each dimension the codes, and by how many subjects and members each is carried."""


class _Reader:
    """Reads who carries which values, for one question."""

    def __init__(self, journeys: JourneyRepository, tenant_id: int, asked: Resolved) -> None:
        self.journeys = journeys
        self.tenant_id = tenant_id
        self.asked = asked
        self.length = 1
        self.explanations: list[Explanation] = []

    async def carried(self, dimensions: Sequence[str], members: Members) -> Carried:
        """Each value that anybody carries, with how many do."""
        found: list[Carriers] = []
        subjects = own = 0
        for start in range(0, len(dimensions), _TOGETHER):
            some = dimensions[start : start + _TOGETHER]
            parts = await self._parts([EVERYTHING], some, partial(_carried, members))
            subjects, own = sum(part.subjects for part in parts), sum(part.members for part in parts)
            self.length = max((part.last for part in parts), default=0) + 1
            found += await self._carriers(some, parts)
        return Carried(found, subjects, own)

    async def _carriers(self, dimensions: Sequence[str], parts: "Sequence[_Part]") -> list[Carriers]:
        """The values of some dimensions."""
        found: list[Carriers] = []
        for place, name in enumerate(dimensions):
            codes, inverse = np.unique(np.concatenate([part.values[place][0] for part in parts]), return_inverse=True)
            counts = [np.zeros(codes.size, np.int64), np.zeros(codes.size, np.int64)]
            for which in (0, 1):
                np.add.at(counts[which], inverse, np.concatenate([part.values[place][1 + which] for part in parts]))
            texts = await self.journeys.texts(self.tenant_id, codes.tolist())
            for code, subjects, own in zip(codes.tolist(), counts[0].tolist(), counts[1].tolist(), strict=True):
                found.append(Carriers(DimensionValue(name, texts[code]), subjects, own))
        return found

    async def carrying(self, shown: Sequence[SegmentTrait]) -> list[Members]:
        """The subjects that carry each of a few values."""
        steps = [DimensionIs(one.key.dimension, Op.IN, (one.key.value or "",)) for one in shown]
        parts = await self._parts(steps, (), partial(_takers, len(steps)))
        found = [Members(np.unique(np.concatenate([part[place] for part in parts]))) for place in range(len(steps))]
        self.length = max([self.length, *(int(one.codes[-1]) + 1 for one in found if one.size)])
        return found

    async def _parts(
        self, steps: Sequence[Filter], dimensions: Sequence[str], work: Callable[[Journeys], T]
    ) -> list[T]:
        reading = await self.journeys.by_subject(
            self.tenant_id, self.asked.period, self.asked.where, steps, dimensions, work
        )
        self.explanations.append(reading.explain)
        return reading.parts


def _carried(members: Members, journeys: Journeys) -> _Part:
    journeys = journeys.in_order()
    first = np.diff(journeys.subject, prepend=-1) != 0
    subjects, person = journeys.subject[first], np.cumsum(first) - 1
    inside = members.among(subjects)
    values = []
    for codes in journeys.dimensions:
        rows = np.flatnonzero(codes)
        place, count = ranks(codes[rows])
        present = np.empty(count, np.int64)
        present[place] = codes[rows]
        values.append((present, *counts_among(place, person[rows], count, inside)))
    last = int(subjects[-1]) if subjects.size else 0
    return _Part(subjects.size, int(np.count_nonzero(inside)), last, values)


def _takers(steps: int, journeys: Journeys) -> list[NDArray[np.int32]]:
    """The subjects that take each step."""
    taking = (journeys.steps & journeys.steps.dtype.type(1 << place) != 0 for place in range(steps))
    return [np.unique(journeys.subject[rows]) for rows in taking]
