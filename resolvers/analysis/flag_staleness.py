"""Flags that might go: they decide nothing any more, or nobody asks for them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from resolvers.analysis.flag_times import is_on, moments, reached, turned
from resolvers.analysis.flags import WHOLE, Flag, FlagEnvironment, only


class StaleReason(Enum):
    """Why a flag might go."""

    ROLLED_OUT = "rolled_out"
    OFF = "off"
    NEVER_EVALUATED = "never_evaluated"
    NOT_EVALUATED = "not_evaluated"


@dataclass(frozen=True, slots=True)
class Staleness:
    """Why a flag might go from an environment."""

    environment: str
    reason: StaleReason
    variation: str | None
    """The one that everybody gets; None where the reason is another one."""
    since: datetime


def staleness(
    flag: Flag, environment: FlagEnvironment, last_evaluated: datetime | None, now: datetime, after: timedelta
) -> Staleness | None:
    """Why a flag might go from an environment: the first reason that has held for ``after``; None where none has.

    That everybody gets one variation and nothing is to change it; that it is off; that the gateway never evaluated it
    since it was set up as it is, or not for so long.
    """
    if flag.archived_at is not None:
        return None
    since = turned(environment, now)
    if now - since >= after and not any(moments(environment, now)):
        everybody = served(environment, now)
        if everybody is not None:
            reason = StaleReason.ROLLED_OUT if is_on(environment, now) else StaleReason.OFF
            return Staleness(environment.name, reason, everybody, since)
    if last_evaluated is None:
        # It may have been set up there long after it was made.
        unasked = max(flag.created_at, environment.changed_at)
        long_ago = now - unasked >= after
        reason = StaleReason.NEVER_EVALUATED
        return Staleness(environment.name, reason, None, unasked) if long_ago else None
    if now - last_evaluated >= after:
        return Staleness(environment.name, StaleReason.NOT_EVALUATED, None, last_evaluated)
    return None


def served(environment: FlagEnvironment, at: datetime) -> str | None:
    """The variation that everybody gets at an instant, whoever they are; None where that differs or is not certain."""
    if not is_on(environment, at):
        return environment.off
    if environment.prerequisites:
        return None
    found: set[str | None] = set()
    for rule in environment.rules:
        parts = reached(rule, at)
        if parts:
            found.add(only(rule.serve))
        if parts == WHOLE and rule.takes_all:
            break
    else:
        found.add(only(environment.default))
    return found.pop() if len(found) == 1 else None
