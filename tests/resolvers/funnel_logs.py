"""Logs made up to be walked by every rule, and what a plain walk makes of them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from resolvers.analysis.filters import Filter, NameIs
from resolvers.analysis.funnel_rules import Rules
from resolvers.analysis.funnels import (
    Constant,
    Counting,
    Effect,
    Entry,
    Exclusion,
    FunnelDefinition,
    Order,
    Step,
    Trait,
)
from resolvers.analysis.periods import PeriodRequest
from tests.factories import event
from tests.resolvers.analysis.funnel_oracle import Row, Told, oracle

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(hours=20)
PERIOD = PeriodRequest(start=START, end=END)
HOUR = timedelta(hours=1)
NAMES = ("view", "cart", "ship", "buy", "help", "other")


def step(name: str, **rules: Any) -> Step:
    return Step(name, NameIs((name,)), **rules)


def shop(*steps: Step, hours: float = 6, entry: Entry = Entry.FIRST, **rules: Any) -> FunnelDefinition:
    return FunnelDefinition(steps or (step("view"), step("cart"), step("buy")), hours * HOUR, entry, **rules)


HELP = NameIs(("help",))
DEFINITIONS = {
    "ordered": shop(),
    "later": shop(strictly_later=True, entry=Entry.ANY),
    "strict": shop(order=Order.STRICT, entry=Entry.ANY),
    "any order": shop(order=Order.ANY, entry=Entry.ANY),
    "optional": shop(step("view"), step("cart"), step("ship", optional=True), step("buy")),
    "strict optional": shop(
        step("view"), step("ship", optional=True), step("buy"), order=Order.STRICT, entry=Entry.ANY
    ),
    "step window": shop(step("view"), step("cart", within=2 * HOUR), step("buy", within=HOUR), entry=Entry.ANY),
    "cut": shop(exclusions=(Exclusion(HELP),)),
    "remove": shop(exclusions=(Exclusion(HELP, 1, 2, Effect.REMOVE),)),
    "excluded step": shop(exclusions=(Exclusion(NameIs(("view",)), 0, 1),), entry=Entry.ANY),
    "totals": shop(counting=Counting.TOTALS, hours=3),
    "sessions": shop(counting=Counting.SESSIONS),
    "same feature": shop(constant=(Constant(dimension="feature"),), entry=Entry.ANY),
    "same order": shop(constant=(Constant(trait=Trait.ORDER),), entry=Entry.ANY),
    "same size": shop(constant=(Constant(property=("goods", "size")),), counting=Counting.TOTALS),
    "sessions of a feature": shop(
        constant=(Constant(dimension="feature"), Constant(trait=Trait.SESSION)), counting=Counting.SESSIONS
    ),
}


@dataclass(frozen=True)
class Sent:
    subject: int
    hour: int
    name: str
    feature: str | None
    session: str | None
    order: str | None
    size: int | str | None

    def event(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"session": self.session, "dimensions": self.feature and {"feature": self.feature}}
        fields["properties"] = {"goods": {"size": self.size}}
        if self.order:
            fields |= {"kind": "CONVERSION", "orderId": self.order}
        at = START + self.hour * HOUR
        given = {name: value for name, value in fields.items() if value is not None}
        return event(subject=f"s{self.subject}", name=self.name, occurredAt=at, **given)

    def holds(self, constant: Constant) -> object:
        if constant.dimension:
            return self.feature
        if constant.property:
            return None if self.size is None else (type(self.size), self.size)
        return self.session if constant.trait is Trait.SESSION else self.order


def random_log(random: Random) -> list[Sent]:
    return [
        Sent(
            random.randrange(8),
            random.randrange(26),
            random.choice(NAMES),
            random.choice(["a", "a", "b", None]),
            random.choice(["x", "x", "y", None]),
            random.choice(["o1", "o1", "o2", None]),
            random.choice([1, 1, "1", 2, None]),
        )
        for _ in range(260)
    ]


def expected(log: list[Sent], definition: FunnelDefinition) -> list[Told]:
    filters: list[Filter] = [one.where for one in (*definition.steps, *definition.exclusions)]
    held = [*([Constant(trait=Trait.SESSION)] if definition.counting is Counting.SESSIONS else [])]
    held += definition.constant
    codes: dict[object, int] = {None: 0}
    rows = [
        Row(
            sent.subject,
            sent.hour * HOUR // timedelta(microseconds=1),
            frozenset(bit for bit, one in enumerate(filters) if isinstance(one, NameIs) and sent.name in one.names),
            tuple(codes.setdefault(sent.holds(one), len(codes)) for one in held),
        )
        for sent in log
    ]
    end_us = (END - START) // timedelta(microseconds=1)
    return oracle(rows, replace(Rules.of(definition, END), entry_end_us=end_us))
