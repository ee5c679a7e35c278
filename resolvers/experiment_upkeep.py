"""Upkeep of experiments: their units folded in the background, held against the log, and made anew."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.experiments import Scheme, Status
from resolvers.errors import GatewayError
from resolvers.experiments import experiment_of
from resolvers.store.database import Database, driver, take_time
from resolvers.store.experiment_checking import differing
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.experiments import ExperimentRepository
from resolvers.store.tenants import TenantRow
from resolvers.store.terms import TermMemory

BATCH = 200_000
"""Events of the log that one transaction folds."""
_IDLE = 50_000
"""Events after which an experiment that is over is folded: few of them are about it any more."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExperimentChecked:
    """What was found of an experiment: how many units are kept, and how many of them and of the sums are not right."""

    key: str
    units: int
    wrong: int


async def keep_experiments(database: Database, memory: TermMemory, *, every: float = 3.0) -> NoReturn:
    """Fold, for as long as it is not cancelled, the experiments of every tenant whose log has run ahead of them."""
    while True:
        try:
            await fold_behind(database, memory)
        except GatewayError as error:
            log.warning("experiments.upkeep_delayed", reason=error.message)
        except Exception:
            log.exception("experiments.upkeep_failed")
        await asyncio.sleep(every)


async def fold_behind(database: Database, memory: TermMemory) -> int:
    """Fold the tenants that are behind now; return the units that were reckoned anew."""
    async with database.shared() as session:
        rows = await (await driver(session)).fetch("SELECT tenant_id FROM experiments_behind()")
    total = 0
    for (tenant_id,) in rows:
        total += await fold_experiments(database, memory, tenant_id)
    return total


async def fold_experiments(database: Database, memory: TermMemory, tenant_id: int) -> int:
    """Bring what is kept of a tenant's experiments up to its log; each batch is a transaction of its own."""
    total = 0
    for scheme, _ in await _schemes(database, tenant_id):
        more = True
        while more:
            count, more = await _fold(database, memory, tenant_id, scheme.experiment_id)
            total += count
    return total


async def _fold(database: Database, memory: TermMemory, tenant_id: int, experiment_id: int) -> tuple[int, bool]:
    """Fold a batch of one experiment, by what it is once nobody else can change what is kept of it."""
    async with database.tenant(tenant_id) as session:
        await take_time(session, statement_seconds=0)
        units = UnitRepository(session, memory, tenant_id)
        if not await units.hold(experiment_id):
            return 0, False
        ((scheme, over),) = await _started(session, tenant_id, [experiment_id])
        reach = await units.reach(scheme)
        if over and reach.folded_to and reach.version - reach.folded_to < _IDLE:
            return 0, False
        return await units.fold(scheme, batch=BATCH)


async def _schemes(database: Database, tenant_id: int) -> list[tuple[Scheme, bool]]:
    """The schemes of the experiments that have started, and whether each is over."""
    async with database.tenant(tenant_id) as session:
        return await _started(session, tenant_id, None)


async def _started(session: AsyncSession, tenant_id: int, ids: Sequence[int] | None) -> list[tuple[Scheme, bool]]:
    tenant = await session.get_one(TenantRow, tenant_id)
    repository = ExperimentRepository(session, tenant_id)
    found = map(experiment_of, await repository.all() if ids is None else await repository.by_ids(ids))
    return [
        (one.scheme(tenant.currency, tenant.timezone), one.status is Status.COMPLETED) for one in found if one.phases
    ]


async def experiment_keys(database: Database, tenant_id: int) -> list[str]:
    """The experiments that have started."""
    return [scheme.key for scheme, _ in await _schemes(database, tenant_id)]


async def rebuild_experiments(
    database: Database, tenant_id: int, keys: Sequence[str]
) -> AsyncIterator[ExperimentChecked]:
    """Make what is kept of each experiment anew, each in one transaction, for which its folding waits."""
    memory = TermMemory()
    for scheme, _ in await _schemes(database, tenant_id):
        if scheme.key in keys:
            async with database.tenant(tenant_id) as session:
                await take_time(session, statement_seconds=0)
                units = UnitRepository(session, memory, tenant_id)
                if not await units.hold(scheme.experiment_id, wait=True):
                    continue
                ((present, _),) = await _started(session, tenant_id, [scheme.experiment_id])
                await units.begin(scheme.experiment_id)
                count, _ = await units.fold(present, batch=BATCH, wait=True)
            yield ExperimentChecked(scheme.key, count, 0)


async def verify_experiments(
    database: Database, tenant_id: int, keys: Sequence[str]
) -> AsyncIterator[ExperimentChecked]:
    """Hold what is kept of each experiment against the log; keeps nobody waiting."""
    memory = TermMemory()
    for scheme, _ in await _schemes(database, tenant_id):
        if scheme.key in keys:
            async with database.snapshot(tenant_id) as session:
                await take_time(session, statement_seconds=0)
                units, wrong = await differing(session, memory, tenant_id, scheme)
            yield ExperimentChecked(scheme.key, units, wrong)
