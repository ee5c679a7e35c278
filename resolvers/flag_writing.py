"""Writing what is done to a flag: one transaction with its trail, so that every process sees it at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from resolvers.analysis import flag_times
from resolvers.analysis.flags import Flag, FlagEnvironment, Ramp, RampState
from resolvers.errors import NotFound
from resolvers.flag_checks import refused
from resolvers.flags import FlagAction
from resolvers.store.database import Database
from resolvers.store.flags import FlagChangeRow, FlagRepository, columns

GUARD_EVERY = timedelta(seconds=30)
"""How often upkeep reads the guardrails of a ramp."""
_UNTOLD = frozenset({"changed_at", "version"})


@dataclass(frozen=True, slots=True)
class Changed:
    """A flag as it is now; ``action`` is what was done, None where there was nothing to do."""

    flag: Flag
    action: FlagAction | None


@dataclass(frozen=True, slots=True)
class Doing:
    """What is being done, to which flag, and why; ``key_id`` is None where the gateway does it by itself."""

    key: str
    action: FlagAction
    key_id: int | None
    environment: str | None = None
    reason: str | None = None


Change = Callable[[Flag, Mapping[str, Flag], datetime], Flag]
"""Makes another flag of one, given the tenant's flags and the present; the same flag where there is nothing to do."""


class _Unchanged(Exception):
    """Nothing is another way: the transaction is undone, and with it the new version."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag


async def apply(database: Database, tenant_id: int, doing: Doing, by: Change, now: datetime) -> Changed:
    """Do something to a flag, in a transaction of its own; raises NotFound, and what ``by`` raises."""
    try:
        async with database.tenant(tenant_id) as session:
            repository = FlagRepository(session, tenant_id)
            version = await repository.hold()
            flags = await repository.all()
            before = flags.get(doing.key)
            if before is None:
                raise NotFound("There is no flag with this key.", field="key")
            if before.archived_at is not None and doing.action is not FlagAction.RESTORE:
                if doing.action is FlagAction.ARCHIVE:
                    raise _Unchanged(before)
                raise refused("key", "is that of an archived flag; restore it first")
            after = by(before, flags, now)
            if after == before:
                raise _Unchanged(before)
            after = replace(after, changed_at=now, version=version)
            old, new = _difference(columns(before), columns(after))
            await repository.replace(after, due_at(after, now))
            await repository.note(written(tenant_id, after, doing, old, new))
    except _Unchanged as unchanged:
        return Changed(unchanged.flag, None)
    return Changed(after, doing.action)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is another way, as it was and as it is; of environments those alone that are."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for name, value in after.items():
        if name in _UNTOLD or value == before[name]:
            continue
        old[name], new[name] = before[name], value
        if name == "environments":
            changed = [one for one in value if value[one] != before[name].get(one)]
            old[name] = {one: before[name][one] for one in changed if one in before[name]}
            new[name] = {one: value[one] for one in changed}
    return old, new


def written(
    tenant_id: int, flag: Flag, doing: Doing, before: dict[str, Any] | None, after: dict[str, Any]
) -> FlagChangeRow:
    """The trail's entry of what was done."""
    told = {name: value for name, value in after.items() if name not in _UNTOLD | {"created_at"}}
    for of in (before, told):
        if of is not None and of.get("archived_at") is not None:
            of["archived_at"] = of["archived_at"].isoformat()
    return FlagChangeRow(
        tenant_id=tenant_id,
        version=flag.version,
        flag_id=flag.id,
        at=flag.changed_at,
        key_id=doing.key_id,
        action=doing.action.value,
        environment=doing.environment,
        reason=doing.reason,
        before=before,
        after=told,
    )


def with_environment(flag: Flag, environment: FlagEnvironment) -> Flag:
    """The flag, set up in an environment in another way."""
    return replace(flag, environments={**flag.environments, environment.name: environment})


def with_ramp(flag: Flag, environment: FlagEnvironment, rule: int, ramp: Ramp, now: datetime) -> Flag:
    """The flag with another ramp of a rule in an environment."""
    rules = list(environment.rules)
    rules[rule] = replace(rules[rule], ramp=ramp)
    return with_environment(flag, replace(environment, rules=tuple(rules), changed_at=now))


def due_at(flag: Flag, now: datetime) -> datetime | None:
    """When upkeep has to look at a flag: once time changes what it says, and again and again while it is guarded."""
    if flag.archived_at is not None:
        return None
    moments = [moment for one in flag.environments.values() for moment in flag_times.moments(one, now)]
    for environment in flag.environments.values():
        for rule in environment.rules:
            if rule.ramp is not None and rule.ramp.guardrails and flag_times.is_watched(rule.ramp, now):
                moments.append(max(now, rule.ramp.starts_at) + GUARD_EVERY)
            if rule.ramp is not None and unnoted(rule.ramp, now) is not None:
                moments.append(now)
    return min(moments, default=None)


def unnoted(ramp: Ramp, now: datetime) -> int | None:
    """The step that a running ramp is at, where the trail does not tell of it yet."""
    step = flag_times.ramp_step(ramp, now)
    return step if ramp.state is RampState.RUNNING and step is not None and step > ramp.noted else None
