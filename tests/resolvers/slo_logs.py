"""A log of calls and visits, and objectives for them, seen at set moments."""

from datetime import UTC, datetime, timedelta
from typing import Any

from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context
from resolvers.slo_checks import SloDraft
from resolvers.slos import Slo, create_slo
from tests.factories import event

NOW = datetime(2026, 3, 16, 12, 34, 56, tzinfo=UTC)
END = datetime(2026, 3, 16, 12, 35, tzinfo=UTC)
"""Where every window ends that is looked at now."""
ASKED = Question(PeriodRequest(last="30d"))
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Sent = dict[str, Any]


def call(at: datetime, success: bool | None, **fields: Any) -> Sent:
    """An AI interaction."""
    dimensions = {"provider": "p", "model": "m"} | fields.pop("dimensions", {})
    made = {"kind": "AI_INTERACTION", "name": "chat", "occurredAt": at, "dimensions": dimensions}
    return event(**made | ({} if success is None else {"success": success}) | fields)


def calls(at: datetime, good: int, bad: int, **fields: Any) -> list[Sent]:
    """Several of them at once."""
    return [call(at, place < good, **fields) for place in range(good + bad)]


async def slo(context: Context, key: str = "calls", **changes: Any) -> Slo:
    fields: dict[str, Any] = {"metric": "ai_success_rate", "objective": "0.9", "minimum_events": 1}
    return await create_slo(context, SloDraft(key, **fields | changes))
