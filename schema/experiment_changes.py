"""Mutations of experiments: create and change."""

from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import strawberry

from resolvers import experiment_changes
from resolvers.analysis import experiments as values
from resolvers.context import Role
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
from schema.shapes import enumerate_in_schema

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
REASON = "Why, for the record; at most 2,000 characters."


class Clearable(Enum):
    GROUP = "group"
    HOLDOUT = "holdout"


enumerate_in_schema(
    Clearable,
    "What an experiment may be rid of: an absent or null part of an update stays as it is.",
    {"GROUP": "Its mutually exclusive group.", "HOLDOUT": "The holdout that is kept out of it."},
    name="ExperimentPart",
)


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
    reason: str | None = strawberry.field(default=None, description=REASON)


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
    clear: list[Clearable] = strawberry.field(
        default_factory=list, description="What it is to have no more, before it starts."
    )
    new_phase: bool = strawberry.field(
        default=False,
        description=(
            "Whether other weights, traffic or targeting may begin a new phase of an experiment that has started: who "
            "was exposed before stays with the phase before, and results are those of the new one unless asked."
        ),
    )
    reason: str | None = strawberry.field(default=None, description=REASON)


@strawberry.type(description="The experiment is kept.")
class ExperimentPayload:
    experiment: Experiment = strawberry.field(description="The experiment as it is now.")


def union(name: str, description: str) -> Any:
    return strawberry.union(name, description=description)


CreateExperimentResult = Annotated[
    ExperimentPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    union("CreateExperimentResult", "The experiment that is created, or why none is."),
]
UpdateExperimentResult = Annotated[
    ExperimentPayload | IllegalStep | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    union("UpdateExperimentResult", "The experiment as it is now, or why it is as it was."),
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
        given = _given(input)
        for index, part in enumerate(input.clear):
            if given.setdefault(part.value) is not None:
                raise refusal(f"clear[{index}]", f"must not name what is given beside it: {part.value}")
        kept = await experiment_changes.update_experiment(
            info.context, number, given, new_phase=input.new_phase, reason=input.reason
        )
        return ExperimentPayload(experiment=Experiment.of(kept))
