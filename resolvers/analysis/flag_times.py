"""What time makes of a flag: functions of an instant alone, so that every process agrees on it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from resolvers.analysis.flags import FlagEnvironment, Ramp, RampState, Rule

_NOTHING = timedelta(0)


def is_on(environment: FlagEnvironment, at: datetime) -> bool:
    """Whether a flag is on at an instant: as the last step of the schedule that has come says, else as it is set."""
    on = environment.on
    for step in environment.schedule:
        if step.at > at:
            break
        on = step.on
    return on


def reached(rule: Rule, at: datetime) -> int:
    """The parts of ``WHOLE`` that a rule has reached at an instant."""
    return rule.parts if rule.ramp is None else ramp_reached(rule.ramp, at)


def ramp_reached(ramp: Ramp, at: datetime) -> int:
    """The parts that a ramp has reached: none before it starts and once it was rolled back."""
    step = ramp_step(ramp, at)
    return 0 if step is None or ramp.state is RampState.ROLLED_BACK else ramp.steps[step].parts


def ramp_step(ramp: Ramp, at: datetime) -> int | None:
    """The place of the step that a ramp is at, or was at when it stopped; None before it starts."""
    left = elapsed(ramp, at)
    if left < _NOTHING:
        return None
    for place, step in enumerate(ramp.steps[:-1]):
        left -= step.lasting
        if left < _NOTHING:
            return place
    return len(ramp.steps) - 1


def elapsed(ramp: Ramp, at: datetime) -> timedelta:
    """How long a ramp has run, negative before it starts; the time that it was paused does not count."""
    until = at if ramp.since is None else min(at, ramp.since)
    return until - ramp.starts_at - ramp.held


def next_step(ramp: Ramp, at: datetime) -> datetime | None:
    """When a ramp goes on to its next step; None where it does not by itself."""
    return next((due for due in _steps(ramp) if due > at), None)


def _steps(ramp: Ramp) -> Iterator[datetime]:
    """When each step of a ramp begins, ascending; none of one that does not go on."""
    due = ramp.starts_at + ramp.held
    for step in ramp.steps if ramp.state is RampState.RUNNING else ():
        yield due
        due += step.lasting


def is_watched(ramp: Ramp, at: datetime) -> bool:
    """Whether guardrails may stop a ramp: until its last step has lasted as it is to, while it is paused too."""
    whole = sum((step.lasting for step in ramp.steps), _NOTHING)
    return ramp.state is not RampState.ROLLED_BACK and elapsed(ramp, at) < whole


def paused(ramp: Ramp, at: datetime) -> Ramp:
    """The ramp, staying where it is from an instant on."""
    return replace(ramp, state=RampState.PAUSED, since=at)


def rolled_back(ramp: Ramp, at: datetime) -> Ramp:
    """The ramp, reaching nobody from an instant on."""
    return replace(ramp, state=RampState.ROLLED_BACK, since=ramp.since or at)


def resumed(ramp: Ramp, at: datetime) -> Ramp:
    """The ramp, going on at an instant from where it was when it was paused."""
    idle = _NOTHING if ramp.since is None else at - ramp.since
    return replace(ramp, state=RampState.RUNNING, since=None, held=ramp.held + idle)


def restarted(ramp: Ramp, at: datetime) -> Ramp:
    """The ramp, beginning anew."""
    return replace(ramp, starts_at=at, state=RampState.RUNNING, since=None, held=_NOTHING, noted=-1)


def settled(environment: FlagEnvironment, at: datetime) -> FlagEnvironment:
    """The environment with the steps of its schedule that have come taken, which changes nothing of what it says."""
    coming = tuple(step for step in environment.schedule if step.at > at)
    come = [step.at for step in environment.schedule if step.at <= at]
    changed_at = max([environment.changed_at, *come])
    return replace(environment, on=is_on(environment, at), schedule=coming, changed_at=changed_at)


def moments(environment: FlagEnvironment, at: datetime) -> Iterator[datetime]:
    """The instants after ``at`` at which time changes what an environment says."""
    yield from (step.at for step in environment.schedule if step.at > at)
    for rule in environment.rules:
        coming = None if rule.ramp is None else next_step(rule.ramp, at)
        if coming is not None:
            yield coming


def turned(environment: FlagEnvironment, at: datetime) -> datetime:
    """Since when an environment has said what it says at an instant: it was changed then, or time changed it."""
    ramps = [rule.ramp for rule in environment.rules if rule.ramp is not None]
    steps = [step.at for step in environment.schedule] + [due for ramp in ramps for due in _steps(ramp)]
    return max([environment.changed_at, *(step for step in steps if step <= at)])
