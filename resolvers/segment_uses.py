"""What names a segment, and would be left without it."""

from collections.abc import Collection

from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.filter_json import from_json
from resolvers.analysis.filters import Filter, in_segments
from resolvers.analysis.funnel_json import from_json as funnel_from
from resolvers.errors import BadInput
from resolvers.experiments import experiment_of
from resolvers.store.ai_budgets import AiBudgetRepository
from resolvers.store.experiments import ExperimentRepository
from resolvers.store.flags import FlagRepository
from resolvers.store.funnels import FunnelRepository
from resolvers.store.slos import SloRepository


async def check_unused(session: AsyncSession, tenant_id: int, references: Collection[int | str], field: str) -> None:
    """Raises BadInput, saying by which, where an experiment that is not archived, a flag, a budget, an SLO or a kept
    funnel
    names a segment by one of the ``references`` to it.

    A flag that is archived may be restored, and is one of them.
    """
    users = [
        user
        for user, roots in await _filters(session, tenant_id)
        if any(leaf.segment in references for leaf in in_segments(*roots))
    ]
    if users:
        shown = ", ".join(users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")
        raise BadInput(f"It is named by {shown}; change or delete these first.", field=field)


async def _filters(session: AsyncSession, tenant_id: int) -> list[tuple[str, list[Filter]]]:
    """The filters of whatever may name a segment."""
    filters: list[tuple[str, list[Filter]]] = []
    for experiment in map(experiment_of, await ExperimentRepository(session, tenant_id).all()):
        if experiment.archived_at is None:
            filters.append((f'the experiment "{experiment.key}"', list(experiment.definition.filters())))
    for flag in (await FlagRepository(session, tenant_id).all()).values():
        rules = [rule for environment in flag.environments.values() for rule in environment.rules]
        filters.append((f'the flag "{flag.key}"', [part for rule in rules for part in rule.filters()]))
    for budget in await AiBudgetRepository(session).all(tenant_id):
        filters.append((f'the budget "{budget.name}"', [from_json(budget.condition)]))
    for slo in await SloRepository(session, tenant_id).all():
        filters.append((f'the SLO "{slo.key}"', [from_json(slo.condition)]))
    for row in await FunnelRepository(session).all(tenant_id):
        filters.append((f'the funnel "{row.name}"', funnel_from(row.definition).conditions()))
    return filters
