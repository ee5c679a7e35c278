"""Funnels: asked ad hoc, or kept under a name."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from resolvers.analysis.filters import in_segments, weight
from resolvers.analysis.funnel_answers import Buckets, Earlier, answer
from resolvers.analysis.funnel_json import from_json, to_json
from resolvers.analysis.funnels import FunnelAnswer, FunnelAnswers, FunnelDefinition
from resolvers.analysis.questions import Question
from resolvers.answers import Resolved, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import BadInput, GatewayError, NotFound, said_by
from resolvers.funnel_checks import LONGEST_NAME, checked, cost, kinds
from resolvers.funnel_walks import walked, walks
from resolvers.lanes import side_by_side
from resolvers.paging import page_start
from resolvers.segment_funnels import check_unasked, redefine
from resolvers.segments import numbers_named
from resolvers.store.funnel_walks import Walked, WalkQuestion
from resolvers.store.funnels import FunnelRepository, FunnelRow
from resolvers.store.segment_definitions import SegmentDefinitions
from resolvers.store.turns import turn

MOST_FUNNELS = 1_000


@dataclass(frozen=True, slots=True)
class SavedFunnel:
    """A funnel that the tenant keeps."""

    id: int
    name: str
    definition: FunnelDefinition
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class FunnelPage:
    """A page of kept funnels, oldest first; ``cursors[i]`` leads to what follows ``funnels[i]``."""

    funnels: tuple[SavedFunnel, ...]
    cursors: tuple[str, ...]
    has_next: bool


async def funnel(
    context: Context, definition: FunnelDefinition, question: Question, *, by_step: int | None = 0
) -> FunnelAnswer:
    """How many come how far; raises BadInput naming the argument at fault.

    The breakdown is by the dimensions of the event that the step at ``by_step`` took, None for the last step that
    each reached.
    """
    return await _alone(context, _asked(context, definition, question, by_step))


async def funnel_of_list(
    context: Context, definition: FunnelDefinition, question: Question, *, by_step: int | None = 0
) -> FunnelAnswer:
    """The same, read together with all others that fields of the operation ask for at the same time."""
    asked = _asked(context, definition, question, by_step)
    return await context.batched("funnels", asked, partial(_side_by_side, context))


async def several_funnels(context: Context, asked: Sequence[tuple[FunnelDefinition, Question]]) -> list[FunnelAnswer]:
    """The same of several definitions and questions, read together."""
    found = await _side_by_side(context, [_asked(context, definition, question) for definition, question in asked])
    for one in found:
        if isinstance(one, GatewayError):
            raise one
    return [one for one in found if isinstance(one, FunnelAnswer)]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about a funnel, made definite."""

    definition: FunnelDefinition
    definite: Resolved
    by_step: int | None
    points: int

    def walks(self) -> list[WalkQuestion]:
        """What to walk: the period, and the one to compare with."""
        one = self.definite
        periods = [one.period] if one.previous is None else [one.period, one.previous]
        return [WalkQuestion(self.definition, one.where, period, one.by, self.by_step) for period in periods]

    def told(self, found: Walked, before: Walked | None, as_of: datetime) -> FunnelAnswer:
        """The answer from what was walked."""
        one, earlier = self.definite, None
        if one.previous is not None and before is not None:
            earlier = Earlier(one.previous, before.walk, before.breakdowns)
        return answer(
            self.definition,
            one.period,
            found.walk,
            buckets=Buckets(one.granularity, one.timezone, one.buckets),
            as_of=as_of,
            explain=found.explain,
            by=found.breakdowns,
            top=one.top,
            previous=earlier,
        )


def _asked(context: Context, definition: FunnelDefinition, question: Question, by_step: int | None = 0) -> _Asked:
    principal = context.require(Role.VIEWER)
    checked(definition)
    if by_step is not None and not 0 <= by_step < len(definition.steps):
        raise BadInput(f"There is no step {by_step}; steps count from 0.", field="byStep")
    definite = resolved(question, principal, context.services.now())
    steps = len(definition.steps)
    points = 4 * steps * (definite.top + 2 if definite.by else 1) + steps * len(definite.buckets)
    context.spend(points + weight(definite.where) + cost(definition))
    return _Asked(definition, definite, by_step, points)


async def _alone(context: Context, asked: _Asked) -> FunnelAnswer:
    subject = ("funnel", asked.definition, asked.definite, asked.by_step)
    return await kept(context, subject, kinds(asked.definition), partial(_answer, context, asked), points=asked.points)


async def _answer(context: Context, asked: _Asked) -> FunnelAnswer:
    as_of = context.services.now()
    async with turn(context.services.heavy):
        found, *before = [await walked(context, one) for one in asked.walks()]
        return await asyncio.to_thread(asked.told, found, before[0] if before else None, as_of)


