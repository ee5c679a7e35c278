"""Providers and models of AI side by side: cost, latency, success, calibration and what comes of their calls."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from resolvers.analysis.ai_provider_answers import CAUTION, Group, Told, compared, outcomes
from resolvers.analysis.ai_provider_statistics import Plain, plains
from resolvers.analysis.ai_providers import AiProvidersAnswer, Outcome
from resolvers.analysis.filters import weight
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.numbering import Codes
from resolvers.analysis.periods import epoch_us
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import RoiDefinition
from resolvers.analysis.roi_answers import ranked
from resolvers.analysis.roi_tally import Found, Tally
from resolvers.answers import Resolved, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.roi import ValueReader, checked, kinds
from resolvers.store.scans import Keys
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
    async with turn(context.services.heavy, large=await context.of_large_log()) as held:
        async with context.services.database.snapshot(principal.tenant_id) as session:
            reader = ValueReader(context, session, held, definition, asked, measured=True)
            now, explain = await reader.found(asked.period)
            before = None if asked.previous is None else (await reader.found(asked.previous))[0]
            unconverted, unconverted_cost = await reader.unconverted()
            keys = await reader.journeys.combinations(principal.tenant_id, reader.numbering)
        told = _Told(definition, asked, keys, Told(principal.currency, as_of))
        shown = await asyncio.to_thread(told.fields, now, before)
    return AiProvidersAnswer(
        **shown,
        definition=definition,
        period=asked.period,
        previous_period=asked.previous,
        currency=principal.currency,
        unconverted=unconverted,
        unconverted_cost=unconverted_cost,
        caution=CAUTION,
        explain=explain,
        as_of=as_of,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """How what was read is told; ``keys[i]`` are the values of the combination numbered i."""

    definition: RoiDefinition
    asked: Resolved
    keys: Sequence[Keys]
    numbers: Told

    def fields(self, now: Found, before: Found | None) -> dict[str, Any]:
        """The fields of the answer that depend on what was found."""
        numbers = set[int]().union(*(np.unique(part.group).tolist() for part in now.calls))
        order = ranked(sorted(numbers), now.calls, self.keys)
        shown = order[: self.asked.top]
        row_of = np.full(max(1, len(self.keys)), len(shown), np.int32)
        row_of[shown] = np.arange(len(shown))
        present = self._rows(now, row_of, len(shown) + 1)
        earlier = None if before is None else self._rows(before, row_of, len(shown) + 1)
        figures = [
            self.numbers.figures(*row, *((None, None) if earlier is None else earlier[place]))
            for place, row in enumerate(present)
        ]
        groups: list[Group] = [
            (self._keys(shown, place), place == len(shown), *present[place], figures[place])
            for place in range(min(len(shown) + 1, len(order)))
        ]
        told, best = compared(groups)
        return {**figures[-1], **best, "groups": told, "group_count": len(order)}

    def _rows(self, found: Found, row_of: Codes, rows: int) -> list[tuple[Plain, Outcome]]:
        """The plain numbers and outcomes of each row, and of all together in a last one."""
        tally = Tally(self.definition, found, row_of, rows, [epoch_us(found.period.start)])
        return list(zip(plains(tally), outcomes(tally), strict=True))

    def _keys(self, shown: Sequence[int], place: int) -> tuple[DimensionValue, ...]:
        keys = self.keys[shown[place]] if place < len(shown) else ()
        return tuple(DimensionValue(name, value) for name, value in zip(self.asked.by, keys, strict=False))
