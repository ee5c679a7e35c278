"""Survival: how long subjects stay, by what they came with."""

import asyncio
from functools import partial

import numpy as np

from resolvers.analysis.code_groups import Keys
from resolvers.analysis.filters import weight
from resolvers.analysis.periods import epoch_us
from resolvers.analysis.spells import STEPS, durations, joined, spells
from resolvers.analysis.survival_answers import SurvivalAnswer, compared, survived
from resolvers.answers import ANYTHING, Kinds, Resolved, kept
from resolvers.context import Context, Role
from resolvers.cutoffs import Asking, definite, earlier
from resolvers.store.journeys import JourneyRepository
from resolvers.store.turns import turn


def kinds() -> Kinds:
    """The kinds of events that survival depends on."""
    return ANYTHING


async def survival(context: Context, asking: Asking) -> SurvivalAnswer:
    """How long subjects stay; raises BadInput naming the argument at fault."""
    principal, now = context.require(Role.VIEWER), context.services.now()
    asked = definite(asking, principal, now)
    before = earlier(asking, asked, asking.history, principal, now)
    found = await _survival(context, asked)
    if before is None:
        return found
    like = tuple(group.keys for group in found.groups if not group.other)
    return compared(found, await _survival(context, before, like))


async def _survival(context: Context, asked: Resolved, like: tuple[Keys, ...] | None = None) -> SurvivalAnswer:
    """The answer about the largest groups, or about those that are ``like`` given ones."""
    # A curve has a point for each day at most.
    points = (asked.period.end - asked.period.start).days * (asked.top + 2 if asked.by else 1)
    context.spend(points + weight(asked.where))
    subject = ("survival", asked, *(() if like is None else (like,)))
    return await kept(context, subject, kinds(), partial(_computed, context, asked, like), points=points)


async def _computed(context: Context, asked: Resolved, like: tuple[Keys, ...] | None) -> SurvivalAnswer:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    async with (
        turn(context.services.heavy, large=await context.of_large_log()),
        context.services.database.tenant(principal.tenant_id) as session,
    ):
        repository = JourneyRepository(session, context.services.memory, context.services.segments)
        reading = await repository.by_subject(principal.tenant_id, asked.period, asked.where, STEPS, asked.by, spells)
        found = await asyncio.to_thread(durations, joined(reading.parts), epoch_us(asked.period.end))
        codes = [code for code in np.unique(found.dimensions).tolist() if code]
        texts = await repository.texts(principal.tenant_id, codes)
    return await asyncio.to_thread(
        survived,
        found,
        names=asked.by,
        top=asked.top,
        texts=texts,
        cutoff=asked.period.end,
        as_of=as_of,
        explain=reading.explain,
        like=like,
    )
