"""Walks every subject of a tenant through a funnel at once, over columns of events."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.blocks import BLOCK
from resolvers.analysis.funnel_columns import (
    NEVER,
    Codes,
    Columns,
    Ints,
    Masks,
    chronological,
    compact,
    first_of_each,
)
from resolvers.analysis.funnel_rules import Rules
from resolvers.analysis.funnel_ways import Taken, Ways, ways
from resolvers.analysis.funnels import Counting, Entry, Order


@dataclass(frozen=True, slots=True, eq=False)
class FunnelWalk:
    """How far each walk that counts came, as columns of one length, ordered by subject."""

    depth: NDArray[np.int8]
    """The place after that of the farthest required step reached: 1 (entered only) to the number of steps."""
    entry: Ints
    """Where the entry event lies in the input columns."""
    entry_us: Ints
    """When it was."""
    seconds: NDArray[np.float64]
    """From the entry to the last step, to the microsecond; NaN where that was not reached."""
    taken: tuple[Taken, ...]
    """For each step after the first, the walks that took it, with their rows in the input columns."""


def walk(
    subject: Codes,
    time_us: Ints,
    mask: Masks,
    rules: Rules,
    *,
    held: NDArray[np.integer] | None = None,
    ordered: bool = False,
) -> FunnelWalk:
    """How far each subject comes.

    The columns hold one event a row, in order of arrival or, where they are ``ordered``, by subject, time and
    arrival: whose it is (any integer code), when (microseconds since 1970), and what it qualifies for (bit 0 is the
    first step; exclusions follow the steps). They begin with the period and should reach to the window after its end
    ``entry_end_us``: an entry is a first-step event before that end, and each later step counts up to and including
    the window's length after the entry. ``held`` has a row of codes for each value that must stay the same, 0 for
    none, that of the session first where sessions are counted.

    Each required step takes the earliest qualifying event at or after the one that the required step before took, of
    simultaneous ones the first to arrive; an event serves one step only. Simultaneous events may so serve their steps
    in any order, and none of them lies between two others. An optional step takes the earliest such event that is
    left, up to the next required step. In ANY order a walk enters with an event of any step, and steps take, in the
    order of the list, the earliest event at or after it that is left.

    FIRST walks from a subject's first entry, in ANY order the first from which the first step is reached. ANY walks
    from every entry and keeps the farthest walk, the earliest of these. TOTALS keeps all that follow each other.
    """
    if held is not None and len(held):
        return _walk_held(subject, time_us, mask, rules, held, ordered=ordered)
    if ordered:
        return _walk_ordered(_Events(subject, subject, time_us, mask, None), rules)
    codes = compact(subject)
    kept = _within_reach(codes, time_us, mask, rules) if rules.plain else np.arange(codes.size)
    if not kept.size:
        return _walk_ordered(_Events(codes[kept], codes[kept], time_us[kept], mask[kept], None), rules)
    kept = kept[chronological(codes[kept], time_us[kept])]
    codes = codes[kept]
    return _in_terms_of(kept, _walk_ordered(_Events(codes, codes, time_us[kept], mask[kept], None), rules))


def joined_walks(walks: Sequence[FunnelWalk], starts: Sequence[int] | None = None) -> FunnelWalk:
    """Walks over columns one after the other as walks over them all.

    ``starts`` says where the columns of each begin; by default rows are left as they are.
    """
    if len(walks) == 1:
        return walks[0]
    places = [0, *accumulate(found.depth.size for found in walks)]
    shifts = starts or [0] * len(walks)
    return FunnelWalk(
        np.concatenate([found.depth for found in walks]),
        np.concatenate([found.entry + shift for found, shift in zip(walks, shifts, strict=False)]),
        np.concatenate([found.entry_us for found in walks]),
        np.concatenate([found.seconds for found in walks]),
        tuple(
            Taken(
                np.concatenate([one.walk + place for one, place in zip(step, places, strict=False)]),
                np.concatenate([one.row + shift for one, shift in zip(step, shifts, strict=False)]),
                np.concatenate([one.waited_us for one in step]),
            )
            for step in zip(*(found.taken for found in walks), strict=True)
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Events:
    """Columns by unit, journey, time and arrival: a unit is what counts once, a journey what walks keep to."""

    unit: Codes
    journey: Codes
    time_us: Ints
    mask: Masks
    place: Ints | None
    """Ascending within a unit by time and arrival; None where rows are in that order."""

    def part(self, start: int, end: int) -> "_Events":
        rows = slice(start, end)
        place = None if self.place is None else self.place[rows]
        return _Events(self.unit[rows], self.journey[rows], self.time_us[rows], self.mask[rows], place)


def _walk_held(
    subject: Codes, time_us: Ints, mask: Masks, rules: Rules, held: NDArray[np.integer], *, ordered: bool
) -> FunnelWalk:
    """The walk where each combination of held values is a journey of its own."""
    kept = np.flatnonzero((held != 0).all(axis=0))
    codes = compact(subject)[kept]
    if not ordered and kept.size:
        order = chronological(codes, time_us[kept])
        kept, codes = kept[order], codes[order]
    unit = journey = codes
    for place, row in enumerate(held):
        # Numbered anew after each value, so that the product of many cannot overflow.
        journey = _numbered(journey, row[kept])
        if place == 0 and rules.counting is Counting.SESSIONS:
            unit = journey
    order = np.argsort(journey, kind="stable")
    rows = kept[order]
    events = _Events(unit[order], journey[order], time_us[rows], mask[rows], order)
    return _in_terms_of(rows, _walk_ordered(events, rules))


def _numbered(codes: Ints, values: NDArray[np.integer]) -> Ints:
    """Pairs under numbers from 0 in their order."""
    distinct, index = np.unique(values, return_inverse=True)
    return np.unique(codes * max(1, distinct.size) + index, return_inverse=True)[1]


def _in_terms_of(rows: Ints, found: FunnelWalk) -> FunnelWalk:
    """A walk over some rows, told by their places."""
    taken = tuple(replace(one, row=rows[one.row]) for one in found.taken)
    return replace(found, entry=rows[found.entry], taken=taken)


def _within_reach(codes: Ints, time_us: Ints, mask: Masks, rules: Rules) -> Ints:
    """The events that can matter: none before a subject's first entry nor, from that alone, beyond its reach.

    What is dropped here need not be sorted, which costs more than all else.
    """
    entering = (mask & 1).astype(np.bool_) & (time_us < rules.entry_end_us)
    if not entering.any():
        return np.empty(0, np.int64)
    first = np.full(int(codes.max()) + 1, NEVER)
    np.minimum.at(first, codes[entering], time_us[entering])
    since = time_us - first[codes]
    useful = (since >= 0) & (mask != 0)
    if rules.first_only:
        useful &= (since <= rules.window_us) & ((mask > 1) | (since == 0))
    return np.flatnonzero(useful)


def _walk_ordered(events: _Events, rules: Rules) -> FunnelWalk:
    """The walk of one range of units after the other."""
    cuts = np.searchsorted(events.unit, events.unit[BLOCK::BLOCK])
    bounds = np.unique([0, *cuts, events.unit.size]).tolist()
    if len(bounds) < 2:
        bounds = [0, 0]
    return joined_walks([_walk_block(events.part(*extent), rules) for extent in pairwise(bounds)], bounds)


def _walk_block(events: _Events, rules: Rules) -> FunnelWalk:
    entering = events.mask & events.mask.dtype.type((1 << rules.steps) - 1 if rules.order is Order.ANY else 1)
    starts = np.flatnonzero(entering.astype(np.bool_) & (events.time_us < rules.entry_end_us))
    if events.place is not None:
        starts = starts[np.lexsort((events.place[starts], events.unit[starts]))]
    if rules.first_only:
        starts = starts[first_of_each(events.unit[starts])]
    if not starts.size:
        none = np.empty(0, np.int64)
        nobody = Taken(none, none, none)
        return FunnelWalk(none.astype(np.int8), none, none, np.empty(0), (nobody,) * (rules.steps - 1))
    found = ways(Columns.of(events.journey, events.time_us, events.mask, rules.steps), starts, rules)
    entry_us = events.time_us[starts]
    chosen = _chosen(events.unit[starts], entry_us, found, rules)
    if chosen is not None:
        starts, entry_us, found = starts[chosen], entry_us[chosen], found.of(chosen)
    return FunnelWalk(found.depth, starts, entry_us, found.seconds, found.taken)


def _chosen(unit: Codes, entry_us: Ints, found: Ways, rules: Rules) -> Ints | None:
    """The walks that count, None for all; ``unit`` is in runs, each by time."""
    if rules.first_only and found.void is None:
        return None
    if rules.order is not Order.ANY and found.void is None and found.over_us is None:
        return _farthest(unit, found.depth)
    walks = np.flatnonzero(found.depth > 0)
    if rules.counting is Counting.TOTALS and found.over_us is not None:
        walks = walks[_following(unit[walks], entry_us[walks], found.over_us[walks])]
    elif rules.entry is Entry.FIRST:
        walks = walks[first_of_each(unit[walks])]
    if found.void is not None:
        walks = walks[~found.void[walks]]
    if rules.entry is Entry.ANY and rules.counting is not Counting.TOTALS:
        walks = walks[_farthest(unit[walks], found.depth[walks])]
    return walks


def _following(unit: Codes, entry_us: Ints, over_us: Ints) -> Ints:
    """Of each unit's walks the first, and then each first one after the one before is over."""
    begins = first_of_each(unit)
    ends = np.append(np.flatnonzero(begins)[1:], unit.size)[np.cumsum(begins) - 1]
    jump, beyond = np.arange(1, unit.size + 1), ends.copy()
    # Each walk looks by halves among those after it of its unit.
    while (searching := np.flatnonzero(jump < beyond)).size:
        middle = (jump[searching] + beyond[searching]) // 2
        later = entry_us[middle] > over_us[searching]
        beyond[searching[later]] = middle[later]
        jump[searching[~later]] = middle[~later] + 1
    jump = np.append(np.where(jump < ends, jump, unit.size), unit.size)
    counts = np.zeros(unit.size + 1, np.bool_)
    counts[:-1] = begins
    # Twice as far each time, so that one subject's thousands of walks take few rounds.
    while (jump < unit.size).any():
        counts[jump[counts]] = True
        jump = jump[jump]
    return np.flatnonzero(counts[:-1])


def _farthest(unit: Codes, depth: NDArray[np.int8]) -> Ints:
    """For each unit, the first of its walks that came farthest; ``unit`` is in runs."""
    runs = first_of_each(unit)
    best = np.flatnonzero(runs)
    # Most walks end where they began, and of those the first one counts unless another came farther.
    far = np.flatnonzero(depth > 1)
    if far.size:
        run = (np.cumsum(runs, dtype=np.int32) - 1)[far]
        begins = np.flatnonzero(first_of_each(run))
        reached = np.repeat(np.maximum.reduceat(depth[far], begins), np.diff(begins, append=far.size))
        farthest = np.flatnonzero(depth[far] == reached)
        farthest = farthest[first_of_each(run[farthest])]
        best[run[farthest]] = far[farthest]
    return best
