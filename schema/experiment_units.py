"""The units of experiments, one by one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry

from resolvers import experiment_units
from resolvers.analysis import experiment_units as values
from resolvers.analysis.experiment_units import Uncounted
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.experiments import KeyArgument, number_in
from schema.nodes import Node, encode
from schema.pages import After, Connection, First, open_cursor, page
from schema.shapes import shapes

_SHOWN = tuple("experiment subject variant phase uncounted exposed_at multiple metrics".split())


@shapes(values.UnitValue)
@strawberry.type(description="What a metric of an experiment is of one subject.")
class ExperimentUnitValue:
    metric: str = strawberry.field(description="What the experiment calls the metric.")
    value: Decimal = strawberry.field(
        description=(
            "What the subject's events come to, in the metric's unit; at most `cap`, but as it is where the metric is "
            "capped at a quantile."
        )
    )
    divisor: Decimal | None = strawberry.field(description="Its part of the divisor; null where the metric has none.")
    covariate: Decimal | None = strawberry.field(
        description="The same before its first exposure; null where the metric has no covariate."
    )


@strawberry.type(
    description="A subject that was exposed to an experiment. It counts for the variant of its first exposure."
)
class ExperimentUnit(Node):
    experiment: str = strawberry.field(description="The experiment's key.")
    subject: str = strawberry.field(description="The subject, as events name it.")
    variant: str | None = strawberry.field(
        description="The key of the variant that it counts for; null where none of its exposures counts."
    )
    phase: int | None = strawberry.field(description="The phase that it counts in; null where none of them counts.")
    uncounted: Uncounted | None = strawberry.field(
        description="Why its first exposure does not count; null where one does."
    )
    exposed_at: datetime = strawberry.field(
        description="When it was first exposed, of its exposures that count where any does."
    )
    multiple: bool = strawberry.field(description="Whether it was shown several variants.")
    metrics: list[ExperimentUnitValue] = strawberry.field(
        description="What each of the experiment's metrics is of it; empty where none of its exposures counts."
    )

    @classmethod
    def of(cls, experiment_id: int, found: values.ExperimentUnit) -> "ExperimentUnit":
        """The unit as GraphQL shows it."""
        shown: dict[str, Any] = {name: getattr(found, name) for name in _SHOWN}
        return cls(id=strawberry.ID(encode("ExperimentUnit", f"{experiment_id}.{found.subject}")), **shown)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> Mapping[str, Node]:
        context.require(Role.ANALYST)
        parted = {key: key.partition(".") for key in keys}
        wanted = {key: (number_in(of), subject) for key, (of, _, subject) in parted.items()}
        found = await experiment_units.units_by_subject(context, list(wanted.values()))
        return {key: cls.of(place[0], found[place]) for key, place in wanted.items() if place in found}


@strawberry.type
class ExperimentUnitQuery:
    @field(
        Role.ANALYST,
        Connection[ExperimentUnit],
        "Who was exposed to an experiment, in the order in which they first appeared in the log, and what each metric "
        "is of them: what its results are sums of, for reckoning them elsewhere.",
    )
    async def experiment_units(
        self, info: Info, experiment: KeyArgument, first: First = 50, after: After = None
    ) -> Connection[ExperimentUnit]:
        cursor = open_cursor("ExperimentUnit", after)
        found = await experiment_units.experiment_units(info.context, experiment, first=first, after=cursor)
        nodes = [ExperimentUnit.of(found.experiment_id, one) for one in found.units]
        return page("ExperimentUnit", nodes, found.cursors, has_next=found.has_next, after=after)
