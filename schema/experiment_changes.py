"""Mutations of experiments: create, change, take from step to step."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from resolvers import experiment_changes
from resolvers.analysis import experiments as values
from resolvers.analysis.intake_values import Invalid, instant
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.arguments import read_span
from schema.conditions import read_filter
from schema.dimensions import Dimension
from schema.errors import Forbidden, IllegalStep, InvalidInput, NotFound, Overloaded, Unauthenticated, refusal
from schema.experiment_definitions import (
    SHARE,
    ExclusiveGroupInput,
    ExperimentMetricInput,
    VariantInput,
    read_breakdowns,
    read_group,
    read_metrics,
    read_number,
    read_parts,
    read_variants,
)
from schema.experiments import Experiment, number_in
from schema.filters import FilterInput
from schema.nodes import key_of

_NAME = "Its name to show, at most 200 characters."
_HYPOTHESIS = "What is expected, and why; at most 2,000 characters."
_VARIANTS = "2 to 20 things to compare; their weights sum to 1, and exactly one is the control."
_METRICS = "By what it is judged, at most 20 metrics; at least one before it starts."
_TARGETING = (
    "Whom it is for, by dimensions that `assignment` is told in its `context`, by subjects and by segments; everybody "
    "where absent."
)
_TRAFFIC = f"How many of those it is for take part, {SHARE}."
_GROUP = "The mutually exclusive group that it takes a share of; settled when it starts."
_HOLDOUT = "The name of a holdout that is kept out of it; settled when it starts."
_WHERE = "Which exposures count, to leave out bots and tests; all where absent."
_BREAKDOWNS = "At most 4 dimensions of a subject's first exposure by which results can be broken down."
_MULTIPLE = "What becomes of subjects that were shown several variants."
_RUNTIME = "How long it runs at least before it is decided, at most 366 days: `14d`."
_SAMPLE = "How many subjects each variant has at least before it is decided, 2 or more."
_EFFECT = "The least change of a goal that is worth finding, a share of the control's value: `0.05`."
_ALPHA = "How often a difference may be seen where there is none, 0.0001 to 0.5."
_SEQUENTIAL = (
    "Whether it is decided by p-values that hold at any look, and so may be stopped at any time; else by those of a "
    "fixed horizon, which are surer but wait for the planned runtime and sample."
)
_REASON = "Why, for the record; at most 2,000 characters."


@strawberry.input(description="An experiment to create.")
class CreateExperimentInput:
    key: str = strawberry.field(
        description="What exposures carry in the dimension `experiment`; at most 200 characters, never given twice."
    )
    name: str | None = strawberry.field(default=None, description=f"{_NAME} The key where absent.")
    variants: list[VariantInput] = strawberry.field(description=_VARIANTS)
    metrics: list[ExperimentMetricInput] = strawberry.field(default_factory=list, description=_METRICS)
    hypothesis: str = strawberry.field(default="", description=_HYPOTHESIS)
    targeting: FilterInput | None = strawberry.field(default=None, description=_TARGETING)
    traffic: object = strawberry.field(graphql_type=Decimal, default="1", description=_TRAFFIC)
    group: ExclusiveGroupInput | None = strawberry.field(default=None, description=_GROUP)
    holdout: str | None = strawberry.field(default=None, description=_HOLDOUT)
    where: FilterInput | None = strawberry.field(default=None, description=_WHERE)
    breakdowns: list[Dimension] = strawberry.field(default_factory=list, description=_BREAKDOWNS)
    multiple_exposures: values.MultipleExposures = strawberry.field(
        default=values.MultipleExposures.FIRST, description=_MULTIPLE
    )
    minimum_runtime: object = strawberry.field(graphql_type=timedelta, default="7d", description=_RUNTIME)
    minimum_sample: int = strawberry.field(default=100, description=_SAMPLE)
    minimum_effect: object = strawberry.field(graphql_type=Decimal, default="0.05", description=_EFFECT)
    alpha: object = strawberry.field(graphql_type=Decimal, default="0.05", description=_ALPHA)
    sequential: bool = strawberry.field(default=False, description=_SEQUENTIAL)
    salt: str | None = strawberry.field(
        default=None, description="What its subjects are drawn with, fixed for good; the key where absent."
    )
    reason: str | None = strawberry.field(default=None, description=_REASON)


@strawberry.input(description="What to change of an experiment; what is absent or null stays as it is.")
class UpdateExperimentInput:
    id: strawberry.ID = strawberry.field(description="The experiment's global id.")
    name: str | None = strawberry.field(default=None, description=_NAME)
    variants: list[VariantInput] | None = strawberry.field(
        default=None, description=f"{_VARIANTS} Once it has started, only names and, with `newPhase`, weights change."
    )
    metrics: list[ExperimentMetricInput] | None = strawberry.field(default=None, description=_METRICS)
    hypothesis: str | None = strawberry.field(default=None, description=_HYPOTHESIS)
    targeting: FilterInput | None = strawberry.field(
        default=None, description=f"{_TARGETING} Once it has started, with `newPhase` only."
    )
    traffic: object | None = strawberry.field(
        graphql_type=Decimal | None, default=None, description=f"{_TRAFFIC} Once it has started, with `newPhase` only."
    )
    group: ExclusiveGroupInput | None = strawberry.field(default=None, description=_GROUP)
    holdout: str | None = strawberry.field(default=None, description=_HOLDOUT)
    where: FilterInput | None = strawberry.field(default=None, description=_WHERE)
    breakdowns: list[Dimension] | None = strawberry.field(default=None, description=_BREAKDOWNS)
    multiple_exposures: values.MultipleExposures | None = strawberry.field(default=None, description=_MULTIPLE)
    minimum_runtime: object | None = strawberry.field(graphql_type=timedelta | None, default=None, description=_RUNTIME)
    minimum_sample: int | None = strawberry.field(default=None, description=_SAMPLE)
    minimum_effect: object | None = strawberry.field(graphql_type=Decimal | None, default=None, description=_EFFECT)
    alpha: object | None = strawberry.field(graphql_type=Decimal | None, default=None, description=_ALPHA)
    sequential: bool | None = strawberry.field(default=None, description=_SEQUENTIAL)
    new_phase: bool = strawberry.field(
        default=False,
        description=(
            "Whether other weights, traffic or targeting may begin a new phase of an experiment that has started: who "
            "was exposed before stays with the phase before, and results are those of the new one unless asked."
        ),
    )
    reason: str | None = strawberry.field(default=None, description=_REASON)


@strawberry.input(description="An experiment to take to its next step.")
class _StepInput:
    id: strawberry.ID = strawberry.field(description="The experiment's global id.")
    reason: str | None = strawberry.field(default=None, description=_REASON)


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


@strawberry.type(description="The experiment is kept.")
class ExperimentPayload:
    experiment: Experiment = strawberry.field(description="The experiment as it is now.")


def _union(name: str, description: str) -> Any:
    return strawberry.union(name, description=description)


CreateExperimentResult = Annotated[
    ExperimentPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    _union("CreateExperimentResult", "The experiment that is created, or why none is."),
]
UpdateExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    _union("UpdateExperimentResult", "The experiment as it is now, or why it is as it was."),
]
StartExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    _union("StartExperimentResult", "The experiment that runs, or why it does not."),
]
PauseExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    _union("PauseExperimentResult", "The experiment that is paused, or why it is not."),
]
ResumeExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    _union("ResumeExperimentResult", "The experiment that runs again, or why it does not."),
]
CompleteExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    _union("CompleteExperimentResult", "The experiment that is over, or why it is not."),
]
ArchiveExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    _union("ArchiveExperimentResult", "The experiment that is archived, or why it is not."),
]

_READERS: dict[str, Any] = {
    "name": lambda value: value,
    "variants": read_variants,
    "metrics": read_metrics,
    "hypothesis": lambda value: value,
    "targeting": lambda value: read_filter(value, "targeting"),
    "traffic": lambda value: read_parts(value, "traffic"),
    "group": read_group,
    "holdout": lambda value: value,
    "where": read_filter,
    "breakdowns": read_breakdowns,
    "multiple_exposures": lambda value: value,
    "minimum_runtime": lambda value: read_span(value, "minimumRuntime"),
    "minimum_sample": lambda value: value,
    "minimum_effect": lambda value: read_number(value, "minimumEffect"),
    "alpha": lambda value: read_number(value, "alpha"),
    "sequential": lambda value: value,
}
"""What makes the attribute of a definition of an input's field."""


