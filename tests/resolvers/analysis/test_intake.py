from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.events import DIMENSIONS, Event, Kind
from resolvers.analysis.intake import Refusal, camel, validate
from resolvers.analysis.intake_properties import GREATEST_INTEGER, PROPERTIES_BYTES, PROPERTIES_DEPTH

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


@pytest.mark.parametrize(
    "amount",
    [
        "-1",
        -1,
        -0.01,
        "1000000000000.01",
        10**13,
        10**4000,
        1e13,
        "NaN",
        "sNaN",
        "Infinity",
        float("nan"),
        float("inf"),
        "1e999999999",
        "1e-999999999",
        "0.0000000000001",
        "1_000",
        " 1",
        "",
        "1,5",
        "٣",
        True,
        [],
        {},
        "1" * 5000,
        0.1 + 0.2,
        Decimal("NaN"),
        Decimal("-1"),
        Decimal("1E+999999"),
    ],
)
def test_refused_money(amount: Any) -> None:
    assert refuse({**SALE, "amount": amount}).field == "amount"
    assert refuse({**TOUCH, "cost": amount}).field == "cost"


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("19.90", "19.9"),
        ("0", "0"),
        (-0.0, "0"),
        ("1e3", "1000"),
        (7, "7"),
        (19.99, "19.99"),
        (1e-7, "0.0000001"),
        ("1000000000000", "1000000000000"),
        ("0.000000000001", "0.000000000001"),
        ("+.5", "0.5"),
        ("007.", "7"),
        (Decimal("1.50"), "1.5"),
        ("999999999999.999999999999", "999999999999.999999999999"),
    ],
)
def test_money_is_exact_and_plain(amount: Any, expected: str) -> None:
    found = accept({**SALE, "amount": amount}).amount
    assert found is not None
    assert f"{found:f}" == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2026-01-01T00:00:00", "zone"),
        ("2026-01-01", "RFC 3339"),
        ("2026-W01-1T00:00:00Z", "RFC 3339"),
        ("20260101T000000Z", "RFC 3339"),
        ("2026-01-01T00:00Z", "RFC 3339"),
        ("2026-01-01T00:00:00,5Z", "RFC 3339"),
        ("2026-01-01T00:00:00.1234567890Z", "RFC 3339"),
        ("2026-01-01T00:00:00Z\n", "RFC 3339"),
        (1767225600, "RFC 3339"),
        ("2016-12-31T23:59:60Z", "leap second"),
        ("2026-02-30T00:00:00Z", "exists"),
        ("2026-01-01T24:00:00Z", "exists"),
        ("2026-01-01T00:00:00+24:00", "exists"),
        ("0000-01-01T00:00:00Z", "exists"),
        ("0001-01-01T00:00:00+14:00", "before 2000"),
        ("9999-12-31T23:59:59-14:00", "before 2100"),
        ("1999-12-31T23:59:59Z", "before 2000"),
        ("2000-01-01T00:00:00+00:01", "before 2000"),
        ("2026-06-02T12:00:00.000001Z", "ahead"),
        ("2027-01-01T00:00:00Z", "ahead"),
    ],
)
def test_refused_times(text: Any, word: str) -> None:
    refusal = refuse({**VIEW, "occurredAt": text})
    assert refusal.field == "occurredAt"
    assert word in refusal.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01t00:00:00z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01 00:00:00.5+05:30", datetime(2025, 12, 31, 18, 30, 0, 500000, tzinfo=UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        ("1999-12-31T23:59:59-01:00", datetime(2000, 1, 1, 0, 59, 59, tzinfo=UTC)),
        ("2026-06-02T12:00:00Z", NOW + timedelta(days=1)),
        ("2026-01-01T00:00:00.1234569Z", datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert accept({**VIEW, "occurredAt": text}).occurred_at == expected


@pytest.mark.parametrize(
    "value",
    [
        [],
        "x",
        nested(PROPERTIES_DEPTH + 1),
        nested(900),
        {"x": float("nan")},
        {"x": [float("-inf")]},
        {"x": GREATEST_INTEGER + 1},
        {"x": 2.0**63},
        {"x": -1e308},
        {"x": 10**4000},
        {"x": "a\x00"},
        {"x": "\udfff"},
        {"a\x00": 1},
        {"k" * 201: 1},
        {1: 1},
        {"x": "a" * PROPERTIES_BYTES},
        {"x": "é" * (PROPERTIES_BYTES // 2)},
        {"x": [0] * PROPERTIES_BYTES},
        {"x": [[]] * 10**6},
        {"x": ("a",)},
        {"x": b"a"},
        {"x": Decimal(1)},
    ],
)
def test_refused_properties(value: Any) -> None:
    assert refuse({**VIEW, "properties": value}).field == "properties"


def test_properties_at_their_limits() -> None:
    for value in (
        nested(PROPERTIES_DEPTH),
        {"x": "a" * (PROPERTIES_BYTES - len('{"x":""}'))},
        {"x": [GREATEST_INTEGER, -GREATEST_INTEGER, 1e18, "a\tb"]},
        {"k" * 200: None},
    ):
        assert accept({**VIEW, "properties": value}).properties == value


def test_a_refusal_shows_no_more_than_a_little_of_what_was_sent() -> None:
    assert refuse({**VIEW, "\ud800\x00" + "x" * 5000: 1}).field.isprintable()
    assert len(refuse({**VIEW, "x" * 5000: 1}).field) <= 60
    assert "channel" in refuse({**VIEW, "dimensions": {"color": "x"}}).message


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


plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-GREATEST_INTEGER, GREATEST_INTEGER)
    | st.floats(-(2.0**62), 2.0**62)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20), inner, max_size=5
        )
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.text(st.characters(codec="ascii", exclude_characters="\x00"), max_size=9), plain_json))
def test_properties_come_through_equal_and_settle(value: dict[str, Any]) -> None:
    event = accept({**VIEW, "properties": value})
    assert event.properties == value
    assert accept({**VIEW, "properties": dict(event.properties)}) == event


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
