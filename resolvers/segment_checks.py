"""Which rules can be kept as a segment's."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from resolvers.analysis.filters import Filter, in_segments
from resolvers.analysis.funnels import FunnelDefinition
from resolvers.analysis.periods import PeriodRequest, resolve
from resolvers.analysis.segments import (
    All,
    Any,
    Did,
    InFunnel,
    Leaf,
    Listed,
    MemberOf,
    Not,
    Rule,
    Seen,
    cost,
    leaves,
    references,
)
from resolvers.errors import BadInput
from resolvers.funnel_checks import check_outcome
from resolvers.store.segment_definitions import SegmentRow

MOST_CONDITIONS = 30
MOST_IN_ALL = 100
"""Conditions of a segment together with those of the segments that its rules lead to."""
MOST_VALUES = 5_000
DEEPEST = 8
LONGEST_NAME, LONGEST_DESCRIPTION = 200, 2_000
SHORTEST_REFRESH, LONGEST_REFRESH = timedelta(minutes=1), timedelta(days=31)
_GREATEST = 2**31 - 1


def checked(root: Rule, timezone: str, now: datetime) -> Rule:
    """The rule itself; raises BadInput, naming the part at fault, where nobody could be found by it."""
    if _depth(root) > DEEPEST:
        raise BadInput(f"Rules are nested at most {DEEPEST} deep.", field="rules")
    conditions = list(leaves(root))
    if len(conditions) > MOST_CONDITIONS:
        raise BadInput(f"A segment has at most {MOST_CONDITIONS} conditions.", field="rules")
    if cost(root) > MOST_VALUES:
        raise BadInput(f"The conditions of a segment hold at most {MOST_VALUES:,} values in all.", field="rules")
    for path, leaf in conditions:
        _check(leaf, path, timezone, now)
    return root


def _depth(root: Rule) -> int:
    match root:
        case All(of) | Any(of):
            return 1 + max(map(_depth, of), default=0)
        case Not(of):
            return 1 + _depth(of)
        case _:
            return 1


def _check(leaf: Leaf, path: str, timezone: str, now: datetime) -> None:
    match leaf:
        case Did(where, period, times, total):
            _check_where(where, f"{path}.did.where")
            _check_period(period, f"{path}.did.period", timezone, now)
            for name, bound in (("atLeast", times.at_least), ("atMost", times.at_most)):
                if bound is not None and not 0 <= bound <= _GREATEST:
                    raise BadInput("Nothing is done a negative number of times.", field=f"{path}.did.times.{name}")
            _check_order(times.at_least, times.at_most, f"{path}.did.times")
            if total is not None:
                _check_order(total.at_least, total.at_most, f"{path}.did.total")
        case Seen(_, period, where):
            _check_where(where, f"{path}.seen.where")
            _check_period(period, f"{path}.seen.period", timezone, now)
        case InFunnel(period=period, where=where):
            _check_where(where, f"{path}.funnel.where")
            _check_period(period, f"{path}.funnel.period", timezone, now)
        case Listed(subjects):
            if not subjects:
                raise BadInput("Name at least one subject.", field=f"{path}.subjects")
        case _:
            pass


def _check_order(least: Decimal | int | None, most: Decimal | int | None, field: str) -> None:
    if least is not None and most is not None and least > most:
        raise BadInput("No number is at least this and at most that.", field=field)


def _check_where(where: Filter, field: str) -> None:
    if in_segments(where):
        raise BadInput("Whom a segment is made of is said by the rule `segment`, not by its events.", field=field)


def _check_period(period: PeriodRequest | None, field: str, timezone: str, now: datetime) -> None:
    if period is None:
        return
    try:
        resolve(period, timezone, now)
    except BadInput as refused:
        raise BadInput(refused.message, field=(refused.field or "period").replace("period", field, 1)) from None


def check_name(name: str, description: str | None) -> None:
    """Raises BadInput where a segment cannot be called so."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInput(f"A name has 1 to {LONGEST_NAME} printable characters, not only blanks.", field="name")
    if description is not None and (len(description) > LONGEST_DESCRIPTION or "\x00" in description):
        raise BadInput(f"A description has at most {LONGEST_DESCRIPTION:,} characters.", field="description")


def check_refresh(every: timedelta) -> None:
    """Raises BadInput where members cannot be found so often."""
    if not SHORTEST_REFRESH <= every <= LONGEST_REFRESH:
        raise BadInput("Members are found anew every minute at most, and every 31 days at least.", field="refreshEvery")


def numbers_of(root: Rule, rows: Iterable[SegmentRow], *, itself: str | None = None) -> dict[int | str, int]:
    """The number of every segment by its id and name; raises BadInput where a rule names one that there is not."""
    known: dict[int | str, int] = {}
    for row in rows:
        assert row.segment_id is not None
        known[row.segment_id] = known[row.name] = row.segment_id
    for path, leaf in leaves(root):
        if isinstance(leaf, MemberOf) and leaf.segment not in known:
            if leaf.segment == itself:
                raise BadInput("The rules lead back to the segment itself.", field=path)
            called = f'segment called "{leaf.segment}"' if isinstance(leaf.segment, str) else "such segment"
            raise BadInput(f"There is no {called}.", field=path)
    return known


def check_walk(leaf: InFunnel, path: str, definition: FunnelDefinition) -> None:
    """Raises BadInput, naming the part of a rule, where whom it means cannot be told by the funnel."""
    check_outcome(definition, leaf.step, leaf.outcome, f"{path}.funnel.step")
    if in_segments(*definition.conditions()):
        raise BadInput(
            "The funnel's steps name a segment; whom a segment is made of is said by its own rules.",
            field=f"{path}.funnel.funnel",
        )


def check_size(rules: Mapping[int, Rule], changed: set[int]) -> None:
    """Raises BadInput where a segment leads to more conditions than are worked out at once."""
    for number in changed:
        reached, new = {number}, {number}
        while new:
            found = {one for part in new for one in references(rules[part]) if isinstance(one, int)}
            new = found - reached
            reached |= new
        if sum(sum(1 for _ in leaves(rules[one])) for one in reached) > MOST_IN_ALL:
            raise BadInput(
                f"A segment and those that its rules lead to have at most {MOST_IN_ALL} conditions.", field="rules"
            )