async def _side_by_side(context: Context, asked: Sequence[_Asked]) -> list[FunnelAnswer | GatewayError]:
    return await side_by_side(asked, partial(_together, context), partial(_alone, context))


async def _together(context: Context, asked: Sequence[_Asked]) -> tuple[FunnelAnswer, ...]:
    subject = [part for one in asked for part in (one.definition, one.definite, one.by_step)]
    needed = frozenset().union(*(kinds(one.definition) for one in asked))
    points = sum(one.points for one in asked)
    found = await kept(context, ("funnels", *subject), needed, partial(_answers, context, asked), points=points)
    return found.answers


async def _answers(context: Context, asked: Sequence[_Asked]) -> FunnelAnswers:
    as_of = context.services.now()

    def told(one: _Asked, places: Sequence[int]) -> FunnelAnswer:
        found, *before = [held.walked(place) for place in places]
        return one.told(found, before[0] if before else None, as_of)

    async with turn(context.services.heavy):
        questions = [one.walks() for one in asked]
        held = await walks(context, [walk for own in questions for walk in own])
        # One after the other, so that the walks of one are let go of before those of the next.
        answers, place = list[FunnelAnswer](), 0
        for one, own in zip(asked, questions, strict=True):
            answers.append(await asyncio.to_thread(told, one, range(place, place + len(own))))
            place += len(own)
    return FunnelAnswers(tuple(answers))


async def save_funnel(context: Context, name: str, definition: FunnelDefinition) -> SavedFunnel:
    """Keep a funnel under a name, in place of what the name stood for; raises BadInput, Forbidden."""
    principal = context.require(Role.ANALYST)
    checked(definition)
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInput(f"A name has 1 to {LONGEST_NAME} printable characters.", field="name")
    definition = definition.numbered(await numbers_named(context, in_segments(*definition.conditions())))
    async with context.services.database.tenant(principal.tenant_id) as session:
        segments = SegmentDefinitions(session, principal.tenant_id)
        await segments.hold()
        repository = FunnelRepository(session)
        known = await repository.named(principal.tenant_id, {name})
        if known:
            await redefine(segments, known[0].funnel_id or 0, definition, context.services.now())
        elif await repository.count(principal.tenant_id) >= MOST_FUNNELS:
            raise BadInput(f"At most {MOST_FUNNELS} funnels are kept; delete one first.", field="name")
        return _saved(await repository.save(principal.tenant_id, name, to_json(definition)))


async def delete_funnel(context: Context, which: int | str) -> SavedFunnel:
    """Delete a kept funnel, given by its id or its name, and return it as it was.

    Raises NotFound, Forbidden, BadInput where segments need it.
    """
    principal = context.require(Role.ANALYST)
    field = said_by(which)
    async with context.services.database.tenant(principal.tenant_id) as session:
        segments = SegmentDefinitions(session, principal.tenant_id)
        await segments.hold()
        repository = FunnelRepository(session)
        found = await repository.named(principal.tenant_id, [which])
        if not found:
            raise NotFound("There is no such funnel.", field=field)
        await check_unasked(segments, found[0].funnel_id or 0, field)
        await repository.remove(found[0])
        return _saved(found[0])


async def funnels_by_id(context: Context, ids: Sequence[int]) -> dict[int, SavedFunnel]:
    """Those of the ids that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await FunnelRepository(session).by_ids(principal.tenant_id, ids)
    return {saved.id: saved for saved in map(_saved, rows)}


async def funnels_called(context: Context, names: Sequence[str]) -> list[SavedFunnel]:
    """Those of the names that the caller's tenant keeps a funnel under."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return list(map(_saved, await FunnelRepository(session).named(principal.tenant_id, names)))


async def latest_funnels(context: Context, limit: int) -> list[SavedFunnel]:
    """The funnels that were saved last."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return list(map(_saved, await FunnelRepository(session).latest(principal.tenant_id, limit)))


async def funnels(context: Context, *, first: int = 50, after: str | None = None) -> FunnelPage:
    """A page of the funnels that the tenant keeps."""
    principal = context.require(Role.VIEWER)
    place = page_start(first, after)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await FunnelRepository(session).page(principal.tenant_id, after=place, limit=first + 1)
    shown = tuple(_saved(row) for row in rows[:first])
    return FunnelPage(shown, tuple(str(one.id) for one in shown), len(rows) > first)


def _saved(row: FunnelRow) -> SavedFunnel:
    assert row.funnel_id is not None
    return SavedFunnel(row.funnel_id, row.name, from_json(row.definition), row.created_at, row.updated_at)
