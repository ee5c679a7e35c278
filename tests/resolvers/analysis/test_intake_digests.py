"""What makes two events one: digests of their content."""

from datetime import timedelta
from typing import Any

from resolvers.analysis.events import Event
from resolvers.analysis.intake import validate
from tests.resolvers.analysis.intake_events import (
    CALL,
    NOW,
    SALE,
    SEEN,
    SPEND,
    VIEW,
    accept,
)


def test_equal_content_in_another_spelling_has_one_digest() -> None:
    one = {
        **SALE,
        "amount": "10.50",
        "currency": "USD",
        "durationMs": 5,
        "occurredAt": "2026-01-01T00:00:00Z",
        "dimensions": {"channel": "email", "plan": "pro"},
        "properties": {"a": 1, "b": 100},
    }
    other = {
        "properties": {"b": 1e2, "a": 1.0},
        "dimensions": {"plan": "pro", "channel": "email", "source": None},
        "occurredAt": "2026-01-01t02:00:00.000+02:00",
        "durationMs": 5.0,
        "currency": "usd",
        "amount": 10.5,
        "id": "given",
        **SALE,
    }
    assert accept(one).content == accept(other).content


def test_other_content_has_another_digest() -> None:
    variations: list[dict[str, Any]] = [
        {},
        {"name": "other"},
        {"subject": "bob"},
        {"session": "ada"},
        {"orderId": "ada"},
        {"amount": "1"},
        {"amount": "10"},
        {"amount": "0"},
        {"occurredAt": "2026-06-01T12:00:00Z"},
        {"success": True},
        {"success": False},
        {"recurring": False},
        {"score": 1},
        {"durationMs": 1},
        {"dimensions": {"channel": "a"}},
        {"dimensions": {"plan": "a"}},
        {"properties": {"channel": "a"}},
        {"properties": {"a": "1"}},
        {"properties": {"a": 1}},
        {"properties": {"a": [1]}},
        {"properties": {"a": {"1": None}}},
        {"properties": {"a": True}},
    ]
    assert len({accept({**SALE, **variation}).content for variation in variations}) == len(variations)


def test_what_the_gateway_adds_is_not_in_the_digest() -> None:
    later = validate(VIEW, now=NOW + timedelta(hours=1), new_id=lambda at: "another")
    assert isinstance(later, Event)
    assert later.content == accept(VIEW).content


def test_the_digests_of_earlier_versions_stand() -> None:
    """A client that repeats an old event must not be told of a conflict."""
    sold = {
        **SALE,
        "id": "a",
        "name": "subscription",
        "occurredAt": "2026-05-01T00:00:00Z",
        "amount": "19.90",
        "currency": "eur",
        "orderId": "o1",
        "recurring": True,
        "properties": {"seats": 3},
        "dimensions": {"plan": "pro", "channel": "email"},
    }
    digests = [accept(raw).content.hex() for raw in (sold, {**CALL, "inputTokens": 10}, SEEN, SPEND)]
    assert digests == [
        "406193d18a155af7ec900ef20b3f820a",
        "eca207e7c5a44048dc2ff9b406f6a2e0",
        "effd6e3eb41bef934f50ea7becc1bf9a",
        "6a470f2c87811a0b3305375e3d533555",
    ]
