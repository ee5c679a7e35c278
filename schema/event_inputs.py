"""What a client sends of each kind of event, and the plain mapping in which the intake reads it.

The inputs describe what may be sent; their values are handed on as they came, so that the intake judges each event
by itself and a batch costs no conversion.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import strawberry
from strawberry.scalars import JSON
from strawberry.types.base import get_object_definition

from resolvers.analysis.events import DIMENSIONS, Interval, Kind
from resolvers.analysis.intake import camel
from schema.dimensions import DimensionsInput, given
from schema.scalars import BigInt

T = TypeVar("T", bound=type)
PlainEvent = dict[str, Any]

_DIMENSIONS = {camel(name) for name in DIMENSIONS}
_NAME = "At most 200 characters."
_REQUIRED = "Required: an event without it is refused by itself, and the rest of its batch is stored."


def _plain(kind: Kind, value: Mapping[str, Any]) -> PlainEvent:
    """The event as the intake reads it; a dimension given beside ``dimensions`` goes among them, and counts."""
    event: PlainEvent = {"kind": kind.name}
    dimensions: dict[str, Any] = dict(value.get("dimensions") or {})
    for key, given_value in value.items():
        if key in _DIMENSIONS:
            if given_value is not None:
                dimensions[key] = given_value
        elif key != "dimensions":
            event[key] = given_value
    if dimensions:
        event["dimensions"] = dimensions
    return event


def reads_as(kind: Kind) -> Callable[[T], T]:
    """Let an input's values arrive as plain events of a kind."""

    def register(input_type: T) -> T:
        definition = get_object_definition(input_type, strict=True)
        definition.from_input = lambda _type, value, _context: _plain(kind, value)
        return input_type

    return register


def _amount(meaning: str) -> Any:
    return strawberry.field(description=f"{meaning} From 0 to 10¹², at most 12 decimal places.")


def _count(meaning: str) -> Any:
    return strawberry.field(description=f"{meaning} From 0 to 10¹².")


_CURRENCY = "ISO 4217 code, e.g. `EUR`; the tenant's where absent."
_EARNED = "What was earned, in units of `currency`."
_SPENT = "What was spent, in units of `currency`."
_DURATION = "How long it took, in milliseconds, 0 to 10⁹."
_SCORE = "A rating or confidence, 0 to 1."
_SUCCESS = "Whether it succeeded."
_ASSISTED = "Whether AI had a hand in it."


@strawberry.input
class EnvelopeInput:
    id: str | None = strawberry.field(
        description=(
            "An id of your choice, at most 200 characters, unique among all your events. Send the same event "
            "with the same id as often as you like: it is stored once. The gateway makes one where absent."
        )
    )
    occurred_at: datetime | None = strawberry.field(
        description="When it happened, at most a day ahead; now where absent."
    )
    session: str | None = strawberry.field(description="The visit it belongs to, at most 200 characters.")
    dimensions: DimensionsInput | None = strawberry.field(description="The shared dimensions it carries.")
    properties: JSON | None = strawberry.field(
        description="What else there is to say: a JSON object of at most 32 KiB, nested at most 32 deep."
    )


@strawberry.input
class SubjectInput(EnvelopeInput):
    subject: str | None = strawberry.field(
        description=f"Whom it is about: your id of the user, account or visitor, at most 500 characters. {_REQUIRED}"
    )


@reads_as(Kind.CONVERSION)
@strawberry.input(description="Somebody did what the business hopes for; or churned.")
class TrackConversionInput(SubjectInput):
    name: str | None = strawberry.field(
        description=(
            "What happened: `signup`, `subscription`, `purchase`, `upgrade`, `invoice`, `refund`, `churn`, or a name "
            "of your own. `churn` is a loss and `refund` gives `amount` back: neither counts as a conversion. "
            f"{_NAME} {_REQUIRED}"
        )
    )
    amount: Decimal | None = _amount(_EARNED)
    currency: str | None = strawberry.field(description=_CURRENCY)
    recurring: bool | None = strawberry.field(
        description=(
            "Whether `amount` comes again every period; where absent true for `subscription`, `upgrade` and `invoice`, "
            "else false."
        )
    )
    order_id: str | None = strawberry.field(
        description="The order it belongs to, for an order of several events; at most 200 characters."
    )
    duration_ms: float | None = strawberry.field(description=_DURATION)
    score: float | None = strawberry.field(description=_SCORE)
    success: bool | None = strawberry.field(description=_SUCCESS)
    assisted: bool | None = strawberry.field(description=_ASSISTED)


@reads_as(Kind.AI_INTERACTION)
@strawberry.input(description="A call of an AI model. `provider` and `model` are required, here or in `dimensions`.")
class TrackAiInteractionInput(SubjectInput):
    name: str | None = strawberry.field(description=f"What happened; `ai_interaction` where absent. {_NAME}")
    provider: str | None = given("provider")
    model: str | None = given("model")
    request_type: str | None = given("request_type")
    feature: str | None = given("feature")
    input_tokens: BigInt | None = _count("Tokens that the model read, cached ones included.")
    output_tokens: BigInt | None = _count("Tokens that the model wrote.")
    cache_read_tokens: BigInt | None = _count("Of `inputTokens`, those read from the provider's cache.")
    cache_write_tokens: BigInt | None = _count("Of `inputTokens`, those written to the provider's cache.")
    cost: Decimal | None = _amount(
        f"{_SPENT} Where absent it is computed from the tokens by a dated price list; "
        "it stays null for a model whose price is not known."
    )
    currency: str | None = strawberry.field(description=_CURRENCY)
    duration_ms: float | None = strawberry.field(description=_DURATION)
    success: bool | None = strawberry.field(description=_SUCCESS)
    score: float | None = strawberry.field(description="The confidence in the answer, 0 to 1.")
    assisted: bool | None = strawberry.field(description=_ASSISTED)


