"""Sending events: what the inputs become for the intake, and what its receipts become for the sender."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from resolvers.analysis.events import DIMENSIONS, Conflict, Event, Kind, Receipt, Rejection
from resolvers.analysis.intake import camel, validate
from resolvers.context import Role
from resolvers.errors import BadInput, GatewayError, Overloaded, TimedOut, Unavailable
from schema import schema
from tests.schema.conftest import Recorder, answer, execute

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
STORED = Receipt(accepted=1, ids=("e1",))
RECEIPT = """
  accepted duplicates ids rejected {index field message}
  conflicts {index eventId message firstOccurredAt firstReceivedAt}
"""
ERRORS = """
  ... on Error {__typename message code}
  ... on InvalidInput {field}
  ... on Overloaded {retryAfter}
"""

MUTATIONS = {
    "trackConversion": (Kind.CONVERSION, {"subject": "ann", "name": "signup"}),
    "trackAiInteraction": (Kind.AI_INTERACTION, {"subject": "ann", "provider": "openai", "model": "gpt-5"}),
    "trackTouchpoint": (Kind.TOUCHPOINT, {"subject": "ann", "channel": "email"}),
    "trackExposure": (Kind.EXPOSURE, {"subject": "ann", "experiment": "e", "variant": "v"}),
    "trackEvent": (Kind.PRODUCT, {"subject": "ann", "name": "page_view"}),
    "trackSpend": (Kind.SPEND, {"cost": "10"}),
    "trackSubscription": (
        Kind.SUBSCRIPTION,
        {"subject": "ann", "name": "started", "amount": "10", "interval": "MONTH", "plan": "pro"},
    ),
}
MEMBERS = {
    "conversion": "trackConversion",
    "aiInteraction": "trackAiInteraction",
    "touchpoint": "trackTouchpoint",
    "exposure": "trackExposure",
    "product": "trackEvent",
    "spend": "trackSpend",
    "subscription": "trackSubscription",
}


def input_name(mutation: str) -> str:
    return f"{mutation[0].upper()}{mutation[1:]}Input"


def track(mutation: str) -> str:
    return f"""mutation ($input: {input_name(mutation)}!) {{
      result: {mutation}(input: $input) {{ ... on Receipt {{{RECEIPT}}} ... on TrackPayload {{eventId}} {ERRORS} }}
    }}"""


INGEST = f"""mutation ($input: IngestEventsInput!) {{
  result: ingestEvents(input: $input) {{ ... on Receipt {{{RECEIPT}}} {ERRORS} }}
}}"""


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_each_mutation_sends_an_event_of_its_kind(mutation: str, record: Callable[[str, Any], Recorder]) -> None:
    ingest = record("resolvers.events.ingest", STORED)
    kind, given = MUTATIONS[mutation]
    data = await answer(track(mutation), input=given, role=Role.INGEST)
    assert data["result"] == {
        "accepted": 1,
        "duplicates": 0,
        "conflicts": [],
        "rejected": [],
        "ids": ["e1"],
        "eventId": "e1",
    }
    ((event,),) = ingest.args
    assert event["kind"] == kind.name
    assert isinstance(validate(event, now=NOW, new_id=lambda _: "made"), Event)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_batch_offers_every_mutation(member: str) -> None:
    fields = schema._schema.type_map["EventInput"].fields  # type: ignore[union-attr]
    assert list(fields) == list(MEMBERS)
    assert fields[member].type.name == input_name(MEMBERS[member])


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_field_that_the_intake_takes_of_a_kind_can_be_sent(mutation: str) -> None:
    """An input has the fields of its kind and no others; a null tells nothing, whatever the kind."""
    kind, _ = MUTATIONS[mutation]
    offered = set(schema._schema.type_map[input_name(mutation)].fields)  # type: ignore[union-attr]
    dimensions = {camel(name) for name in DIMENSIONS}
    plain = {"id", "name", "subject", "occurredAt", "session", "orderId", "amount", "cost", "currency", "durationMs"}
    plain |= {"inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "score", "success"}
    plain |= {"assisted", "recurring", "dimensions", "properties", "subscription", "interval"}
    for field in plain:
        refusal = validate({"kind": kind.name, field: ["no"]}, now=NOW, new_id=lambda _: "made")
        assert not isinstance(refusal, Event)
        taken = "does not apply" not in refusal.message
        assert (field in offered) == taken, field
    assert offered - plain <= dimensions


async def test_values_arrive_as_they_were_sent(record: Callable[[str, Any], Recorder]) -> None:
    ingest = record("resolvers.events.ingest", Receipt(accepted=1, rejected=(Rejection(1, "amount", "is wrong"),)))
    good = {"subject": "ann", "name": "purchase", "amount": "19.990", "occurredAt": "2026-03-10T12:00:00+02:00"}
    bad = {"subject": "ann", "name": "purchase", "amount": ["x"], "occurredAt": 5, "properties": [1, None]}
    touch = {"subject": "ann", "channel": "ads", "dimensions": {"channel": "email", "plan": "pro"}, "cost": 1.5}
    spend = {"cost": 3, "source": None, "dimensions": None}
    data = await answer(
        INGEST,
        input={"events": [{"conversion": good}, {"conversion": bad}, {"touchpoint": touch}, {"spend": spend}]},
    )
    assert ingest.args == (
        [
            {"kind": "CONVERSION", **good},
            {"kind": "CONVERSION", **bad},
            {
                "kind": "TOUCHPOINT",
                "subject": "ann",
                "cost": 1.5,
                "dimensions": {"channel": "ads", "plan": "pro"},
            },
            {"kind": "SPEND", "cost": 3},
        ],
    )
    assert data["result"]["rejected"] == [{"index": 1, "field": "amount", "message": "is wrong"}]


async def test_money_in_the_document_keeps_its_digits(record: Callable[[str, Any], Recorder]) -> None:
    ingest = record("resolvers.events.ingest", STORED)
    await answer('mutation { trackSpend(input: {cost: 10.10, currency: "EUR"}) { __typename } }')
    assert ingest.args == ([{"kind": "SPEND", "cost": "10.10", "currency": "EUR"}],)


async def test_a_conflict_names_the_first(record: Callable[[str, Any], Recorder]) -> None:
    first = Conflict(0, "e1", NOW, NOW.replace(hour=13))
    record("resolvers.events.ingest", Receipt(conflicts=(first,), ids=("e1",)))
    data = await answer(track("trackSpend"), input={"id": "e1", "cost": "1"})
    (conflict,) = data["result"]["conflicts"]
    assert conflict.pop("message").startswith("The id e1 already belongs to")
    assert conflict == {
        "index": 0,
        "eventId": "e1",
        "firstOccurredAt": "2026-03-10T12:00:00Z",
        "firstReceivedAt": "2026-03-10T13:00:00Z",
    }
    assert data["result"]["eventId"] == "e1"


async def test_a_rejected_single_event_is_a_typed_error(record: Callable[[str, Any], Recorder]) -> None:
    rejection = Rejection(0, "occurredAt", "must not be before 2000")
    record("resolvers.events.ingest", Receipt(rejected=(rejection,), ids=(None,)))
    data = await answer(track("trackSpend"), input={"cost": "1", "occurredAt": "1999-01-01T00:00:00Z"})
    assert data["result"] == {
        "__typename": "InvalidInput",
        "message": "occurredAt must not be before 2000.",
        "code": "BAD_USER_INPUT",
        "field": "occurredAt",
    }


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            BadInput("too many", field="events"),
            {"__typename": "InvalidInput", "code": "BAD_USER_INPUT", "field": "events"},
        ),
        (BadInput("odd"), {"__typename": "InvalidInput", "code": "BAD_USER_INPUT", "field": None}),
        (Overloaded("full", retry_after=2.5), {"__typename": "Overloaded", "code": "OVERLOADED", "retryAfter": 2.5}),
        (Unavailable("away"), {"__typename": "Overloaded", "code": "UNAVAILABLE", "retryAfter": None}),
        (TimedOut("slow"), {"__typename": "Overloaded", "code": "TIMEOUT", "retryAfter": None}),
    ],
)
async def test_what_goes_wrong_is_a_type(
    error: GatewayError, shown: dict[str, Any], record: Callable[[str, Any], Recorder]
) -> None:
    record("resolvers.events.ingest", error)
    data = await answer(INGEST, input={"events": []})
    assert data["result"] == shown | {"message": error.message}


async def test_anything_else_is_no_result(record: Callable[[str, Any], Recorder]) -> None:
    record("resolvers.events.ingest", RuntimeError("a defect"))
    result = await execute(INGEST, input={"events": []})
    assert result.data is None
    assert result.errors is not None


@pytest.mark.parametrize(
    ("role", "typename"), [(None, "Unauthenticated"), (Role.VIEWER, "Forbidden"), (Role.ANALYST, "TrackPayload")]
)
async def test_who_may_send(role: Role | None, typename: str, record: Callable[[str, Any], Recorder]) -> None:
    ingest = record("resolvers.events.ingest", STORED)
    data = await answer("mutation { trackSpend(input: {cost: 1}) { __typename } }", role=role)
    assert data["trackSpend"]["__typename"] == typename
    assert len(ingest.calls) == (typename == "TrackPayload")
