"""Walks every subject of a tenant through a funnel at once, over columns of events."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.blocks import BLOCK
from resolvers.analysis.funnels import Entry

Ints = NDArray[np.int64]

# So late that nothing follows it, yet the distance to it from any time fits.
_NEVER = np.iinfo(np.int64).max // 2
_SORTABLE_BITS = 63
_DENSE = 16
"""With fewer walks than one in so many events, searching for each is quicker than counting through all."""


@dataclass(frozen=True, slots=True, eq=False)
class FunnelWalk:
    """How far each entering subject came, as columns of one length, ordered by subject."""

    depth: Ints
    """Steps reached: 1 (entered only) to the number of steps."""
    entry: Ints
    """Where the entry event lies in the input columns."""
    seconds: NDArray[np.float64]
    """From the entry to the last step, to the microsecond; NaN where that was not reached."""


def walk(
    subject: NDArray[np.integer],
    time_us: Ints,
    mask: NDArray[np.unsignedinteger],
    *,
    steps: int,
    window_us: int,
    entry: Entry,
    entry_end_us: int,
    ordered: bool = False,
) -> FunnelWalk:
    """How far each subject comes through ``steps`` ordered steps.

    The columns hold one event a row, in order of arrival or, where they are ``ordered``, by subject, time and
    arrival: whose it is (any integer code), when (microseconds since 1970), and which steps it qualifies for (bit 0
    is the first step). They begin with the period and should reach to ``window_us`` after its end ``entry_end_us``:
    an entry is a first-step event before that end, and each later step counts up to and including ``window_us``
    after the entry.

    Each step takes the earliest qualifying event at or after the one the step before took, of simultaneous
    ones the first to arrive; an event serves one step only. Simultaneous events may so serve their steps in
    any order. FIRST walks from a subject's first entry. ANY walks from every entry and keeps the farthest
    walk, the earliest of these.
    """
    question = _Question(steps, window_us, entry, entry_end_us)
    if ordered:
        return _walk_ordered(subject, time_us, mask, question)
    codes = _compact(subject)
    entering = (mask & 1).astype(np.bool_) & (time_us < entry_end_us)
    if not entering.any():
        return FunnelWalk(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    first = np.full(int(codes.max()) + 1, _NEVER)
    np.minimum.at(first, codes[entering], time_us[entering])
    kept = _within_reach(codes, time_us, mask, first, window_us if entry is Entry.FIRST else None)
    kept = kept[_chronological(codes[kept], time_us[kept])]
    found = _walk_ordered(codes[kept], time_us[kept], mask[kept], question)
    return FunnelWalk(found.depth, kept[found.entry], found.seconds)


@dataclass(frozen=True, slots=True)
class _Question:
    steps: int
    window_us: int
    entry: Entry
    entry_end_us: int


def _walk_ordered(
    subject: NDArray[np.integer], time_us: Ints, mask: NDArray[np.unsignedinteger], question: _Question
) -> FunnelWalk:
    """The walk over columns by subject, time and arrival, one range of subjects after the other."""
    cuts = np.searchsorted(subject, subject[BLOCK::BLOCK])
    bounds = np.unique([0, *cuts, subject.size]).tolist()
    walks = [
        _walk_block(subject[start:end], time_us[start:end], mask[start:end], question)
        for start, end in pairwise(bounds)
    ]
    return joined_walks(walks, bounds)


def joined_walks(walks: Sequence[FunnelWalk], starts: Sequence[int] | None = None) -> FunnelWalk:
    """Walks over columns one after the other as walks over them all.

    ``starts`` says where the columns of each begin; by default these hold the walks' entries and nothing else.
    """
    if len(walks) == 1:
        return walks[0]
    if starts is None:
        starts = [0, *accumulate(found.depth.size for found in walks)]
    return FunnelWalk(
        np.concatenate([np.empty(0, np.int64), *(found.depth for found in walks)]),
        np.concatenate(
            [np.empty(0, np.int64), *(one.entry + start for one, start in zip(walks, starts, strict=False))]
        ),
        np.concatenate([np.empty(0), *(found.seconds for found in walks)]),
    )


def _walk_block(
    subject: NDArray[np.integer], time_us: Ints, mask: NDArray[np.unsignedinteger], question: _Question
) -> FunnelWalk:
    starts = np.flatnonzero((mask & 1).astype(np.bool_) & (time_us < question.entry_end_us))
    if question.entry is Entry.FIRST:
        starts = starts[_first_of_each(subject[starts])]
    if not starts.size:
        return FunnelWalk(np.empty(0, np.int64), starts, np.empty(0))
    columns = _Columns.of(subject, time_us, mask)
    depth, seconds = _advance(columns, starts, question.steps, question.window_us)
    if question.entry is Entry.FIRST:
        return FunnelWalk(depth, starts, seconds)
    best = _farthest(columns.codes[starts], depth)
    return FunnelWalk(depth[best], starts[best], seconds[best])


def _compact(subject: NDArray[np.integer]) -> Ints:
    """The subjects under codes from 0 that are not much more than there are events."""
    if subject.size and (subject.min() < 0 or subject.max() > 4 * subject.size):
        subject = np.unique(subject, return_inverse=True)[1]
    return subject.astype(np.int64, copy=False)


def _within_reach(
    codes: Ints, time_us: Ints, mask: NDArray[np.unsignedinteger], first: Ints, window_us: int | None
) -> Ints:
    """The events that can matter: none before a subject's first entry nor, given a window, beyond its reach.

    What is dropped here need not be sorted, which costs more than all else.
    """
    since = time_us - first[codes]
    useful = (since >= 0) & (mask != 0)
    if window_us is not None:
        useful &= (since <= window_us) & ((mask > 1) | (since == 0))
    return np.flatnonzero(useful)


def _chronological(codes: Ints, time_us: Ints) -> Ints:
    """The order by code, time and place.

    Sorting plain numbers is many times faster than sorting by keys. So one number holds code, time and place,
    the time cut to the bits that are left; what that leaves undecided is then sorted by its full time.
    """
    count = codes.size
    since = time_us - time_us.min()
    place_bits, time_bits = count.bit_length(), int(since.max()).bit_length()
    cut = max(0, int(codes.max()).bit_length() + time_bits + place_bits - _SORTABLE_BITS)
    if cut > time_bits:
        raise ValueError("more events than can be ordered in one walk")
    coarse = (codes << (time_bits - cut)) | (since >> cut)
    packed = np.sort((coarse << place_bits) | np.arange(count))
    order = packed & ((1 << place_bits) - 1)
    if cut:
        _settle(order, packed >> place_bits, time_us)
    return order


def _settle(order: Ints, coarse: Ints, time_us: Ints) -> None:
    """Put in their true order, in place, the runs of equal coarse keys."""
    equal = coarse[1:] == coarse[:-1]
    undecided = np.zeros(order.size, np.bool_)
    undecided[1:] |= equal
    undecided[:-1] |= equal
    run = order[undecided]
    order[undecided] = run[np.lexsort((time_us[run], coarse[undecided]))]


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Events by subject, time and arrival, closed by a row too late for any walk so that every search ends in one."""

    codes: NDArray[np.integer]
    time_us: Ints
    mask: NDArray[np.unsignedinteger]
    instant: Ints | None
    """For each event, the first one of the same subject and time; None where no two events share both."""
    overlapping: bool
    """Whether any event qualifies for several steps."""

    @classmethod
    def of(cls, codes: NDArray[np.integer], time_us: Ints, mask: NDArray[np.unsignedinteger]) -> "_Columns":
        repeats = np.flatnonzero((time_us[1:] == time_us[:-1]) & (codes[1:] == codes[:-1])) + 1
        instant = None
        if repeats.size:
            instant = np.arange(codes.size)
            begins = np.flatnonzero(np.diff(repeats, prepend=-1) != 1)
            instant[repeats] = np.repeat(repeats[begins] - 1, np.diff(begins, append=repeats.size))
        overlapping = bool((mask & (mask - 1)).any())
        return cls(np.append(codes, codes[-1]), np.append(time_us, _NEVER), mask, instant, overlapping)


