"""How far each of many walks comes through a funnel's steps, all walked side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.funnel_columns import NEVER, Columns, Ints
from resolvers.analysis.funnel_columns import Codes as JourneyCodes
from resolvers.analysis.funnel_rules import Barrier, Gap, Rules
from resolvers.analysis.funnels import Counting, Order


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """The walks that took a step: their places, the rows they took, and the microseconds since the required step
    before."""

    walk: Ints
    row: Ints
    waited_us: Ints

    def renumbered(self, places: Ints) -> "Taken":
        """The same of the walks that have a new place, which is not negative."""
        walk = places[self.walk]
        kept = np.flatnonzero(walk >= 0)
        return Taken(walk[kept], self.row[kept], self.waited_us[kept])


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """What became of walks, as columns of one length."""

    depth: NDArray[np.int8]
    """The place after that of the farthest required step reached; 0 where not even the first was."""
    seconds: NDArray[np.float64]
    """From the entry to the last step; NaN where that was not reached."""
    taken: tuple[Taken, ...]
    """For each step after the first, who took it."""
    void: NDArray[np.bool_] | None
    """Whether an excluded event removed the walk; None where there are no exclusions."""
    over_us: Ints | None
    """The time up to which no other walk begins, where walks are to follow each other."""

    def of(self, chosen: Ints) -> "Ways":
        """Those of some walks, in their order, that are known to count."""
        places = np.full(self.depth.size, -1)
        places[chosen] = np.arange(chosen.size)
        taken = tuple(one.renumbered(places) for one in self.taken)
        return Ways(self.depth[chosen], self.seconds[chosen], taken, None, None)


_NOBODY = Taken(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def ways(columns: Columns, starts: Ints, rules: Rules) -> Ways:
    """What becomes of the walks that begin at the rows ``starts``."""
    return _in_any_order(columns, starts, rules) if rules.order is Order.ANY else _in_order(columns, starts, rules)


def _in_order(columns: Columns, starts: Ints, rules: Rules) -> Ways:
    depth = np.ones(starts.size, np.int8)
    void = np.zeros(starts.size, np.bool_) if rules.barriers else None
    over = np.empty(starts.size, np.int64) if rules.counting is Counting.TOTALS else None
    taken = [_NOBODY] * (rules.steps - 1)
    walking, since = np.arange(starts.size), columns.time_us[starts]
    walks = _Walks(columns.codes[starts], starts, since + rules.window_us, [starts])
    for gap in rules.gaps():
        passage = _pass(columns, rules, gap, walks)
        if void is not None:
            void[walking] = passage.void
        if over is not None:
            over[walking] = passage.over_us
        for step, row in zip(gap.optional, passage.optional, strict=True):
            took = np.flatnonzero(row >= 0)
            taken[step - 1] = Taken(walking[took], row[took], columns.time_us[row[took]] - since[took])
        on = passage.on
        walking, row, at = walking[on], passage.row[on], passage.at_us[on]
        taken[gap.step - 1] = Taken(walking, row, at - since[on])
        since = at
        # The whole trail matters only where an event could serve twice.
        trail = [rows[on] for rows in (*walks.trail, *passage.optional)] if columns.overlapping else []
        walks = _Walks(walks.codes[on], row, walks.latest_us[on], [*trail, row])
        depth[walking] = gap.step + 1
    seconds = np.full(starts.size, np.nan)
    seconds[walking] = (since - walks.latest_us + rules.window_us) / 1e6
    if over is not None:
        over[walking] = since
    return Ways(depth, seconds, tuple(taken), void, over)


@dataclass(frozen=True, slots=True, eq=False)
class _Walks:
    """Walks on their way: whose they are, the row of their last required step, their deadline, all rows taken."""

    codes: JourneyCodes
    last: Ints
    latest_us: Ints
    trail: list[Ints]


@dataclass(frozen=True, slots=True, eq=False)
class _Passage:
    """What walks meet on their way to a required step."""

    on: Ints
    """The places of those that reach it."""
    row: Ints
    at_us: Ints
    over_us: Ints
    """When those that do not reach it are over."""
    optional: tuple[Ints, ...] = ()
    """The rows that the optional steps took, -1 for none."""
    void: "NDArray[np.bool_] | bool" = False


def _pass(columns: Columns, rules: Rules, gap: Gap, walks: _Walks) -> _Passage:
    begin = columns.beyond(walks.last) if rules.strictly_later else columns.since(walks.last)
    row = columns.first(gap.step, begin, walks.trail)
    deadline = _deadline(columns, rules, gap.step, walks)
    if not gap.optional and not gap.barriers and rules.order is not Order.STRICT:
        at = columns.time_us[row]
        return _Passage(np.flatnonzero((columns.codes[row] == walks.codes) & (at <= deadline)), row, at, deadline)
    at = columns.when(row, walks.codes)
    used = [*walks.trail, np.where(at < NEVER, row, -1)]
    optional = list[Ints]()
    for step in gap.optional:
        found = columns.first(step, begin, used)
        late = columns.when(found, walks.codes) > _deadline(columns, rules, step, walks)
        optional.append(np.where(late, -1, found))
        used.append(optional[-1])
    broken = _broken(columns, walks, optional) if rules.order is Order.STRICT else np.full(row.size, NEVER)
    limit = np.minimum(deadline, broken)
    excluded, void = _excluded(columns, gap.barriers, walks, np.where(at <= limit, at, limit + 1))
    limit = np.minimum(limit, excluded)
    # What broke the order may begin the next walk.
    over = np.where(excluded < NEVER, excluded, np.where(broken <= deadline, broken - 1, deadline))
    latest = np.minimum(limit, at - 1 if rules.strictly_later else at)
    took = (np.where((found >= 0) & (columns.time_us[found] <= latest), found, -1) for found in optional)
    return _Passage(np.flatnonzero(at <= limit), row, at, over, tuple(took), void)


def _deadline(columns: Columns, rules: Rules, step: int, walks: _Walks) -> Ints:
    within = rules.within_us.get(step)
    return walks.latest_us if within is None else np.minimum(walks.latest_us, columns.time_us[walks.last] + within)


def _broken(columns: Columns, walks: _Walks, optional: Sequence[Ints]) -> Ints:
    """When the first event lies after the last step's time that no optional step takes; NEVER without any."""
    row = columns.beyond(walks.last)
    for _ in optional:
        row = row + np.logical_or.reduce([row == taken for taken in optional])
    return columns.when(row, walks.codes)


