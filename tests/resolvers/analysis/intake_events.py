"""Events of each kind as they are sent, and what the validator says of them."""

from datetime import UTC, datetime
from typing import Any

from resolvers.analysis.events import Event
from resolvers.analysis.intake import Refusal, validate

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
VIEW: dict[str, Any] = {"kind": "PRODUCT", "name": "page_view", "subject": "ada"}
SALE: dict[str, Any] = {"kind": "CONVERSION", "name": "purchase", "subject": "ada"}
CALL: dict[str, Any] = {
    "kind": "AI_INTERACTION",
    "subject": "ada",
    "dimensions": {"provider": "openai", "model": "gpt-4o"},
}
TOUCH: dict[str, Any] = {"kind": "TOUCHPOINT", "subject": "ada", "dimensions": {"channel": "email"}}
SEEN: dict[str, Any] = {
    "kind": "EXPOSURE",
    "subject": "ada",
    "dimensions": {"experiment": "checkout", "variant": "b"},
}
SPEND: dict[str, Any] = {"kind": "SPEND", "cost": "12.50"}


def judge(raw: dict[str, Any]) -> Event | Refusal:
    return validate(raw, now=NOW, new_id=lambda at: f"made-{at:%Y%m%d}")


def accept(raw: dict[str, Any]) -> Event:
    event = judge(raw)
    assert isinstance(event, Event), event
    return event


def refuse(raw: dict[str, Any]) -> Refusal:
    refusal = judge(raw)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.message
    return refusal


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value