def _advance(columns: _Columns, starts: Ints, steps: int, window_us: int) -> tuple[Ints, NDArray[np.float64]]:
    """Depth and seconds to convert of the walks that start at the rows ``starts``."""
    depth = np.ones(starts.size, np.int64)
    walking = np.arange(starts.size)
    codes, latest = columns.codes[starts], columns.time_us[starts] + window_us
    trail = [starts]
    for step in range(1, steps):
        row = _next(columns, step, trail)
        on = np.flatnonzero((columns.codes[row] == codes) & (columns.time_us[row] <= latest))
        walking, codes, latest = walking[on], codes[on], latest[on]
        # The whole trail matters only where an event could serve twice.
        trail = [taken[on] for taken in trail] if columns.overlapping else []
        trail.append(row[on])
        depth[walking] = step + 1
    seconds = np.full(starts.size, np.nan)
    seconds[walking] = (columns.time_us[trail[-1]] - latest + window_us) / 1e6
    return depth, seconds


def _next(columns: _Columns, step: int, trail: list[Ints]) -> Ints:
    """For each walk, the row that the step takes, if it is still the same subject's."""
    qualifies = (columns.mask & (1 << step)) != 0
    candidates = np.append(np.flatnonzero(qualifies), columns.mask.size)
    since = trail[-1] if columns.instant is None else columns.instant[trail[-1]]
    rank: NDArray[np.integer]
    if since.size < columns.mask.size // _DENSE:
        rank = np.searchsorted(candidates, since)
    else:
        rank = np.cumsum(qualifies, dtype=np.int32)[since] - qualifies[since]
    row = candidates[rank]
    while columns.overlapping:
        used = np.logical_or.reduce([row == taken for taken in trail])
        if not used.any():
            break
        rank = rank + used
        row = candidates[rank]
    return row


def _first_of_each(codes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where a run of equal codes begins."""
    begins = np.ones(codes.size, np.bool_)
    begins[1:] = codes[1:] != codes[:-1]
    return begins


def _farthest(codes: NDArray[np.integer], depth: Ints) -> Ints:
    """For each code, the first of its walks that came farthest; ``codes`` are in runs."""
    runs = _first_of_each(codes)
    best = np.flatnonzero(runs)
    # Most walks end where they began, and of those the first one counts unless another came farther.
    far = np.flatnonzero(depth > 1)
    if far.size:
        run = (np.cumsum(runs, dtype=np.int32) - 1)[far]
        begins = np.flatnonzero(_first_of_each(run))
        reached = np.repeat(np.maximum.reduceat(depth[far], begins), np.diff(begins, append=far.size))
        farthest = np.flatnonzero(depth[far] == reached)
        farthest = farthest[_first_of_each(run[farthest])]
        best[run[farthest]] = far[farthest]
    return best
