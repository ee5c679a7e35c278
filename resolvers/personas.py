"""Personas: named profiles, given to subjects by their events, or by the first rules that they meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resolvers.analysis import segments as rules
from resolvers.analysis.filters import DimensionIs, Filter, InSegment, Op
from resolvers.analysis.personas import Assignment, Persona
from resolvers.analysis.segment_json import from_json, to_json
from resolvers.analysis.segments import MemberOf, Rule, Segment, references
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound, said_by
from resolvers.paging import page_start
from resolvers.segment_checks import check_name, checked
from resolvers.segment_funnels import with_numbers
from resolvers.segment_uses import check_unused
from resolvers.segments import Draft, find_members, keep_draft, segments_by_id
from resolvers.store.personas import PersonaRepository, PersonaRow
from resolvers.store.segment_definitions import SegmentDefinitions

MOST_PERSONAS = 50
LONGEST_SLUG = 100
GREATEST_PRIORITY = 1_000


@dataclass(frozen=True, slots=True)
class PersonaPage:
    """A page of personas; ``cursors[i]`` leads to what follows ``personas[i]``."""

    personas: tuple[Persona, ...]
    cursors: tuple[str, ...]
    has_next: bool


@dataclass(frozen=True, slots=True)
class PersonaDraft:
    """A persona as it is to be kept, in place of the one that has the slug; without rules events give it."""

    slug: str
    name: str
    description: str | None = None
    priority: int = 100
    rules: Rule | None = None


async def save_persona(context: Context, draft: PersonaDraft) -> Persona:
    """Keep a persona, and find whom its rules mean unless that takes long; raises BadInput, Forbidden."""
    principal, now = context.require(Role.ANALYST), context.services.now()
    _check(draft)
    if draft.rules is not None:
        checked(draft.rules, principal.timezone, now)
    async with context.services.database.tenant(principal.tenant_id) as session:
        definitions = SegmentDefinitions(session, principal.tenant_id)
        repository = PersonaRepository(session, principal.tenant_id)
        await definitions.hold()
        await repository.hold()
        kept = await repository.all()
        row = next((one for one in kept if one.slug == draft.slug), None)
        written = None
        if draft.rules is not None:
            rows = await definitions.rows()
            written = to_json(await with_numbers(session, principal.tenant_id, draft.rules, rows))
        columns: dict[str, Any] = {
            "name": draft.name,
            "description": draft.description,
            "priority": draft.priority,
            "rules": written,
        }
        if row is None:
            if len(kept) >= MOST_PERSONAS:
                raise BadInput(f"At most {MOST_PERSONAS} personas are kept; delete one first.", field="slug")
            row = PersonaRow(tenant_id=principal.tenant_id, slug=draft.slug, **columns)
            await repository.add(row)
        else:
            row.sqlmodel_update(columns | {"updated_at": now})
            await session.flush()
        await _rewire(definitions, await repository.all(), now)
        await session.refresh(row)
    if row.segment_id is not None:
        await find_members(context, row.segment_id)
    return _persona(row)


def _check(draft: PersonaDraft) -> None:
    if not draft.slug.strip() or len(draft.slug) > LONGEST_SLUG or not draft.slug.isprintable():
        raise BadInput(f"A slug has 1 to {LONGEST_SLUG} printable characters, not only blanks.", field="slug")
    check_name(draft.name, draft.description)
    if not 0 <= draft.priority <= GREATEST_PRIORITY:
        raise BadInput(f"A priority is 0 to {GREATEST_PRIORITY:,}.", field="priority")


async def _rewire(definitions: SegmentDefinitions, ranked: Sequence[PersonaRow], now: datetime) -> None:
    """Have each persona with rules mean those who meet them, but not those of a persona before it."""
    before: list[int] = []
    unused: list[int] = []
    for row in ranked:
        if row.rules is None:
            unused += [] if row.segment_id is None else [row.segment_id]
            row.segment_id = None
            continue
        rule = from_json(row.rules)
        if before:
            rule = rules.All((rule, rules.Not(rules.Any(tuple(map(MemberOf, before))))))
        draft = Draft(f"persona/{row.slug}", rule, f"Subjects of the persona {row.name}.", id=row.segment_id)
        row.segment_id = await keep_draft(definitions, draft, now, managed=True)
        before.append(row.segment_id)
    await definitions.session.flush()
    await _remove(definitions, unused, "rules")


async def _remove(definitions: SegmentDefinitions, segment_ids: Sequence[int], field: str) -> None:
    """Delete segments that no persona needs any more; raises BadInput where anything else does."""
    kept = await definitions.rows()
    for row in kept:
        if row.segment_id in segment_ids:
            users = [other.name for other in kept if row.segment_id in references(from_json(other.rules))]
            if users:
                raise BadInput(f'The rules of "{users[0]}" name it; change or delete these first.', field=field)
            await check_unused(definitions.session, definitions.tenant_id, {row.segment_id or 0, row.name}, field)
            await definitions.remove(row)


async def delete_persona(context: Context, which: int | str) -> Persona:
    """Delete a persona, given by its id or its slug, and return it as it was.

    Raises NotFound, Forbidden, BadInput where anything needs it.
    """
    principal = context.require(Role.ANALYST)
    field = said_by(which, "slug")
    async with context.services.database.tenant(principal.tenant_id) as session:
        definitions = SegmentDefinitions(session, principal.tenant_id)
        repository = PersonaRepository(session, principal.tenant_id)
        await definitions.hold()
        await repository.hold()
        found = next((row for row in await repository.all() if which in (row.persona_id, row.slug)), None)
        if found is None:
            raise NotFound("There is no such persona.", field=field)
        persona = _persona(found)
        await repository.remove(found)
        await _rewire(definitions, await repository.all(), context.services.now())
        await _remove(definitions, [] if persona.segment_id is None else [persona.segment_id], field)
    return persona


async def personas(context: Context) -> list[Persona]:
    """The personas that the tenant keeps, in the order in which they are given."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return [_persona(row) for row in await PersonaRepository(session, principal.tenant_id).all()]


