"""Rules of segments as JSON, to be kept: each node is a list of its kind and its parts; decimals are strings."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any as Json

from resolvers.analysis import filter_json
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.segments import (
    All,
    Any,
    Did,
    InFunnel,
    Listed,
    MemberOf,
    Not,
    Rule,
    Seen,
    Sighting,
    Times,
    Total,
)


def to_json(root: Rule) -> Json:
    """The rule as JSON values."""
    match root:
        case All(of):
            return ["all", [to_json(part) for part in of]]
        case Any(of):
            return ["any", [to_json(part) for part in of]]
        case Not(of):
            return ["not", to_json(of)]
        case Did(where, period, times, total):
            often = [times.at_least, times.at_most]
            return ["did", filter_json.to_json(where), _period(period), often, None if total is None else _total(total)]
        case Seen(which, period, where):
            return ["seen", which.value, _period(period), filter_json.to_json(where)]
        case MemberOf(segment):
            return ["member", segment]
        case InFunnel(funnel, step, outcome, period, where):
            return ["funnel", funnel, step, outcome.value, _period(period), filter_json.to_json(where)]
        case Listed(subjects):
            return ["listed", list(subjects)]


def _total(total: Total) -> list[str | None]:
    return [total.measure, *(None if bound is None else str(bound) for bound in (total.at_least, total.at_most))]


def _period(period: PeriodRequest | None) -> list[str | None] | None:
    if period is None:
        return None
    return [period.last, *(None if at is None else at.isoformat() for at in (period.start, period.end))]


_READERS: dict[str, Callable[..., Rule]] = {
    "all": lambda of: All(tuple(map(from_json, of))),
    "any": lambda of: Any(tuple(map(from_json, of))),
    "not": lambda of: Not(from_json(of)),
    "did": lambda where, period, times, total: Did(
        filter_json.from_json(where),
        _read_period(period),
        Times(*times),
        None if total is None else _read_total(*total),
    ),
    "seen": lambda which, period, where: Seen(
        Sighting(which), PeriodRequest(*_read_times(period)), filter_json.from_json(where)
    ),
    "member": MemberOf,
    "funnel": lambda funnel, step, outcome, period, where: InFunnel(
        funnel, step, Outcome(outcome), _read_period(period), filter_json.from_json(where)
    ),
    "listed": lambda subjects: Listed(tuple(subjects)),
}


def _read_total(measure: str, *bounds: str | None) -> Total:
    return Total(measure, *(None if bound is None else Decimal(bound) for bound in bounds))


def _read_period(period: list[str | None] | None) -> PeriodRequest | None:
    return None if period is None else PeriodRequest(*_read_times(period))


def _read_times(period: list[str | None]) -> tuple[str | None, datetime | None, datetime | None]:
    last, start, end = period
    return last, _instant(start), _instant(end)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def from_json(node: Json) -> Rule:
    """The rule that ``to_json`` wrote."""
    kind, *parts = node
    return _READERS[kind](*parts)
