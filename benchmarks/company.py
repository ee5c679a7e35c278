"""The events of an invented company, by the million, the same for the same size and seed.

Ninety days of people who visit, sign up, activate and buy, are touched by marketing and talk to AI features. Events
come in the order of their times, and no two at the same millisecond, so that every engine must agree on their order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.events import Kind

FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = 90
BLOCK = 50_000
"""Events that are made at a time."""
STEPS = ("visit", "signup", "activate", "purchase")
"""The names of a funnel's steps."""

PERSONAS = ("founder", "developer", "analyst", "marketer", "executive")
VALUES: dict[str, tuple[str, ...]] = {
    "channel": ("search", "newsletter", "referral", "direct", "social", "partner", "podcast", "event"),
    "persona": PERSONAS,
    "plan": ("free", "team", "business", "enterprise"),
    "feature": tuple(f"feature-{number}" for number in range(1, 13)),
    "provider": ("openai", "anthropic", "google"),
    "model": ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-pro", "gemini-2.5-flash"),
}
"""The dimensions that events carry."""
_PROVIDERS = np.array([0, 0, 1, 1, 2, 2])
_MILLISECONDS = DAYS * 86_400_000
_PER_SUBJECT = 20
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of event: its name, how often it is met, and the dimensions it carries."""

    name: str
    kind: Kind
    share: float
    dimensions: tuple[str, ...]


SORTS = (
    Sort("visit", Kind.PRODUCT, 0.42, ("channel", "persona")),
    Sort("signup", Kind.PRODUCT, 0.10, ("channel", "persona")),
    Sort("activate", Kind.PRODUCT, 0.07, ("feature", "persona", "plan")),
    Sort("purchase", Kind.CONVERSION, 0.05, ("channel", "persona", "plan")),
    Sort("ai_interaction", Kind.AI_INTERACTION, 0.26, ("feature", "model", "persona", "provider")),
    Sort("touchpoint", Kind.TOUCHPOINT, 0.10, ("channel", "persona")),
)
PURCHASE, AI = 3, 4
"""The places in ``SORTS`` of those that carry measures."""
TERMS = ("given", *(sort.name for sort in SORTS), *dict.fromkeys(text for texts in VALUES.values() for text in texts))
"""Every text that a log's dictionary must hold, subjects apart."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive events as columns; a measure is 0 where an event has none."""

    position: Ints
    """From 1."""
    subject: Ints
    """From 1."""
    at: Ints
    """Milliseconds since 1970."""
    sort: Ints
    values: dict[str, Ints]
    """For each dimension the place in ``VALUES``, which holds only for sorts that carry it."""
    cents: Ints
    duration: Ints
    """Milliseconds."""
    tokens: Ints
    """Those read; half as many are written."""
    cost: Ints
    """In 1/10,000."""
    success: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True, slots=True)
class Company:
    """A company with so many events over its ninety days."""

    events: int
    seed: int = 7

    @property
    def subjects(self) -> int:
        """How many people it knows."""
        return max(self.events // _PER_SUBJECT, 1)

    def blocks(self) -> Iterator[Block]:
        """All its events, in order."""
        return (self._block(start) for start in range(0, self.events, BLOCK))

    def items(self) -> Iterator[dict[str, Any]]:
        """All its events, in order, as a client sends them."""
        return (item for block in self.blocks() for item in items(block))

    def _block(self, start: int) -> Block:
        size = min(BLOCK, self.events - start)
        chance = np.random.default_rng([self.seed, start])
        position = np.arange(start, start + size)
        # Each event has a span of time of its own, so that times are distinct and in order.
        begins = position * _MILLISECONDS // self.events
        span = (position + 1) * _MILLISECONDS // self.events - begins
        subject = chance.integers(self.subjects, size=size)
        sort = chance.choice(len(SORTS), size=size, p=[one.share for one in SORTS])
        values = {name: chance.integers(len(texts), size=size) for name, texts in VALUES.items()}
        values["persona"] = subject * 2_654_435_761 % 1_000_003 % len(PERSONAS)
        values["provider"] = _PROVIDERS[values["model"]]
        buys, asks = sort == PURCHASE, sort == AI
        duration = np.minimum(np.exp(chance.normal(6.5, 0.7, size)), 60_000).astype(np.int64) + 1
        tokens = chance.integers(1, 4_000, size) * 2
        return Block(
            position=position + 1,
            subject=subject + 1,
            at=int(FIRST_DAY.timestamp()) * 1000 + begins + (chance.random(size) * span).astype(np.int64),
            sort=sort,
            values=values,
            cents=np.where(buys, chance.integers(500, 50_000, size), 0),
            duration=np.where(asks, duration, 0),
            tokens=np.where(asks, tokens, 0),
            cost=np.where(asks, tokens // 8 + 1, 0),
            success=asks & (chance.random(size) < 0.97),
        )


def subject_name(number: int) -> str:
    """What a person is called."""
    return f"user-{number}"


def order_id(position: int) -> str:
    """The order that the purchase at a position is."""
    return f"o{position}"


def instant(at: int) -> datetime:
    """The time so many milliseconds after 1970."""
    return _EPOCH + at * _MILLISECOND


def plain(value: int, places: int) -> Decimal:
    """So many hundredths (or smaller parts) as an amount without trailing zeros."""
    return Decimal(value) / Decimal(10**places)


def event_id(position: int) -> str:
    """The id of the event at a position."""
    return f"e{position}"


def items(block: Block) -> Iterator[dict[str, Any]]:
    """The block's events as a client sends them."""
    values = {name: column.tolist() for name, column in block.values.items()}
    measures = zip(
        block.cents.tolist(),
        block.duration.tolist(),
        block.tokens.tolist(),
        block.cost.tolist(),
        block.success.tolist(),
        strict=True,
    )
    envelope = zip(block.position.tolist(), block.subject.tolist(), block.at.tolist(), block.sort.tolist(), strict=True)
    for place, ((position, subject, at, kind), (cents, duration, tokens, cost, success)) in enumerate(
        zip(envelope, measures, strict=True)
    ):
        sort = SORTS[kind]
        item: dict[str, Any] = {
            "kind": sort.kind.name,
            "id": event_id(position),
            "name": sort.name,
            "subject": subject_name(subject),
            "occurredAt": instant(at).isoformat(),
            "dimensions": {name: VALUES[name][values[name][place]] for name in sort.dimensions},
        }
        if kind == PURCHASE:
            item |= {"amount": str(plain(cents, 2)), "currency": "USD", "orderId": order_id(position)}
        elif kind == AI:
            item |= {"durationMs": duration, "inputTokens": tokens, "outputTokens": tokens // 2, "success": success}
            item |= {"cost": str(plain(cost, 4)), "currency": "USD"}
        yield item
