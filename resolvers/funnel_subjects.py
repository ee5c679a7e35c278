"""Who came how far in a funnel, and what those who converted have in common."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.explanations import Explanation, dearest
from resolvers.analysis.filters import weight
from resolvers.analysis.funnel_correlations import Earlier, FunnelCorrelationAnswer, Lot, correlations
from resolvers.analysis.funnel_outcomes import Outcome, left_at
from resolvers.analysis.funnels import Counting, FunnelDefinition
from resolvers.analysis.periods import Period
from resolvers.analysis.questions import Question
from resolvers.analysis.subjects import Subject
from resolvers.answers import Resolved, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.funnel_checks import check_outcome, checked, cost, kinds
from resolvers.funnel_walks import walked
from resolvers.store.funnel_walks import WalkQuestion
from resolvers.store.terms import SUBJECTS, TermRepository
from resolvers.store.turns import turn

LARGEST_PAGE = 500
_TOGETHER = 4
"""Dimensions read at a time: all of them at once would take more memory than there is for a large log."""
_WRONG_CURSOR = "This is no cursor of this list; take endCursor from a page of it."


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """A page of subjects in the order in which they first appeared; ``cursors[i]`` leads to what follows."""

    subjects: tuple[Subject, ...]
    cursors: tuple[str, ...]
    has_next: bool


async def funnel_subjects(
    context: Context,
    definition: FunnelDefinition,
    question: Question,
    *,
    step: int,
    outcome: Outcome,
    first: int = 50,
    after: str | None = None,
) -> SubjectPage:
    """Who reached a step, or dropped out at it; raises BadInput, Forbidden."""
    principal = context.require(Role.ANALYST)
    if not 1 <= first <= LARGEST_PAGE:
        raise BadInput(f"first is between 1 and {LARGEST_PAGE}.", field="first")
    if after is not None and not (after.isascii() and after.isdigit() and len(after) <= 10):
        raise BadInput(_WRONG_CURSOR, field="after")
    checked(definition)
    check_outcome(definition, step, outcome)
    asked = _Asked(definition, resolved(question, principal, context.services.now()), step, outcome)
    context.spend(4 * len(definition.steps) + weight(asked.definite.where) + cost(definition))
    compute = partial(_page, context, asked, first, after)
    if context.found is not None:
        # The whole list is gone through, and no page of it asked for again.
        return await compute()
    subject = ("funnel subjects", definition, asked.definite, step, outcome, first, after)
    return await kept(context, subject, kinds(definition), compute, points=first)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whom is asked for."""

    definition: FunnelDefinition
    definite: Resolved
    step: int
    outcome: Outcome


async def _page(context: Context, asked: _Asked, first: int, after: str | None) -> SubjectPage:
    principal = context.require(Role.ANALYST)
    # By the question as it was asked: all pages of a list are of one period, however long it takes to go through.
    key = ("funnel subjects", asked.definition, asked.definite.question, asked.step, asked.outcome)
    codes = await context.once(key, partial(_codes, context, asked))
    codes = codes[np.searchsorted(codes, np.int64(after or 0), side="right") :][: first + 1]
    async with context.services.database.tenant(principal.tenant_id) as session:
        terms = TermRepository(session, context.services.memory)
        names = await terms.values(principal.tenant_id, SUBJECTS, codes.tolist())
    shown = codes[:first].tolist()
    return SubjectPage(tuple(Subject(names[code]) for code in shown), tuple(map(str, shown)), codes.size > first)


async def _codes(context: Context, asked: _Asked) -> NDArray[np.int32]:
    """All of them, as ascending codes of the tenant's dictionary."""
    walks = WalkQuestion(asked.definition, asked.definite.where, asked.definite.period)
    async with turn(context.services.heavy):
        found = await walked(context, walks)
        return await asyncio.to_thread(left_at, asked.definition, found.walk, found.subject, asked.step, asked.outcome)


async def subjects_by_name(context: Context, names: Sequence[str]) -> dict[str, Subject]:
    """Those of the subjects that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        known = await TermRepository(session, context.services.memory).codes(
            principal.tenant_id, SUBJECTS, {name for name in names if "\x00" not in name}
        )
    return {name: Subject(name) for name in known}


async def funnel_correlations(
    context: Context, definition: FunnelDefinition, question: Question, *, dimensions: Sequence[str] = DIMENSIONS
) -> FunnelCorrelationAnswer:
    """Which values of the entry event go with converting; raises BadInput naming the argument at fault."""
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
    compute = partial(_correlations, context, definition, definite, tuple(dimensions))
    subject = ("funnel correlations", definition, definite, tuple(dimensions))
    return await kept(context, subject, kinds(definition), compute, points=points)


async def _correlations(
    context: Context, definition: FunnelDefinition, asked: Resolved, dimensions: tuple[str, ...]
) -> FunnelCorrelationAnswer:
    as_of = context.services.now()
    async with turn(context.services.heavy):
        lots, explain = await _lots(context, definition, asked, asked.period, dimensions)
        earlier = None
        if asked.previous is not None:
            before, _ = await _lots(context, definition, asked, asked.previous, dimensions)
            earlier = Earlier(asked.previous, before)
        compute = partial(correlations, top=asked.top, as_of=as_of, explain=explain, previous=earlier)
        return await asyncio.to_thread(compute, definition, asked.period, lots)


async def _lots(
    context: Context, definition: FunnelDefinition, asked: Resolved, period: Period, dimensions: tuple[str, ...]
) -> tuple[list[Lot], Explanation]:
    """The walks that enter in a period by their dimensions, a few at a time."""
    lots, explanations = list[Lot](), list[Explanation]()
    for start in range(0, len(dimensions), _TOGETHER):
        some = dimensions[start : start + _TOGETHER]
        found = await walked(context, WalkQuestion(definition, asked.where, period, some))
        lots.append(Lot(~np.isnan(found.walk.seconds), found.breakdowns))
        explanations.append(found.explain)
    return lots, dearest(explanations)
