"""What goes with converting in funnels: asked of one, or of several at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.explanations import Explanation, dearest
from resolvers.analysis.filters import weight
from resolvers.analysis.funnel_correlations import (
    Crossed,
    FunnelCorrelationAnswer,
    FunnelCorrelationAnswers,
    Table,
    correlations,
    tables,
)
from resolvers.analysis.funnels import Counting, FunnelDefinition
from resolvers.analysis.questions import Question
from resolvers.answers import Resolved, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import BadInput, GatewayError
from resolvers.funnel_checks import checked, cost, kinds
from resolvers.funnel_walks import walked, walks
from resolvers.lanes import side_by_side
from resolvers.store.funnel_walks import Walked, WalkQuestion
from resolvers.store.turns import turn

_TOGETHER = 4
"""Dimensions read at a time: all of them at once would take more memory than there is for a large log."""


async def funnel_correlations(
    context: Context, definition: FunnelDefinition, question: Question, *, dimensions: Sequence[str] = DIMENSIONS
) -> FunnelCorrelationAnswer:
    """Which values of the entry event go with converting; raises BadInput naming the argument at fault."""
    return await _alone(context, _asked(context, definition, question, dimensions))


async def correlations_of_list(
    context: Context, definition: FunnelDefinition, question: Question, *, dimensions: Sequence[str] = DIMENSIONS
) -> FunnelCorrelationAnswer:
    """The same, read together with all others that fields of the operation ask for at the same time."""
    asked = _asked(context, definition, question, dimensions)
    return await context.batched(("correlations", asked.dimensions), asked, partial(_side_by_side, context))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about a funnel, made definite."""

    definition: FunnelDefinition
    definite: Resolved
    dimensions: tuple[str, ...]
    points: int

    def walks(self) -> list[WalkQuestion]:
        """What to walk: the period, and the one to compare with."""
        one = self.definite
        periods = [one.period] if one.previous is None else [one.period, one.previous]
        return [WalkQuestion(self.definition, one.where, period) for period in periods]


def _asked(context: Context, definition: FunnelDefinition, question: Question, dimensions: Sequence[str]) -> _Asked:
    principal = context.require(Role.VIEWER)
    checked(definition)
    if definition.counting is not Counting.SUBJECTS:
        raise BadInput("Walks of one subject are not independent; count SUBJECTS.", field="counting")
    if not dimensions:
        raise BadInput("Name at least one dimension.", field="dimensions")
    if len(set(dimensions)) < len(dimensions):
        raise BadInput("A dimension is named twice.", field="dimensions")
    definite = resolved(question, principal, context.services.now())
    points = 4 * definite.top + 2 * len(dimensions) * (1 if definite.previous is None else 2)
    context.spend(points + weight(definite.where) + cost(definition))
    return _Asked(definition, definite, tuple(dimensions), points)


async def _side_by_side(context: Context, asked: Sequence[_Asked]) -> list[FunnelCorrelationAnswer | GatewayError]:
    return await side_by_side(asked, partial(_together, context), partial(_alone, context))


async def _alone(context: Context, asked: _Asked) -> FunnelCorrelationAnswer:
    async def compute() -> FunnelCorrelationAnswer:
        (only,) = (await _answers(context, [asked])).answers
        return only

    subject = ("funnel correlations", asked.definition, asked.definite, asked.dimensions)
    return await kept(context, subject, kinds(asked.definition), compute, points=asked.points)


async def _together(context: Context, asked: Sequence[_Asked]) -> tuple[FunnelCorrelationAnswer, ...]:
    subject = [part for one in asked for part in (one.definition, one.definite, one.dimensions)]
    needed = frozenset().union(*(kinds(one.definition) for one in asked))
    points = sum(one.points for one in asked)
    compute = partial(_answers, context, asked)
    return (await kept(context, ("correlations", *subject), needed, compute, points=points)).answers


async def _answers(context: Context, asked: Sequence[_Asked]) -> FunnelCorrelationAnswers:
    """The answers to questions about the same dimensions."""
    as_of = context.services.now()
    questions = [one.walks() for one in asked]
    async with turn(context.services.heavy):
        found = await _crossed(context, [walk for own in questions for walk in own], asked[0].dimensions)
    answers, place = list[FunnelCorrelationAnswer](), 0
    for one, own in zip(asked, questions, strict=True):
        (now, explain), *before = found[place : place + len(own)]
        place += len(own)
        earlier = None if one.definite.previous is None else (one.definite.previous, before[0][0])
        compute = partial(correlations, top=one.definite.top, as_of=as_of, explain=explain, previous=earlier)
        answers.append(await asyncio.to_thread(compute, one.definition, one.definite.period, now))
    return FunnelCorrelationAnswers(tuple(answers))


async def _crossed(
    context: Context, asked: Sequence[WalkQuestion], dimensions: tuple[str, ...]
) -> list[tuple[Crossed, Explanation]]:
    """The values of walks held against converting, a few dimensions at a time."""
    parts = [_Parts() for _ in asked]
    for start in range(0, len(dimensions), _TOGETHER):
        own = [replace(one, by=dimensions[start : start + _TOGETHER]) for one in asked]
        held = await walks(context, own) if len(own) > 1 else None
        for place, part in enumerate(parts):
            found = await walked(context, own[0]) if held is None else await asyncio.to_thread(held.walked, place)
            await asyncio.to_thread(part.add, found)
    return [(Crossed.of(part.tables, part.entered, part.converted), dearest(part.explanations)) for part in parts]


class _Parts:
    """What was found of one question so far."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self.explanations: list[Explanation] = []
        self.entered = self.converted = 0

    def add(self, found: Walked) -> None:
        converted = ~np.isnan(found.walk.seconds)
        self.tables += tables(found.breakdowns, converted)
        self.explanations.append(found.explain)
        self.entered, self.converted = converted.size, int(converted.sum())
