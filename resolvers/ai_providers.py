"""Providers and models of AI side by side: cost, latency, success, calibration and what comes of their calls."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from resolvers.analysis.ai_provider_answers import CAUTION, Group, Told, compared, outcomes
from resolvers.analysis.ai_provider_statistics import STATISTICS, Plain, plain
from resolvers.analysis.ai_providers import AiProvidersAnswer, Outcome
from resolvers.analysis.explanations import dearest
from resolvers.analysis.filters import All, weight
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import epoch_us
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import RoiDefinition
from resolvers.analysis.roi_tally import Found, Tally
from resolvers.answers import Resolved, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.roi import CALL, ValueReader, checked, kinds
from resolvers.store.scans import Keys, Selection, Statistics
from resolvers.store.turns import turn

_COLUMNS = 20
"""A group takes as much as so many points of a series."""


async def ai_providers(context: Context, definition: RoiDefinition, question: Question) -> AiProvidersAnswer:
    """How providers compare; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    checked(definition)
    definite = resolved(question, principal, context.services.now())
    if not definite.by:
        raise BadInput("Name at least one dimension to compare by.", field="by")
    points = _COLUMNS * (definite.top + 2)
    rivals = 0 if definition.rivals is None else weight(definition.rivals)
    context.spend(points + weight(definite.where) + weight(definition.conversion) + rivals)
    compute = partial(_answer, context, definition, definite)
    return await kept(context, ("ai providers", definition, definite), kinds(definition), compute, points=points)


async def _answer(context: Context, definition: RoiDefinition, asked: Resolved) -> AiProvidersAnswer:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    # Said once for all, so that no other event is held against each statistic.
    where = All((CALL, asked.where))
    selection = Selection(principal.tenant_id, principal.currency, asked.period, where)
    before = None
    async with turn(context.services.heavy):
        async with context.services.database.snapshot(principal.tenant_id) as session:
            reader = ValueReader(context, session, definition, asked)
            found = await reader.metrics.statistics(selection, STATISTICS, by=asked.by, top=asked.top)
            value, explain = await reader.found(asked.period)
            if asked.previous is not None:
                earlier = replace(selection, period=asked.previous)
                statistics = await reader.metrics.statistics(earlier, STATISTICS, by=asked.by, groups=found.groups)
                before = statistics, (await reader.found(asked.previous))[0]
            unconverted, unconverted_cost = await reader.unconverted()
            keys = await reader.journeys.combinations(principal.tenant_id, reader.numbering)
        told = _Told(definition, asked, keys, found.groups, Told(principal.currency, as_of))
        total, groups = await asyncio.to_thread(told.told, (found, value), before)
    shown, best = compared(groups)
    return AiProvidersAnswer(
        **total,
        **best,
        definition=definition,
        period=asked.period,
        previous_period=asked.previous,
        currency=principal.currency,
        groups=shown,
        group_count=found.group_count,
        unconverted=unconverted,
        unconverted_cost=unconverted_cost,
        caution=CAUTION,
        explain=dearest([*found.explanations, explain]),
        as_of=as_of,
    )


Read = tuple[Statistics, Found]
"""What was read of a period: the statistics of its calls, and what they led to."""


@dataclass(frozen=True, slots=True)
class _Told:
    """How what was read is told, of the groups ``shown`` and one of all others."""

    definition: RoiDefinition
    asked: Resolved
    keys: Sequence[Keys]
    shown: Sequence[Keys]
    numbers: Told

    def told(self, now: Read, before: Read | None) -> tuple[dict[str, Any], list[Group]]:
        """The figures of all calls, and the groups."""
        outcome = self._outcomes(now[1])
        earlier = None if before is None else self._outcomes(before[1])

        def figures(place: int) -> tuple[Plain, dict[str, Any]]:
            mine = self._plain(now[0], place)
            then = None if before is None else self._plain(before[0], place)
            return mine, self.numbers.figures(mine, outcome[place], then, None if earlier is None else earlier[place])

        rest = len(self.shown)
        groups: list[Group] = []
        for place in range(rest + (rest in now[0].by_group)):
            mine, told = figures(place)
            keys = () if place == rest else self._keys(self.shown[place])
            groups.append((keys, place == rest, mine, outcome[place], told))
        return figures(rest + 1)[1], groups

    def _keys(self, keys: Keys) -> tuple[DimensionValue, ...]:
        return tuple(DimensionValue(name, value) for name, value in zip(self.asked.by, keys, strict=True))

    def _plain(self, found: Statistics, place: int) -> Plain:
        return plain(found.total if place > len(self.shown) else found.by_group.get(place))

    def _outcomes(self, found: Found) -> list[Outcome]:
        """What came of each group, of all others, and of all together."""
        place = {keys: number for number, keys in enumerate(self.shown)}
        rest = len(self.shown)
        row_of = np.array([place.get(keys, rest) for keys in self.keys] or [rest], np.int32)
        tally = Tally(self.definition, found, row_of, rest + 1, [epoch_us(found.period.start)])
        return outcomes(tally, found)
