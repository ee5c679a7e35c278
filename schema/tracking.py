"""Events as they are sent: one mutation for each kind, and one for a batch of any."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry

from resolvers import events
from resolvers.analysis import events as values
from resolvers.context import Role
from schema.access import Info, field
from schema.errors import Forbidden, InvalidInput, Overloaded, Unauthenticated, refusal
from schema.event_inputs import (
    IngestEventsInput,
    PlainEvent,
    TrackAiInteractionInput,
    TrackConversionInput,
    TrackEventInput,
    TrackExposureInput,
    TrackSpendInput,
    TrackSubscriptionInput,
    TrackTouchpointInput,
)
from schema.shapes import shapes


def _message(root: strawberry.Parent[values.Conflict]) -> str:
    return f"The id {root.id} already belongs to an event with other content; a new event needs a new id."


@shapes(values.Conflict)
@strawberry.type(
    description="An event whose id already belongs to another with other content; the first one stands unchanged."
)
class Conflict:
    index: int = strawberry.field(description="The event's place among those sent, from 0.")
    # Clients that normalise their cache would take two conflicts over one ``id`` for one object.
    id: str = strawberry.field(name="eventId", description="The id that is taken, as it was sent.")
    first_occurred_at: datetime = strawberry.field(description="When the event that has the id happened.")
    first_received_at: datetime = strawberry.field(description="When the event that has the id was stored.")
    message: str = strawberry.field(resolver=_message, description="What to do, in English.")


@shapes(values.Rejection)
@strawberry.type(description="An event that was refused; nothing of it was stored.")
class Rejection:
    index: int = strawberry.field(description="The event's place among those sent, from 0.")
    field: str = strawberry.field(description="Path of its field at fault, e.g. `dimensions.channel`.")
    message: str = strawberry.field(description="What to change, in English.")


@strawberry.interface(
    description="What became of events, once they are stored for good. A repeat of a stored event changes nothing."
)
class Receipt:
    accepted: int = strawberry.field(description="How many were stored now.")
    duplicates: int = strawberry.field(
        description="How many were stored before already, with the same id and content: a repeat does no harm."
    )
    conflicts: list[Conflict] = strawberry.field(
        description="Those whose id belongs to an event with other content, in order; not stored."
    )
    rejected: list[Rejection] = strawberry.field(description="Those refused, in order; not stored.")
    ids: list[str | None] = strawberry.field(
        description="The id of each event sent, in order, given or made; null for a rejected one."
    )


@shapes(values.Receipt)
@strawberry.type(description="What became of a batch: every event is accepted, a duplicate, a conflict or rejected.")
class IngestEventsPayload(Receipt):
    pass


def _event_id(root: strawberry.Parent[values.Receipt]) -> str:
    (event_id,) = root.ids
    return str(event_id)


@shapes(values.Receipt)
@strawberry.type(description="What became of one event: it is accepted, a duplicate or a conflict.")
class TrackPayload(Receipt):
    event_id: str = strawberry.field(resolver=_event_id, description="The event's id, given or made.")


def _union(name: str) -> Any:
    return strawberry.union(name, description="What became of what was sent, or why nothing of it was stored.")


TrackConversionResult = Annotated[
    TrackPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded, _union("TrackConversionResult")
]
TrackAiInteractionResult = Annotated[
    TrackPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded, _union("TrackAiInteractionResult")
]
TrackTouchpointResult = Annotated[
    TrackPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded, _union("TrackTouchpointResult")
]
TrackExposureResult = Annotated[
    TrackPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded, _union("TrackExposureResult")
]
TrackEventResult = Annotated[
    TrackPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded, _union("TrackEventResult")
]
TrackSpendResult = Annotated[
    TrackPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded, _union("TrackSpendResult")
]
TrackSubscriptionResult = Annotated[
    TrackPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded, _union("TrackSubscriptionResult")
]
IngestEventsResult = Annotated[
    IngestEventsPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded, _union("IngestEventsResult")
]


async def _track(info: Info, event: PlainEvent) -> values.Receipt:
    receipt = await events.ingest(info.context, [event])
    for rejection in receipt.rejected:
        raise refusal(rejection.field, rejection.message)
    return receipt


_STORED = "Acknowledged once it is stored for good. Safe to repeat with the same `id`."


@strawberry.type
class EventMutation:
    @field(
        Role.INGEST,
        TrackConversionResult,
        f"Send a conversion, or churn. {_STORED}",
    )
    async def track_conversion(
        self,
        info: Info,
        input: Annotated[
            PlainEvent, strawberry.argument(description="The conversion.", graphql_type=TrackConversionInput)
        ],
    ) -> values.Receipt:
        return await _track(info, input)

    @field(
        Role.INGEST,
        TrackAiInteractionResult,
        f"Send a call of an AI model. {_STORED}",
    )
    async def track_ai_interaction(
        self,
        info: Info,
        input: Annotated[
            PlainEvent, strawberry.argument(description="The AI interaction.", graphql_type=TrackAiInteractionInput)
        ],
    ) -> values.Receipt:
        return await _track(info, input)

    @field(
        Role.INGEST,
        TrackTouchpointResult,
        f"Send a contact of marketing or sales. {_STORED}",
    )
    async def track_touchpoint(
        self,
        info: Info,
        input: Annotated[
            PlainEvent, strawberry.argument(description="The contact.", graphql_type=TrackTouchpointInput)
        ],
    ) -> values.Receipt:
        return await _track(info, input)

    @field(
        Role.INGEST,
        TrackExposureResult,
        f"Send that somebody was shown a variant of an experiment. {_STORED}",
    )
    async def track_exposure(
        self,
        info: Info,
        input: Annotated[PlainEvent, strawberry.argument(description="The exposure.", graphql_type=TrackExposureInput)],
    ) -> values.Receipt:
        return await _track(info, input)

    @field(
        Role.INGEST,
        TrackEventResult,
        f"Send a page view or a use of the product. {_STORED}",
    )
    async def track_event(
        self,
        info: Info,
        input: Annotated[PlainEvent, strawberry.argument(description="The event.", graphql_type=TrackEventInput)],
    ) -> values.Receipt:
        return await _track(info, input)

    @field(
        Role.INGEST,
        TrackSpendResult,
        f"Send money spent. {_STORED}",
    )
    async def track_spend(
        self,
        info: Info,
        input: Annotated[PlainEvent, strawberry.argument(description="The money spent.", graphql_type=TrackSpendInput)],
    ) -> values.Receipt:
        return await _track(info, input)

    @field(
        Role.INGEST,
        TrackSubscriptionResult,
        f"Send that a subscription started, changed or ended. {_STORED}",
    )
    async def track_subscription(
        self,
        info: Info,
        input: Annotated[
            PlainEvent, strawberry.argument(description="The subscription.", graphql_type=TrackSubscriptionInput)
        ],
    ) -> values.Receipt:
        return await _track(info, input)

    @field(
        Role.INGEST,
        IngestEventsResult,
        (
            "Send a batch of events of any kinds. Acknowledged once all that are sound are stored for good, in one "
            "transaction; safe to repeat where the events carry ids."
        ),
    )
    async def ingest_events(
        self, info: Info, input: Annotated[IngestEventsInput, strawberry.argument(description="The batch.")]
    ) -> values.Receipt:
        return await events.ingest(info.context, cast(list[PlainEvent], input.events))
