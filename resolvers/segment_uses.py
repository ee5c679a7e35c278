"""What names a segment, and would be left without it."""

from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.ai_budgets import MOST_BUDGETS
from resolvers.analysis.filter_json import from_json
from resolvers.analysis.filters import Filter, in_segments
from resolvers.errors import BadInput
from resolvers.experiments import experiment_of
from resolvers.store.ai_budgets import AiBudgetRepository
from resolvers.store.experiments import ExperimentRepository
from resolvers.store.flags import FlagRepository
from resolvers.store.segment_definitions import SegmentRow


async def check_unused(session: AsyncSession, row: SegmentRow, field: str) -> None:
    """Raises BadInput, saying by which, where an experiment that is not archived, a flag or a budget names a segment.

    A flag that is archived may be restored, and is one of them.
    """
    users = await _users(session, row)
    if users:
        shown = ", ".join(users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")
        raise BadInput(f"It is named by {shown}; change or delete these first.", field=field)


async def _users(session: AsyncSession, row: SegmentRow) -> list[str]:
    tenant_id = row.tenant_id
    filters: list[tuple[str, list[Filter]]] = []
    for experiment in map(experiment_of, await ExperimentRepository(session, tenant_id).all()):
        if experiment.archived_at is None:
            filters.append((f'the experiment "{experiment.key}"', list(experiment.definition.filters())))
    for flag in (await FlagRepository(session, tenant_id).all()).values():
        rules = [rule for environment in flag.environments.values() for rule in environment.rules]
        filters.append((f'the flag "{flag.key}"', [part for rule in rules for part in rule.filters()]))
    for budget in await AiBudgetRepository(session).page(tenant_id, after=None, limit=MOST_BUDGETS):
        filters.append((f'the budget "{budget.name}"', [from_json(budget.condition)]))
    names = {row.segment_id, row.name}
    return [user for user, roots in filters if any(leaf.segment in names for leaf in in_segments(*roots))]
