"""The validation of events at the edge: what comes through, and what is refused by which field."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.events import DIMENSIONS, Event, Kind
from resolvers.analysis.intake import Refusal, camel
from tests.resolvers.analysis.intake_events import (
    CALL,
    NOW,
    SALE,
    SEEN,
    SPEND,
    TOUCH,
    VIEW,
    accept,
    judge,
    refuse,
)


def test_everything_an_event_may_carry_is_kept() -> None:
    event = accept(
        {
            **CALL,
            "id": "call-1",
            "name": "answer",
            "occurredAt": "2026-05-31T23:30:00.123456789-02:00",
            "session": "s1",
            "cost": "0.0031",
            "currency": "eur",
            "durationMs": 812,
            "inputTokens": "1000",
            "outputTokens": 50.0,
            "cacheReadTokens": 10,
            "cacheWriteTokens": 20,
            "score": 0.75,
            "success": True,
            "assisted": False,
            "dimensions": {"requestType": "chat", "provider": "openai", "model": "gpt-4o"},
            "properties": {"b": [1.0, None], "a": {"text": "x\ny"}},
        }
    )
    assert event == Event(
        id="call-1",
        kind=Kind.AI_INTERACTION,
        name="answer",
        subject="ada",
        occurred_at=datetime(2026, 6, 1, 1, 30, 0, 123456, tzinfo=UTC),
        content=event.content,
        session="s1",
        cost=Decimal("0.0031"),
        currency="EUR",
        duration_ms=812.0,
        input_tokens=1000,
        output_tokens=50,
        cache_read_tokens=10,
        cache_write_tokens=20,
        score=0.75,
        success=True,
        assisted=False,
        dimensions={"model": "gpt-4o", "provider": "openai", "request_type": "chat"},
        properties={"a": {"text": "x\ny"}, "b": [1, None]},
    )
    assert len(event.content) == 16
    assert event.occurred_at.tzinfo is UTC


def test_what_is_absent_is_filled_in() -> None:
    event = accept(VIEW)
    assert (event.id, event.occurred_at) == ("made-20260601", NOW)
    assert (event.currency, event.recurring, dict(event.dimensions), dict(event.properties)) == (
        None,
        None,
        {},
        {},
    )
    assert accept({**VIEW, "occurredAt": "2026-01-02T00:00:00Z"}).id == "made-20260102"
    assert [accept(raw).name for raw in (CALL, TOUCH, SEEN, SPEND)] == [
        "ai_interaction",
        "touchpoint",
        "exposure",
        "spend",
    ]


def test_null_is_absent() -> None:
    nulls = dict.fromkeys(("id", "session", "amount", "properties", "occurredAt", "inputTokens"))
    assert accept({**VIEW, **nulls, "dimensions": {"channel": None}}) == accept({**VIEW, "dimensions": {}})


def test_spend_needs_no_subject() -> None:
    assert accept(SPEND).subject == accept({**SPEND, "subject": ""}).subject == ""
    assert accept({**SPEND, "subject": "ada"}).subject == "ada"


@pytest.mark.parametrize(
    ("name", "amount", "recurring", "expected"),
    [
        ("subscription", None, None, True),
        ("upgrade", "9", None, True),
        ("upgrade", "9", False, False),
        ("purchase", "9", None, False),
        ("purchase", "9", True, True),
        ("signup", None, None, None),
    ],
)
def test_recurring(name: str, amount: str | None, recurring: bool | None, expected: bool | None) -> None:
    assert accept({**SALE, "name": name, "amount": amount, "recurring": recurring}).recurring is expected


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({}, "kind"),
        ({**VIEW, "kind": "CLICK"}, "kind"),
        ({**VIEW, "kind": "product"}, "kind"),
        ({**VIEW, "kind": ["PRODUCT"]}, "kind"),
        ({**VIEW, "kind": 5}, "kind"),
        ({"kind": "PRODUCT", "name": "x"}, "subject"),
        ({**VIEW, "subject": ""}, "subject"),
        ({**VIEW, "subject": "s" * 501}, "subject"),
        ({**VIEW, "subject": 7}, "subject"),
        ({"kind": "PRODUCT", "subject": "ada"}, "name"),
        ({"kind": "CONVERSION", "subject": "ada"}, "name"),
        ({**VIEW, "name": "n" * 201}, "name"),
        ({**VIEW, "name": "a\x00b"}, "name"),
        ({**VIEW, "name": "a\nb"}, "name"),
        ({**VIEW, "name": "\ud800"}, "name"),
        ({**VIEW, "name": " a"}, "name"),
        ({**VIEW, "name": "a\u00a0"}, "name"),
        ({**VIEW, "id": ""}, "id"),
        ({**VIEW, "id": 3}, "id"),
        ({**VIEW, "session": "x" * 201}, "session"),
        ({**VIEW, "orderId": "x" * 201}, "orderId"),
        ({**VIEW, "colour": "red"}, "colour"),
        ({**VIEW, "occurred_at": "2026-01-01T00:00:00Z"}, "occurred_at"),
        ({**VIEW, "dimensions": {"color": "red"}}, "dimensions.color"),
        ({**VIEW, "dimensions": {"request_type": "x"}}, "dimensions.request_type"),
        ({**VIEW, "dimensions": {"channel": ""}}, "dimensions.channel"),
        ({**VIEW, "dimensions": {"channel": 1}}, "dimensions.channel"),
        ({**VIEW, "dimensions": {"channel": "c" * 201}}, "dimensions.channel"),
        ({**VIEW, "dimensions": [["channel", "x"]]}, "dimensions"),
        ({**VIEW, "success": 1}, "success"),
        ({**VIEW, "assisted": "true"}, "assisted"),
        ({**VIEW, "score": 1.01}, "score"),
        ({**VIEW, "score": -0.1}, "score"),
        ({**VIEW, "score": True}, "score"),
        ({**VIEW, "score": float("nan")}, "score"),
        ({**VIEW, "durationMs": float("inf")}, "durationMs"),
        ({**VIEW, "durationMs": 1e9 + 1}, "durationMs"),
        ({**VIEW, "durationMs": "12"}, "durationMs"),
        ({**CALL, "inputTokens": True}, "inputTokens"),
        ({**CALL, "inputTokens": -1}, "inputTokens"),
        ({**CALL, "inputTokens": 1.5}, "inputTokens"),
        ({**CALL, "inputTokens": float("inf")}, "inputTokens"),
        ({**CALL, "inputTokens": "1e3"}, "inputTokens"),
        ({**CALL, "inputTokens": "٣"}, "inputTokens"),
        ({**CALL, "inputTokens": ""}, "inputTokens"),
        ({**CALL, "outputTokens": 10**12 + 1}, "outputTokens"),
        ({**CALL, "inputTokens": 10, "cacheReadTokens": 8, "cacheWriteTokens": 3}, "inputTokens"),
        ({**VIEW, "inputTokens": 1}, "inputTokens"),
        ({**VIEW, "cost": "1"}, "cost"),
        ({**TOUCH, "amount": "1"}, "amount"),
        ({**SEEN, "success": True}, "success"),
        ({**CALL, "recurring": True}, "recurring"),
        ({**SALE, "currency": "XXX"}, "currency"),
        ({**SALE, "currency": "US"}, "currency"),
        ({**SALE, "currency": 840}, "currency"),
        ({**CALL, "dimensions": {"provider": "openai"}}, "dimensions.model"),
        ({**CALL, "dimensions": None}, "dimensions.provider"),
        ({**TOUCH, "dimensions": {"campaign": "x"}}, "dimensions.channel"),
        ({**SEEN, "dimensions": {"experiment": "x"}}, "dimensions.variant"),
        ({"kind": "SPEND"}, "cost"),
    ],
)
def test_refused(raw: dict[str, Any], field: str) -> None:
    assert refuse(raw).field == field


def test_a_refusal_shows_no_more_than_a_little_of_what_was_sent() -> None:
    assert refuse({**VIEW, "\ud800\x00" + "x" * 5000: 1}).field.isprintable()
    assert len(refuse({**VIEW, "x" * 5000: 1}).field) <= 60
    assert "channel" in refuse({**VIEW, "dimensions": {"color": "x"}}).message


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1e999999999", "NaN", "2026-01-01T00:00:00Z", "\ud800", "PRODUCT", 10**4000])
)
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
names = st.sampled_from([camel(name) for name in Event.__dataclass_fields__])


@given(
    st.sampled_from([kind.name for kind in Kind]),
    st.dictionaries(names | st.text(max_size=5), anything, max_size=12),
)
def test_no_json_makes_it_raise(kind: str, fields: dict[str, Any]) -> None:
    result = judge({"subject": "ada", "name": "x", **fields, "kind": kind})
    assert isinstance(result, Event | Refusal)
    if isinstance(result, Refusal):
        (result.field + result.message).encode()


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50).filter(
    lambda value: value.strip() == value
)
minutes_from_utc = st.integers(-23 * 60, 23 * 60)
zones = minutes_from_utc.map(lambda minutes: timezone(timedelta(minutes=minutes)))
amounts = st.decimals(0, 10**12, places=12)
moments = st.builds(
    lambda moment, zone: moment.astimezone(zone),
    st.integers(0, 26 * 365 * 86400 * 10**6).map(
        lambda microseconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    ),
    zones,
)


@given(texts, texts, amounts, moments, st.dictionaries(st.sampled_from(DIMENSIONS), texts))
def test_valid_events_come_through_unchanged(
    id: str, subject: str, amount: Decimal, moment: datetime, dimensions: dict[str, str]
) -> None:
    raw = {
        **SALE,
        "id": id,
        "subject": subject,
        "amount": f"{amount:f}",
        "occurredAt": moment.isoformat(),
        "dimensions": {camel(name): value for name, value in dimensions.items()},
    }
    event = accept(raw)
    assert (event.id, event.subject, event.amount, event.occurred_at) == (id, subject, amount, moment)
    assert event.dimensions == dimensions
    again = {**raw, "amount": str(event.amount), "occurredAt": event.occurred_at.isoformat(), "id": "x"}
    assert accept(again).content == event.content


CONTRACT: dict[str, Any] = {
    "kind": "SUBSCRIPTION",
    "name": "started",
    "subject": "ada",
    "subscription": "s1",
    "amount": "1200",
    "interval": "YEAR",
    "currency": "USD",
}


def test_a_subscription_says_what_is_due_how_often() -> None:
    event = accept(CONTRACT)
    assert (event.kind, event.subscription, event.amount, event.interval) == (Kind.SUBSCRIPTION, "s1", 1200, "YEAR")
    assert accept({**CONTRACT, "interval": "year"}).content == event.content
    assert accept({**CONTRACT, "interval": "MONTH"}).content != event.content
    assert accept({**CONTRACT, "subscription": "s2"}).content != event.content
    ended = accept({"kind": "SUBSCRIPTION", "name": "ended", "subject": "ada"})
    assert (ended.subscription, ended.amount, ended.interval, ended.recurring) == (None, None, None, None)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "paused"}, "name"),
        ({"name": None}, "name"),
        ({"interval": "FORTNIGHT"}, "interval"),
        ({"interval": 12}, "interval"),
        ({"interval": None}, "interval"),
        ({"amount": None}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"currency": "XXX"}, "currency"),
        ({"subscription": ""}, "subscription"),
        ({"orderId": "o"}, "orderId"),
        ({"recurring": True}, "recurring"),
        ({"kind": "CONVERSION"}, "subscription"),
    ],
)
def test_a_subscription_that_says_too_little_is_refused(given: dict[str, Any], field: str) -> None:
    assert refuse({**CONTRACT, **given}).field == field
