"""Attribution: which touches the conversions of a period are owed to, by several models side by side."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.attribution import AttributionAnswer, AttributionDefinition, Model
from resolvers.analysis.attribution_answers import Circumstances, answer
from resolvers.analysis.attribution_bootstrap import MOST_RESAMPLES
from resolvers.analysis.attribution_paths import Paths, joined_paths, paths_of
from resolvers.analysis.attribution_rows import Costs, Found
from resolvers.analysis.estimates import Money
from resolvers.analysis.events import DIMENSIONS, Kind
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, All, KindIs, weight
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period, epoch_us
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.store.attribution import SaleRepository
from resolvers.store.copying import too_many
from resolvers.store.journeys import JourneyRepository
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection
from resolvers.store.turns import Turn, turn

LONGEST = timedelta(days=366)
"""The longest lookback, and half-life."""
COSTLIEST = 1_000
"""Of how many values the costs are told apart."""

_SALE = KindIs((Kind.CONVERSION,))
_COSTING = KindIs((Kind.TOUCHPOINT, Kind.SPEND))
_COSTS = (Statistic(Aggregate.SUM, _COSTING, "cost"), Statistic(Aggregate.COUNT, _COSTING, "cost"))
_LARGEST = 128 << 20
"""Bytes of paths in memory at once."""
_MICROSECOND = timedelta(microseconds=1)


def kinds(definition: AttributionDefinition) -> Kinds:
    """The kinds of events that the answer depends on."""
    return depends_on(definition.touch, definition.conversion, _COSTING, money=True)


def checked(definition: AttributionDefinition) -> AttributionDefinition:
    """The definition itself; raises BadInput where it asks for what there is not."""
    for field, span in ("lookback", definition.lookback), ("halfLife", definition.half_life):
        if not timedelta(0) < span <= LONGEST:
            raise BadInput(f"{field} is longer than nothing and at most 366 days.", field=field)
    if not 0 <= definition.resamples <= MOST_RESAMPLES:
        raise BadInput(f"resamples is between 0 and {MOST_RESAMPLES:,}.", field="resamples")
    if definition.dimension not in DIMENSIONS:
        raise BadInput(f"There is no dimension {definition.dimension}.", field="dimension")
    if definition.models is not None and not definition.models:
        raise BadInput("Ask for at least one model, or leave them out for all.", field="models")
    if definition.models is not None and len(set(definition.models)) < len(definition.models):
        raise BadInput("A model is named twice.", field="models")
    return definition


async def attribution(context: Context, definition: AttributionDefinition, question: Question) -> AttributionAnswer:
    """Who is credited with what; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    checked(definition)
    definite = resolved(question, principal, context.services.now())
    points = 2 * (definite.top + 2) * len(definition.models or Model)
    context.spend(points + sum(map(weight, (definite.where, definition.touch, definition.conversion))))
    compute = partial(_answer, context, definition, definite)
    return await kept(context, ("attribution", definition, definite), kinds(definition), compute, points=points)


async def _answer(context: Context, definition: AttributionDefinition, asked: Resolved) -> AttributionAnswer:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    async with turn(context.services.heavy, large=await context.of_large_log()) as held:
        async with context.services.database.tenant(principal.tenant_id) as session:
            reader = _Reader(context, session, held, definition, asked)
            now, explain = await reader.found(asked.period)
            before = None if asked.previous is None else (await reader.found(asked.previous))[0]
            costs, unconverted, unconverted_cost = await reader.money()
        circumstances = Circumstances(principal.currency, unconverted, unconverted_cost, explain, as_of)
        return await asyncio.to_thread(answer, definition, now, before, costs, asked.top, circumstances)


class _Reader:
    """Reads what an answer is made of, in one unit of work."""

    def __init__(
        self, context: Context, session: AsyncSession, held: Turn, definition: AttributionDefinition, asked: Resolved
    ) -> None:
        principal = context.require(Role.VIEWER)
        self.turn = held
        self.tenant_id, self.currency = principal.tenant_id, principal.currency
        self.definition, self.asked = definition, asked
        self.journeys = JourneyRepository(session, context.services.memory, context.services.segments)
        self.sales = SaleRepository(session, context.services.memory, context.services.segments)
        self.metrics = MetricRepository(session, context.services.memory, context.services.kept)

    async def found(self, period: Period) -> tuple[Found, Explanation]:
        """The paths of a period and the sales among their conversions, and how the paths were come by."""
        definition, where = self.definition, self.asked.where
        reach = Period(period.start - definition.lookback, period.end)
        # What else conversions are is asked of journeys, so that the amounts are found in an index of them all.
        steps = (All((where, definition.touch)), All((where, definition.conversion)), _SALE)
        reading = await self.journeys.by_subject(
            self.tenant_id, reach, EVERYTHING, steps, (definition.dimension,), _Cut(definition, period)
        )
        await self.turn.breathe()
        # Sales are read last: whatever is committed meanwhile is among them, and matters to no path.
        sales = await self.sales.sales(self.tenant_id, period, self.currency)
        paths = await asyncio.to_thread(joined_paths, reading.parts)
        await self.turn.breathe()
        found = Found(period, paths, {}, sales)
        texts = await self.journeys.texts(self.tenant_id, [code for code in found.codes.tolist() if code])
        return Found(period, paths, texts, sales), reading.explain

    async def money(self) -> tuple[Costs, tuple[Money, ...], tuple[Money, ...]]:
        """What values cost, and the amounts and costs that cannot be converted."""
        selection = Selection(self.tenant_id, self.currency, self.asked.period, self.asked.where)
        found = await self.metrics.statistics(selection, _COSTS, by=(self.definition.dimension,), top=COSTLIEST)
        known = {place: _cost(values) for place, values in found.by_group.items()}
        costs = Costs(
            by_value={
                keys[0]: cost for place, keys in enumerate(found.groups) if (cost := known.get(place)) is not None
            },
            rest=known.get(len(found.groups)),
            total=_cost(found.total),
        )
        converting = replace(selection, where=All((self.asked.where, self.definition.conversion)))
        return (
            costs,
            await self.metrics.unconverted(converting, [Statistic(Aggregate.SUM, _SALE, "amount")]),
            await self.metrics.unconverted(selection, _COSTS[:1]),
        )


def _cost(values: Sequence[Decimal | int | float | None]) -> Decimal | None:
    """A sum of costs; None where there was none to sum."""
    return Decimal(values[0] or 0) if values and values[1] else None


class _Cut:
    """Cuts paths from journeys, as many as fit in memory; raises BadInput for more."""

    def __init__(self, definition: AttributionDefinition, period: Period) -> None:
        self.start_us = epoch_us(period.start)
        self.lookback_us = definition.lookback // _MICROSECOND
        self.held = 0

    def __call__(self, journeys: Journeys) -> Paths:
        paths = paths_of(journeys, self.start_us, self.lookback_us)
        self.held += paths.nbytes
        if self.held > _LARGEST:
            raise too_many()
        return paths
