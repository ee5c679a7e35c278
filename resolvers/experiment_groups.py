"""Mutually exclusive groups of experiments, and holdouts: what an experiment asks for has to be there."""

from collections.abc import Sequence
from dataclasses import replace

from resolvers.analysis.experiments import WHOLE, ExclusiveGroup, Experiment, ExperimentDefinition, Status
from resolvers.errors import BadInput
from resolvers.experiment_checks import checked_key
from resolvers.store.experiments import ExperimentRepository


async def placed(
    repository: ExperimentRepository, definition: ExperimentDefinition, others: Sequence[Experiment]
) -> ExperimentDefinition:
    """The definition with a place in its exclusive group; raises BadInput where there is none, or no such holdout."""
    if definition.holdout is not None:
        holdouts = await repository.holdouts()
        if all(row.name != definition.holdout for row in holdouts):
            raise BadInput("There is no holdout with this name; saveHoldout makes one.", field="holdout")
    group = definition.group
    if group is None:
        return definition
    checked_key(group.name, "group.name", what="A group's name")
    if not 1 <= group.parts <= WHOLE:
        raise BadInput("Of a group an experiment takes a share of more than 0, at most 1.", field="group.share")
    taken = [
        other.definition.group
        for other in others
        if other.archived_at is None
        and other.status is not Status.COMPLETED
        and other.definition.group is not None
        and other.definition.group.name == group.name
    ]
    spans = sorted((one.first, one.first + one.parts) for one in taken)
    if group.first >= 0 and all(end <= group.first or start >= group.first + group.parts for start, end in spans):
        return definition
    first = 0
    for start, end in spans:
        if start - first >= group.parts:
            break
        first = max(first, end)
    if first + group.parts > WHOLE:
        free = WHOLE - sum(one.parts for one in taken)
        raise BadInput(
            f"The experiments of this group leave {free / WHOLE:.2%} of it, and not {group.parts / WHOLE:.2%} in one "
            "piece; complete or archive one of them, or ask for less.",
            field="group.share",
        )
    return replace(definition, group=ExclusiveGroup(group.name, first, group.parts))
