"""Events as they are read: the log, one event of it, and new ones as they come."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import fields
from datetime import datetime
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from resolvers import events
from resolvers.analysis import events as values
from resolvers.analysis.intake_values import Invalid, text
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.arguments import OptionalPeriodArgument, WhereArgument, read_period
from schema.conditions import read_filter
from schema.dimensions import EventDimensions
from schema.nodes import Node, encode
from schema.pages import MAX_PAGE, After, Connection, First, open_cursor, page
from schema.scalars import BigInt
from schema.shapes import shapes

_PLAIN = tuple(field.name for field in fields(values.Event) if field.name not in ("id", "content", "dimensions"))
_event_id = text(200)


@shapes(values.Event, values.StoredEvent)
@strawberry.type(description="One immutable fact of the log.")
class Event(Node):
    event_id: str = strawberry.field(
        description="The id that the sender chose, or that the gateway made; unique within the tenant."
    )
    kind: values.Kind = strawberry.field(description="What sort of fact it is.")
    name: str = strawberry.field(description="What happened, e.g. `purchase` or `page_view`.")
    subject: str = strawberry.field(
        description="Whom it is about, as the sender names its users; empty for spend that is nobody's."
    )
    occurred_at: datetime = strawberry.field(description="When it happened.")
    received_at: datetime = strawberry.field(description="When the gateway stored it.")
    position: BigInt = strawberry.field(
        description="Its place in the tenant's log: 1 is the first event ever accepted."
    )
    session: str | None = strawberry.field(description="The visit it belongs to; null where none was sent.")
    order_id: str | None = strawberry.field(
        description="The order it belongs to; null where it is an order of its own, or none."
    )
    amount: Decimal | None = strawberry.field(
        description="What was earned, in units of `currency`; null where none was sent."
    )
    cost: Decimal | None = strawberry.field(
        description=(
            "What was spent, in units of `currency`. Null where it is not known: none was sent, and for an AI "
            "interaction the price of the model is not known either; never 0 instead."
        )
    )
    currency: str | None = strawberry.field(
        description="ISO 4217 code of `amount` and `cost`; null where there is neither."
    )
    cost_source: str | None = strawberry.field(
        description=(
            "Where `cost` comes from: `given`, or the price list and the model it was computed with; "
            "null without a cost."
        )
    )
    duration_ms: float | None = strawberry.field(
        description="How long it took, in milliseconds; null where none was sent."
    )
    input_tokens: BigInt | None = strawberry.field(
        description="Tokens that the AI model read, cached ones included; null where none were sent."
    )
    output_tokens: BigInt | None = strawberry.field(
        description="Tokens that the AI model wrote; null where none were sent."
    )
    cache_read_tokens: BigInt | None = strawberry.field(
        description="Of `inputTokens`, those read from the provider's cache; null where none were sent."
    )
    cache_write_tokens: BigInt | None = strawberry.field(
        description="Of `inputTokens`, those written to the provider's cache; null where none were sent."
    )
    score: float | None = strawberry.field(description="A rating or confidence, 0 to 1; null where none was sent.")
    success: bool | None = strawberry.field(description="Whether it succeeded; null where it was not said.")
    assisted: bool | None = strawberry.field(description="Whether AI had a hand in it; null where it was not said.")
    recurring: bool | None = strawberry.field(
        description="Whether `amount` comes again every period; null for an event that earns nothing."
    )
    subscription: str | None = strawberry.field(
        description="Which of the subject's subscriptions it is about; null for the only one, and for other kinds."
    )
    interval: values.Interval | None = strawberry.field(
        description="How often `amount` is due; null unless it tells of a subscription that started or changed."
    )
    dimensions: EventDimensions = strawberry.field(description="The shared dimensions it carries.")
    properties: JSON = strawberry.field(description="What else the sender said, a JSON object; empty if nothing.")

    @classmethod
    def of(cls, stored: values.StoredEvent) -> "Event":
        """The stored event as GraphQL shows it."""
        event = stored.event
        return cls(
            id=strawberry.ID(encode("Event", event.id)),
            event_id=event.id,
            position=BigInt(stored.position),
            received_at=stored.received_at,
            dimensions=EventDimensions.of(event.dimensions),
            **{name: getattr(event, name) for name in _PLAIN},
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        found = await events.events_by_id(context, [key for key in keys if _may_be_id(key)])
        return {key: cls.of(stored) for key, stored in found.items()}


def _may_be_id(key: str) -> bool:
    try:
        _event_id(key)
    except Invalid:
        return False
    return True


@strawberry.type
class EventQuery:
    @field(
        Role.VIEWER,
        Connection[Event],
        "The log, newest first: by `occurredAt`, events of one instant by `position`.",
    )
    async def events(
        self,
        info: Info,
        where: WhereArgument = None,
        period: OptionalPeriodArgument = None,
        first: First = 50,
        after: After = None,
    ) -> Connection[Event]:
        found = await events.events(
            info.context,
            where=read_filter(where),
            period=None if period is None else read_period(period),
            first=first,
            after=open_cursor("Event", after),
        )
        return page(
            "Event",
            [Event.of(stored) for stored in found.events],
            found.cursors,
            has_next=found.has_next,
            after=after,
        )


@strawberry.type
class EventSubscription:
    @field(
        Role.VIEWER,
        list[Event],
        (
            "New events as they are stored, in the order of their commits; nothing before the first. Each message "
            f"holds those that came together, at most {MAX_PAGE}; none is left out and none comes twice."
        ),
        is_subscription=True,
    )
    async def events(self, info: Info, where: WhereArgument = None) -> AsyncIterator[list[Event]]:
        stream = events.events_stream(info.context, where=read_filter(where))
        return _shown(stream)


async def _shown(stream: AsyncGenerator[tuple[values.StoredEvent, ...]]) -> AsyncIterator[list[Event]]:
    # Closed together with the subscription, not whenever it is collected.
    async with aclosing(stream):
        async for batch in stream:
            yield [Event.of(stored) for stored in batch]
