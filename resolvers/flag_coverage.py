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
from resolvers.flag_segments import with_segments
from resolvers.flags import known, known_environment
from resolvers.store.active_subjects import ActiveSubjects
from resolvers.store.scans import Selection
from resolvers.store.turns import turn

ACTIVE = timedelta(days=30)
SAMPLE = 5_000
"""Subjects that a share is told from, where there are more."""
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


async def coverage(context: Context, of: Flag, environment: str = PRODUCTION) -> FlagCoverage:
    """Which share of the subjects of the last 30 days gets each variation; raises BadInput for the environment."""
    principal, services, now = context.require(Role.VIEWER), context.services, context.services.now()
    context.spend(SAMPLE)
    held = await known(context)
    known_environment(held, environment)
    asked = sorted(set(_asked(of, environment, held.flags)))
    wanted = [_DIMENSIONS[name] for name in asked if name in _DIMENSIONS]
    selection = Selection(principal.tenant_id, principal.currency, Period(now - ACTIVE, now), EVERYTHING)
    async with turn(services.heavy), services.database.tenant(principal.tenant_id) as session:
        repository = ActiveSubjects(session, services.memory, services.kept)
        codes = await repository.codes(selection)
        total = codes.size
        if total > SAMPLE:
            codes = np.sort(np.random.default_rng(_SEED).choice(codes, SAMPLE, replace=False))
        found = await repository.people(selection, codes.tolist(), wanted)
    people = [Person(subject, known) for subject, known in found]
    people = list(await with_segments(context, people, held, environment, [of.key]))
    counted = await asyncio.to_thread(partial(_counted, of, environment, held.flags, people, now))
    order = [*(one.key for one in of.variations), None]
    return FlagCoverage(
        environment=environment,
        subjects=total,
        sampled=len(people),
        shares=tuple(
            VariationShare(variation, _share(counted[variation], len(people), total, now))
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
