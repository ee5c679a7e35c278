"""Logs of experiments, schemes to reckon them by, and a plain reckoning of the sums to compare with."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from resolvers.analysis.events import Kind
from resolvers.analysis.experiment_units import Uncounted
from resolvers.analysis.experiments import Measure, Scheme, Tally, UnitMetric
from resolvers.analysis.filters import EVERYTHING, All, Filter, KindIs, NameIs, Op, PropertyIs
from tests.factories import event

START = datetime(2026, 3, 1, 22, tzinfo=UTC)
KEY = "button"
VARIANTS = ("plain", "bold")
HOUR = timedelta(hours=1)
WINDOW = 5 * HOUR
BUYS: Filter = All((KindIs((Kind.CONVERSION,)), NameIs(("purchase",))))
VIEWS: Filter = NameIs(("view",))
METRICS = (
    UnitMetric(Measure(Tally.ANY, BUYS), WINDOW),
    UnitMetric(Measure(Tally.SUM, BUYS, "amount"), WINDOW, before=3 * HOUR),
    UnitMetric(Measure(Tally.SUM, BUYS, "amount"), WINDOW, cap=Decimal("7.5"), before=2 * HOUR),
    UnitMetric(Measure(Tally.SUM, BUYS, "amount"), 2 * HOUR, per=Measure(Tally.ORDERS, BUYS, "amount")),
    UnitMetric(Measure(Tally.COUNT, VIEWS), 9 * HOUR, per=Measure(Tally.COUNT)),
    UnitMetric(Measure(Tally.STEPS, steps=(VIEWS, BUYS)), WINDOW),
    UnitMetric(Measure(Tally.SUM, BUYS, "amount"), WINDOW, cap_at=Decimal("0.9")),
)


def scheme(experiment_id: int, **changes: Any) -> Scheme:
    made: dict[str, Any] = {
        "experiment_id": experiment_id,
        "key": KEY,
        "variants": VARIANTS,
        "starts": (START, START + 6 * HOUR),
        "end": START + 20 * HOUR,
        "where": PropertyIs(("bot",), Op.MISSING),
        "metrics": METRICS,
        "breakdowns": ("channel", "plan"),
        "currency": "USD",
        "timezone": "Europe/Berlin",
    }
    return Scheme(**(made | changes))


def made(random: Random, number: int) -> dict[str, Any]:
    """An exposure, purchase or view of few people at few moments, from before the start until after the end."""
    at = START + HOUR * random.randrange(-4, 24) + timedelta(microseconds=random.choice([0, 0, 1]))
    fields: dict[str, Any] = {"id": f"e{number}", "occurredAt": at, "subject": random.choice("abcdefgh")}
    match random.randrange(3):
        case 0:
            fields |= {"kind": "EXPOSURE", "name": "exposure"}
            fields["dimensions"] = {
                "experiment": random.choice([KEY] * 6 + ["other"]),
                "variant": random.choice([*VARIANTS * 6, "unknown"]),
                **{name: random.choice("xy") for name in ("channel", "plan") if random.random() < 0.6},
            }
            fields["properties"] = {"bot": True} if random.random() < 0.1 else {}
        case 1:
            fields |= {"kind": "CONVERSION", "name": random.choice(["purchase", "refund"])}
            fields |= {
                "amount": f"{random.randrange(1, 2000) / 100:.2f}",
                "currency": random.choice(["USD"] * 4 + ["EUR"]),
            }
            if random.random() < 0.5:
                fields["orderId"] = random.choice("123")
        case _:
            fields |= {"kind": "PRODUCT", "name": "view"}
    return event(**fields)


def reckoned(of: Scheme, log: Sequence[dict[str, Any]]) -> dict[tuple[int, ...], tuple[Decimal | int, ...]]:
    """The sums by phase, cut, value (of dimensions a text), variant, multiple and slot: event by event."""
    cells: dict[Any, list[Any]] = defaultdict(lambda: [0] * 9)
    for subject in {one["subject"] for one in log}:
        own = sorted(
            (
                (datetime.fromisoformat(one["occurredAt"]), place, one)
                for place, one in enumerate(log)
                if one["subject"] == subject
            ),
            key=lambda found: found[:2],
        )
        shown = [
            found for found in own if found[2]["kind"] == "EXPOSURE" and found[2]["dimensions"]["experiment"] == KEY
        ]
        if not shown:
            continue
        counted = [
            found
            for found in shown
            if of.starts[0] <= found[0]
            and (of.end is None or found[0] < of.end)
            and found[2]["dimensions"]["variant"] in VARIANTS
            and not found[2].get("properties")
        ]
        at, _, first = (counted or shown)[0]
        variant = VARIANTS.index(first["dimensions"]["variant"]) if first["dimensions"]["variant"] in VARIANTS else -1
        phase = sum(start <= at for start in of.starts) if counted else _why(of, at, variant).value
        multiple = len({found[2]["dimensions"]["variant"] for found in counted}) > 1
        day = (at.astimezone(ZoneInfo(of.timezone)).date() - datetime(1970, 1, 1).date()).days  # noqa: DTZ001
        cuts = [(0, 0), (1, day), *((2 + n, first["dimensions"].get(name)) for n, name in enumerate(of.breakdowns))]
        for cut in cuts:
            cells[(phase, *cut, variant, multiple, 0)][0] += 1
            if not counted:
                continue
            for slot, metric in enumerate(of.metrics, 1):
                x = _capped(metric, _value(metric.value, own, at, at + metric.window))
                y = _value(metric.per, own, at, at + metric.window) if metric.per else Decimal(0)
                c = _capped(metric, _value(metric.value, own, at - metric.before, at)) if metric.before else Decimal(0)
                sums = (0, x, y, c, x * x, y * y, c * c, x * y, x * c)
                held = cells[(phase, *cut, variant, multiple, slot)]
                for place, value in enumerate(sums):
                    held[place] += value
    return {key: tuple(sums) for key, sums in cells.items() if any(sums)}


def _why(of: Scheme, at: datetime, variant: int) -> Uncounted:
    """Why an exposure does not count."""
    if variant < 0:
        return Uncounted.UNKNOWN_VARIANT
    if at < of.starts[0]:
        return Uncounted.BEFORE_START
    return Uncounted.AFTER_END if of.end is not None and at >= of.end else Uncounted.LEFT_OUT


def in_dollars(log: Sequence[dict[str, Any]], euro: Mapping[date, Decimal]) -> list[dict[str, Any]]:
    """The log with its euros in dollars, where there is a rate of their day or of one at most ten days before."""
    found = []
    for one in log:
        on = datetime.fromisoformat(one["occurredAt"]).astimezone(UTC).date()
        known = [day for day in euro if on - timedelta(days=10) <= day <= on]
        if one.get("currency") == "EUR" and known:
            one = one | {"amount": str(Decimal(one["amount"]) * euro[max(known)]), "currency": "USD"}
        found.append(one)
    return found


def _capped(metric: UnitMetric, value: Decimal) -> Decimal:
    return value if metric.cap is None else min(value, metric.cap)


def _value(measure: Measure, own: Iterable[Any], start: datetime, end: datetime) -> Decimal:
    inside = [one for at, _, one in own if start <= at < end]
    if measure.tally is Tally.STEPS:
        viewed = next((place for place, one in enumerate(inside) if one["name"] == "view"), None)
        return Decimal(viewed is not None and any(one["name"] == "purchase" for one in inside[viewed + 1 :]))
    passing = [one for one in inside if _passes(measure.where, one)]
    if measure.field is not None:
        passing = [one for one in passing if one["currency"] == "USD"]
    match measure.tally:
        case Tally.ANY:
            return Decimal(bool(passing))
        case Tally.COUNT:
            return Decimal(len(passing))
        case Tally.SUM:
            return sum((Decimal(one["amount"]) for one in passing), Decimal(0))
        case _:
            orders = [one.get("orderId") for one in passing]
            return Decimal(len({order for order in orders if order}) + orders.count(None))


def _passes(where: Filter, one: dict[str, Any]) -> bool:
    return where == EVERYTHING or one["name"] == ("view" if where == VIEWS else "purchase")