def _given(input: CreateExperimentInput | UpdateExperimentInput) -> dict[str, Any]:
    found = {name: getattr(input, name) for name in _READERS}
    read = {name: _READERS[name](value) for name, value in found.items() if value is not None}
    if "multiple_exposures" in read:
        read["multiple"] = read.pop("multiple_exposures")
    return read


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
class ExperimentMutation:
    @field(Role.ANALYST, CreateExperimentResult, "Create an experiment, as a draft.")
    async def create_experiment(
        self, info: Info, input: Annotated[CreateExperimentInput, strawberry.argument(description="The experiment.")]
    ) -> ExperimentPayload:
        given = {"name": input.key} | _given(input)
        definition = values.ExperimentDefinition(**given)
        kept = await experiment_changes.create_experiment(
            info.context, input.key, definition, salt=input.salt, reason=input.reason
        )
        return ExperimentPayload(experiment=Experiment.of(kept))

    @field(
        Role.ANALYST,
        UpdateExperimentResult,
        "Change an experiment. Once it has started, what decides who gets what changes by a new phase only; other "
        "metrics are reckoned of all exposures there were.",
    )
    async def update_experiment(
        self, info: Info, input: Annotated[UpdateExperimentInput, strawberry.argument(description="What to change.")]
    ) -> ExperimentPayload:
        number = number_in(key_of(Experiment, input.id, "id"))
        kept = await experiment_changes.update_experiment(
            info.context, number, _given(input), new_phase=input.new_phase, reason=input.reason
        )
        return ExperimentPayload(experiment=Experiment.of(kept))

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
