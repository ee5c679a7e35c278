"""Funnels that a tenant keeps under a name, to ask them again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import strawberry

from resolvers import funnels
from resolvers.analysis import funnels as values
from resolvers.analysis.funnel_correlations import FunnelCorrelationAnswer as FunnelCorrelations
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.arguments import (
    LAST_30_DAYS,
    ByArgument,
    CompareArgument,
    GranularityArgument,
    MaxAgeArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    WhereArgument,
    read_max_age,
)
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.funnel_definitions import (
    CONSTANT,
    EXCLUSIONS,
    STRICTLY_LATER,
    FunnelConstantInput,
    FunnelDefinition,
    FunnelExclusionInput,
    FunnelStepInput,
    read_definition,
)
from schema.funnel_subjects import (
    DimensionsArgument,
    FunnelCorrelationAnswer,
    OutcomeArgument,
    StepArgument,
    ask_correlations,
    ask_subjects,
)
from schema.funnels import ByStepArgument, FunnelAnswer, ask
from schema.nodes import IdArgument, NameArgument, Node, encode, key_of, one_of, which
from schema.pages import After, Connection, First, open_cursor, page
from schema.shapes import shapes
from schema.subjects import Subject

_GREATEST_ID = 2**31 - 1


@shapes(funnels.SavedFunnel)
@strawberry.type(description="A funnel that is kept under a name.")
class SavedFunnel(Node):
    name: str = strawberry.field(description="Its name, unique within the tenant.")
    definition: FunnelDefinition = strawberry.field(description="What is asked.")
    created_at: datetime = strawberry.field(description="When the name was first saved.")
    updated_at: datetime = strawberry.field(description="When its definition was last saved.")
    asked: strawberry.Private[values.FunnelDefinition]

    @classmethod
    def of(cls, saved: funnels.SavedFunnel) -> "SavedFunnel":
        """The kept funnel as GraphQL shows it."""
        shown: dict[str, Any] = {
            name: getattr(saved, name) for name in ("name", "definition", "created_at", "updated_at")
        }
        return cls(id=strawberry.ID(encode("SavedFunnel", str(saved.id))), asked=saved.definition, **shown)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        numbers = {key: _number(key) for key in keys}
        saved = await funnels.funnels_by_id(context, [number for number in numbers.values() if number is not None])
        return {key: cls.of(saved[number]) for key, number in numbers.items() if number in saved}

    @field(
        Role.VIEWER,
        FunnelAnswer,
        "How many subjects go through the funnel: the same as `funnel` with this definition.",
    )
    async def answer(
        self,
        info: Info,
        period: PeriodArgument = LAST_30_DAYS,
        timezone: TimezoneArgument = None,
        granularity: GranularityArgument = None,
        by: ByArgument = (),
        by_step: ByStepArgument = 0,
        where: WhereArgument = None,
        compare: CompareArgument = None,
        top: TopArgument = 20,
        max_age: MaxAgeArgument = None,
    ) -> values.FunnelAnswer:
        asked = ask(
            info.context, self.asked, period, timezone, granularity, by, by_step, where, compare, top, of_list=True
        )
        return await asked.answer(read_max_age(max_age))

    @field(
        Role.VIEWER,
        FunnelCorrelationAnswer,
        "What goes with converting: the same as `funnelCorrelations` with this definition.",
    )
    async def correlations(
        self,
        info: Info,
        dimensions: DimensionsArgument = None,
        period: PeriodArgument = LAST_30_DAYS,
        timezone: TimezoneArgument = None,
        where: WhereArgument = None,
        compare: CompareArgument = None,
        top: TopArgument = 20,
    ) -> FunnelCorrelations:
        asked = ask_correlations(
            info.context, self.asked, dimensions, period, timezone, where, compare, top, of_list=True
        )
        return await asked.answer()

    @field(
        Role.ANALYST,
        Connection[Subject],
        "Who reached a step, or dropped out at it: the same as `funnelSubjects` with this definition.",
    )
    async def subjects(
        self,
        info: Info,
        step: StepArgument,
        outcome: OutcomeArgument = Outcome.DROPPED,
        period: PeriodArgument = LAST_30_DAYS,
        timezone: TimezoneArgument = None,
        where: WhereArgument = None,
        first: First = 50,
        after: After = None,
    ) -> Connection[Subject]:
        asked = ask_subjects(
            info.context, self.asked, step, outcome, period, timezone, where, first, after, of_list=True
        )
        return await asked.answer()


def _number(key: str) -> int | None:
    digits = key if key.isascii() and key.isdigit() and len(key) <= 10 else "0"
    return int(digits) if 0 < int(digits) <= _GREATEST_ID else None


@strawberry.type
class SavedFunnelQuery:
    @field(
        Role.VIEWER,
        Connection[SavedFunnel],
        "The funnels that the tenant keeps, in the order in which they were first saved.",
    )
    async def funnels(self, info: Info, first: First = 50, after: After = None) -> Connection[SavedFunnel]:
        found = await funnels.funnels(info.context, first=first, after=open_cursor("SavedFunnel", after))
        return page(
            "SavedFunnel",
            [SavedFunnel.of(saved) for saved in found.funnels],
            found.cursors,
            has_next=found.has_next,
            after=after,
        )

    @field(
        Role.VIEWER,
        SavedFunnel | None,
        "The kept funnel with a global id, or of a name: give exactly one. Null where it does not exist (any more).",
    )
    async def saved_funnel(self, info: Info, id: IdArgument = None, name: NameArgument = None) -> Node | None:
        if one_of(id, name) is not None:
            found = await funnels.funnels_called(info.context, [name or ""])
            return SavedFunnel.of(found[0]) if found else None
        key = key_of(SavedFunnel, id or "", "id")
        return (await SavedFunnel.load(info.context, [key])).get(key)


@strawberry.input(description="A funnel to keep.")
class SaveFunnelInput:
    name: str = strawberry.field(
        description="1 to 200 characters; a funnel kept under the same name is replaced and keeps its id."
    )
    steps: list[FunnelStepInput] = strawberry.field(description="2 to 20 steps in the order in which they must happen.")
    window: object = strawberry.field(
        graphql_type=timedelta,
        default="7d",
        description="How long after the first step the last one may happen, at most 366 days.",
    )
    entry: values.Entry = strawberry.field(
        default=values.Entry.FIRST, description="Which of a subject's first-step events starts its clock."
    )
    order: values.Order = strawberry.field(
        default=values.Order.ORDERED, description="How the steps must follow each other."
    )
    strictly_later: bool = strawberry.field(default=False, description=STRICTLY_LATER)
    exclusions: list[FunnelExclusionInput] = strawberry.field(default_factory=list, description=EXCLUSIONS)
    constant: list[FunnelConstantInput] = strawberry.field(default_factory=list, description=CONSTANT)
    counting: values.Counting = strawberry.field(default=values.Counting.SUBJECTS, description="What is counted.")


@strawberry.type(description="The funnel is kept.")
class SaveFunnelPayload:
    funnel: SavedFunnel = strawberry.field(description="The funnel as it is kept now.")


@strawberry.input(description="A funnel to delete.")
class DeleteFunnelInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The funnel's global id; or give `name`.")
    name: str | None = strawberry.field(default=None, description="The funnel's name; or give `id`.")


@strawberry.type(description="The funnel is deleted.")
class DeleteFunnelPayload:
    deleted_id: strawberry.ID = strawberry.field(description="The global id that the funnel had.")
    funnel: SavedFunnel = strawberry.field(description="The funnel as it was; `node` finds it no more.")


SaveFunnelResult = Annotated[
    SaveFunnelPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SaveFunnelResult", description="The funnel that is kept, or why it is not."),
]
DeleteFunnelResult = Annotated[
    DeleteFunnelPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DeleteFunnelResult", description="The funnel that is deleted, or why none is."),
]


@strawberry.type
class SavedFunnelMutation:
    @field(
        Role.ANALYST,
        SaveFunnelResult,
        "Keep a funnel under a name, in place of the one that had the name.",
    )
    async def save_funnel(
        self, info: Info, input: Annotated[SaveFunnelInput, strawberry.argument(description="The funnel.")]
    ) -> SaveFunnelPayload:
        definition = read_definition(
            input.steps,
            input.window,
            input.entry,
            input.order,
            input.strictly_later,
            input.exclusions,
            input.constant,
            input.counting,
        )
        saved = await funnels.save_funnel(info.context, input.name, definition)
        return SaveFunnelPayload(funnel=SavedFunnel.of(saved))

    @field(
        Role.ANALYST,
        DeleteFunnelResult,
        "Delete a kept funnel; no event is lost by it.",
    )
    async def delete_funnel(
        self,
        info: Info,
        input: Annotated[DeleteFunnelInput, strawberry.argument(description="Which funnel to delete.")],
    ) -> DeleteFunnelPayload:
        # No funnel has the id 0, so that what is no number is not found either.
        asked = which(SavedFunnel, input.id, input.name, lambda key: _number(key) or 0)
        funnel = SavedFunnel.of(await funnels.delete_funnel(info.context, asked))
        return DeleteFunnelPayload(deleted_id=funnel.id, funnel=funnel)
