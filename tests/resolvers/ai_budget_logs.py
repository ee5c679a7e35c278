"""A log of AI interactions, and budgets for them, seen at set moments."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from resolvers.ai_budgets import set_ai_budget
from resolvers.analysis.ai_budgets import BudgetPeriod
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context
from tests.factories import event

NOON = datetime(2026, 3, 16, 12, tzinfo=UTC)
"""A Monday."""
NOW = Question(PeriodRequest(last="1d"))
Sent = dict[str, Any]


def call(at: datetime, cost: str | None, provider: str = "acme", model: str = "m", **fields: Any) -> Sent:
    money = {} if cost is None else {"cost": cost, "currency": "USD"}
    dimensions = {"provider": provider, "model": model}
    made = {"kind": "AI_INTERACTION", "name": "chat", "occurredAt": at, "dimensions": dimensions}
    return event(**made | money | fields)


async def budget(context: Context, amount: str = "100", **changes: Any) -> int:
    fields: dict[str, Any] = {"name": "all", "recurrence": BudgetPeriod.MONTH, "where": EVERYTHING}
    return (await set_ai_budget(context, amount=amount, **fields | changes)).id


def seen_at(context: Context, now: datetime) -> Context:
    """The same caller at another time."""
    return Context(replace(context.services, now=lambda: now), context.principal)
