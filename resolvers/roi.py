"""AI ROI: what AI interactions cost, what conversions are owed to them, and whether the one pays for the other."""

import asyncio
from dataclasses import replace
from functools import partial

import numpy as np
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.attribution_bootstrap import MOST_RESAMPLES
from resolvers.analysis.attribution_paths import Paths, joined_paths, paths_of
from resolvers.analysis.attribution_sales import amounts_of
from resolvers.analysis.estimates import Money
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, All, Any, Filter, KindIs, weight
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.numbering import Numbering
from resolvers.analysis.periods import Period, epoch_us
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import MODELS, RoiAnswer, RoiDefinition
from resolvers.analysis.roi_answers import Circumstances, answer
from resolvers.analysis.roi_tally import Found
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.attribution import LONGEST
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.experiment_results import KINDS as EXPERIMENT_KINDS
from resolvers.roi_causality import incremental
from resolvers.store.ai_calls import AiCallRepository, CallQuestion
from resolvers.store.attribution import SaleRepository
from resolvers.store.copying import too_many
from resolvers.store.journeys import JourneyRepository
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection
from resolvers.store.turns import Turn, turn

CALL: Filter = KindIs((Kind.AI_INTERACTION,))

_COLUMNS = 4
"""A point of this series has as many columns as four of another."""
_SALE = KindIs((Kind.CONVERSION,))
_ASKED = 1 << 3
"""The step of the AI interactions that are asked about, after those of a path."""
_LARGEST = 128 << 20
"""Bytes of paths in memory at once."""


def kinds(definition: RoiDefinition) -> Kinds:
    """The kinds of events that the answer depends on."""
    rivals = () if definition.rivals is None else (definition.rivals,)
    found = depends_on(CALL, definition.conversion, *rivals, money=True)
    return found if definition.experiment is None else found | EXPERIMENT_KINDS


def checked(definition: RoiDefinition) -> RoiDefinition:
    """The definition itself; raises BadInput where it asks for what there is not."""
    for field, span in ("lookback", definition.lookback), ("halfLife", definition.half_life):
        if not 0 < span.total_seconds() <= LONGEST.total_seconds():
            raise BadInput(f"{field} is longer than nothing and at most {LONGEST.days} days.", field=field)
    if not 0 <= definition.resamples <= MOST_RESAMPLES:
        raise BadInput(f"resamples is between 0 and {MOST_RESAMPLES:,}.", field="resamples")
    if definition.model not in MODELS:
        names = ", ".join(model.name for model in MODELS)
        raise BadInput(f"The value of AI is attributed by one of {names}.", field="model")
    return definition


async def roi(context: Context, definition: RoiDefinition, question: Question) -> RoiAnswer:
    """Cost and value of AI; raises BadInput naming the argument at fault.

    ``where`` says which AI interactions are asked about; the others still have their part in the credit.
    """
    principal = context.require(Role.VIEWER)
    checked(definition)
    definite = resolved(question, principal, context.services.now())
    points = _COLUMNS * len(definite.buckets) * (definite.top + 2 if definite.by else 1)
    rivals = 0 if definition.rivals is None else weight(definition.rivals)
    context.spend(points + weight(definite.where) + weight(definition.conversion) + rivals)
    compute = partial(_answer, context, definition, definite)
    return await kept(context, ("roi", definition, definite), kinds(definition), compute, points=points)


async def _answer(context: Context, definition: RoiDefinition, asked: Resolved) -> RoiAnswer:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    caused = None if definition.experiment is None else await incremental(context, definition.experiment)
    async with turn(context.services.heavy, large=await context.of_large_log()) as held:
        async with context.services.database.snapshot(principal.tenant_id) as session:
            reader = ValueReader(context, session, held, definition, asked)
            now, explain = await reader.found(asked.period)
            before = None if asked.previous is None else (await reader.found(asked.previous))[0]
            unconverted, unconverted_cost = await reader.unconverted()
            keys = await reader.journeys.combinations(principal.tenant_id, reader.numbering)
        given = Circumstances(
            by=asked.by,
            keys=keys,
            top=asked.top,
            buckets=asked.buckets,
            granularity=asked.granularity,
            timezone=asked.timezone,
            currency=principal.currency,
            unconverted=unconverted,
            unconverted_cost=unconverted_cost,
            explain=explain,
            as_of=as_of,
        )
        return await asyncio.to_thread(answer, definition, now, before, given, caused)


