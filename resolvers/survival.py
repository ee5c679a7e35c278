"""Survival: how long subjects stay, by what they came with."""

import asyncio
from functools import partial

import numpy as np

from resolvers.analysis.filters import weight
from resolvers.analysis.periods import epoch_us
from resolvers.analysis.spells import STEPS, durations, joined, spells
from resolvers.analysis.survival_answers import SurvivalAnswer, survived
from resolvers.answers import ANYTHING, Kinds, Resolved, kept
from resolvers.context import Context, Role
from resolvers.cutoffs import Asking, definite
from resolvers.store.journeys import JourneyRepository
from resolvers.store.turns import turn


def kinds() -> Kinds:
    """The kinds of events that survival depends on."""
    return ANYTHING


async def survival(context: Context, asking: Asking) -> SurvivalAnswer:
    """How long subjects stay; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    asked = definite(asking, principal, context.services.now())
    # A curve has a point for each day at most.
    points = (asked.period.end - asked.period.start).days * (asked.top + 2 if asked.by else 1)
    context.spend(points + weight(asked.where))
    return await kept(context, ("survival", asked), kinds(), partial(_computed, context, asked), points=points)


async def _computed(context: Context, asked: Resolved) -> SurvivalAnswer:
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
    )
