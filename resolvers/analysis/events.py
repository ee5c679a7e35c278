"""What an event is: one immutable fact of the log, as every storey understands it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any


class Kind(IntEnum):
    """What sort of fact an event is; the numbers are stored and never change meaning."""

    CONVERSION = 1
    AI_INTERACTION = 2
    TOUCHPOINT = 3
    EXPOSURE = 4
    PRODUCT = 5
    SPEND = 6
    SUBSCRIPTION = 7


class Interval(StrEnum):
    """How often a subscription's amount is due."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    HALF_YEAR = "HALF_YEAR"
    YEAR = "YEAR"


DIMENSIONS: tuple[str, ...] = (
    "channel",
    "campaign",
    "source",
    "persona",
    "segment",
    "provider",
    "model",
    "feature",
    "agent",
    "integration",
    "service",
    "plan",
    "location",
    "experiment",
    "variant",
    "request_type",
)
"""The shared dimensions: each breaks down and filters every analysis that can carry it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted event: validated, normalised, not yet stored.

    Money (``amount``, ``cost``) is exact and in ``currency`` (ISO 4217). ``occurred_at`` is an aware UTC instant.
    ``content`` is the digest of what the client sent, by which a repeat is told from a conflict; it does not cover
    what the gateway adds (a generated id, an assumed time, a computed cost).
    """

    id: str
    kind: Kind
    name: str
    subject: str
    occurred_at: datetime
    content: bytes
    session: str | None = None
    order_id: str | None = None
    amount: Decimal | None = None
    cost: Decimal | None = None
    currency: str | None = None
    cost_source: str | None = None
    """Where the cost comes from: ``given``, or the price list and the model matched in it."""
    duration_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    score: float | None = None
    success: bool | None = None
    assisted: bool | None = None
    recurring: bool | None = None
    subscription: str | None = None
    """Which of a subject's subscriptions it is about; None for the only one."""
    interval: Interval | None = None
    """How often ``amount`` is due, of a subscription."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the log holds it: ``position`` is its place in the tenant's log (1 is the first ever accepted)."""

    event: Event
    position: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that was refused, nothing of it stored: its index in the batch, the field at fault, what to change."""

    index: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """An item whose id is already taken by an event with other content; the first one stands unchanged."""

    index: int
    id: str
    first_occurred_at: datetime
    first_received_at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: each item is accepted, a duplicate, a conflict or rejected."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: tuple[Conflict, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    ids: tuple[str | None, ...] = ()
    """The id of each item in order, given or generated; None where it was rejected."""
