"""Feature flags: what one is, as values.

A flag has variations and, in each environment that it is set up in, rules that say who gets which. Shares are whole
numbers of ``WHOLE`` parts, and instants decide by themselves what a schedule or a ramp has come to, so that every
process agrees without asking another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from resolvers.analysis.filters import EVERYTHING, Filter
from resolvers.analysis.flag_targeting import Holds, compiled
from resolvers.analysis.slos import Severity

WHOLE = 10_000
"""A share is so many parts of this: one of them is 0.01 %."""
PRODUCTION = "production"
"""The environment where none is named; it is always there."""


class FlagType(Enum):
    """What the values of a flag's variations are."""

    BOOLEAN = "boolean"
    STRING = "string"
    NUMBER = "number"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Variation:
    """One of the values that a flag can have."""

    key: str
    value: Any
    """A JSON value of the flag's type."""
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """The parts of ``WHOLE`` that get a variation."""

    variation: str
    parts: int


Serve = tuple[Share, ...]
"""Shares laid end to end; they sum up to ``WHOLE``."""


def always(variation: str) -> Serve:
    """One variation for everybody."""
    return (Share(variation, WHOLE),)


def only(serve: Serve) -> str | None:
    """The variation that everybody gets; None where there are several."""
    given = [share.variation for share in serve if share.parts]
    return given[0] if len(given) == 1 else None


class GuardAction(Enum):
    """What a guardrail that fires does to the ramp."""

    PAUSE = "pause"
    ROLL_BACK = "roll_back"


class Bound(Enum):
    """On which side of its limit a guardrail fires."""

    ABOVE = "above"
    BELOW = "below"


class Guard:
    """What may stop a ramp."""

    __slots__ = ()
    action: GuardAction

    @property
    def watched(self) -> str:
        """The slug or key of what is watched."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Guardrail(Guard):
    """A metric of the catalogue that must not go beyond a limit while a ramp runs.

    It is read from the events of the last ``window``, though not of before the ramp, that pass ``exposed``; with a
    ``control`` the limit is of the relative change against the events that pass that. It is silent while either has
    fewer than ``minimum_sample`` observations.
    """

    metric: str
    bound: Bound
    limit: Decimal
    exposed: Filter
    control: Filter | None
    minimum_sample: int
    window: timedelta
    action: GuardAction

    @property
    def watched(self) -> str:
        return self.metric


@dataclass(frozen=True, slots=True)
class SloGuardrail(Guard):
    """A service level objective that must not call for a page while a ramp runs, or for a ticket either.

    It is read as it stands, whatever flag its events are of, and whether or not the ramp is the reason.
    """

    slo: str
    """Its key."""
    severity: Severity
    """From which on it stops the ramp; a page is above a ticket."""
    action: GuardAction

    @property
    def watched(self) -> str:
        return self.slo


class RampState(Enum):
    """Whether a ramp goes on."""

    RUNNING = "running"
    PAUSED = "paused"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class RampStep:
    """A share, and how long it lasts until the next step."""

    parts: int
    lasting: timedelta


@dataclass(frozen=True, slots=True)
class Ramp:
    """A share that grows on a timetable; ``flag_times.reached`` says what it has come to."""

    starts_at: datetime
    steps: tuple[RampStep, ...]
    guardrails: tuple[Guard, ...] = ()
    state: RampState = RampState.RUNNING
    since: datetime | None = None
    """When it was paused or rolled back."""
    held: timedelta = timedelta(0)
    """How long it has been paused before."""
    noted: int = -1
    """The last of its steps that the trail of changes tells of."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who gets what: those who pass ``where`` and whom the share of ``parts`` or of the ramp has reached.

    Everybody else goes on to the next rule.
    """

    serve: Serve
    where: Filter = EVERYTHING
    parts: int = WHOLE
    ramp: Ramp | None = None
    name: str | None = None
    holds: Holds = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "holds", compiled(self.where))

    @property
    def takes_all(self) -> bool:
        """Whether it is for everybody."""
        return self.where == EVERYTHING

    def filters(self) -> Iterator[Filter]:
        """Whatever it asks of subjects and of events."""
        yield self.where
        for guard in self.ramp.guardrails if self.ramp is not None else ():
            if isinstance(guard, Guardrail):
                yield from (root for root in (guard.exposed, guard.control) if root is not None)


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """Another flag that must have one of some variations, in the same environment."""

    flag: str
    variations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """The flag goes on or off at an instant."""

    at: datetime
    on: bool


@dataclass(frozen=True, slots=True)
class FlagEnvironment:
    """How a flag is set up in one environment."""

    name: str
    on: bool
    off: str
    """The variation of everybody while it is off or a prerequisite is not met."""
    default: Serve
    """What those get whom no rule takes."""
    changed_at: datetime
    rules: tuple[Rule, ...] = ()
    prerequisites: tuple[Prerequisite, ...] = ()
    schedule: tuple[ScheduledStep, ...] = ()
    """Ascending, and all to come when it was written."""

    def variations(self) -> Iterator[str]:
        """Every variation that it names."""
        yield self.off
        for serve in (self.default, *(rule.serve for rule in self.rules)):
            yield from (share.variation for share in serve)


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of a tenant, as of a ``version`` of all its flags."""

    id: int
    key: str
    type: FlagType
    name: str
    description: str | None
    tags: tuple[str, ...]
    salt: str
    """Decides, with the subject alone, whom its shares reach; never changes."""
    variations: tuple[Variation, ...]
    environments: Mapping[str, FlagEnvironment]
    created_at: datetime
    changed_at: datetime
    archived_at: datetime | None
    version: int
    values: Mapping[str, Any] = field(init=False, repr=False, compare=False)
    """The value of each variation."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {one.key: one.value for one in self.variations})

    def guards(self) -> Iterator[Guard]:
        """Whatever may stop any of its ramps."""
        for environment in self.environments.values():
            for rule in environment.rules:
                yield from () if rule.ramp is None else rule.ramp.guardrails


Flags = Mapping[str, Flag]
"""The flags of a tenant by their keys."""
