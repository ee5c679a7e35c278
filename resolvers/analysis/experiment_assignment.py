"""Which variant a subject gets of an experiment, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from resolvers.analysis.bucketing import Purpose, chosen, place, within
from resolvers.analysis.experiment_targeting import Person, matches
from resolvers.analysis.experiments import WHOLE, ExclusiveGroup, Experiment, Status


class AssignmentReason(Enum):
    """Why a subject gets what it gets."""

    ASSIGNED = "assigned"
    EXPOSED_BEFORE = "exposed_before"
    NOT_RUNNING = "not_running"
    HOLDOUT = "holdout"
    GROUP = "group"
    TARGETING_MISS = "targeting_miss"
    TRAFFIC = "traffic"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Unfit:
    """What was sent as one of several subjects, and is none."""

    subject: str
    field: str
    """Where it stands, such as ``subjects[3]``."""
    message: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a subject gets; ``variant`` is None where it does not take part."""

    experiment: str
    subject: str
    variant: str | None
    reason: AssignmentReason
    phase: int | None
    """The phase under way; None where none is."""
    error: Unfit | None = None
    """Why nothing can be said, where the reason is ERROR."""


def assigned(
    of: Experiment, person: Person, holdouts: Mapping[str, int], exposed: Mapping[str, str] | None = None
) -> Assignment:
    """The assignment of somebody: a function of salt, phase, subject and what is said of it alone.

    ``exposed`` has the variants of subjects that were shown one before: they keep it, whatever the weights, the traffic
    and the targeting have become. Holdout, group, targeting and traffic are asked in this order.
    """
    phase = of.phases[-1] if of.phases else None

    def answer(reason: AssignmentReason, variant: str | None = None) -> Assignment:
        return Assignment(of.key, person.subject, variant, reason, phase.number if phase else None)

    if phase is None or of.status is not Status.RUNNING or of.archived_at is not None:
        return answer(AssignmentReason.NOT_RUNNING)
    definition, subject = of.definition, person.subject
    if exposed and subject in exposed:
        return answer(AssignmentReason.EXPOSED_BEFORE, exposed[subject])
    held = holdouts.get(definition.holdout, 0) if definition.holdout is not None else 0
    if held and within(place(Purpose.HOLDOUT, definition.holdout or "", subject), held, WHOLE):
        return answer(AssignmentReason.HOLDOUT)
    if definition.group is not None and not _in_group(definition.group, subject):
        return answer(AssignmentReason.GROUP)
    if not matches(phase.targeting, person):
        return answer(AssignmentReason.TARGETING_MISS)
    if not within(place(Purpose.TRAFFIC, of.salt, subject), phase.traffic, WHOLE):
        return answer(AssignmentReason.TRAFFIC)
    variant = chosen(place(Purpose.VARIANT, of.salt, subject), phase.weights)
    return answer(AssignmentReason.ASSIGNED, definition.variants[variant].key)


def unassigned(of: Experiment, unfit: Unfit) -> Assignment:
    """The answer about what is no subject."""
    phase = of.phases[-1].number if of.phases else None
    return Assignment(of.key, unfit.subject, None, AssignmentReason.ERROR, phase, unfit)


def _in_group(group: ExclusiveGroup, subject: str) -> bool:
    at = place(Purpose.GROUP, group.name, subject)
    return within(at, group.first + group.parts, WHOLE) and not within(at, group.first, WHOLE)
