"""Changing feature flags, each change checked whole before it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from resolvers.analysis import flag_times
from resolvers.analysis.flags import (
    PRODUCTION,
    Flag,
    FlagEnvironment,
    FlagType,
    Prerequisite,
    Ramp,
    RampState,
    Rule,
    ScheduledStep,
    Serve,
    Variation,
    always,
)
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.flag_checks import (
    MOST_FLAGS,
    check_environment,
    check_flag,
    check_kept,
    check_key,
    check_needed,
    check_text,
    plain,
    refused,
)
from resolvers.flag_slos import known_rules
from resolvers.flag_writing import Change, Changed, Doing, apply, due_at, with_environment, with_ramp, written
from resolvers.flags import FlagAction
from resolvers.store.flags import FlagRepository, columns

_SWITCH = (Variation("on", True), Variation("off", False))


@dataclass(frozen=True, slots=True)
class EnvironmentDraft:
    """How a flag is to be set up in an environment; ``off`` None is the last variation.

    ``default`` None is ``off`` where there are rules, for whom they do not take; else the first variation, by which a
    flag without rules is a switch.
    """

    name: str = PRODUCTION
    on: bool = False
    off: str | None = None
    default: Serve | None = None
    rules: tuple[Rule, ...] = ()
    prerequisites: tuple[Prerequisite, ...] = ()
    schedule: tuple[ScheduledStep, ...] = ()
    at: str = ""
    """What goes before the field at fault where it cannot be."""


@dataclass(frozen=True, slots=True)
class FlagDraft:
    """A flag to be made."""

    key: str
    type: FlagType = FlagType.BOOLEAN
    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    salt: str | None = None
    variations: tuple[Variation, ...] = ()
    environments: tuple[EnvironmentDraft, ...] = ()


class RampMove(Enum):
    """What can be done to a ramp."""

    PAUSE = FlagAction.RAMP_PAUSE.value
    RESUME = FlagAction.RAMP_RESUME.value
    ROLL_BACK = FlagAction.RAMP_ROLL_BACK.value
    RESTART = FlagAction.RAMP_RESTART.value


async def create_flag(context: Context, draft: FlagDraft, reason: str | None = None) -> Changed:
    """Make a flag, off where nothing else is said; raises BadInput, Forbidden."""
    principal, now = context.require(Role.ANALYST), context.services.now()
    variations = _plain(draft.variations)
    if not variations and draft.type is FlagType.BOOLEAN:
        variations = _SWITCH
    flag = Flag(
        id=0,
        key=draft.key,
        type=draft.type,
        name=draft.key if draft.name is None else draft.name,
        description=draft.description,
        tags=draft.tags,
        salt=draft.key if draft.salt is None else draft.salt,
        variations=variations,
        environments={},
        created_at=now,
        changed_at=now,
        archived_at=None,
        version=0,
    )
    check_text(reason, 500, "reason")
    check_flag(flag)
    drafts = [
        replace(one, rules=await known_rules(context, one.rules, one.at))
        for one in draft.environments or (EnvironmentDraft(),)
    ]
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = FlagRepository(session, principal.tenant_id)
        version = await repository.hold()
        flags = await repository.all()
        if flag.key in flags:
            raise refused("key", "is that of another flag, which may be archived; choose another")
        if len(flags) >= MOST_FLAGS:
            raise refused("key", f"would be one of more than {MOST_FLAGS:,} flags")
        environments: dict[str, FlagEnvironment] = {}
        for one in drafts:
            if one.name in environments:
                raise refused(f"{one.at}name", f"must name {one.name} only once")
            environments[one.name] = _environment(flag, one, flags, now)
        flag = replace(flag, environments=environments, version=version)
        check_flag(flag)
        flag = await repository.add(flag, due_at(flag, now))
        doing = Doing(flag.key, FlagAction.CREATE, principal.key_id, None, reason)
        await repository.note(written(principal.tenant_id, flag, doing, None, columns(flag)))
    return Changed(flag, FlagAction.CREATE)


async def update_flag(context: Context, key: str, edit: Mapping[str, Any], reason: str | None = None) -> Changed:
    """Change what a flag is in all environments: name, description, tags or variations, by attribute of Flag.

    Raises BadInput, NotFound, Forbidden.
    """
    given = dict(edit)
    if "variations" in given:
        given["variations"] = _plain(given["variations"])

    def changed(flag: Flag, flags: Mapping[str, Flag], now: datetime) -> Flag:
        flag = replace(flag, **given)
        check_flag(flag)
        check_kept(flag)
        check_needed(flag, flags)
        return flag

    return await _by_caller(context, Role.ANALYST, key, FlagAction.UPDATE, None, reason, changed)


async def set_flag_environment(
    context: Context, key: str, draft: EnvironmentDraft, reason: str | None = None
) -> Changed:
    """Set a flag up in an environment, in place of how it was; raises BadInput, NotFound, Forbidden.

    A ramp that begins at the same time and in the same steps as one that was there is that one, and goes on.
    """
    context.require(Role.ANALYST)
    draft = replace(draft, rules=await known_rules(context, draft.rules, draft.at))

    def changed(flag: Flag, flags: Mapping[str, Flag], now: datetime) -> Flag:
        before = flag.environments.get(draft.name)
        made = _environment(flag, draft, flags, now)
        if before is not None and replace(made, changed_at=before.changed_at) == before:
            made = before
        flag = replace(flag, environments={**flag.environments, draft.name: made})
        check_flag(flag)
        return flag

    return await _by_caller(context, Role.ANALYST, key, FlagAction.CONFIGURE, draft.name, reason, changed)


async def toggle_flag(context: Context, key: str, environment: str, on: bool, reason: str | None = None) -> Changed:
    """Turn a flag on or off in an environment at once; what its schedule has yet to come still comes."""

    def changed(flag: Flag, flags: Mapping[str, Flag], now: datetime) -> Flag:
        before = _set_up(flag, environment)
        after = replace(flag_times.settled(before, now), on=on)
        if flag_times.is_on(before, now) == on:
            return flag
        return with_environment(flag, replace(after, changed_at=now))

    return await _by_caller(context, Role.ANALYST, key, FlagAction.TOGGLE, environment, reason, changed)


async def archive_flag(context: Context, key: str, archived: bool = True, reason: str | None = None) -> Changed:
    """Archive a flag, which is not there to whoever evaluates it then, or restore it; raises BadInput, NotFound."""

    def changed(flag: Flag, flags: Mapping[str, Flag], now: datetime) -> Flag:
        if (flag.archived_at is not None) is archived:
            return flag
        flag = replace(flag, archived_at=now if archived else None)
        check_needed(flag, flags)
        for environment in flag.environments.values() if not archived else ():
            check_environment(flag, environment, flags)
        return flag

    action = FlagAction.ARCHIVE if archived else FlagAction.RESTORE
    return await _by_caller(context, Role.ADMIN, key, action, None, reason, changed)


async def steer_ramp(
    context: Context, key: str, environment: str, rule: int, step: RampMove, reason: str | None = None
) -> Changed:
    """Pause, resume, roll back or restart the ramp of a rule; raises BadInput where it cannot be done as it is."""

    def changed(flag: Flag, flags: Mapping[str, Flag], now: datetime) -> Flag:
        before = _set_up(flag, environment)
        if not 0 <= rule < len(before.rules):
            raise refused("rule", f"must be the place of a rule, from 0 to {len(before.rules) - 1}")
        ramp = before.rules[rule].ramp
        if ramp is None:
            raise refused("rule", "must be the place of a rule with a ramp")
        return with_ramp(flag, before, rule, _steered(ramp, step, now), now)

    return await _by_caller(context, Role.ANALYST, key, FlagAction(step.value), environment, reason, changed)


def _steered(ramp: Ramp, step: RampMove, now: datetime) -> Ramp:
    possible = {
        RampState.RUNNING: (RampMove.PAUSE, RampMove.ROLL_BACK, RampMove.RESTART),
        RampState.PAUSED: (RampMove.RESUME, RampMove.ROLL_BACK, RampMove.RESTART),
        RampState.ROLLED_BACK: (RampMove.RESTART,),
    }[ramp.state]
    if step not in possible:
        names = ", ".join(one.name for one in possible)
        raise refused("step", f"cannot be {step.name} where the ramp is {ramp.state.name}; it can be {names}")
    return {
        RampMove.PAUSE: flag_times.paused,
        RampMove.RESUME: flag_times.resumed,
        RampMove.ROLL_BACK: flag_times.rolled_back,
        RampMove.RESTART: flag_times.restarted,
    }[step](ramp, now)


async def _by_caller(
    context: Context, role: Role, key: str, action: FlagAction, environment: str | None, reason: str | None, by: Change
) -> Changed:
    principal = context.require(role)
    check_text(reason, 500, "reason")
    doing = Doing(key, action, principal.key_id, environment, reason)
    return await apply(context.services.database, principal.tenant_id, doing, by, context.services.now())


def _plain(variations: Sequence[Variation]) -> tuple[Variation, ...]:
    return tuple(
        replace(one, value=plain(one.value, f"variations[{index}].value")) for index, one in enumerate(variations)
    )


def _environment(flag: Flag, draft: EnvironmentDraft, flags: Mapping[str, Flag], now: datetime) -> FlagEnvironment:
    """The environment that a draft leads to; raises BadInput on the part of the draft at fault."""
    before = flag.environments.get(draft.name)
    try:
        made = _made(flag, draft, before, now)
        check_environment(flag, made, flags)
    except BadInput as bad:
        told = bad.message.startswith(f"{bad.field} ")
        raise BadInput(f"{draft.at if told else ''}{bad.message}", field=f"{draft.at}{bad.field}") from None
    return made


def _made(flag: Flag, draft: EnvironmentDraft, before: FlagEnvironment | None, now: datetime) -> FlagEnvironment:
    check_key(draft.name, "name")
    off = draft.off
    if off is None:
        off = before.off if before is not None else flag.variations[-1].key
    rules = tuple(replace(rule, ramp=_carried(rule.ramp, before)) if rule.ramp else rule for rule in draft.rules)
    for index, step in enumerate(draft.schedule):
        if step.at <= now:
            raise refused(f"schedule[{index}].at", "must be yet to come")
    return FlagEnvironment(
        name=draft.name,
        on=draft.on,
        off=off,
        default=always(off if rules else flag.variations[0].key) if draft.default is None else draft.default,
        changed_at=now,
        rules=rules,
        prerequisites=draft.prerequisites,
        schedule=draft.schedule,
    )


def _carried(ramp: Ramp, before: FlagEnvironment | None) -> Ramp:
    """A ramp, going on where it is one that was there already."""
    for rule in before.rules if before is not None else ():
        old = rule.ramp
        if old is not None and (old.starts_at, old.steps) == (ramp.starts_at, ramp.steps):
            return replace(old, guardrails=ramp.guardrails)
    return ramp


def _set_up(flag: Flag, environment: str) -> FlagEnvironment:
    found = flag.environments.get(environment)
    if found is None:
        names = ", ".join(flag.environments)
        raise refused("environment", f"must be one that the flag is set up in: {names}")
    return found