class ValueReader:
    """Reads the AI interactions of periods and the paths from them to conversions, in one unit of work."""

    def __init__(
        self,
        context: Context,
        session: AsyncSession,
        held: Turn,
        definition: RoiDefinition,
        asked: Resolved,
        *,
        measured: bool = False,
    ) -> None:
        """What calls say beside their cost is read where ``measured``."""
        principal = context.require(Role.VIEWER)
        self.tenant_id, self.currency = principal.tenant_id, principal.currency
        self.definition, self.asked, self.measured = definition, asked, measured
        self.numbering = Numbering()
        self.turn = held
        self.journeys = JourneyRepository(session, context.services.memory, context.services.segments)
        self.sales = SaleRepository(session, context.services.memory, context.services.segments)
        self.calls = AiCallRepository(session, context.services.memory, context.services.segments)
        self.metrics = MetricRepository(session, context.services.memory, context.services.kept)

    async def found(self, period: Period) -> tuple[Found, Explanation]:
        """What there is in a period, and how the paths were come by."""
        definition, by = self.definition, self.asked.by
        reach = Period(period.start - definition.lookback, period.end)
        touch = CALL if definition.rivals is None else Any((CALL, definition.rivals))
        steps = (touch, definition.conversion, _SALE, All((CALL, self.asked.where)))
        cut = _Cut(definition, period, self.numbering)
        reading = await self.journeys.by_subject(self.tenant_id, reach, EVERYTHING, steps, by, cut)
        paths = await asyncio.to_thread(joined_paths, reading.parts)
        await self.turn.breathe()
        # Whatever is committed meanwhile is among these, and matters to no path.
        sales = await self.sales.sales(self.tenant_id, period, self.currency)
        amounts = await asyncio.to_thread(amounts_of, paths, sales)
        del sales
        await self.turn.breathe()
        question = CallQuestion(period, self.currency, self.asked.where, by, self.measured)
        calls = await self.calls.calls(self.tenant_id, question, self.numbering, self.turn.reclaimed)
        await self.turn.breathe()
        return Found(period, calls, paths, amounts), reading.explain

    async def unconverted(self) -> tuple[tuple[Money, ...], tuple[Money, ...]]:
        """The amounts and the costs of the period in other currencies."""
        selection = Selection(self.tenant_id, self.currency, self.asked.period, self.asked.where)
        converting = replace(selection, where=self.definition.conversion)
        return (
            await self.metrics.unconverted(converting, [Statistic(Aggregate.SUM, _SALE, "amount")]),
            await self.metrics.unconverted(selection, [Statistic(Aggregate.SUM, CALL, "cost")]),
        )


class _Cut:
    """Cuts paths from journeys, as many as fit in memory; raises BadInput for more.

    The code of a touch is 1 more than the number of its combination, 0 where it is not asked about.
    """

    def __init__(self, definition: RoiDefinition, period: Period, numbering: Numbering) -> None:
        self.start_us = epoch_us(period.start)
        self.lookback_us = round(definition.lookback.total_seconds() * 1_000_000)
        self.numbering = numbering
        self.held = 0

    def __call__(self, journeys: Journeys) -> Paths:
        asked = np.flatnonzero(journeys.steps & _ASKED)
        code = np.zeros((1, journeys.subject.size), np.int32)
        code[0, asked] = self.numbering.numbers([row[asked] for row in journeys.dimensions], asked.size) + 1
        numbered = Journeys(journeys.subject, journeys.at, journeys.steps, code, journeys.ordered)
        paths = paths_of(numbered, self.start_us, self.lookback_us)
        self.held += paths.nbytes
        if self.held > _LARGEST:
            raise too_many()
        return paths
