"""Experiments as they are read: one, and all of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from resolvers import experiments
from resolvers.analysis import experiments as values
from resolvers.analysis.experiment_phases import Phase
from resolvers.analysis.metrics import Direction
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.conditions import write_filter
from schema.dimensions import Dimension
from schema.experiment_definitions import share
from schema.experiment_documents import write_measure
from schema.nodes import Node, encode
from schema.pages import After, Connection, First, open_cursor, page

_GREATEST_ID = 2**31 - 1

KeyArgument = Annotated[str, strawberry.argument(description="The experiment's key.")]


@strawberry.type(description="One of the things that an experiment compares.")
class ExperimentVariant:
    key: str = strawberry.field(description="What exposures carry in the dimension `variant`.")
    name: str = strawberry.field(description="Its name to show.")
    weight: Decimal = strawberry.field(description="How many of those who take part get it, a share.")
    control: bool = strawberry.field(description="Whether the others are held against it.")


@strawberry.type(description="How much worse a guardrail may become, by one of these.")
class GuardrailMargin:
    relative: Decimal | None = strawberry.field(description="A share of the control's value; null where absolute.")
    absolute: Decimal | None = strawberry.field(
        description="So much of the metric, in its unit; null where relative to the control's value."
    )


@strawberry.type(description="A metric as an experiment looks at it.")
class ExperimentMetric:
    slug: str = strawberry.field(description="What it is called here.")
    role: values.MetricRole = strawberry.field(description="What the experiment looks at it for.")
    metric: str | None = strawberry.field(
        description="The metric of the catalogue that it is; null where it was made here."
    )
    up_is_good: bool = strawberry.field(description="Whether more is better.")
    window: timedelta = strawberry.field(description="How long after a subject's first exposure its events count.")
    covariate: timedelta | None = strawberry.field(
        description="How long before its first exposure the same is reckoned as a covariate; null where it is not."
    )
    cap: Decimal | None = strawberry.field(
        description="The most that a subject's value counts as; null where there is no such bound."
    )
    cap_at: Decimal | None = strawberry.field(
        description="The quantile of all subjects' values that bounds each; null where none does."
    )
    margin: GuardrailMargin | None = strawberry.field(
        description="How much worse a guardrail may become; null where none was given."
    )
    quotient: bool = strawberry.field(description="Whether it is a quotient of two sums, else a mean of all subjects.")
    value: JSON | None = strawberry.field(
        description="What each subject comes to, as a `UnitMeasureInput`; null where it is the catalogue's."
    )
    per: JSON | None = strawberry.field(
        description="What the sum of `value` is divided by the sum of, likewise; null where by the number of subjects."
    )


@strawberry.type(description="A time during which subjects were assigned alike.")
class ExperimentPhase:
    number: int = strawberry.field(description="1 for the first.")
    started_at: datetime = strawberry.field(description="Since when subjects first exposed belong to it.")
    weights: list[Decimal] = strawberry.field(description="The weight of each variant, in their order.")
    traffic: Decimal = strawberry.field(description="How many of those it is for take part, a share.")
    targeting: JSON = strawberry.field(description="Whom it is for, as a `FilterInput`.")


@strawberry.type(description="A mutually exclusive group, and how much of it an experiment takes.")
class ExclusiveGroup:
    name: str = strawberry.field(description="The group's name.")
    first: Decimal = strawberry.field(description="Where its places begin, a share of the group.")
    share: Decimal = strawberry.field(description="How many places it has, a share of the group.")


@strawberry.type(
    description="An experiment: subjects are given variants by chance, and metrics say what becomes of them."
)
class Experiment(Node):
    key: str = strawberry.field(description="What exposures carry in the dimension `experiment`; never given twice.")
    salt: str = strawberry.field(description="What its subjects are drawn with: fixed for good.")
    name: str = strawberry.field(description="Its name to show.")
    hypothesis: str = strawberry.field(description="What is expected, and why.")
    status: values.Status = strawberry.field(description="Where it is in its life.")
    possible: list[values.Step] = strawberry.field(description="What can be done to it now; nothing once archived.")
    variants: list[ExperimentVariant] = strawberry.field(description="What is compared.")
    metrics: list[ExperimentMetric] = strawberry.field(description="By what it is judged.")
    targeting: JSON = strawberry.field(description="Whom it is for, as a `FilterInput`.")
    traffic: Decimal = strawberry.field(description="How many of those it is for take part, a share.")
    group: ExclusiveGroup | None = strawberry.field(description="Its mutually exclusive group; null where in none.")
    holdout: str | None = strawberry.field(description="The holdout kept out of it; null where none is.")
    where: JSON = strawberry.field(description="Which exposures count, as a `FilterInput`.")
    breakdowns: list[Dimension] = strawberry.field(
        description="By which dimensions of the first exposure results can be broken down."
    )
    multiple_exposures: values.MultipleExposures = strawberry.field(
        description="What becomes of subjects that were shown several variants, unless asked otherwise."
    )
    minimum_runtime: timedelta = strawberry.field(description="How long it runs at least before it is decided.")
    minimum_sample: int = strawberry.field(description="How many subjects each variant has at least before that.")
    minimum_effect: Decimal = strawberry.field(
        description="The least change of a goal that is worth finding, a share of the control's value."
    )
    alpha: Decimal = strawberry.field(description="How often a difference may be seen where there is none, a share.")
    sequential: bool = strawberry.field(
        description="Whether it is decided by what holds at any look, else by what holds once the plan is fulfilled."
    )
    phases: list[ExperimentPhase] = strawberry.field(description="Its phases so far; none before it starts.")
    created_at: datetime = strawberry.field(description="When it was created.")
    updated_at: datetime = strawberry.field(description="When anything was last done to it.")
    completed_at: datetime | None = strawberry.field(
        description="From when on exposures no longer count; null while it is not completed."
    )
    archived_at: datetime | None = strawberry.field(description="When it was archived; null where it is not.")

    @classmethod
    def of(cls, kept: values.Experiment) -> "Experiment":
        """The experiment as GraphQL shows it."""
        definition = kept.definition
        same = ["name", "hypothesis", "holdout", "alpha", "sequential"]
        same += ["minimum_runtime", "minimum_sample", "minimum_effect"]
        shown: dict[str, Any] = {name: getattr(definition, name) for name in same}
        stamps = ("key", "salt", "status", "created_at", "updated_at", "completed_at", "archived_at")
        shown |= {name: getattr(kept, name) for name in stamps}
        return cls(
            id=strawberry.ID(encode("Experiment", str(kept.id))),
            possible=list(kept.possible),
            variants=[
                ExperimentVariant(key=one.key, name=one.name, weight=share(one.weight), control=one.control)
                for one in definition.variants
            ],
            metrics=list(map(_metric, definition.metrics)),
            targeting=JSON(write_filter(definition.targeting)),
            traffic=share(definition.traffic),
            group=_group(definition.group),
            where=JSON(write_filter(definition.where)),
            breakdowns=list(map(Dimension, definition.breakdowns)),
            multiple_exposures=definition.multiple,
            phases=list(map(_phase, kept.phases)),
            **shown,
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        numbers = {key: number_in(key) for key in keys}
        found = await experiments.experiments_by_id(context, [number for number in numbers.values() if number])
        return {key: cls.of(found[number]) for key, number in numbers.items() if number in found}


def number_in(key: str) -> int:
    """The number in the key of a global id; 0, which nothing has, where it is none."""
    digits = key if key.isascii() and key.isdigit() and len(key) <= 10 else "0"
    return int(digits) if int(digits) <= _GREATEST_ID else 0


def _metric(one: values.ExperimentMetric) -> ExperimentMetric:
    return ExperimentMetric(
        slug=one.slug,
        role=one.role,
        metric=one.metric,
        up_is_good=one.direction is not Direction.DOWN,
        window=one.of.window,
        covariate=one.of.before,
        cap=one.of.cap,
        cap_at=one.of.cap_at,
        margin=None if one.margin is None else _margin(one.margin),
        quotient=one.of.per is not None,
        value=None if one.metric is not None else JSON(write_measure(one.of.value)),
        per=None if one.metric is not None or one.of.per is None else JSON(write_measure(one.of.per)),
    )


def _margin(margin: values.Margin) -> GuardrailMargin:
    return GuardrailMargin(
        relative=None if margin.absolute else margin.value, absolute=margin.value if margin.absolute else None
    )


def _phase(phase: Phase) -> ExperimentPhase:
    return ExperimentPhase(
        number=phase.number,
        started_at=phase.started_at,
        weights=list(map(share, phase.weights)),
        traffic=share(phase.traffic),
        targeting=JSON(write_filter(phase.targeting)),
    )


def _group(group: values.ExclusiveGroup | None) -> ExclusiveGroup | None:
    if group is None:
        return None
    return ExclusiveGroup(name=group.name, first=share(group.first), share=share(group.parts))


@strawberry.type
class ExperimentQuery:
    @field(Role.VIEWER, Experiment | None, "The experiment of a key. Null where there is none.")
    async def experiment(self, info: Info, key: KeyArgument) -> Experiment | None:
        found = (await experiments.known(info.context)).experiments.get(key)
        return None if found is None else Experiment.of(found)

    @field(Role.VIEWER, Connection[Experiment], "The tenant's experiments, in the order in which they were created.")
    async def experiments(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        status: Annotated[
            values.Status | None, strawberry.argument(description="Only those that are there in their life.")
        ] = None,
        archived: Annotated[bool, strawberry.argument(description="Whether to list archived ones too.")] = False,
    ) -> Connection[Experiment]:
        found = await experiments.experiments(
            info.context, first=first, after=open_cursor("Experiment", after), status=status, archived=archived
        )
        return page(
            "Experiment",
            [Experiment.of(one) for one in found.experiments],
            found.cursors,
            has_next=found.has_next,
            after=after,
        )
