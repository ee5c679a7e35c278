"""The units of an experiment as the log has them now, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlmodel import col

from resolvers.analysis.experiments import Scheme
from resolvers.store.database import driver, rows
from resolvers.store.events import EVENT
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.experiment_unit_sql import Coded
from resolvers.store.experiment_units import ExperimentUnitRow
from resolvers.store.terms import SUBJECTS


@dataclass(frozen=True, slots=True)
class UnitOfLog:
    """A unit; ``variant`` is its place among the variants, -1 for none of them, and ``phase`` at most 0 where none of
    its exposures counts."""

    code: int
    subject: str
    phase: int
    variant: int
    multiple: bool
    exposed_at: datetime
    x: Sequence[Decimal | None]
    y: Sequence[Decimal | None] | None
    c: Sequence[Decimal | None] | None


async def unit_page(units: UnitRepository, scheme: Scheme, *, after: int, limit: int) -> list[UnitOfLog]:
    """Units by the code of their subject, from the one after ``after`` on; to be asked in one snapshot.

    Whoever is kept is known; beside them only what came since is looked through for others.
    """
    coded = await Coded.of(units.terms, units.tenant_id, scheme)
    if coded.experiment is None:
        return []
    reach = await units.reach(scheme)
    since = (
        select(EVENT.subject)
        .where(EVENT.tenant_id == units.tenant_id, EVENT.position > reach.folded_to, EVENT.position <= reach.version)
        .where(EVENT.subject > after, coded.exposure())
        .distinct()
        .order_by(EVENT.subject)
        .limit(limit)
    )
    found = {row[0] for row in await rows(units.session, since)}
    if reach.folded_to:
        kept = select(col(ExperimentUnitRow.subject)).where(
            col(ExperimentUnitRow.tenant_id) == units.tenant_id,
            col(ExperimentUnitRow.experiment_id) == scheme.experiment_id,
            col(ExperimentUnitRow.subject) > after,
        )
        found |= {
            row[0] for row in await rows(units.session, kept.order_by(col(ExperimentUnitRow.subject)).limit(limit))
        }
    return await _reckoned(units, coded, reach.version, sorted(found)[:limit])


async def units_named(units: UnitRepository, scheme: Scheme, subjects: Sequence[str]) -> list[UnitOfLog]:
    """Those of the subjects that are units."""
    coded = await Coded.of(units.terms, units.tenant_id, scheme)
    codes = await units.terms.codes(units.tenant_id, SUBJECTS, subjects)
    if coded.experiment is None or not codes:
        return []
    return await _reckoned(units, coded, (await units.reach(scheme)).version, sorted(codes.values()))


async def _reckoned(units: UnitRepository, coded: Coded, version: int, codes: Sequence[int]) -> list[UnitOfLog]:
    if not codes:
        return []
    text, arguments = coded.statement(version, codes)
    found = await (await driver(units.session)).fetch(text, *arguments)
    names = await units.terms.values(units.tenant_id, SUBJECTS, codes)
    made = [
        UnitOfLog(code, names[code], phase, variant, multiple, at, x or (), y, c)
        for code, phase, variant, multiple, at, _, _, x, y, c in found
    ]
    return sorted(made, key=lambda unit: unit.code)
