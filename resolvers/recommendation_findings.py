"""What the detectors of recommendations are told: the answers of the last 30 days."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any as Value

from resolvers.analysis.attribution import AttributionDefinition, Model, Part
from resolvers.analysis.clocks import zone
from resolvers.analysis.estimates import Unit
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import EVERYTHING, All, Any, FlagIs, KindIs
from resolvers.analysis.funnels import StepAnswer
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.recommendation_basis import Basis
from resolvers.analysis.recommendation_detectors import (
    ChannelFigures,
    FunnelFigures,
    ModelFigures,
    cheaper_models,
    leaking_steps,
    losing_channels,
)
from resolvers.analysis.recommendation_signals import (
    ChurnFigures,
    PersonaFigures,
    churn_concentrations,
    cost_anomaly,
    personas_worth_more,
)
from resolvers.analysis.recommendation_statistics import Sums
from resolvers.analysis.recommendations import Finding, Findings
from resolvers.answers import Resolved, depends_on, kept, kinds_of, resolved
from resolvers.attribution import attribution
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context, Role
from resolvers.funnels import SavedFunnel, funnel, latest_funnels
from resolvers.lanes import abreast
from resolvers.metrics import metrics
from resolvers.recurring_revenue import recurring_revenue
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Keys, Selection
from resolvers.store.scans import Statistics as Scan

KINDS = depends_on(EVERYTHING, money=True)
"""What findings depend on beside the funnels: all events, and what their money is worth."""
MOST_FUNNELS = 10
"""How many saved funnels are looked at: those that were saved last."""
CHURN_DIMENSIONS = ("persona", "channel", "location")
"""Where churn may gather. Not plans: who passes to another plan leaves the one before without being lost."""
_MOST_GROUPS = 100
_SOLD = frozenset({int(Kind.CONVERSION)})

_AI = KindIs((Kind.AI_INTERACTION,))
_SPENT = KindIs((Kind.TOUCHPOINT, Kind.SPEND))
_SALES = (
    Statistic(Aggregate.COUNT, CONVERSIONS, "amount"),
    Statistic(Aggregate.SUM, CONVERSIONS, "amount"),
    Statistic(Aggregate.SUM_OF_SQUARES, CONVERSIONS, "amount"),
)
_CUSTOMERS = Statistic(Aggregate.DISTINCT, CONVERSIONS, "customer")
_PERSONAS = (*_SALES, Statistic(Aggregate.SUM, _SPENT, "cost"))
_CALLS = (
    Statistic(Aggregate.COUNT, _AI, "cost"),
    Statistic(Aggregate.SUM, _AI, "cost"),
    Statistic(Aggregate.SUM_OF_SQUARES, _AI, "cost"),
    Statistic(Aggregate.COUNT, All((_AI, FlagIs("success", True)))),
    Statistic(Aggregate.COUNT, _AI, "success"),
)
# Those with an amount: a signup would close the journey that a later payment is owed to.
_PAID = All((CONVERSIONS, Any((FlagIs("recurring", True), FlagIs("recurring", False)))))
_BY_CHANNEL = AttributionDefinition(
    conversion=_PAID,
    touch=KindIs((Kind.TOUCHPOINT,)),
    dimension="channel",
    lookback=timedelta(days=90),
    half_life=timedelta(days=7),
    models=(Model.LINEAR,),
)

Costs = tuple[list[Decimal], dict[str, list[Decimal]]]
"""What AI cost on each day, in all and by model."""


async def findings(context: Context, max_age: timedelta | None = None) -> tuple[Findings, Resolved]:
    """What the last 30 days suggest, the most valuable first, and the question that they answer."""
    principal = context.require(Role.VIEWER)
    question = Question(PeriodRequest(last="30d"), granularity=Granularity.DAY, top=_MOST_GROUPS, max_age=max_age)
    definite = resolved(question, principal, context.services.now())
    saved = await latest_funnels(context, MOST_FUNNELS)
    asked = tuple((one.id, one.name, one.definition) for one in saved)
    compute = partial(_found, context, replace(question, max_age=None), definite, saved)
    return await kept(context, ("recommendations", definite, asked), KINDS, compute), definite


async def _found(context: Context, question: Question, asked: Resolved, saved: Sequence[SavedFunnel]) -> Findings:
    # Of its own, as what these answers take is nothing that the caller asked for.
    own = Context(context.services, context.require(Role.VIEWER))
    reader, as_of = _Reader(own, question, asked), context.services.now()
    (sales, customers, personas, models, costs), (channels, churn, walked) = await abreast(
        reader.from_log(), reader.from_journeys(saved)
    )
    basis = Basis(reader.principal.currency, sales.total, as_of)
    worth = sales.total / customers if customers and sales.total > 0 else None
    funnels = [_figures(one, steps, worth) for one, steps in zip(saved, walked, strict=True)]
    *days, _today = asked.buckets
    found: list[Finding] = [
        *leaking_steps(funnels, basis),
        *losing_channels(channels, sales, basis),
        *cheaper_models(models, basis),
        *personas_worth_more(personas, basis),
        *churn_concentrations(churn, basis),
        *cost_anomaly(days[-1].astimezone(zone(asked.timezone)).date(), *costs, basis),
    ]
    return Findings(tuple(sorted(found, key=place)))


def place(one: Value) -> tuple[int, Decimal, str]:
    """Where a finding is among others: money first, the most valuable first."""
    value = one.expected.value or Decimal(0)
    return 0 if one.expected.unit is Unit.MONEY else 1, -value, one.key


def _figures(saved: SavedFunnel, steps: tuple[StepAnswer, ...], worth: Decimal | None) -> FunnelFigures:
    last = kinds_of(saved.definition.steps[-1].where)
    sold = last is not None and last <= _SOLD
    return FunnelFigures(saved.id, saved.name, saved.definition, steps, worth if sold else None)


class _Reader:
    """Reads what detectors look at."""

    def __init__(self, context: Context, question: Question, asked: Resolved) -> None:
        self.context = context
        self.question = question
        self.asked = asked
        self.principal = context.require(Role.VIEWER)

    async def from_log(self) -> "tuple[Sums, int, list[PersonaFigures], list[ModelFigures], Costs]":
        """All sales and by how many customers, personas, models, and what AI cost."""
        return *await self.personas(), await self.models(), await self.costs()

    async def from_journeys(
        self, saved: Sequence[SavedFunnel]
    ) -> tuple[list[ChannelFigures], list[ChurnFigures], list[tuple[StepAnswer, ...]]]:
        """Channels, churn, and the steps of each funnel."""
        channels = await self.channels()
        churn = [one for dimension in CHURN_DIMENSIONS for one in await self.churn(dimension)]
        return channels, churn, [await self.steps(one) for one in saved]

    async def _scan(self, statistics: Sequence[Statistic], *by: str, groups: Sequence[Keys] | None = None) -> Scan:
        selection = Selection(self.principal.tenant_id, self.principal.currency, self.asked.period, EVERYTHING)
        services = self.context.services
        async with services.database.tenant(self.principal.tenant_id) as session:
            repository = MetricRepository(session, services.memory, services.kept)
            return await repository.statistics(selection, statistics, by=by, groups=groups, top=_MOST_GROUPS)

    async def channels(self) -> list[ChannelFigures]:
        answer = await attribution(self.context, _BY_CHANNEL, self.question)
        rows, (credits,) = answer.values, answer.models
        return [
            ChannelFigures(value, cost, revenue, credit)
            for part, value, cost, revenue, credit in zip(
                rows.part, rows.value, rows.cost, credits.revenue, credits.credit, strict=True
            )
            if part is Part.VALUE and value is not None and cost is not None
        ]

    async def personas(self) -> tuple[Sums, int, list[PersonaFigures]]:
        """All sales, by how many customers, and both by persona."""
        found = await self._scan(_PERSONAS, "persona")
        # Apart from what adds up, which one statement tells of all.
        bought = await self._scan((_CUSTOMERS,), "persona", groups=found.groups)
        figures = [
            PersonaFigures(persona, _sums(values), Decimal(values[3] or 0), _count(bought.by_group.get(number)))
            for number, (persona,) in enumerate(found.groups)
            if persona is not None and (values := found.by_group.get(number)) is not None
        ]
        return _sums(found.total), _count(bought.total), figures

    async def models(self) -> list[ModelFigures]:
        found = await self._scan(_CALLS, "feature", "model")
        return [
            ModelFigures(feature, model, _sums(values), int(values[3] or 0), int(values[4] or 0))
            for number, (feature, model) in enumerate(found.groups)
            if model is not None and (values := found.by_group.get(number)) is not None
        ]

    async def churn(self, dimension: str) -> list[ChurnFigures]:
        question = replace(self.question, by=(dimension,), granularity=Granularity.MONTH)
        answer = await recurring_revenue(self.context, question)
        whole = answer.movements
        return [
            ChurnFigures(
                dimension,
                value,
                group.movements.churned_customers,
                group.movements.customers_at_start,
                group.movements.start,
                whole.churned_customers,
                whole.customers_at_start,
            )
            for group in answer.groups
            if not group.other and (value := group.keys[0].value) is not None
        ]

    async def steps(self, saved: SavedFunnel) -> tuple[StepAnswer, ...]:
        question = replace(self.question, granularity=Granularity.MONTH)
        return (await funnel(self.context, saved.definition, question)).steps

    async def costs(self) -> Costs:
        """What AI cost on each whole day, in all and by model."""
        (answer,) = await metrics(self.context, ["ai_cost"], replace(self.question, by=("model",), top=20))
        groups = {
            model: [cost or Decimal(0) for cost in group.series.exact[:-1]]
            for group in answer.groups
            if not group.other and (model := group.keys[0].value) is not None
        }
        return [cost or Decimal(0) for cost in answer.series.exact[:-1]], groups


def _sums(values: Sequence[Value]) -> Sums:
    """The sums in the first three statistics."""
    return Sums(int(values[0] or 0), Decimal(values[1] or 0), Decimal(values[2] or 0))


def _count(values: Sequence[Value] | None) -> int:
    """The first statistic."""
    return int(values[0] or 0) if values else 0
