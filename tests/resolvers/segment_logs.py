"""Made-up logs and rules, and whom the rules are true of, told event by event."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from resolvers.analysis import filters, segments
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import DimensionIs, Filter, KindIs, MeasureIs, NameIs, Op, PropertyIs
from resolvers.analysis.periods import PeriodRequest, resolve
from resolvers.analysis.segments import Did, Listed, MemberOf, Rule, Seen, Sighting, Times, Total
from tests.factories import event

PEOPLE = ("ann", "bob", "cleo", "dan", "eve", "fay")
NAMES = ("view", "buy", "refund")


@dataclass(frozen=True, slots=True)
class Log:
    """Events as they were sent, those that came twice once."""

    events: Sequence[Mapping[str, Any]]
    now: datetime
    timezone: str


def made(random: Random, number: int, now: datetime) -> dict[str, Any]:
    """An event of few people around a few days before now, at round moments among others."""
    at = now - timedelta(hours=random.choice([0, 1, 23, 24, 25, 47, 48, 24 * 7, 24 * 40]), minutes=random.randrange(3))
    fields: dict[str, Any] = {"id": f"e{number}", "occurredAt": at, "subject": random.choice(PEOPLE)}
    kind = random.choice([Kind.PRODUCT, Kind.CONVERSION, Kind.SPEND])
    fields |= {"kind": kind.name, "name": random.choice(NAMES)}
    if kind is Kind.CONVERSION:
        fields["amount"] = random.choice(["0", "0.1", "0.2", "10", "99.99"])
        fields["currency"] = random.choice(["USD", "USD", "EUR"])
    if kind is Kind.SPEND:
        fields |= {"cost": "1", "currency": "USD", "subject": random.choice(["", "ann"])}
    if random.random() < 0.5:
        fields["dimensions"] = {"channel": random.choice("ab"), "plan": random.choice("xy")}
    if random.random() < 0.3:
        fields["properties"] = {"tier": random.choice([1, 2, "gold"])}
    return event(**fields)


def some_filter(random: Random) -> Filter:
    leaves: list[Filter] = [
        filters.EVERYTHING,
        NameIs(tuple(random.sample([*NAMES, "never"], 2))),
        KindIs((random.choice([Kind.PRODUCT, Kind.CONVERSION]),)),
        DimensionIs("channel", random.choice([Op.IN, Op.NOT_IN]), (random.choice(["a", "b", "never"]),)),
        PropertyIs(("tier",), Op.GTE, (Decimal(2),)),
        PropertyIs(("nothing",), Op.EXISTS),
        MeasureIs("amount", Op.GT, Decimal("0.1")),
        filters.Not(NameIs(("view",))),
    ]
    return random.choice(leaves)


def some_period(random: Random, now: datetime) -> PeriodRequest:
    start = now - timedelta(hours=random.choice([1, 24, 48, 24 * 30]))
    whole = PeriodRequest(start=start, end=start + timedelta(hours=random.choice([1, 24, 24 * 30])))
    return random.choice([PeriodRequest(last="1h"), PeriodRequest(last="2d"), PeriodRequest(last="1w"), whole])


def some_rule(random: Random, now: datetime, others: Sequence[int], depth: int = 3) -> Rule:
    if depth and random.random() < 0.6:
        parts = tuple(some_rule(random, now, others, depth - 1) for _ in range(random.randrange(3)))
        return random.choice(
            [segments.All(parts), segments.Any(parts), segments.Not(some_rule(random, now, others, depth - 1))]
        )
    period = random.choice([None, some_period(random, now)])
    low = random.choice([None, 0, 1, 2])
    times = random.choice([Times(), Times(low, random.choice([None, 2, 3]))])
    least = random.choice([None, Decimal("0.3"), Decimal(10)])
    total = random.choice([None, Total("amount", least, random.choice([None, Decimal("99.99")]))])
    leaves: list[Rule] = [
        Did(some_filter(random), period, times, total),
        Seen(random.choice(list(Sighting)), some_period(random, now), some_filter(random)),
        Listed(tuple(random.sample([*PEOPLE, "nobody"], 2))),
    ]
    leaves += [MemberOf(random.choice(others))] if others else []
    return random.choice(leaves)


def passes(one: Mapping[str, Any], where: Filter) -> bool:
    match where:
        case filters.All(of):
            return all(passes(one, part) for part in of)
        case filters.Not(of):
            return not passes(one, of)
        case NameIs(names):
            return one["name"] in names
        case KindIs(kinds):
            return Kind[one["kind"]] in kinds
        case DimensionIs(name, op, values):
            value = one.get("dimensions", {}).get(name)
            return value is not None and (value in values) == (op is Op.IN)
        case PropertyIs(path, Op.GTE, (least,)):
            found = one.get("properties", {}).get(path[0])
            return isinstance(found, int) and found >= least
        case PropertyIs(path, Op.EXISTS):
            return path[0] in one.get("properties", {})
        case MeasureIs("amount", Op.GT, least):
            return "amount" in one and least is not None and Decimal(one["amount"]) > least
    raise AssertionError(where)


def at(one: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(one["occurredAt"])


def meets(log: Log, who: str, rule: Rule, rules: Mapping[int, Rule]) -> bool:
    """Whether a subject meets a rule."""
    match rule:
        case segments.All(of):
            return all(meets(log, who, part, rules) for part in of)
        case segments.Any(of):
            return any(meets(log, who, part, rules) for part in of)
        case segments.Not(of):
            return not meets(log, who, of, rules)
        case MemberOf(segment):
            assert isinstance(segment, int)
            return meets(log, who, rules[segment], rules)
        case Listed(names):
            return who in names
        case Did(where, period, times, total):
            own = [one for one in log.events if one["subject"] == who and passes(one, where)]
            if period is not None:
                span = resolve(period, log.timezone, log.now)
                own = [one for one in own if span.start <= at(one) < span.end]
            often = (times.at_least is None or len(own) >= times.at_least) and (
                times.at_most is None or len(own) <= times.at_most
            )
            summed = sum(Decimal(one["amount"]) for one in own if "amount" in one and one["currency"] == "USD")
            return often and (total is None or _within(summed, total))
        case Seen(which, period, where):
            moments = sorted(at(one) for one in log.events if one["subject"] == who and passes(one, where))
            span = resolve(period, log.timezone, log.now)
            return bool(moments) and span.start <= moments[0 if which is Sighting.FIRST else -1] < span.end


def _within(summed: Decimal | int, total: Total) -> bool:
    return (total.at_least is None or summed >= total.at_least) and (total.at_most is None or summed <= total.at_most)


def everybody(log: Log) -> set[str]:
    return {one["subject"] for one in log.events if one["subject"]}


def meeting(log: Log, rule: Rule, rules: Mapping[int, Rule]) -> set[str]:
    """All subjects that meet a rule."""
    return {who for who in everybody(log) if meets(log, who, rule, rules)}


def shuffled(random: Random, events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events in any order, so that some come late, and some of them once more."""
    sent = list(events)
    sent += random.sample(sent, len(sent) // 4)
    random.shuffle(sent)
    return sent
