"""AI ROI told plainly from events as they were sent, to hold the answers against."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from resolvers.analysis.attribution import Model
from tests.resolvers.analysis.attribution_oracle import shares

Sent = dict[str, Any]
Asks = Callable[[Sent], bool]


@dataclass
class Plain:
    """What some AI interactions come to."""

    calls: int = 0
    unpriced: int = 0
    cost: Fraction = Fraction(0)
    conversions: Fraction = Fraction(0)
    value: Fraction = Fraction(0)
    spent: list[tuple[datetime, Fraction]] = field(default_factory=list)
    earned: list[tuple[datetime, Fraction]] = field(default_factory=list)

    def payback(self) -> datetime | None:
        """The first instant with costs by which no less was earned, tried at every instant there is."""
        for instant in sorted({at for at, _ in self.spent + self.earned}):
            cost = sum((amount for at, amount in self.spent if at <= instant), Fraction(0))
            value = sum((amount for at, amount in self.earned if at <= instant), Fraction(0))
            if cost and value >= cost:
                return instant
        return None


def at_of(sent: Sent) -> datetime:
    return datetime.fromisoformat(sent["occurredAt"])


def is_call(sent: Sent) -> bool:
    return bool(sent["kind"] == "AI_INTERACTION")


def plain(
    events: Sequence[Sent],
    start: datetime,
    end: datetime,
    *,
    by: str | None,
    model: Model,
    lookback: timedelta,
    asks: Asks = lambda sent: True,
    rivals: Asks = lambda sent: False,
    currency: str = "USD",
) -> dict[str | None, Plain]:
    """Costs and credits by the value of a dimension; ``events`` in the order in which they arrived."""
    found: dict[str | None, Plain] = defaultdict(Plain)

    def group(sent: Sent) -> str | None:
        return None if by is None else sent.get("dimensions", {}).get(by)

    by_subject: dict[str, list[Sent]] = defaultdict(list)
    for sent in sorted(events, key=at_of):
        if at_of(sent) < end:
            by_subject[sent["subject"]].append(sent)
        if is_call(sent) and asks(sent) and start <= at_of(sent) < end:
            one = found[group(sent)]
            one.calls += 1
            one.unpriced += "cost" not in sent
            if "cost" in sent and sent["currency"] == currency:
                one.cost += Fraction(Decimal(sent["cost"]))
                one.spent.append((at_of(sent), Fraction(Decimal(sent["cost"]))))
    for own in by_subject.values():
        touches: list[Sent] = []
        for sent in own:
            if is_call(sent) or rivals(sent):
                touches.append(sent)
            if sent["kind"] == "CONVERSION" and sent["name"] not in ("churn", "refund"):
                at = at_of(sent)
                amount = Fraction(Decimal(sent.get("amount", "0"))) if sent.get("currency") == currency else Fraction(0)
                counting = [touch for touch in touches if at - at_of(touch) <= lookback]
                ages = [(0, round((at - at_of(touch)).total_seconds())) for touch in counting]
                if at >= start and counting:
                    for touch, share in zip(counting, shares(model, ages), strict=True):
                        if is_call(touch) and asks(touch):
                            one = found[group(touch)]
                            one.conversions += share
                            one.value += share * amount
                            one.earned.append((at, share * amount))
                touches = []
    return dict(found)
