"""Funnels: asked ad hoc, or kept under a name."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.columns import Coded
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filter_json import from_json, to_json
from resolvers.analysis.filters import weight
from resolvers.analysis.funnel_answers import Breakdown, answer
from resolvers.analysis.funnel_kernel import FunnelWalk, joined_walks, walk
from resolvers.analysis.funnels import Entry, FunnelAnswer, FunnelDefinition, Step
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.periods import Period, epoch_us
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound
from resolvers.store.funnels import FunnelRepository, FunnelRow
from resolvers.store.journeys import JourneyRepository
from resolvers.store.turns import turn

FEWEST_STEPS, MOST_STEPS = 2, 20
LONGEST_WINDOW = timedelta(days=366)
MOST_FUNNELS = 1_000
LARGEST_PAGE = 500
LONGEST_NAME = 200
_MICROSECOND = timedelta(microseconds=1)


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


def kinds(definition: FunnelDefinition) -> Kinds:
    """The kinds of events that the funnel depends on."""
    return depends_on(*(step.where for step in definition.steps))


def checked(definition: FunnelDefinition) -> FunnelDefinition:
    """The definition itself; raises BadInput where it is none that can be walked."""
    if not FEWEST_STEPS <= len(definition.steps) <= MOST_STEPS:
        raise BadInput(
            f"A funnel has {FEWEST_STEPS} to {MOST_STEPS} steps; this one has {len(definition.steps)}.",
            field="steps",
        )
    for index, step in enumerate(definition.steps):
        if not step.name.strip() or len(step.name) > LONGEST_NAME or not step.name.isprintable():
            raise BadInput(
                f"A name has 1 to {LONGEST_NAME} printable characters, not only blanks.", field=f"steps[{index}].name"
            )
    if not timedelta(0) < definition.window <= LONGEST_WINDOW:
        raise BadInput("A window is longer than nothing and at most 366 days.", field="window")
    return definition


async def funnel(context: Context, definition: FunnelDefinition, question: Question) -> FunnelAnswer:
    """How many subjects come how far; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    checked(definition)
    definite = resolved(question, principal, context.services.now())
    points = 4 * len(definition.steps) * (definite.top + 2 if definite.by else 1)
    context.spend(points + sum(weight(one) for one in (definite.where, *(step.where for step in definition.steps))))
    compute = partial(_answer, context, definition, definite)
    return await kept(context, ("funnel", definition, definite), kinds(definition), compute, points=points)


async def _answer(context: Context, definition: FunnelDefinition, asked: Resolved) -> FunnelAnswer:
    as_of = context.services.now()
    async with turn(context.services.heavy):
        walked, columns, explain = await _walk(context, definition, asked, asked.period, asked.by)
        earlier = None
        if asked.previous is not None:
            earlier = (asked.previous, (await _walk(context, definition, asked, asked.previous, ()))[0])
        shaped = partial(answer, as_of=as_of, explain=explain, by=columns, top=asked.top, previous=earlier)
        return await asyncio.to_thread(shaped, definition, asked.period, walked)


async def _walk(
    context: Context, definition: FunnelDefinition, asked: Resolved, period: Period, by: tuple[str, ...]
) -> tuple[FunnelWalk, list[Breakdown], Explanation]:
    """The walks through a period, the dimensions of their entries, and how they were come by."""
    principal = context.require(Role.VIEWER)
    reach = Period(period.start, period.end + definition.window)
    steps = [step.where for step in definition.steps]
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = JourneyRepository(session, context.services.memory, context.services.segments)
        reading = await repository.by_subject(
            principal.tenant_id, reach, asked.where, steps, by, partial(_walked, definition, period)
        )
        walked, entries = joined_walks([walked for walked, _ in reading.parts]), []
        for place, name in enumerate(by):
            column = Coded.of(np.concatenate([codes[place] for _, codes in reading.parts]))
            texts = await repository.texts(principal.tenant_id, [code for code in column.codes.tolist() if code])
            entries.append(Breakdown(name, column.index, [texts.get(code) for code in column.codes.tolist()]))
    return walked, entries, reading.explain


def _walked(definition: FunnelDefinition, period: Period, journeys: Journeys) -> tuple[FunnelWalk, NDArray[np.int32]]:
    """The walks of some subjects, and the codes of their entries for each dimension.

    The entries are numbered as the walks are: all other events have done their part.
    """
    found = walk(
        journeys.subject,
        journeys.at,
        journeys.steps,
        steps=len(definition.steps),
        window_us=definition.window // _MICROSECOND,
        entry=definition.entry,
        entry_end_us=epoch_us(period.end),
        ordered=journeys.ordered,
    )
    return replace(found, entry=np.arange(found.entry.size)), journeys.dimensions[:, found.entry]


async def save_funnel(context: Context, name: str, definition: FunnelDefinition) -> SavedFunnel:
    """Keep a funnel under a name, in place of what the name stood for; raises BadInput, Forbidden."""
    principal = context.require(Role.ANALYST)
    checked(definition)
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInput(f"A name has 1 to {LONGEST_NAME} printable characters.", field="name")
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = FunnelRepository(session)
        if await repository.count(principal.tenant_id) >= MOST_FUNNELS:
            raise BadInput(f"At most {MOST_FUNNELS} funnels are kept; delete one first.", field="name")
        return _saved(await repository.save(principal.tenant_id, name, _to_json(definition)))


async def delete_funnel(context: Context, funnel_id: int) -> SavedFunnel:
    """Delete a kept funnel and return it as it was; raises NotFound, Forbidden."""
    principal = context.require(Role.ANALYST)
    async with context.services.database.tenant(principal.tenant_id) as session:
        row = await FunnelRepository(session).remove(principal.tenant_id, funnel_id)
        if row is None:
            raise NotFound("There is no such funnel.", field="id")
        return _saved(row)


async def funnels_by_id(context: Context, ids: Sequence[int]) -> dict[int, SavedFunnel]:
    """Those of the ids that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await FunnelRepository(session).by_ids(principal.tenant_id, ids)
    return {saved.id: saved for saved in map(_saved, rows)}


async def funnels(context: Context, *, first: int = 50, after: str | None = None) -> FunnelPage:
    """A page of the funnels that the tenant keeps."""
    principal = context.require(Role.VIEWER)
    if not 1 <= first <= LARGEST_PAGE:
        raise BadInput(f"first is between 1 and {LARGEST_PAGE}.", field="first")
    if after is not None and not (after.isascii() and after.isdigit() and len(after) <= 9):
        raise BadInput("This is no cursor of this list; take endCursor from a page of it.", field="after")
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await FunnelRepository(session).page(
            principal.tenant_id, after=None if after is None else int(after), limit=first + 1
        )
    shown = tuple(_saved(row) for row in rows[:first])
    return FunnelPage(shown, tuple(str(one.id) for one in shown), len(rows) > first)


def _saved(row: FunnelRow) -> SavedFunnel:
    assert row.funnel_id is not None
    return SavedFunnel(row.funnel_id, row.name, _from_json(row.definition), row.created_at, row.updated_at)


def _to_json(definition: FunnelDefinition) -> dict[str, Any]:
    return {
        "steps": [{"name": step.name, "where": to_json(step.where)} for step in definition.steps],
        "window_us": definition.window // _MICROSECOND,
        "entry": definition.entry.value,
    }


def _from_json(kept_as: dict[str, Any]) -> FunnelDefinition:
    return FunnelDefinition(
        steps=tuple(Step(step["name"], from_json(step["where"])) for step in kept_as["steps"]),
        window=kept_as["window_us"] * _MICROSECOND,
        entry=Entry(kept_as["entry"]),
    )
