"""Conversions with AI's help and without, side by side."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.ai_assistance import CAUTION, AiAssistanceAnswer, AssistanceDefinition, AssistanceGroup
from resolvers.analysis.ai_assistance_answers import Told, adjusted, sides
from resolvers.analysis.ai_assistance_kernel import Observed, joined, observed
from resolvers.analysis.attribution_sales import Sales
from resolvers.analysis.estimates import Money
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, All, FlagIs, KindIs, weight
from resolvers.analysis.metrics import Aggregate, DimensionValue, Statistic
from resolvers.analysis.numbering import Numbering
from resolvers.analysis.periods import Period, epoch_us
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.attribution import LONGEST
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.store.attribution import SaleRepository
from resolvers.store.journeys import JourneyRepository
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Keys, Selection
from resolvers.store.turns import turn

_COLUMNS = 12
"""A group takes as much as so many points of a series."""
_SALE = KindIs((Kind.CONVERSION,))


def kinds(definition: AssistanceDefinition, question: Question) -> Kinds:
    """The kinds of events that the answer depends on."""
    return depends_on(definition.conversion, definition.interaction, question.where, money=True)


async def ai_assistance(context: Context, definition: AssistanceDefinition, question: Question) -> AiAssistanceAnswer:
    """How the assisted and the unassisted convert; raises BadInput naming the argument at fault.

    ``where`` says who is compared: those with an event in the period that passes.
    """
    principal = context.require(Role.VIEWER)
    if not 0 < definition.lookback.total_seconds() <= LONGEST.total_seconds():
        raise BadInput(f"lookback is longer than nothing and at most {LONGEST.days} days.", field="lookback")
    definite = resolved(question, principal, context.services.now())
    points = _COLUMNS * (definite.top + 2 if definite.by else 1)
    context.spend(points + weight(definite.where) + weight(definition.conversion) + weight(definition.interaction))
    compute = partial(_answer, context, definition, definite)
    relied = kinds(definition, question)
    return await kept(context, ("ai assistance", definition, definite), relied, compute, points=points)


async def _answer(context: Context, definition: AssistanceDefinition, asked: Resolved) -> AiAssistanceAnswer:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    async with turn(context.services.heavy, large=await context.of_large_log()):
        async with context.services.database.snapshot(principal.tenant_id) as session:
            reader = _Reader(context, session, definition, asked)
            now, explain = await reader.found(asked.period)
            before = None if asked.previous is None else (await reader.found(asked.previous))[0]
            unconverted = await reader.unconverted()
            keys = await reader.journeys.combinations(principal.tenant_id, reader.numbering)
        shape = _Shape(asked, keys, Told(principal.currency, as_of))
        shown = await asyncio.to_thread(shape.fields, now, before)
    return AiAssistanceAnswer(
        **shown,
        definition=definition,
        period=asked.period,
        previous_period=asked.previous,
        currency=principal.currency,
        caution=CAUTION,
        unconverted=unconverted,
        explain=explain,
        as_of=as_of,
    )


Found = tuple[Observed, Sales]


class _Reader:
    """Reads who did what, in one unit of work."""

    def __init__(
        self, context: Context, session: AsyncSession, definition: AssistanceDefinition, asked: Resolved
    ) -> None:
        principal = context.require(Role.VIEWER)
        self.tenant_id, self.currency = principal.tenant_id, principal.currency
        self.definition, self.asked = definition, asked
        self.numbering = Numbering()
        self.journeys = JourneyRepository(session, context.services.memory, context.services.segments)
        self.sales = SaleRepository(session, context.services.memory, context.services.segments)
        self.metrics = MetricRepository(session, context.services.memory, context.services.kept)

    async def found(self, period: Period) -> tuple[Found, Explanation]:
        """The subjects of a period and its sales, and how the former were come by."""
        definition = self.definition
        reach = Period(period.start - definition.lookback, period.end)
        flagged = All((definition.conversion, FlagIs("assisted", True)))
        steps = (definition.interaction, definition.conversion, _SALE, flagged, self.asked.where)
        lookback_us = round(definition.lookback.total_seconds() * 1_000_000)
        work = partial(observed, start_us=epoch_us(period.start), lookback_us=lookback_us, numbering=self.numbering)
        reading = await self.journeys.by_subject(self.tenant_id, reach, EVERYTHING, steps, self.asked.by, work)
        sales = await self.sales.sales(self.tenant_id, period, self.currency)
        return (await asyncio.to_thread(joined, reading.parts), sales), reading.explain

    async def unconverted(self) -> tuple[Money, ...]:
        """The amounts of conversions in other currencies."""
        selection = Selection(self.tenant_id, self.currency, self.asked.period, self.definition.conversion)
        return await self.metrics.unconverted(selection, [Statistic(Aggregate.SUM, _SALE, "amount")])


@dataclass(frozen=True, slots=True)
class _Shape:
    """How what was found is told; ``keys[i]`` are the values of the combination numbered i."""

    asked: Resolved
    keys: Sequence[Keys]
    told: Told

    def fields(self, now: Found, before: Found | None) -> dict[str, Any]:
        """The fields of the answer that depend on what was found."""
        ranked = self._ranked(now[0])
        shown = ranked[: self.asked.top]
        row_of = np.full(max(1, len(self.keys)), len(shown), np.int32)
        row_of[shown] = np.arange(len(shown))
        rows = sides(*now, row_of, len(shown) + 1)
        earlier = None if before is None else sides(*before, row_of, len(shown) + 1)
        strata = sides(*now, np.arange(max(1, len(self.keys)), dtype=np.int32), max(1, len(self.keys)))
        told = [self.told.figures(row, None if earlier is None else earlier[place]) for place, row in enumerate(rows)]
        by = bool(self.asked.by)
        return {
            **told[-1],
            "adjusted_difference": adjusted(strata[:-1]) if by else None,
            "groups": tuple(self._group(told[place], shown, place) for place in range(len(rows) - 1) if by)[
                : len(ranked)
            ],
            "group_count": len(ranked) if by else 0,
        }

    def _ranked(self, now: Observed) -> list[int]:
        """The combinations of the period: those of most subjects first, then in the order of their texts."""
        count = np.bincount(now.group, minlength=len(self.keys)).tolist()

        def place(number: int) -> tuple[Any, ...]:
            return -count[number], [(text is None, text or "") for text in self.keys[number]]

        return sorted((number for number, of in enumerate(count) if of), key=place)

    def _group(self, figures: dict[str, Any], shown: Sequence[int], place: int) -> AssistanceGroup:
        other = place == len(shown)
        keys = () if other else self.keys[shown[place]]
        named = tuple(DimensionValue(name, value) for name, value in zip(self.asked.by, keys, strict=False))
        return AssistanceGroup(**figures, keys=named, other=other)
