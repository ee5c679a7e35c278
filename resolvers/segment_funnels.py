"""Segments and funnels: rules about what became of subjects in a funnel that is kept."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.funnel_json import from_json as funnel_from
from resolvers.analysis.funnels import FunnelDefinition
from resolvers.analysis.segment_json import from_json
from resolvers.analysis.segments import Rule, renamed, walks
from resolvers.errors import BadInput
from resolvers.segment_checks import check_walk, numbers_of
from resolvers.store.funnels import FunnelRepository
from resolvers.store.segment_definitions import SegmentDefinitions, SegmentRow
from resolvers.store.segment_finding import dependents


async def with_numbers(
    session: AsyncSession, tenant_id: int, root: Rule, rows: Iterable[SegmentRow], *, itself: str | None = None
) -> Rule:
    """The rule with the segments and funnels that it names by their numbers, so that they may get other names.

    Raises BadInput on the path of one that there is not, or that cannot be asked so.
    """
    numbers = numbers_of(root, rows, itself=itself)
    asked = walks(root)
    funnels: dict[int | str, int] = {}
    known: dict[int, FunnelDefinition] = {}
    for row in await FunnelRepository(session).named(tenant_id, {leaf.funnel for _, leaf in asked}):
        assert row.funnel_id is not None
        funnels[row.funnel_id] = funnels[row.name] = row.funnel_id
        known[row.funnel_id] = funnel_from(row.definition)
    for path, leaf in asked:
        if leaf.funnel not in funnels:
            by_name = isinstance(leaf.funnel, str)
            called = f'funnel called "{leaf.funnel}"; saveFunnel makes one.' if by_name else "such funnel."
            raise BadInput(f"There is no {called}", field=f"{path}.funnel.funnel")
        check_walk(leaf, path, known[funnels[leaf.funnel]])
    return renamed(root, numbers, funnels)


def _users(rows: Iterable[SegmentRow], funnel_id: int) -> dict[int, tuple[str, Rule]]:
    """The segments whose own rules ask about a funnel, by number."""
    rules = {row.segment_id or 0: (row.name, from_json(row.rules)) for row in rows}
    return {
        number: (name, rule)
        for number, (name, rule) in rules.items()
        if any(leaf.funnel == funnel_id for _, leaf in walks(rule))
    }


async def check_unasked(definitions: SegmentDefinitions, funnel_id: int, field: str) -> None:
    """Raises BadInput, naming some, where rules of segments ask about a funnel."""
    users = [f'"{name}"' for name, _ in _users(await definitions.rows(), funnel_id).values()]
    if users:
        shown = ", ".join(users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")
        raise BadInput(f"The rules of the segments {shown} ask about it; change or delete these first.", field=field)


async def redefine(definitions: SegmentDefinitions, funnel_id: int, to: FunnelDefinition, now: datetime) -> None:
    """Have the members of all segments found anew that stand on a funnel which becomes another one.

    To be done while the segments are held. Raises BadInput where a rule could no longer be told by it.
    """
    rows = await definitions.rows()
    users = _users(rows, funnel_id)
    for name, rule in users.values():
        for path, leaf in walks(rule):
            if leaf.funnel == funnel_id:
                try:
                    check_walk(leaf, path, to)
                except BadInput as refused:
                    said = f'The rules of the segment "{name}" ask about it. {refused.message}'
                    raise BadInput(said, field="steps") from None
    rules: Mapping[int, Rule] = {row.segment_id or 0: from_json(row.rules) for row in rows}
    touched = {*users, *dependents(set(users), rules)}
    if touched:
        await definitions.touch(touched, now)
