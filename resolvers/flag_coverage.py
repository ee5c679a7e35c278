"""Coverage of a flag: which share of those who were active lately gets each variation now."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from resolvers.analysis.estimates import Estimate, share
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.filters import EVERYTHING, Filter
from resolvers.analysis.flag_evaluation import Evaluator
from resolvers.analysis.flag_targeting import Person, attributes
from resolvers.analysis.flags import PRODUCTION, Flag, Flags
from resolvers.analysis.intake import camel
from resolvers.analysis.periods import Period
from resolvers.context import Context, Role
from resolvers.errors import GatewayError
from resolvers.flag_segments import with_segments
from resolvers.flags import known, known_environment
from resolvers.lanes import side_by_side
from resolvers.store.active_subjects import ActiveSubjects
from resolvers.store.scans import Selection
from resolvers.store.turns import turn

ACTIVE = timedelta(days=30)
SAMPLE = 5_000
"""Subjects that a share is told from, where there are more."""
POINTS = 240
"""What the coverage of a flag counts as: evaluating it for a sample takes some 50 ms, so that a page of 50 has time."""
_SEED = 20_260
_DEFINITION = (
    "Subjects with an event in the last 30 days who get the variation as the flag is set up now, divided by all of "
    "them, or by a random sample of 5,000 where there are more; dimensions are of a subject's last event that has them."
)
_DIMENSIONS = {camel(name): name for name in DIMENSIONS}


@dataclass(frozen=True, slots=True)
class VariationShare:
    """The share of subjects that gets a variation; None stands for those who get an error."""

    variation: str | None
    share: Estimate


@dataclass(frozen=True, slots=True)
class FlagCoverage:
    """Who gets what in an environment, as far as the log tells."""

    environment: str
    subjects: int
    """Active ones."""
    sampled: int
    shares: tuple[VariationShare, ...]
    unknown: tuple[str, ...]
    """Attributes that rules ask for and the log does not tell: nobody is taken to have them."""


Item = tuple[str, str]
"""A flag by its key, and an environment."""


async def coverage(context: Context, of: Flag, environment: str = PRODUCTION) -> FlagCoverage:
    """Which share of the subjects of the last 30 days gets each variation; raises BadInput for the environment.

    They are looked up together for all flags whose coverage is asked for beside it.
    """
    context.require(Role.VIEWER)
    context.spend(POINTS)
    return await context.batched("flag coverage", (of.key, environment), partial(_side_by_side, context))


async def _side_by_side(context: Context, items: Sequence[Item]) -> Sequence[FlagCoverage | GatewayError]:
    async def alone(item: Item) -> FlagCoverage:
        return (await _together(context, [item]))[0]

    return await side_by_side(items, partial(_together, context), alone)


async def _together(context: Context, items: Sequence[Item]) -> list[FlagCoverage]:
    principal, services, now = context.require(Role.VIEWER), context.services, context.services.now()
    held = await known(context)
    asked = {
        (key, environment): sorted(set(_asked(held.flags[key], known_environment(held, environment), held.flags)))
        for key, environment in items
    }
    wanted = {_DIMENSIONS[name]: None for names in asked.values() for name in names if name in _DIMENSIONS}
    selection = Selection(principal.tenant_id, principal.currency, Period(now - ACTIVE, now), EVERYTHING)
    async with turn(services.heavy), services.database.tenant(principal.tenant_id) as session:
        repository = ActiveSubjects(session, services.memory, services.kept)
        codes = await repository.codes(selection)
        total = codes.size
        if total > SAMPLE:
            codes = np.sort(np.random.default_rng(_SEED).choice(codes, SAMPLE, replace=False))
        found = await repository.people(selection, codes.tolist(), list(wanted))
    people = [Person(subject, known) for subject, known in found]
    told = {}
    for environment in dict.fromkeys(environment for _, environment in items):
        keys = [key for key, of in items if of == environment]
        there = await with_segments(context, people, held, environment, keys)
        for key in keys:
            of = held.flags[key]
            counted = await asyncio.to_thread(partial(_counted, of, environment, held.flags, there, now))
            told[key, environment] = _told(of, environment, asked[key, environment], counted, total, now)
    return [told[item] for item in items]


def _told(
    of: Flag, environment: str, asked: Sequence[str], counted: Counter[str | None], total: int, now: datetime
) -> FlagCoverage:
    sampled = counted.total()
    order = [*(one.key for one in of.variations), None]
    return FlagCoverage(
        environment=environment,
        subjects=total,
        sampled=sampled,
        shares=tuple(
            VariationShare(variation, _share(counted[variation], sampled, total, now))
            for variation in order
            if variation is not None or counted[variation]
        ),
        unknown=tuple(name for name in asked if name not in _DIMENSIONS),
    )


def _asked(of: Flag, environment: str, flags: Flags) -> list[str]:
    """The attributes that a flag and its prerequisites look at."""
    found = of.environments.get(environment)
    if found is None:
        return []
    roots: list[Filter] = [rule.where for rule in found.rules]
    asked = [name for root in roots for name in attributes(root)]
    for one in found.prerequisites:
        asked += _asked(flags[one.flag], environment, flags)
    return asked


def _counted(of: Flag, environment: str, flags: Flags, people: Sequence[Person], now: datetime) -> Counter[str | None]:
    return Counter(Evaluator(flags, environment, who, now).evaluate(of.key).variation for who in people)


def _share(count: int, sampled: int, total: int, now: datetime) -> Estimate:
    found = share(count, sampled, as_of=now, definition=_DEFINITION)
    # Of all of them it is no estimate.
    return found if sampled < total else replace(found, interval=None)
