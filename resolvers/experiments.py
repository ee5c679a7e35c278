"""Experiments as they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass

from resolvers.analysis.experiment_json import from_json, phase_from
from resolvers.analysis.experiments import Experiment, Known, Status
from resolvers.context import Context, Role
from resolvers.errors import NotFound
from resolvers.experiment_checks import of_catalogue
from resolvers.paging import page_start
from resolvers.store.experiments import EXPERIMENTS, ExperimentRepository, ExperimentRow
from resolvers.store.versions import VersionRepository


@dataclass(frozen=True, slots=True)
class ExperimentPage:
    """A page of experiments, oldest first; ``cursors[i]`` leads to what follows ``experiments[i]``."""

    experiments: tuple[Experiment, ...]
    cursors: tuple[str, ...]
    has_next: bool


def experiment_of(row: ExperimentRow) -> Experiment:
    """The experiment that a row keeps."""
    assert row.experiment_id is not None
    return Experiment(
        id=row.experiment_id,
        key=row.key,
        salt=row.salt,
        status=Status(row.status),
        definition=from_json(row.definition, of_catalogue),
        phases=tuple(phase_from(number, kept) for number, kept in enumerate(row.phases, 1)),
        created_at=row.created_at,
        updated_at=row.updated_at,
        completed_at=row.completed_at,
        archived_at=row.archived_at,
    )


async def known(context: Context) -> Known:
    """All that the caller's tenant has of experiments, as of now; raises Forbidden."""
    principal, services = context.principal, context.services
    assert principal is not None
    kinds = (EXPERIMENTS,)
    (version,) = await services.versions.of(principal.tenant_id, kinds)

    async def load() -> tuple[int, Known]:
        async with services.database.snapshot(principal.tenant_id) as session:
            (at,) = await VersionRepository(session).of(principal.tenant_id, kinds)
            repository = ExperimentRepository(session, principal.tenant_id)
            found = map(experiment_of, await repository.all())
            holdouts = {row.name: row.parts for row in await repository.holdouts()}
            return at, Known({one.key: one for one in found}, holdouts)

    return await services.experiments.of(principal.tenant_id, version, load)


async def experiment(context: Context, key: str) -> Experiment:
    """The experiment of that key; raises NotFound."""
    context.require(Role.VIEWER)
    return named(await known(context), key)


def named(of: Known, key: str) -> Experiment:
    """The experiment of that key; raises NotFound on ``experiment``."""
    if key not in of.experiments:
        raise NotFound("There is no experiment with this key; createExperiment makes one.", field="experiment")
    return of.experiments[key]


async def experiments_by_id(context: Context, ids: Sequence[int]) -> dict[int, Experiment]:
    """Those of the ids that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await ExperimentRepository(session, principal.tenant_id).by_ids(ids)
    return {one.id: one for one in map(experiment_of, found)}


async def experiments(
    context: Context,
    *,
    first: int = 50,
    after: str | None = None,
    status: Status | None = None,
    archived: bool = False,
) -> ExperimentPage:
    """A page of the tenant's experiments, or of those of a status; archived ones only if asked for."""
    principal = context.require(Role.VIEWER)
    place = page_start(first, after)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await ExperimentRepository(session, principal.tenant_id).page(
            after=place,
            limit=first + 1,
            status=None if status is None else status.value,
            archived=archived,
        )
    shown = tuple(map(experiment_of, found[:first]))
    return ExperimentPage(shown, tuple(str(one.id) for one in shown), len(found) > first)
