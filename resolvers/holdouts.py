"""Holdouts: shares of all subjects that are kept out of experiments, to see what these come to together."""

from collections.abc import Collection
from dataclasses import dataclass

from resolvers.analysis.experiments import WHOLE, Holdout, Status
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound
from resolvers.experiment_changes import changing_experiments
from resolvers.experiment_checks import checked_key
from resolvers.experiments import experiment_of
from resolvers.paging import page_size
from resolvers.store.experiments import ExperimentRepository, HoldoutRow

MOST_HOLDOUTS = 100


@dataclass(frozen=True, slots=True)
class HoldoutPage:
    """A page of holdouts by name; ``cursors[i]`` leads to what follows ``holdouts[i]``."""

    holdouts: tuple[Holdout, ...]
    cursors: tuple[str, ...]
    has_next: bool


async def holdouts(context: Context, *, first: int = 50, after: str | None = None) -> HoldoutPage:
    """A page of the tenant's holdouts; ``after`` is the name of the last one before it."""
    page_size(first)
    following = [one for one in await _all(context) if after is None or one.name > after]
    shown = tuple(following[:first])
    return HoldoutPage(shown, tuple(one.name for one in shown), len(following) > first)


async def holdouts_by_name(context: Context, names: Collection[str]) -> dict[str, Holdout]:
    """Those of the names that the caller's tenant has."""
    return {one.name: one for one in await _all(context) if one.name in names}


async def save_holdout(context: Context, name: str, parts: int) -> Holdout:
    """Keep a holdout under a name; raises BadInput where an experiment under way names one of another share."""
    context.require(Role.ANALYST)
    checked_key(name, "name", what="A name")
    if not 0 <= parts < WHOLE:
        raise BadInput("A share is 0 to less than 1, with at most four decimal places.", field="share")
    async with changing_experiments(context) as changing:
        held = {row.name: row.parts for row in await changing.repository.holdouts()}
        if held.get(name, parts) != parts:
            for other in map(experiment_of, await changing.repository.all()):
                if other.definition.holdout == name and other.status in (Status.RUNNING, Status.PAUSED):
                    raise BadInput(f"{other.key} is under way and holds out this share.", field="share")
        if name not in held and len(held) >= MOST_HOLDOUTS:
            raise BadInput(f"At most {MOST_HOLDOUTS} holdouts are kept; delete one first.", field="name")
        return _holdout(await changing.repository.put_holdout(name, parts))


async def delete_holdout(context: Context, name: str, *, field: str = "name") -> Holdout:
    """Delete a holdout and return it as it was; raises NotFound, BadInput where an experiment names it."""
    context.require(Role.ANALYST)
    async with changing_experiments(context) as changing:
        row = next((one for one in await changing.repository.holdouts() if one.name == name), None)
        if row is None:
            raise NotFound("There is no such holdout.", field=field)
        for other in map(experiment_of, await changing.repository.all()):
            if other.definition.holdout == name and other.archived_at is None:
                raise BadInput(f"The experiment {other.key} names it; archive that first.", field=field)
        await changing.repository.remove_holdout(row)
        return _holdout(row)


async def _all(context: Context) -> list[Holdout]:
    """Every holdout, by name: there are few."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return list(map(_holdout, await ExperimentRepository(session, principal.tenant_id).holdouts()))


def _holdout(row: HoldoutRow) -> Holdout:
    return Holdout(row.name, row.parts, row.created_at)