@reads_as(Kind.TOUCHPOINT)
@strawberry.input(
    description="A contact of marketing or sales with somebody. `channel` is required, here or in `dimensions`."
)
class TrackTouchpointInput(SubjectInput):
    name: str | None = strawberry.field(description=f"What happened; `touchpoint` where absent. {_NAME}")
    channel: str | None = given("channel")
    campaign: str | None = given("campaign")
    source: str | None = given("source")
    cost: Decimal | None = _amount(_SPENT)
    currency: str | None = strawberry.field(description=_CURRENCY)
    duration_ms: float | None = strawberry.field(description=_DURATION)
    score: float | None = strawberry.field(description=_SCORE)
    success: bool | None = strawberry.field(description=_SUCCESS)
    assisted: bool | None = strawberry.field(description=_ASSISTED)


@reads_as(Kind.EXPOSURE)
@strawberry.input(
    description="Somebody was shown a variant of an experiment; both are required, here or in `dimensions`."
)
class TrackExposureInput(SubjectInput):
    name: str | None = strawberry.field(description=f"What happened; `exposure` where absent. {_NAME}")
    experiment: str | None = given("experiment")
    variant: str | None = given("variant")


@reads_as(Kind.PRODUCT)
@strawberry.input(description="A page was viewed or the product used.")
class TrackEventInput(SubjectInput):
    name: str | None = strawberry.field(
        description=f"What happened, e.g. `page_view` or `report_exported`. {_NAME} {_REQUIRED}"
    )
    feature: str | None = given("feature")
    amount: Decimal | None = _amount("What it was about, in units of `currency`; it counts as no revenue.")
    currency: str | None = strawberry.field(description=_CURRENCY)
    order_id: str | None = strawberry.field(description="The order it belongs to; at most 200 characters.")
    duration_ms: float | None = strawberry.field(description=_DURATION)
    score: float | None = strawberry.field(description=_SCORE)
    success: bool | None = strawberry.field(description=_SUCCESS)
    assisted: bool | None = strawberry.field(description=_ASSISTED)


@reads_as(Kind.SPEND)
@strawberry.input(description="Money was spent that belongs to no single contact or call, e.g. a day of a campaign.")
class TrackSpendInput(EnvelopeInput):
    subject: str | None = strawberry.field(
        description="Whom it was spent on, at most 500 characters; nobody in particular where absent."
    )
    name: str | None = strawberry.field(description=f"What happened; `spend` where absent. {_NAME}")
    cost: Decimal | None = _amount(f"{_SPENT} {_REQUIRED}")
    currency: str | None = strawberry.field(description=_CURRENCY)
    channel: str | None = given("channel")
    campaign: str | None = given("campaign")
    source: str | None = given("source")


@reads_as(Kind.SUBSCRIPTION)
@strawberry.input(
    description=(
        "What a subscription pays from now on, or that it pays nothing any more. Each event states the whole: amount, "
        "interval and dimensions hold until the next one of the same subscription, and what it leaves out holds no "
        "longer. MRR is made of these; payments are conversions."
    )
)
class TrackSubscriptionInput(SubjectInput):
    name: str | None = strawberry.field(
        description=(
            "`started`, `changed` or `ended`. A subscription pays from its start on, and from its end on no more: send "
            f"`ended` when what is paid for runs out, not when it is cancelled. {_REQUIRED}"
        )
    )
    subscription: str | None = strawberry.field(
        description="Which of the subject's subscriptions, at most 200 characters; may be left out if it has only one."
    )
    amount: Decimal | None = _amount(
        "What is due each `interval`, in units of `currency`: without tax, usage and what is billed once, less "
        "discounts that last. 0 for a trial or a free plan. Required unless it ended."
    )
    interval: Interval | None = strawberry.field(description="How often `amount` is due. Required unless it ended.")
    currency: str | None = strawberry.field(description=_CURRENCY)
    plan: str | None = given("plan")


@strawberry.input(one_of=True, description="One event of any kind: exactly one of these.")
class EventInput:
    conversion: TrackConversionInput | None = strawberry.field(description="A conversion, or churn.")
    ai_interaction: TrackAiInteractionInput | None = strawberry.field(description="A call of an AI model.")
    touchpoint: TrackTouchpointInput | None = strawberry.field(description="A contact of marketing or sales.")
    exposure: TrackExposureInput | None = strawberry.field(description="A variant of an experiment was shown.")
    product: TrackEventInput | None = strawberry.field(description="A page view or use of the product.")
    spend: TrackSpendInput | None = strawberry.field(description="Money spent.")
    subscription: TrackSubscriptionInput | None = strawberry.field(description="What a subscription pays from now on.")


_KINDS = {
    "conversion": Kind.CONVERSION,
    "aiInteraction": Kind.AI_INTERACTION,
    "touchpoint": Kind.TOUCHPOINT,
    "exposure": Kind.EXPOSURE,
    "product": Kind.PRODUCT,
    "spend": Kind.SPEND,
    "subscription": Kind.SUBSCRIPTION,
}


def _one_of(_type: type, value: Mapping[str, Any], _context: object) -> PlainEvent:
    ((member, event),) = value.items()
    return _plain(_KINDS[member], event)


get_object_definition(EventInput, strict=True).from_input = _one_of


@strawberry.input(description="Events of any kinds to store together.")
class IngestEventsInput:
    events: list[EventInput] = strawberry.field(
        description=(
            "1 to 10,000 events; each is judged by itself, and all that are sound are stored in one transaction."
        )
    )
