"""Flags and segments: rules that ask whether a subject is in one, as it was last refreshed."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from resolvers.analysis.filters import in_segments, numbered
from resolvers.analysis.flag_targeting import Person
from resolvers.analysis.flags import Guard, Guardrail, Ramp, Rule
from resolvers.context import Context, Role
from resolvers.segments import memberships_of, numbers_named
from resolvers.store.flag_cache import FlagSet


async def numbered_rules(context: Context, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules with each segment that they ask about by its number, so that it may get another name.

    Raises BadInput for a segment that there is not.
    """
    named = in_segments(*(part for rule in rules for part in rule.filters()))
    if not named:
        return tuple(rules)
    numbers = await numbers_named(context, named)

    def guarded(one: Guard) -> Guard:
        if not isinstance(one, Guardrail):
            return one
        control = None if one.control is None else numbered(one.control, numbers)
        return replace(one, exposed=numbered(one.exposed, numbers), control=control)

    def ramped(ramp: Ramp | None) -> Ramp | None:
        return None if ramp is None else replace(ramp, guardrails=tuple(map(guarded, ramp.guardrails)))

    return tuple(replace(rule, where=numbered(rule.where, numbers), ramp=ramped(rule.ramp)) for rule in rules)


async def with_segments(
    context: Context, people: Sequence[Person], held: FlagSet, environment: str, keys: Collection[str]
) -> Sequence[Person]:
    """The people, with the segments they are in of those that the flags ask about."""
    if not held.segments:
        return people
    wanted = frozenset[int]().union(*(held.segments.get((environment, key), ()) for key in keys))
    subjects = [who.subject for who in people if who.subject is not None]
    if not wanted or not subjects:
        return people
    # Whoever may evaluate a flag may have it looked up for that.
    reader = Context(context.services, replace(context.require(None), role=Role.VIEWER))
    found = await memberships_of(reader, subjects, wanted)
    return [who if who.subject is None else replace(who, segments=found[who.subject]) for who in people]
