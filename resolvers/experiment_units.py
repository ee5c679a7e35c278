"""The units of experiments, one by one: who was exposed when, to what, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from resolvers.analysis.experiment_units import ExperimentUnit, Uncounted, UnitValue
from resolvers.analysis.experiments import Experiment
from resolvers.context import Context, Principal, Role
from resolvers.errors import BadInput
from resolvers.experiments import experiment, experiments_by_id
from resolvers.paging import page_start
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.experiment_unit_pages import UnitOfLog, unit_page, units_named
from resolvers.store.turns import turn


@dataclass(frozen=True, slots=True)
class UnitPage:
    """A page of units in the order in which they first appeared; ``cursors[i]`` leads to what follows."""

    experiment_id: int
    units: tuple[ExperimentUnit, ...]
    cursors: tuple[str, ...]
    has_next: bool


async def experiment_units(context: Context, key: str, *, first: int = 50, after: str | None = None) -> UnitPage:
    """A page of an experiment's units as the log has them now; raises NotFound, BadInput, Forbidden."""
    principal = context.require(Role.ANALYST)
    place = page_start(first, after, digits=10)
    of = await experiment(context, key)
    if not of.phases:
        raise BadInput("It has not started: startExperiment does so.", field="experiment")
    context.spend(first * (1 + len(of.definition.metrics)))
    async with turn(context.services.heavy), context.services.database.snapshot(principal.tenant_id) as session:
        units = UnitRepository(session, context.services.memory, principal.tenant_id)
        scheme = of.scheme(principal.currency, principal.timezone)
        found = await unit_page(units, scheme, after=place or 0, limit=first + 1)
    shown = found[:first]
    return UnitPage(
        of.id, tuple(_unit(of, one) for one in shown), tuple(str(one.code) for one in shown), len(found) > first
    )


async def units_by_subject(
    context: Context, wanted: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], ExperimentUnit]:
    """Those of the units that the caller's tenant has, by the experiment's id and their subject."""
    principal = context.require(Role.ANALYST)
    known = await experiments_by_id(context, sorted({number for number, _ in wanted}))
    found = {}
    for of in known.values():
        if of.phases:
            subjects = [subject for number, subject in wanted if number == of.id and "\0" not in subject]
            for one in await _named(context, principal, of, subjects):
                found[of.id, one.subject] = _unit(of, one)
    return found


async def _named(context: Context, principal: Principal, of: Experiment, subjects: Sequence[str]) -> list[UnitOfLog]:
    async with context.services.database.snapshot(principal.tenant_id) as session:
        units = UnitRepository(session, context.services.memory, principal.tenant_id)
        return await units_named(units, of.scheme(principal.currency, principal.timezone), subjects)


def _unit(of: Experiment, one: UnitOfLog) -> ExperimentUnit:
    counts = one.phase > 0
    return ExperimentUnit(
        experiment=of.key,
        subject=one.subject,
        variant=of.definition.variants[one.variant].key if counts else None,
        phase=one.phase if counts else None,
        uncounted=None if counts else Uncounted(one.phase),
        exposed_at=one.exposed_at,
        multiple=one.multiple,
        metrics=tuple(_values(of, one)) if counts else (),
    )


def _values(of: Experiment, one: UnitOfLog) -> list[UnitValue]:
    def at(values: Sequence[Decimal | None] | None, place: int) -> Decimal:
        return (values[place] if values else None) or Decimal(0)

    return [
        UnitValue(
            metric.slug,
            at(one.x, place),
            None if metric.of.per is None else at(one.y, place),
            None if metric.of.before is None else at(one.c, place),
        )
        for place, metric in enumerate(of.definition.metrics)
    ]
