"""Mutations of experiments: taken from step to step."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from resolvers import experiment_changes
from resolvers.analysis import experiments as values
from resolvers.analysis.intake_values import Invalid, instant
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.errors import Forbidden, IllegalStep, InvalidInput, NotFound, Overloaded, Unauthenticated, refusal
from schema.experiment_changes import REASON, ExperimentPayload, union
from schema.experiments import Experiment, number_in
from schema.nodes import key_of


@strawberry.input(description="An experiment to take to its next step.")
class _StepInput:
    id: strawberry.ID = strawberry.field(description="The experiment's global id.")
    reason: str | None = strawberry.field(default=None, description=REASON)


@strawberry.input(description="An experiment to start.")
class StartExperimentInput(_StepInput):
    at: object | None = strawberry.field(
        graphql_type=datetime | None,
        default=None,
        description="Since when exposures count, not in the future; now where absent. For what began elsewhere.",
    )


@strawberry.input(description="An experiment to complete.")
class CompleteExperimentInput(_StepInput):
    at: object | None = strawberry.field(
        graphql_type=datetime | None,
        default=None,
        description="From when on exposures no longer count, not in the future; now where absent.",
    )


@strawberry.input(description="An experiment to pause.")
class PauseExperimentInput(_StepInput):
    pass


@strawberry.input(description="An experiment to resume.")
class ResumeExperimentInput(_StepInput):
    pass


@strawberry.input(description="An experiment to archive.")
class ArchiveExperimentInput(_StepInput):
    pass


StartExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    union("StartExperimentResult", "The experiment that runs, or why it does not."),
]
PauseExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    union("PauseExperimentResult", "The experiment that is paused, or why it is not."),
]
ResumeExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    union("ResumeExperimentResult", "The experiment that runs again, or why it does not."),
]
CompleteExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    union("CompleteExperimentResult", "The experiment that is over, or why it is not."),
]
ArchiveExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    union("ArchiveExperimentResult", "The experiment that is archived, or why it is not."),
]


async def _step(context: Context, input: Any, step: values.Step) -> ExperimentPayload:
    at = getattr(input, "at", None)
    try:
        since = None if at is None else instant(at)
    except Invalid as bad:
        raise refusal("at", bad.message) from None
    number = number_in(key_of(Experiment, input.id, "id"))
    kept = await experiment_changes.take_step(context, number, step, at=since, reason=input.reason)
    return ExperimentPayload(experiment=Experiment.of(kept))


@strawberry.type
class ExperimentStepMutation:
    @field(Role.ANALYST, StartExperimentResult, "Start a draft: subjects are assigned, and exposures count.")
    async def start_experiment(
        self, info: Info, input: Annotated[StartExperimentInput, strawberry.argument(description="Which one.")]
    ) -> ExperimentPayload:
        return await _step(info.context, input, values.Step.START)

    @field(Role.ANALYST, PauseExperimentResult, "Pause an experiment: nobody is assigned until it resumes.")
    async def pause_experiment(
        self, info: Info, input: Annotated[PauseExperimentInput, strawberry.argument(description="Which one.")]
    ) -> ExperimentPayload:
        return await _step(info.context, input, values.Step.PAUSE)

    @field(Role.ANALYST, ResumeExperimentResult, "Resume a paused experiment.")
    async def resume_experiment(
        self, info: Info, input: Annotated[ResumeExperimentInput, strawberry.argument(description="Which one.")]
    ) -> ExperimentPayload:
        return await _step(info.context, input, values.Step.RESUME)

    @field(Role.ANALYST, CompleteExperimentResult, "Complete an experiment; its results stay and take late events.")
    async def complete_experiment(
        self, info: Info, input: Annotated[CompleteExperimentInput, strawberry.argument(description="Which one.")]
    ) -> ExperimentPayload:
        return await _step(info.context, input, values.Step.COMPLETE)

    @field(Role.ANALYST, ArchiveExperimentResult, "Archive a draft or a completed experiment: it is listed no more.")
    async def archive_experiment(
        self, info: Info, input: Annotated[ArchiveExperimentInput, strawberry.argument(description="Which one.")]
    ) -> ExperimentPayload:
        return await _step(info.context, input, values.Step.ARCHIVE)
