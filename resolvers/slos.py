"""Service level objectives that a tenant keeps under keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.filter_json import from_json, to_json
from resolvers.analysis.filters import in_segments, numbered
from resolvers.analysis.flags import SloGuardrail
from resolvers.analysis.metrics import Direction
from resolvers.analysis.slos import Severity, SloDefinition, reaches
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound, said_by
from resolvers.flag_checks import refused
from resolvers.paging import page_start
from resolvers.segments import numbers_named
from resolvers.slo_checks import SloDraft, checked
from resolvers.store.flags import FlagRepository
from resolvers.store.slos import SloRepository, SloRow

MOST_SLOS = 100
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Slo:
    """An SLO that the tenant keeps."""

    id: int
    definition: SloDefinition
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SloPage:
    """A page of SLOs, oldest first; ``cursors[i]`` leads to what follows ``slos[i]``."""

    slos: tuple[Slo, ...]
    cursors: tuple[str, ...]
    has_next: bool


async def create_slo(context: Context, draft: SloDraft) -> Slo:
    """Keep a new SLO; raises BadInput naming the field at fault, Forbidden."""
    principal, now = context.require(Role.ANALYST), context.services.now()
    definition = await _numbered(context, checked(draft))
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = SloRepository(session, principal.tenant_id)
        await repository.hold()
        keys = {row.key for row in await repository.all()}
        if definition.key in keys:
            raise refused("key", "is that of another SLO; choose another, or change that one")
        if len(keys) >= MOST_SLOS:
            raise refused("key", f"would be one of more than {MOST_SLOS} SLOs; delete one first")
        row = SloRow(
            tenant_id=principal.tenant_id,
            key=definition.key,
            created_at=now,
            updated_at=now,
            **_columns(definition),
        )
        await repository.add(row)
        return _slo(row)


async def update_slo(context: Context, key: str, edit: Mapping[str, Any]) -> Slo:
    """Change an SLO, by the fields of a draft; what is not among them stays. Raises BadInput, NotFound, Forbidden."""
    principal, now = context.require(Role.ANALYST), context.services.now()
    given = dict(edit)
    if "where" in given:
        where = given["where"]
        given["where"] = numbered(where, await numbers_named(context, in_segments(where)))
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = SloRepository(session, principal.tenant_id)
        await repository.hold()
        found = await repository.by_keys([key])
        if not found:
            raise NotFound("There is no SLO with this key; createSlo makes one.", field="key")
        before = _slo(found[0]).definition
        definition = checked(replace(_draft(before), **({"good": None} if "metric" in given else {}) | given))
        if not reaches(Severity.PAGE, definition.objective):
            pages = [flag for flag, severity in await _watching(session, principal.tenant_id, key) if severity]
            if pages:
                raise refused("objective", f"lets no page be reached, which {_listed(pages)} watches for")
        found[0].sqlmodel_update(_columns(definition) | {"updated_at": now})
        await session.flush()
        return _slo(found[0])


async def delete_slo(context: Context, which: int | str) -> Slo:
    """Delete an SLO, given by its id or its key, and return it as it was.

    Raises NotFound, Forbidden, BadInput where a ramp watches it; a flag that is archived may be restored, and counts.
    """
    principal, field = context.require(Role.ANALYST), said_by(which, "key")
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = SloRepository(session, principal.tenant_id)
        await repository.hold()
        rows = await (repository.by_keys([which]) if isinstance(which, str) else repository.by_ids([which]))
        if not rows:
            raise NotFound("There is no such SLO.", field=field)
        (row,) = rows
        if users := [flag for flag, _ in await _watching(session, principal.tenant_id, row.key)]:
            raise BadInput(f"A ramp of {_listed(users)} watches it; change that first.", field=field)
        await repository.remove(row)
        return _slo(row)


async def slos_by_id(context: Context, ids: Collection[int]) -> dict[int, Slo]:
    """Those of the ids that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await SloRepository(session, principal.tenant_id).by_ids(ids)
    return {slo.id: slo for slo in map(_slo, rows)}


async def slos_by_key(context: Context, keys: Collection[str]) -> dict[str, SloDefinition]:
    """Those of the keys that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await SloRepository(session, principal.tenant_id).by_keys(keys)
    return {row.key: _slo(row).definition for row in rows}


async def slos(context: Context, *, first: int = 50, after: str | None = None) -> SloPage:
    """A page of the SLOs that the tenant keeps."""
    principal = context.require(Role.VIEWER)
    place = page_start(first, after)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await SloRepository(session, principal.tenant_id).page(after=place, limit=first + 1)
    shown = tuple(map(_slo, rows[:first]))
    return SloPage(shown, tuple(str(one.id) for one in shown), len(rows) > first)


async def _numbered(context: Context, definition: SloDefinition) -> SloDefinition:
    """The definition with each segment by its number, so that it may get another name."""
    where = definition.where
    return replace(definition, where=numbered(where, await numbers_named(context, in_segments(where))))


async def _watching(session: AsyncSession, tenant_id: int, key: str) -> list[tuple[str, bool]]:
    """The flags of which a ramp watches an SLO, and whether it waits for a page."""
    found = []
    for flag in (await FlagRepository(session, tenant_id).all()).values():
        guards = [guard for guard in flag.guards() if isinstance(guard, SloGuardrail) and guard.slo == key]
        if guards:
            found.append((flag.key, any(guard.severity is Severity.PAGE for guard in guards)))
    return found


def _listed(flags: Sequence[str]) -> str:
    shown = ", ".join(f'the flag "{key}"' for key in flags[:5])
    return shown if len(flags) <= 5 else f"{shown} and {len(flags) - 5} more"


def _draft(of: SloDefinition) -> SloDraft:
    return SloDraft(**{name: getattr(of, name) for name in SloDraft.__dataclass_fields__})


def _columns(definition: SloDefinition) -> dict[str, Any]:
    return {
        "title": definition.title,
        "metric": definition.metric,
        "good": definition.good.value,
        "threshold": definition.threshold,
        "objective": definition.objective,
        "condition": to_json(definition.where),
        "minimum_events": definition.minimum_events,
        "absent_seconds": definition.absent_after // _SECOND,
        "cost_per_bad_event": definition.cost_per_bad_event,
    }


def _slo(row: SloRow) -> Slo:
    assert row.slo_id is not None
    definition = SloDefinition(
        key=row.key,
        title=row.title,
        metric=row.metric,
        good=Direction(row.good),
        threshold=row.threshold,
        objective=row.objective,
        where=from_json(row.condition),
        minimum_events=row.minimum_events,
        absent_after=row.absent_seconds * _SECOND,
        cost_per_bad_event=row.cost_per_bad_event,
    )
    return Slo(row.slo_id, definition, row.created_at, row.updated_at)
