"""Budgets for AI: set, listed, and how each stands."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import ai_budget_status, ai_budgets
from resolvers.analysis import ai_budgets as values
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.ai_budget_answers import AiBudgetAnswer, BudgetDefinition
from schema.arguments import (
    ByArgument,
    CompareArgument,
    MaxAgeArgument,
    TimezoneArgument,
    TopArgument,
    read_max_age,
)
from schema.conditions import read_filter
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.filters import FilterInput
from schema.live import Analysis, Asked
from schema.nodes import Node, encode, which
from schema.pages import After, Connection, First, open_cursor, page
from schema.shapes import shapes

_GREATEST_ID = 2**31 - 1
_NOW = PeriodRequest(last="1d")
"""Stands where a question has its period: that of a budget is its own."""


@shapes(ai_budgets.AiBudget)
@strawberry.type(description="A budget for AI that the tenant keeps.")
class AiBudget(Node):
    definition: BudgetDefinition = strawberry.field(description="What it allows.")
    created_at: datetime = strawberry.field(description="When the name was first set.")
    updated_at: datetime = strawberry.field(description="When it was last set.")
    asked: strawberry.Private[values.BudgetDefinition]

    @classmethod
    def of(cls, budget: ai_budgets.AiBudget) -> "AiBudget":
        """The budget as GraphQL shows it."""
        return cls(
            id=strawberry.ID(encode("AiBudget", str(budget.id))),
            definition=budget.definition,  # type: ignore[arg-type]  # its shape
            created_at=budget.created_at,
            updated_at=budget.updated_at,
            asked=budget.definition,
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        numbers = {key: _number(key) for key in keys}
        found = await ai_budgets.ai_budgets_by_id(context, [number for number in numbers.values() if number])
        return {key: cls.of(found[number]) for key, number in numbers.items() if number in found}

    @field(
        Role.VIEWER,
        AiBudgetAnswer,
        "How it stands: the same as `aiBudget` of its name without a breakdown; of a list, all are read together.",
    )
    async def status(
        self,
        info: Info,
        timezone: TimezoneArgument = None,
        compare: CompareArgument = None,
        max_age: MaxAgeArgument = None,
    ) -> values.AiBudgetAnswer:
        question = Question(_NOW, timezone=timezone, compare=compare, max_age=read_max_age(max_age))
        return await ai_budget_status.ai_budget_of_list(info.context, self.asked, question)


def _number(key: str) -> int:
    """The id that a key stands for; 0, which no budget has, for any other text."""
    digits = key if key.isascii() and key.isdigit() and len(key) <= 10 else "0"
    return int(digits) if int(digits) <= _GREATEST_ID else 0


@strawberry.input(description="A budget to keep.")
class SetAiBudgetInput:
    name: str = strawberry.field(
        default="all",
        description="1 to 200 characters; a budget of the same name is replaced and keeps its id.",
    )
    amount: object = strawberry.field(
        graphql_type=Decimal,
        description="What may be spent in each period, in the tenant's currency; more than 0.",
    )
    recurrence: values.BudgetPeriod = strawberry.field(
        default=values.BudgetPeriod.MONTH, description="For how long it is, before it begins anew."
    )
    where: FilterInput | None = strawberry.field(
        default=None, description="Which AI interactions it is for, e.g. one provider's; all where absent."
    )


@strawberry.type(description="The budget is kept.")
class SetAiBudgetPayload:
    budget: AiBudget = strawberry.field(description="The budget as it is kept now.")


@strawberry.input(description="A budget to delete.")
class DeleteAiBudgetInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The budget's global id; or give `name`.")
    name: str | None = strawberry.field(default=None, description="The budget's name; or give `id`.")


@strawberry.type(description="The budget is deleted.")
class DeleteAiBudgetPayload:
    deleted_id: strawberry.ID = strawberry.field(description="The global id that the budget had.")
    budget: AiBudget = strawberry.field(description="The budget as it was; `node` finds it no more.")


SetAiBudgetResult = Annotated[
    SetAiBudgetPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SetAiBudgetResult", description="The budget that is kept, or why it is not."),
]
DeleteAiBudgetResult = Annotated[
    DeleteAiBudgetPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DeleteAiBudgetResult", description="The budget that is deleted, or why none is."),
]


def _ai_budget(
    context: Context,
    name: Annotated[str, strawberry.argument(description="The budget's name.")] = "all",
    timezone: TimezoneArgument = None,
    by: ByArgument = (),
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.AiBudgetAnswer]:
    question = Question(_NOW, timezone=timezone, by=tuple(one.value for one in by), compare=compare, top=top)
    return Asked(question, partial(ai_budget_status.ai_budget, context, name), ai_budget_status.kinds())


AI_BUDGET = Analysis(
    _ai_budget,
    AiBudgetAnswer,
    "How a budget for AI stands: spent so far, what the period will have cost in the end, and whether and when the "
    "budget will be exceeded. Which calls count, and in which period, the budget says; `compare` holds it against the "
    "budget's period before, or the one that a year ago fell into, when the same share of it was over. NOT_FOUND where "
    "there is none of that name.",
)


@strawberry.type
class AiBudgetQuery:
    ai_budget = AI_BUDGET.query()

    @field(
        Role.VIEWER,
        Connection[AiBudget],
        "The budgets for AI that the tenant keeps, in the order in which they were first set.",
    )
    async def ai_budgets(self, info: Info, first: First = 50, after: After = None) -> Connection[AiBudget]:
        found = await ai_budgets.ai_budgets(info.context, first=first, after=open_cursor("AiBudget", after))
        budgets = [AiBudget.of(budget) for budget in found.budgets]
        return page("AiBudget", budgets, found.cursors, has_next=found.has_next, after=after)


@strawberry.type
class AiBudgetSubscription:
    ai_budget = AI_BUDGET.subscription()


@strawberry.type
class AiBudgetMutation:
    @field(Role.ANALYST, SetAiBudgetResult, "Keep a budget for AI under a name, in place of the one that had the name.")
    async def set_ai_budget(
        self, info: Info, input: Annotated[SetAiBudgetInput, strawberry.argument(description="The budget.")]
    ) -> SetAiBudgetPayload:
        where = EVERYTHING if input.where is None else read_filter(input.where, "where")
        kept = await ai_budgets.set_ai_budget(info.context, input.name, input.amount, input.recurrence, where)
        return SetAiBudgetPayload(budget=AiBudget.of(kept))

    @field(Role.ANALYST, DeleteAiBudgetResult, "Delete a budget for AI; no event is lost by it.")
    async def delete_ai_budget(
        self,
        info: Info,
        input: Annotated[DeleteAiBudgetInput, strawberry.argument(description="Which budget to delete.")],
    ) -> DeleteAiBudgetPayload:
        asked = which(AiBudget, input.id, input.name, _number)
        budget = AiBudget.of(await ai_budgets.delete_ai_budget(info.context, asked))
        return DeleteAiBudgetPayload(deleted_id=budget.id, budget=budget)
