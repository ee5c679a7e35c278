"""Holdouts: shares of all subjects that are kept out of experiments, to see what these come to together."""

from resolvers.analysis.experiments import WHOLE, Holdout, Status
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.experiment_changes import changing_experiments
from resolvers.experiment_checks import checked_key
from resolvers.experiments import experiment_of
from resolvers.store.experiments import ExperimentRepository, HoldoutRow

MOST_HOLDOUTS = 100


async def holdouts(context: Context) -> tuple[Holdout, ...]:
    """Every holdout of the tenant, by name."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return tuple(map(_holdout, await ExperimentRepository(session, principal.tenant_id).holdouts()))


async def save_holdout(context: Context, name: str, parts: int) -> Holdout:
    """Keep a holdout under a name; raises BadInput where an experiment under way names one of another share."""
    context.require(Role.ANALYST)
    checked_key(name, "name")
    if not 0 <= parts < WHOLE:
        raise BadInput("A share is 0 to less than 1, with at most four decimal places.", field="share")
    async with changing_experiments(context) as changing:
        held = {row.name: row.parts for row in await changing.repository.holdouts()}
        if held.get(name, parts) != parts:
            for other in map(experiment_of, await changing.repository.all()):
                if other.definition.holdout == name and other.status in (Status.RUNNING, Status.PAUSED):
                    raise BadInput(f"{other.key} is under way and holds out this share.", field="share")
        if name not in held and len(held) >= MOST_HOLDOUTS:
            raise BadInput(f"At most {MOST_HOLDOUTS} holdouts are kept.", field="name")
        return _holdout(await changing.repository.put_holdout(name, parts))


def _holdout(row: HoldoutRow) -> Holdout:
    return Holdout(row.name, row.parts, row.created_at)