async def persona_page(context: Context, *, first: int = 50, after: str | None = None) -> PersonaPage:
    """A page of them; ``after`` says how many come before it."""
    start = page_start(first, after, digits=4) or 0
    following = (await personas(context))[start:]
    shown = tuple(following[:first])
    return PersonaPage(shown, tuple(str(start + place) for place in range(1, len(shown) + 1)), len(following) > first)


async def personas_by_id(context: Context, ids: Sequence[int]) -> dict[int, Persona]:
    """Those of the ids that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await PersonaRepository(session, principal.tenant_id).by_ids(ids)
    return {persona.id: persona for persona in map(_persona, found)}


async def segments_of_personas(context: Context) -> dict[int, Segment]:
    """The segments of all personas that rules give, by number; looked up once for an operation."""

    async def found() -> dict[int, Segment]:
        numbers = [one.segment_id for one in await personas(context) if one.segment_id is not None]
        return await segments_by_id(context, numbers) if numbers else {}

    return await context.together("segments of personas", found)


def of_persona(persona: Persona) -> Filter:
    """Which events are a persona's: those that name it, or those of whom its rules mean."""
    if persona.segment_id is None:
        return DimensionIs("persona", Op.IN, (persona.slug,))
    return InSegment(persona.segment_id, field="slug")


def _persona(row: PersonaRow) -> Persona:
    assert row.persona_id is not None
    return Persona(
        row.persona_id,
        row.slug,
        row.name,
        row.description,
        row.priority,
        Assignment.EVENTS if row.rules is None else Assignment.RULES,
        None if row.rules is None else from_json(row.rules),
        row.segment_id,
        row.created_at,
        row.updated_at,
    )
