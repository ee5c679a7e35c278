"""The log as it is read: pages and their cursors, single events by global id, the stream of new ones."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from resolvers.analysis.events import Event, Kind, StoredEvent
from resolvers.analysis.filters import EVERYTHING, Filter, KindIs
from resolvers.analysis.periods import PeriodRequest
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.events import EventPage
from schema import schema
from schema.nodes import Node, decode, encode
from tests.schema.conftest import Recorder, answer, context, failure

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
PAGE = "edges {cursor node {id eventId}} pageInfo {hasNextPage hasPreviousPage startCursor endCursor}"


def stored(event_id: str, **fields: Any) -> StoredEvent:
    event = Event(
        **{
            "id": event_id,
            "kind": Kind.PRODUCT,
            "name": "page_view",
            "subject": "ann",
            "occurred_at": NOON,
            "content": b"",
            **fields,
        }
    )
    return StoredEvent(event, position=2**40, received_at=NOON + timedelta(seconds=1))


FULL = stored(
    "e1",
    kind=Kind.AI_INTERACTION,
    session="s",
    order_id="o",
    amount=Decimal("1E+3"),
    cost=Decimal("0.000000000001"),
    currency="EUR",
    cost_source="given",
    duration_ms=12.5,
    input_tokens=10**12,
    output_tokens=2,
    cache_read_tokens=3,
    cache_write_tokens=4,
    score=0.5,
    success=False,
    assisted=True,
    recurring=False,
    dimensions={"request_type": "chat"},
    properties={"a": [1, None]},
)
WHOLE = """{events {edges {node {
  eventId kind name subject occurredAt receivedAt position session orderId amount cost currency costSource durationMs
  inputTokens outputTokens cacheReadTokens cacheWriteTokens score success assisted recurring
  dimensions {requestType plan} properties
}}}}"""


async def test_an_event_shows_all_that_it_holds(record: Callable[[str, Any], Recorder]) -> None:
    record("resolvers.events.events", EventPage((FULL,), ("c",), False))
    data = await answer(WHOLE)
    assert data["events"]["edges"][0]["node"] == {
        "eventId": "e1",
        "kind": "AI_INTERACTION",
        "name": "page_view",
        "subject": "ann",
        "occurredAt": "2026-03-10T12:00:00Z",
        "receivedAt": "2026-03-10T12:00:01Z",
        "position": 2**40,
        "session": "s",
        "orderId": "o",
        "amount": "1000",
        "cost": "0.000000000001",
        "currency": "EUR",
        "costSource": "given",
        "durationMs": 12.5,
        "inputTokens": 10**12,
        "outputTokens": 2,
        "cacheReadTokens": 3,
        "cacheWriteTokens": 4,
        "score": 0.5,
        "success": False,
        "assisted": True,
        "recurring": False,
        "dimensions": {"requestType": "chat", "plan": None},
        "properties": {"a": [1, None]},
    }


async def test_a_page_leads_to_the_next(record: Callable[[str, Any], Recorder]) -> None:
    events = record("resolvers.events.events", EventPage((stored("a"), stored("b")), ("1", "2"), True))
    first = (await answer(f"{{events(first: 2) {{{PAGE}}}}}"))["events"]
    assert [edge["node"]["eventId"] for edge in first["edges"]] == ["a", "b"]
    cursors = [edge["cursor"] for edge in first["edges"]]
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": cursors[0],
        "endCursor": cursors[1],
    }
    assert events.kwargs == {"where": EVERYTHING, "period": None, "first": 2, "after": None}

    events = record("resolvers.events.events", EventPage((), (), False))
    query = f"query ($after: String) {{events(after: $after) {{{PAGE}}}}}"
    last = (await answer(query, after=cursors[1]))["events"]
    assert events.kwargs["after"] == "2"
    assert events.kwargs["first"] == 50
    assert last == {
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": True, "startCursor": None, "endCursor": None},
    }


async def test_where_and_period_are_handed_on(record: Callable[[str, Any], Recorder]) -> None:
    events = record("resolvers.events.events", EventPage((), (), False))
    await answer(
        """{events(where: {kind: SPEND}, period: {from: "2026-03-10T13:00:00+01:00", to: "2026-03-11T00:00:00Z"})
          {pageInfo {hasNextPage}}}"""
    )
    assert events.kwargs["where"] == KindIs((Kind.SPEND,))
    assert events.kwargs["period"] == PeriodRequest(start=NOON, end=datetime(2026, 3, 11, tzinfo=UTC))


@pytest.mark.parametrize(
    "after",
    [
        encode("SavedFunnelCursor", "1"),
        encode("Event", "e1"),
        encode("EventCursor", "1") + "=",
        "EventCursor:1",
        "",
        "\x00",
        "🎈",
        "A" * 10_000,
    ],
)
async def test_a_cursor_of_another_list_is_refused(after: str) -> None:
    error = await failure("query ($after: String) {events(after: $after) {pageInfo {hasNextPage}}}", after=after)
    assert isinstance(error.original_error, BadInput)
    assert error.original_error.field == "after"


@pytest.mark.parametrize(
    ("period", "field"),
    [
        ({"last": 30}, "period.last"),
        ({"from": "2026-03-10", "to": "2026-03-11T00:00:00Z"}, "period.from"),
        ({"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00"}, "period.to"),
        ({"from": {"a": 1}}, "period.from"),
    ],
)
async def test_a_period_that_cannot_be_read_is_refused(period: dict[str, Any], field: str) -> None:
    query = "query ($period: PeriodInput) {events(period: $period) {pageInfo {hasNextPage}}}"
    error = await failure(query, period=period)
    assert isinstance(error.original_error, BadInput)
    assert error.original_error.field == field


def events_of(monkeypatch: pytest.MonkeyPatch, *known: str) -> list[Sequence[str]]:
    """Stand in for a tenant's events; returns the lists of ids that were looked up."""
    asked: list[Sequence[str]] = []

    async def events_by_id(_context: Context, ids: Sequence[str]) -> dict[str, StoredEvent]:
        asked.append(ids)
        return {event_id: stored(event_id) for event_id in ids if event_id in known}

    monkeypatch.setattr("resolvers.events.events_by_id", events_by_id)
    return asked


