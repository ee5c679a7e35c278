"""The shared dimensions as GraphQL sees them: an enum to name one, a type to read and an input to send their values."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry

from schema.shapes import enumerate_in_schema

MEANINGS = {
    "channel": "How the subject came, e.g. `organic_search`, `email`, `ads`.",
    "campaign": "The marketing campaign.",
    "source": "Where in the channel, e.g. `google`, `newsletter`.",
    "persona": "What sort of person the subject is, e.g. `founder`, `developer`.",
    "segment": "The group of customers the subject is counted among, e.g. `enterprise`.",
    "provider": "Who runs the AI model, e.g. `openai`, `anthropic`.",
    "model": "The AI model as its provider names it.",
    "feature": "The feature of the product.",
    "agent": "The AI or human agent who acted.",
    "integration": "The connected third-party system.",
    "service": "The technical service that did the work.",
    "plan": "The subject's price plan.",
    "location": "Where the subject is, e.g. an ISO 3166 country code.",
    "experiment": "The experiment the subject takes part in.",
    "variant": "The experiment's variant the subject is given.",
    "request_type": "What was asked of the AI, e.g. `chat`, `summary`.",
}
"""What each of the shared dimensions means; the value at most 200 characters."""


_ALSO = {
    "persona": (
        " It is what events say; whom the rules of a persona mean is in the segment `persona/<slug>`: ask with `where: "
        '{segment: {in: "persona/<slug>"}}`, or for several side by side by the field that ends in `BySegment`.'
    ),
    "segment": (
        " It is what events say; members of a segment of `saveSegment` are asked about with `where: {segment: …}`, or "
        "side by side by the field that ends in `BySegment`."
    ),
}
"""Where else to look for what somebody may mean by a dimension."""


class Dimension(Enum):
    CHANNEL = "channel"
    CAMPAIGN = "campaign"
    SOURCE = "source"
    PERSONA = "persona"
    SEGMENT = "segment"
    PROVIDER = "provider"
    MODEL = "model"
    FEATURE = "feature"
    AGENT = "agent"
    INTEGRATION = "integration"
    SERVICE = "service"
    PLAN = "plan"
    LOCATION = "location"
    EXPERIMENT = "experiment"
    VARIANT = "variant"
    REQUEST_TYPE = "request_type"


enumerate_in_schema(
    Dimension,
    "A shared dimension: each breaks down and filters every analysis that can carry it.",
    {name.upper(): f"{meaning}{_ALSO.get(name, '')}" for name, meaning in MEANINGS.items()},
)


def _value(name: str) -> Any:
    return strawberry.field(description=f"{MEANINGS[name]} Null where the event carries none.", default=None)


@strawberry.type(description="An event's dimensions; each is null where the event does not carry it.")
class EventDimensions:
    channel: str | None = _value("channel")
    campaign: str | None = _value("campaign")
    source: str | None = _value("source")
    persona: str | None = _value("persona")
    segment: str | None = _value("segment")
    provider: str | None = _value("provider")
    model: str | None = _value("model")
    feature: str | None = _value("feature")
    agent: str | None = _value("agent")
    integration: str | None = _value("integration")
    service: str | None = _value("service")
    plan: str | None = _value("plan")
    location: str | None = _value("location")
    experiment: str | None = _value("experiment")
    variant: str | None = _value("variant")
    request_type: str | None = _value("request_type")

    @classmethod
    def of(cls, dimensions: Mapping[str, str]) -> "EventDimensions":
        return cls(**dimensions)


def given(name: str) -> Any:
    """An optional input field for a dimension's value."""
    return strawberry.field(description=f"{MEANINGS[name]} At most 200 characters.")


@strawberry.input(description="The dimensions of an event to send; leave out what it does not carry.")
class DimensionsInput:
    channel: str | None = given("channel")
    campaign: str | None = given("campaign")
    source: str | None = given("source")
    persona: str | None = given("persona")
    segment: str | None = given("segment")
    provider: str | None = given("provider")
    model: str | None = given("model")
    feature: str | None = given("feature")
    agent: str | None = given("agent")
    integration: str | None = given("integration")
    service: str | None = given("service")
    plan: str | None = given("plan")
    location: str | None = given("location")
    experiment: str | None = given("experiment")
    variant: str | None = given("variant")
    request_type: str | None = given("request_type")
