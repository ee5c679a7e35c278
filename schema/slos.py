"""Service level objectives: created, changed, listed, and how each stands."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import strawberry

from resolvers import slo_status, slos
from resolvers.analysis import slo_answers
from resolvers.analysis import slos as values
from resolvers.analysis.metrics import Direction
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from resolvers.slo_checks import SloDraft
from schema.access import Info, field
from schema.arguments import ByArgument, MaxAgeArgument, TopArgument, read_max_age, read_span
from schema.conditions import read_filter
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.filters import FilterInput
from schema.live import Analysis, Asked
from schema.nodes import Node, encode, which
from schema.pages import After, Connection, First, open_cursor, page
from schema.shapes import shapes
from schema.slo_answers import SloAnswer, SloDefinition

_GREATEST_ID = 2**31 - 1
_NOW = PeriodRequest(last="30d")
"""Stands where a question has its period: that of an SLO is its own."""
_TITLE = "Its name for people, at most 200 characters"
_METRIC = (
    "The `slug` in `metricCatalogue` of a share of good events, such as `ai_success_rate`, or of a quantile, such as "
    "`ai_latency_p95`, which takes a `threshold`"
)
_GOOD = "Which way is good, `UP` or `DOWN`"
_THRESHOLD = "Of a quantile, in the metric's unit: up to which value an event is good, whatever the quantile is"
_OBJECTIVE = "The share that has to be good, above 0 and below 1 with at most 9 decimal places: 0.99 is 99 %"
_WHERE = "Which of the metric's events it is about"
_MINIMUM = "A rule is silent where its long window has fewer events"
_ABSENT = "After how long without an event the state is `NO_DATA`, `5m` to `30d`"
_COST = "What a bad event costs, in the tenant's currency, more than 0: so that burning is priced"


@shapes(slos.Slo)
@strawberry.type(description="A service level objective that the tenant keeps.")
class Slo(Node):
    definition: SloDefinition = strawberry.field(description="What has to be good, and how much of it.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")
    asked: strawberry.Private[values.SloDefinition]

    @classmethod
    def of(cls, slo: slos.Slo) -> "Slo":
        """The SLO as GraphQL shows it."""
        return cls(
            id=strawberry.ID(encode("Slo", str(slo.id))),
            definition=slo.definition,  # type: ignore[arg-type]  # its shape
            created_at=slo.created_at,
            updated_at=slo.updated_at,
            asked=slo.definition,
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        numbers = {key: _number(key) for key in keys}
        found = await slos.slos_by_id(context, [number for number in numbers.values() if number])
        return {key: cls.of(found[number]) for key, number in numbers.items() if number in found}

    @field(
        Role.VIEWER,
        SloAnswer,
        "How it stands: the same as `slo` of its key without a breakdown; of a list, all are read together.",
    )
    async def status(self, info: Info, max_age: MaxAgeArgument = None) -> slo_answers.SloAnswer:
        return await slo_status.slo_of_list(info.context, self.asked, Question(_NOW, max_age=read_max_age(max_age)))


def _number(key: str) -> int:
    """The id that a key stands for; 0, which no SLO has, for any other text."""
    digits = key if key.isascii() and key.isdigit() and len(key) <= 10 else "0"
    return int(digits) if int(digits) <= _GREATEST_ID else 0


@strawberry.input(description="An SLO to be made.")
class CreateSloInput:
    key: str = strawberry.field(
        description=(
            "Its name in guardrails and queries, which never changes: 1 to 100 letters and digits, and dots, hyphens "
            "and underscores between them."
        )
    )
    metric: str = strawberry.field(description=f"{_METRIC}.")
    objective: object = strawberry.field(graphql_type=Decimal, description=f"{_OBJECTIVE}.")
    title: str | None = strawberry.field(default=None, description=f"{_TITLE}; the key where absent.")
    good: Direction | None = strawberry.field(default=None, description=f"{_GOOD}; as the metric says where absent.")
    threshold: object | None = strawberry.field(graphql_type=Decimal | None, default=None, description=f"{_THRESHOLD}.")
    where: FilterInput | None = strawberry.field(default=None, description=f"{_WHERE}; all where absent.")
    minimum_events: int = strawberry.field(default=100, description=f"{_MINIMUM}.")
    absent_after: object = strawberry.field(graphql_type=timedelta, default="1d", description=f"{_ABSENT}.")
    cost_per_bad_event: object | None = strawberry.field(
        graphql_type=Decimal | None, default=None, description=f"{_COST}."
    )


@strawberry.input(description="What an SLO is to be; what is absent stays as it is.")
class UpdateSloInput:
    key: str = strawberry.field(description="The SLO's key.")
    metric: str | None = strawberry.field(
        default=None, description=f"{_METRIC}; which way is good then is as it says, unless `good` is given."
    )
    objective: object | None = strawberry.field(graphql_type=Decimal | None, default=None, description=f"{_OBJECTIVE}.")
    title: str | None = strawberry.field(default=None, description=f"{_TITLE}.")
    good: Direction | None = strawberry.field(default=None, description=f"{_GOOD}.")
    threshold: object | None = strawberry.field(
        graphql_type=Decimal | None,
        default=strawberry.UNSET,
        description=f"{_THRESHOLD}. Null takes it away, for a metric that is a share.",
    )
    where: FilterInput | None = strawberry.field(default=None, description=f"{_WHERE}.")
    minimum_events: int | None = strawberry.field(default=None, description=f"{_MINIMUM}.")
    absent_after: object | None = strawberry.field(
        graphql_type=timedelta | None, default=None, description=f"{_ABSENT}."
    )
    cost_per_bad_event: object | None = strawberry.field(
        graphql_type=Decimal | None, default=strawberry.UNSET, description=f"{_COST}. Null takes it away."
    )


@strawberry.input(description="An SLO to delete.")
class DeleteSloInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The SLO's global id; or give `key`.")
    key: str | None = strawberry.field(default=None, description="The SLO's key; or give `id`.")


@strawberry.type(description="The SLO is as it was asked to be.")
class SloPayload:
    slo: Slo = strawberry.field(description="The SLO as it is now.")


@strawberry.type(description="The SLO is deleted.")
class DeleteSloPayload:
    deleted_id: strawberry.ID = strawberry.field(description="The global id that the SLO had.")
    slo: Slo = strawberry.field(description="The SLO as it was; `node` finds it no more.")


CreateSloResult = Annotated[
    SloPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("CreateSloResult", description="The SLO that is made, or why none is."),
]
UpdateSloResult = Annotated[
    SloPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("UpdateSloResult", description="The SLO as it is now, or why nothing was changed."),
]
DeleteSloResult = Annotated[
    DeleteSloPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DeleteSloResult", description="The SLO that is deleted, or why none is."),
]


def _slo(
    context: Context,
    key: Annotated[str, strawberry.argument(description="The SLO's key.")],
    by: ByArgument = (),
    top: TopArgument = 20,
) -> Asked[slo_answers.SloAnswer]:
    question = Question(_NOW, by=tuple(one.value for one in by), top=top)
    return Asked(question, partial(slo_status.slo, context, key), slo_status.kinds())


SLO = Analysis(
    _slo,
    SloAnswer,
    "How a service level objective stands: how fast its error budget burns in each window, whether that calls for a "
    "page or a ticket, what is left of the 30 days' budget and until when it lasts, and what burning costs. Which "
    "events count the SLO says. NOT_FOUND where there is none of that key.",
)


@strawberry.type
class SloQuery:
    slo = SLO.query()

    @field(Role.VIEWER, Connection[Slo], "The SLOs that the tenant keeps, in the order in which they were made.")
    async def slos(self, info: Info, first: First = 50, after: After = None) -> Connection[Slo]:
        found = await slos.slos(info.context, first=first, after=open_cursor("Slo", after))
        shown = [Slo.of(slo) for slo in found.slos]
        return page("Slo", shown, found.cursors, has_next=found.has_next, after=after)


@strawberry.type
class SloSubscription:
    slo = SLO.subscription()


@strawberry.type
class SloMutation:
    @field(Role.ANALYST, CreateSloResult, "Make a service level objective.")
    async def create_slo(
        self, info: Info, input: Annotated[CreateSloInput, strawberry.argument(description="The SLO.")]
    ) -> SloPayload:
        draft = SloDraft(
            key=input.key,
            metric=input.metric,
            objective=input.objective,
            title=input.title,
            good=input.good,
            threshold=input.threshold,
            where=read_filter(input.where, "where"),
            minimum_events=input.minimum_events,
            absent_after=read_span(input.absent_after, "absentAfter"),
            cost_per_bad_event=input.cost_per_bad_event,
        )
        return SloPayload(slo=Slo.of(await slos.create_slo(info.context, draft)))

    @field(Role.ANALYST, UpdateSloResult, "Change a service level objective; guardrails that name it go by it.")
    async def update_slo(
        self, info: Info, input: Annotated[UpdateSloInput, strawberry.argument(description="What it is to be.")]
    ) -> SloPayload:
        edit: dict[str, Any] = {
            name: given
            for name in ("metric", "objective", "title", "good", "minimum_events")
            if (given := getattr(input, name)) is not None
        }
        for name in ("threshold", "cost_per_bad_event"):
            if (given := getattr(input, name)) is not strawberry.UNSET:
                edit[name] = given
        if input.where is not None:
            edit["where"] = read_filter(input.where, "where")
        if input.absent_after is not None:
            edit["absent_after"] = read_span(input.absent_after, "absentAfter")
        return SloPayload(slo=Slo.of(await slos.update_slo(info.context, input.key, edit)))

    @field(Role.ANALYST, DeleteSloResult, "Delete a service level objective. While a ramp watches it, it stays.")
    async def delete_slo(
        self, info: Info, input: Annotated[DeleteSloInput, strawberry.argument(description="Which SLO to delete.")]
    ) -> DeleteSloPayload:
        gone = Slo.of(await slos.delete_slo(info.context, which(Slo, input.id, input.key, _number, called="key")))
        return DeleteSloPayload(deleted_id=gone.id, slo=gone)
