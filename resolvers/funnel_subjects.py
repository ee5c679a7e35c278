"""Who came how far in a funnel: asked of one, or of several at once."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.filters import weight
from resolvers.analysis.funnel_outcomes import Outcome, left_at
from resolvers.analysis.funnels import FunnelDefinition
from resolvers.analysis.questions import Question
from resolvers.analysis.subjects import Subject
from resolvers.answers import Resolved, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import GatewayError
from resolvers.funnel_checks import check_outcome, checked, cost, kinds
from resolvers.funnel_walks import walked, walks
from resolvers.lanes import side_by_side
from resolvers.paging import page_start
from resolvers.store.funnel_walks import Walked, WalkQuestion
from resolvers.store.terms import SUBJECTS, TermRepository
from resolvers.store.turns import turn


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """A page of subjects in the order in which they first appeared; ``cursors[i]`` leads to what follows."""

    subjects: tuple[Subject, ...]
    cursors: tuple[str, ...]
    has_next: bool


@dataclass(frozen=True, slots=True)
class SubjectPages:
    """Several pages, read together."""

    pages: tuple[SubjectPage, ...]


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
    return await _alone(context, _asked(context, definition, question, step, outcome, first, after))


async def subjects_of_list(
    context: Context,
    definition: FunnelDefinition,
    question: Question,
    *,
    step: int,
    outcome: Outcome,
    first: int = 50,
    after: str | None = None,
) -> SubjectPage:
    """The same, read together with all others that fields of the operation ask for at the same time."""
    asked = _asked(context, definition, question, step, outcome, first, after)
    return await context.batched("funnel subjects", asked, partial(_side_by_side, context))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whom is asked for."""

    definition: FunnelDefinition
    definite: Resolved
    step: int
    outcome: Outcome
    first: int
    after: str | None

    def walk(self) -> WalkQuestion:
        """What to walk."""
        return WalkQuestion(self.definition, self.definite.where, self.definite.period)

    def left(self, found: Walked) -> NDArray[np.int32]:
        """All of the subjects, as ascending codes of the tenant's dictionary."""
        return left_at(self.definition, found.walk, found.subject, self.step, self.outcome)

    def paged(self, codes: NDArray[np.int32]) -> list[int]:
        """Those of the page, and the one after it."""
        after = np.searchsorted(codes, np.int64(self.after or 0), side="right")
        shown: list[int] = codes[after:][: self.first + 1].tolist()
        return shown

    def page(self, codes: Sequence[int], names: Mapping[int, str]) -> SubjectPage:
        """The page of these, told by name."""
        shown = codes[: self.first]
        return SubjectPage(
            tuple(Subject(names[code]) for code in shown), tuple(map(str, shown)), len(codes) > self.first
        )


def _asked(
    context: Context,
    definition: FunnelDefinition,
    question: Question,
    step: int,
    outcome: Outcome,
    first: int,
    after: str | None,
) -> _Asked:
    principal = context.require(Role.ANALYST)
    page_start(first, after, digits=10)
    checked(definition)
    check_outcome(definition, step, outcome)
    definite = resolved(question, principal, context.services.now())
    context.spend(4 * len(definition.steps) + weight(definite.where) + cost(definition))
    return _Asked(definition, definite, step, outcome, first, after)


async def _alone(context: Context, asked: _Asked) -> SubjectPage:
    compute = partial(_page, context, asked)
    if context.found is not None:
        # The whole list is gone through, and no page of it asked for again.
        return await compute()
    return await kept(context, ("funnel subjects", *_told(asked)), kinds(asked.definition), compute, points=asked.first)


def _told(asked: _Asked) -> tuple[object, ...]:
    """What tells a page from others."""
    return asked.definition, asked.definite, asked.step, asked.outcome, asked.first, asked.after


async def _page(context: Context, asked: _Asked) -> SubjectPage:
    # By the question as it was asked: all pages of a list are of one period, however long it takes to go through.
    key = ("funnel subjects", asked.definition, asked.definite.question, asked.step, asked.outcome)
    codes = asked.paged(await context.once(key, partial(_codes, context, asked)))
    return asked.page(codes, await _names(context, codes))


async def _codes(context: Context, asked: _Asked) -> NDArray[np.int32]:
    async with turn(context.services.heavy):
        found = await walked(context, asked.walk())
        return await asyncio.to_thread(asked.left, found)


async def _names(context: Context, codes: Collection[int]) -> dict[int, str]:
    principal = context.require(Role.ANALYST)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return await TermRepository(session, context.services.memory).values(principal.tenant_id, SUBJECTS, codes)


async def _side_by_side(context: Context, asked: Sequence[_Asked]) -> list[SubjectPage | GatewayError]:
    return await side_by_side(asked, partial(_together, context), partial(_alone, context))


async def _together(context: Context, asked: Sequence[_Asked]) -> tuple[SubjectPage, ...]:
    needed = frozenset().union(*(kinds(one.definition) for one in asked))
    points = sum(one.first for one in asked)
    subject = [part for one in asked for part in _told(one)]
    compute = partial(_pages, context, asked)
    return (await kept(context, ("subjects of funnels", *subject), needed, compute, points=points)).pages


async def _pages(context: Context, asked: Sequence[_Asked]) -> SubjectPages:
    codes = list[list[int]]()
    async with turn(context.services.heavy):
        held = await walks(context, [one.walk() for one in asked])
        for place, one in enumerate(asked):
            found = await asyncio.to_thread(held.walked, place)
            codes.append(one.paged(await asyncio.to_thread(one.left, found)))
    names = await _names(context, {code for own in codes for code in own})
    return SubjectPages(tuple(one.page(own, names) for one, own in zip(asked, codes, strict=True)))


async def subjects_by_name(context: Context, names: Sequence[str]) -> dict[str, Subject]:
    """Those of the subjects that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        known = await TermRepository(session, context.services.memory).codes(
            principal.tenant_id, SUBJECTS, {name for name in names if "\x00" not in name}
        )
    return {name: Subject(name) for name in known}
