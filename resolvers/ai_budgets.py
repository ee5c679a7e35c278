"""Budgets for AI that a tenant keeps under names."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resolvers.analysis.ai_budgets import BudgetDefinition, BudgetPeriod
from resolvers.analysis.filter_json import from_json, to_json
from resolvers.analysis.filters import Filter, in_segments, numbered
from resolvers.analysis.intake_values import Invalid, money, text
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound, said_by
from resolvers.paging import page_start
from resolvers.segments import numbers_named
from resolvers.store.ai_budgets import AiBudgetRepository, AiBudgetRow

MOST_BUDGETS = 100

_NAME = text(200)


@dataclass(frozen=True, slots=True)
class AiBudget:
    """A budget that the tenant keeps."""

    id: int
    definition: BudgetDefinition
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AiBudgetPage:
    """A page of budgets, oldest first; ``cursors[i]`` leads to what follows ``budgets[i]``."""

    budgets: tuple[AiBudget, ...]
    cursors: tuple[str, ...]
    has_next: bool


async def set_ai_budget(context: Context, name: str, amount: Any, recurrence: BudgetPeriod, where: Filter) -> AiBudget:
    """Keep a budget under a name, in place of what the name stood for; ``amount`` is a JSON value.

    Raises BadInput naming the field at fault, Forbidden.
    """
    principal = context.require(Role.ANALYST)
    try:
        name = _NAME(name)
    except Invalid as bad:
        raise BadInput(f"name {bad.message}.", field="name") from bad
    try:
        limit = money(amount)
    except Invalid as bad:
        raise BadInput(f"amount {bad.message}.", field="amount") from bad
    if not limit:
        raise BadInput("amount must be more than 0.", field="amount")
    where = numbered(where, await numbers_named(context, in_segments(where)))
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = AiBudgetRepository(session)
        names = await repository.names(principal.tenant_id)
        if name not in names and len(names) >= MOST_BUDGETS:
            raise BadInput(f"At most {MOST_BUDGETS} budgets are kept; delete one first.", field="name")
        row = await repository.save(principal.tenant_id, name, limit, recurrence.name, to_json(where))
        return _budget(row)


async def delete_ai_budget(context: Context, which: int | str) -> AiBudget:
    """Delete a budget, given by its id or its name, and return it as it was; raises NotFound, Forbidden."""
    principal = context.require(Role.ANALYST)
    async with context.services.database.tenant(principal.tenant_id) as session:
        row = await AiBudgetRepository(session).remove(principal.tenant_id, which)
        if row is None:
            raise NotFound("There is no such budget.", field=said_by(which))
        return _budget(row)


async def ai_budgets_by_id(context: Context, ids: Sequence[int]) -> dict[int, AiBudget]:
    """Those of the ids that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await AiBudgetRepository(session).by_ids(principal.tenant_id, ids)
    return {budget.id: budget for budget in map(_budget, rows)}


async def ai_budgets(context: Context, *, first: int = 50, after: str | None = None) -> AiBudgetPage:
    """A page of the budgets that the tenant keeps."""
    principal = context.require(Role.VIEWER)
    place = page_start(first, after)
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await AiBudgetRepository(session).page(principal.tenant_id, after=place, limit=first + 1)
    shown = tuple(map(_budget, rows[:first]))
    return AiBudgetPage(shown, tuple(str(one.id) for one in shown), len(rows) > first)


async def definition_of(context: Context, name: str) -> BudgetDefinition:
    """The budget of that name; raises NotFound."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        row = await AiBudgetRepository(session).by_name(principal.tenant_id, name)
    if row is None:
        raise NotFound("There is no budget of that name; setAiBudget makes one.", field="name")
    return _budget(row).definition


def _budget(row: AiBudgetRow) -> AiBudget:
    assert row.budget_id is not None
    definition = BudgetDefinition(row.name, row.amount, BudgetPeriod[row.recurrence], from_json(row.condition))
    return AiBudget(row.budget_id, definition, row.created_at, row.updated_at)
