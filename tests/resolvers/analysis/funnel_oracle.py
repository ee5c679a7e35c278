"""A funnel walked in plain Python, one subject's events after the other, from the definitions alone."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from resolvers.analysis.funnel_rules import Rules
from resolvers.analysis.funnels import Counting, Entry, Order


class Row(NamedTuple):
    subject: int
    time: int
    bits: frozenset[int]
    held: tuple[int, ...] = ()


@dataclass
class Way:
    """A walk: the places in the log that steps took, by step."""

    entry: int
    took: dict[int, int]
    depth: int
    waited: dict[int, int]
    converted: int | None
    over: float
    void: bool = False


class Told(NamedTuple):
    """What is compared."""

    depth: int
    entry: int
    elapsed: int | None
    took: tuple[tuple[int, int, int], ...]
    """Each step after the first that was taken: its place, the row, and the time since the required step before."""


def oracle(rows: Sequence[Row], rules: Rules) -> list[Told]:
    """The walks that count."""
    units: defaultdict[tuple[int, ...], defaultdict[tuple[int, ...], list[int]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for place, row in enumerate(rows):
        if 0 not in row.held:
            unit = (row.subject, *row.held[:1]) if rules.counting is Counting.SESSIONS else (row.subject,)
            units[unit][row.held].append(place)
    return [
        Told(
            way.depth,
            way.entry,
            way.converted,
            tuple(sorted((step, row, way.waited[step]) for step, row in way.took.items() if step)),
        )
        for journeys in units.values()
        for way in _counting(rows, journeys, rules)
    ]


def _counting(rows: Sequence[Row], journeys: dict[tuple[int, ...], list[int]], rules: Rules) -> list[Way]:
    entries = sorted(
        (rows[place].time, place)
        for journey in journeys.values()
        for place in journey
        if rows[place].time < rules.entry_end_us and _enters(rows[place], rules)
    )
    ways = [_way(rows, journeys[rows[place].held], place, rules) for _, place in entries]
    ways = [way for way in ways if way.depth]
    if rules.counting is Counting.TOTALS:
        following, over = list[Way](), -inf
        for way in ways:
            if rows[way.entry].time > over:
                following.append(way)
                over = way.over
        return [way for way in following if not way.void]
    if rules.entry is Entry.FIRST:
        return [way for way in ways[:1] if not way.void]
    ways = [way for way in ways if not way.void]
    return [max(ways, key=lambda way: way.depth)] if ways else []  # of equals, the first


def _enters(row: Row, rules: Rules) -> bool:
    steps = range(rules.steps) if rules.order is Order.ANY else [0]
    return any(step in row.bits for step in steps)


def _way(rows: Sequence[Row], journey: list[int], entry: int, rules: Rules) -> Way:
    return (_unordered if rules.order is Order.ANY else _ordered)(rows, journey, entry, rules)


def _earliest(
    rows: Sequence[Row], journey: list[int], bit: int, since: int, used: set[int], *, later: bool = False
) -> int | None:
    found = [
        (rows[place].time, place)
        for place in journey
        if bit in rows[place].bits
        and (rows[place].time > since or (not later and rows[place].time == since))
        and place not in used
    ]
    return min(found)[1] if found else None


def _ordered(rows: Sequence[Row], journey: list[int], entry: int, rules: Rules) -> Way:
    start = rows[entry].time
    way = Way(entry, {0: entry}, 1, {}, None, inf)
    last, since, pending = 0, start, list[int]()
    for step in range(1, rules.steps):
        if step in rules.optional:
            pending.append(step)
            continue
        if not _pass(rows, journey, way, rules, last, step, pending):
            return way
        way.waited[step] = rows[way.took[step]].time - since
        last, since, pending = step, rows[way.took[step]].time, []
    way.converted, way.over = since - start, since
    return way


def _pass(
    rows: Sequence[Row], journey: list[int], way: Way, rules: Rules, last: int, step: int, pending: list[int]
) -> bool:
    since, window_end = rows[way.took[last]].time, rows[way.entry].time + rules.window_us
    later, used = rules.strictly_later, set(way.took.values())

    def due(which: int) -> float:
        return min(window_end, since + rules.within_us.get(which, inf))

    goal = _earliest(rows, journey, step, since, used, later=later)
    used |= {goal} if goal is not None else set()
    asides = dict[int, int]()
    for which in pending:
        found = _earliest(rows, journey, which, since, used, later=later)
        if found is not None and rows[found].time <= due(which):
            asides[which] = found
            used.add(found)
    deadline, broken = due(step), inf
    if rules.order is Order.STRICT:
        others = [rows[place].time for place in journey if rows[place].time > since]
        between = [rows[place].time for place in journey if place in asides.values() and rows[place].time > since]
        # The first instant with an event more than the optional steps took there: the goal's own breaks nothing.
        broken = min((time for time in others if others.count(time) > between.count(time)), default=inf)
    limit = min(deadline, broken)
    at = rows[goal].time if goal is not None else inf
    reached = at <= limit
    barred = [
        (rows[place].time, not barrier.removes)
        for barrier in rules.barriers
        if barrier.after <= last and step <= barrier.before
        for place in journey
        if barrier.bit in rows[place].bits
        and since < rows[place].time
        and (rows[place].time < at if reached else rows[place].time <= limit)
    ]
    if barred:
        limit, spared = min(barred)
        way.over, way.void, reached = limit, not spared, False
    else:
        way.over = broken - 1 if broken <= deadline else deadline
    for which, place in asides.items():
        time = rows[place].time
        if time <= limit and (time < at if later else time <= at):
            way.took[which], way.waited[which] = place, time - since
    if reached and goal is not None:
        way.took[step], way.depth = goal, step + 1
    return reached


def _unordered(rows: Sequence[Row], journey: list[int], entry: int, rules: Rules) -> Way:
    start = rows[entry].time
    deadline = start + rules.window_us
    used, found = set[int](), dict[int, int]()
    for step in range(rules.steps):
        place = _earliest(rows, journey, step, start, used)
        if place is not None and rows[place].time <= deadline:
            found[step] = place
            used.add(place)
    required = [step for step in range(rules.steps) if step not in rules.optional]
    whole = all(step in found for step in required)
    done = max(rows[found[step]].time for step in required) if whole else inf
    barred = [
        (rows[place].time, not barrier.removes)
        for barrier in rules.barriers
        for place in journey
        if barrier.bit in rows[place].bits
        and start < rows[place].time
        and (rows[place].time < done if whole else rows[place].time <= deadline)
    ]
    limit: float = min(done, deadline)
    void = False
    if barred:
        limit, spared = min(barred)
        void = not spared
    way = Way(entry, {}, 0, {}, None, limit, void)
    since = start
    for step in range(rules.steps):
        taken = step in found and rows[found[step]].time <= limit
        if step not in rules.optional and not taken:
            # Optional steps after it count still: the order does not matter.
            rest = [which for which in range(step, rules.steps) if which in rules.optional and way.depth]
            for which in rest:
                if which in found and rows[found[which]].time <= limit:
                    way.took[which], way.waited[which] = found[which], max(since, rows[found[which]].time) - since
            return way
        if taken:
            until = max(since, rows[found[step]].time)
            way.took[step], way.waited[step] = found[step], until - since
            if step not in rules.optional:
                way.depth, since = step + 1, until
    way.converted = since - start
    return way
