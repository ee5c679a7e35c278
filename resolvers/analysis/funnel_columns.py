"""Events in the order of walks, and the search for the next that serves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.integer]
Masks = NDArray[np.unsignedinteger]

NEVER = np.iinfo(np.int64).max // 2
"""So late that nothing follows it, yet the distance to it from any time fits."""
_SORTABLE_BITS = 63
_DENSE = 16
"""With fewer walks than one in so many events, searching for each is quicker than counting through all."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Events by journey, time and arrival, closed by a row too late for any walk so that every search ends in one."""

    codes: Codes
    """Whose journey it is."""
    time_us: Ints
    mask: Masks
    instant: Ints | None
    """For each event, the first one of the same journey and time; None where no two events share both."""
    overlapping: bool
    """Whether any event qualifies for several steps."""

    @classmethod
    def of(cls, codes: Codes, time_us: Ints, mask: Masks, steps: int) -> "Columns":
        repeats = np.flatnonzero((time_us[1:] == time_us[:-1]) & (codes[1:] == codes[:-1])) + 1
        instant = None
        if repeats.size:
            instant = np.arange(codes.size)
            begins = np.flatnonzero(np.diff(repeats, prepend=-1) != 1)
            instant[repeats] = np.repeat(repeats[begins] - 1, np.diff(begins, append=repeats.size))
        serving = mask & mask.dtype.type((1 << steps) - 1)
        overlapping = bool((serving & (serving - 1)).any())
        return cls(np.append(codes, codes[-1]), np.append(time_us, NEVER), mask, instant, overlapping)

    def since(self, rows: Ints) -> Ints:
        """The first row of the instant of each."""
        return rows if self.instant is None else self.instant[rows]

    def beyond(self, rows: Ints) -> Ints:
        """The row that follows the instant of each."""
        if self.instant is None:
            return rows + 1
        begins = np.flatnonzero(self.instant == np.arange(self.instant.size))
        return np.append(begins, self.mask.size)[np.searchsorted(begins, rows, side="right")]

    def first(self, bit: int, since: Ints, used: "list[Ints]") -> Ints:
        """For each walk, the first row from ``since`` on that has the bit and is not among those ``used``.

        It may be one of another journey.
        """
        qualifies = (self.mask & self.mask.dtype.type(1 << bit)) != 0
        candidates = np.append(np.flatnonzero(qualifies), self.mask.size)
        rank: NDArray[np.integer]
        if since.size < self.mask.size // _DENSE:
            rank = np.searchsorted(candidates, since)
        else:
            counted = np.zeros(self.mask.size + 1, np.int32)
            np.cumsum(qualifies, out=counted[1:])
            rank = counted[since]
        row = candidates[rank]
        while used and self.overlapping:
            again = np.logical_or.reduce([row == taken for taken in used])
            if not again.any():
                break
            rank = rank + again
            row = candidates[rank]
        return row

    def when(self, rows: Ints, codes: Codes) -> Ints:
        """The times of rows; NEVER where they are not of the journeys ``codes``."""
        return np.where(self.codes[rows] == codes, self.time_us[rows], NEVER)


def first_of_each(codes: Codes) -> NDArray[np.bool_]:
    """Where a run of equal codes begins."""
    begins = np.ones(codes.size, np.bool_)
    begins[1:] = codes[1:] != codes[:-1]
    return begins


def compact(codes: Codes) -> Ints:
    """The same under codes from 0 in their order that are not much more than there are events."""
    if codes.size and (codes.min() < 0 or codes.max() > 4 * codes.size):
        codes = np.unique(codes, return_inverse=True)[1]
    return codes.astype(np.int64, copy=False)


def chronological(codes: Ints, time_us: Ints) -> Ints:
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