async def test_a_global_id_leads_back_to_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    events_of(monkeypatch, "a:b ü")
    data = await answer(
        "query ($id: ID!) {node(id: $id) {__typename id ... on Event {eventId}}}", id=encode("Event", "a:b ü")
    )
    assert data["node"] == {"__typename": "Event", "id": encode("Event", "a:b ü"), "eventId": "a:b ü"}


async def test_many_are_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = events_of(monkeypatch, "a", "b")
    ids = [encode("Event", key) for key in ("b", "none", "a", "b", "nul\x00", "")]
    data = await answer("query ($ids: [ID!]!) {nodes(ids: $ids) {id}}", ids=ids)
    assert data["nodes"] == [{"id": ids[0]}, None, {"id": ids[2]}, {"id": ids[0]}, None, None]
    assert asked == [["b", "none", "a"]]


@pytest.mark.parametrize("bad", ["", "x", encode("Query", "1"), encode("EventCursor", "1"), "\x00", "Event:a"])
async def test_no_id_is_refused(bad: str) -> None:
    error = await failure("query ($ids: [ID!]!) {nodes(ids: $ids) {id}}", ids=[encode("Event", "a"), bad])
    assert isinstance(error.original_error, BadInput)
    assert error.original_error.field == "ids[1]"


async def test_ids_are_bounded() -> None:
    error = await failure("query ($ids: [ID!]!) {nodes(ids: $ids) {id}}", ids=[encode("Event", "a")] * 101)
    assert isinstance(error.original_error, BadInput)
    assert error.original_error.field == "ids"


def test_ids_tell_types_apart() -> None:
    assert decode(encode("Event", "1")) == ("Event", "1")
    assert encode("Event", "1") != encode("SavedFunnel", "1")
    foretold = {"SubjectAtRisk", "UpsellCandidate", "ValuableCustomer"}
    known = {"AiBudget", "Event", "ExchangeRate", "ModelPrice", "Persona", "Recommendation", "SavedFunnel", "Segment"}
    known |= {
        "Experiment",
        "ExperimentChange",
        "ExperimentUnit",
        "FeatureFlag",
        "FlagChange",
        "Holdout",
        "Slo",
        "Subject",
    }
    assert set(Node.types) == known | foretold


async def test_new_events_come_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Filter] = []
    closed: list[bool] = []

    async def events_stream(_context: Context, *, where: Filter) -> AsyncIterator[tuple[StoredEvent, ...]]:
        asked.append(where)
        try:
            yield (stored("a"), stored("b"))
            yield (stored("c"),)
            yield ()
        finally:
            closed.append(True)

    monkeypatch.setattr("resolvers.events.events_stream", events_stream)
    results = await schema.subscribe(
        "subscription {events(where: {kind: PRODUCT}) {eventId}}", context_value=context(Role.VIEWER)
    )
    data = [(await anext(results)).data for _ in range(2)]
    assert data == [{"events": [{"eventId": "a"}, {"eventId": "b"}]}, {"events": [{"eventId": "c"}]}]
    assert asked == [KindIs((Kind.PRODUCT,))]
    assert not closed
    await results.aclose()
    assert closed