def _excluded(
    columns: Columns, barriers: Sequence[Barrier], walks: _Walks, before_us: Ints
) -> tuple[Ints, NDArray[np.bool_]]:
    """When the first excluded event lies after the last step's time and ``before_us``, and whether it removes.

    NEVER without any; of simultaneous ones one that removes decides.
    """
    excluded, void = np.full(before_us.size, NEVER), np.zeros(before_us.size, np.bool_)
    if not barriers:
        return excluded, void
    beyond = columns.beyond(walks.last)
    for barrier in sorted(barriers, key=lambda one: one.removes):
        at = columns.when(columns.first(barrier.bit, beyond, []), walks.codes)
        hit = (at < before_us) & (at < excluded + barrier.removes)
        excluded = np.where(hit, at, excluded)
        void = np.where(hit, barrier.removes, void)
    return excluded, void


def _in_any_order(columns: Columns, starts: Ints, rules: Rules) -> Ways:
    codes, entered = columns.codes[starts], columns.time_us[starts]
    walks = _Walks(codes, starts, entered + rules.window_us, [])
    rows, times = list[Ints](), list[Ints]()
    for step in range(rules.steps):
        row = columns.first(step, columns.since(starts), walks.trail)
        times.append(columns.when(row, codes))
        rows.append(row)
        walks.trail.append(np.where(times[-1] > walks.latest_us, -1, row))
    required = [step for step in range(rules.steps) if step not in rules.optional]
    done = np.maximum.reduce([times[step] for step in required])
    complete = done <= walks.latest_us
    excluded, void = _excluded(columns, rules.barriers, walks, np.where(complete, done, walks.latest_us + 1))
    limit = np.minimum(np.minimum(walks.latest_us, done), excluded)
    depth, on, since = np.zeros(starts.size, np.int8), np.ones(starts.size, np.bool_), entered
    taken = list[Taken]()
    for step, (row, at) in enumerate(zip(rows, times, strict=True)):
        reached = (depth > 0 if step in rules.optional else on) & (at <= limit)
        until = np.maximum(since, at)
        who = np.flatnonzero(reached)
        taken.append(Taken(who, row[who], (until - since)[who]))
        if step not in rules.optional:
            on, since = reached, np.where(reached, until, since)
            depth[reached] = step + 1
    seconds = np.where(on, (since - entered) / 1e6, np.nan)
    over = np.where(on, since, np.minimum(excluded, walks.latest_us))
    return Ways(depth, seconds, tuple(taken[1:]), void, over)
