"""What AI costs: in all, over time, by dimensions, and the calls that nobody knows the cost of."""

from functools import partial

from resolvers.analysis.ai_costs import MOST_UNPRICED, AiCostAnswer, Unpriced, UnpricedModel
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import All, KindIs, MeasureIs, Op
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.context import Context, Role
from resolvers.metrics import kinds as kinds_of_metrics
from resolvers.metrics import metrics
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection

_COST = "ai_cost"
_CALL = KindIs((Kind.AI_INTERACTION,))
_CALLS = Statistic(Aggregate.COUNT, _CALL)
_UNPRICED = Statistic(Aggregate.COUNT, All((_CALL, MeasureIs("cost", Op.MISSING))))


def kinds() -> Kinds:
    """The kinds of events that the cost of AI depends on."""
    return kinds_of_metrics([_COST]) | depends_on(_CALL)


async def ai_cost(context: Context, question: Question) -> AiCostAnswer:
    """What AI costs; raises BadInput naming the argument at fault."""
    (cost,) = await metrics(context, [_COST], question)
    definite = resolved(question, context.require(Role.VIEWER), context.services.now())
    unpriced = await kept(context, ("ai unpriced", definite), depends_on(_CALL), partial(_unpriced, context, definite))
    return AiCostAnswer(
        period=cost.period,
        previous_period=cost.previous_period,
        cost=cost.estimate,
        series=cost.series,
        groups=cost.groups,
        group_count=cost.group_count,
        calls=unpriced.calls,
        unpriced=unpriced.unpriced,
        unpriced_models=unpriced.models,
        unpriced_model_count=unpriced.model_count,
        unconverted=cost.unconverted,
        explain=cost.explain,
        as_of=cost.estimate.as_of,
    )


async def _unpriced(context: Context, asked: Resolved) -> Unpriced:
    principal = context.require(Role.VIEWER)
    selection = Selection(principal.tenant_id, principal.currency, asked.period, asked.where)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        (calls,) = (await repository.statistics(selection, [_CALLS])).total
        found = await repository.statistics(selection, [_UNPRICED], by=("provider", "model"), top=MOST_UNPRICED)
    counts = {place: int(values[0] or 0) for place, values in found.by_group.items()}
    rest = len(found.groups)
    models = [
        UnpricedModel(provider, model, False, counts.get(place, 0))
        for place, (provider, model) in enumerate(found.groups)
    ]
    if counts.get(rest):
        models.append(UnpricedModel(None, None, True, counts[rest]))
    return Unpriced(int(calls or 0), int(found.total[0] or 0) if found.total else 0, tuple(models), found.group_count)
