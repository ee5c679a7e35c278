"""The events of a question as arrays: which steps each subject took when, for the kernels that walk journeys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.blocks import BLOCK, each
from resolvers.analysis.columns import Coding, EventColumns, EventRun, both, bound, columns_of
from resolvers.analysis.filters import Filter

T = TypeVar("T")

_KEY_BITS = 63
_SPARSE = 3
"""Where fewer rows than one in so many are in time, it pays to take them out first."""
SMALL = BLOCK // 4
"""Rows up to which a run is selected from at once, and of a range of subjects: what is done to them stays near by."""


@dataclass(frozen=True, slots=True, eq=False)
class Journeys:
    """Events as columns of one length.

    ``subject`` holds codes, ``at`` microseconds since 1970 (UTC), ``steps`` a bit for each step an event qualifies
    for, ``dimensions`` a row of codes for each dimension asked for (0 where the event carries none).
    """

    subject: NDArray[np.int32]
    at: NDArray[np.int64]
    steps: NDArray[np.unsignedinteger]
    dimensions: NDArray[np.int32]
    ordered: bool
    """Whether rows are in the order of subject, time and arrival; else they are in the order of arrival."""

    @property
    def nbytes(self) -> int:
        return self.subject.nbytes + self.at.nbytes + self.steps.nbytes + self.dimensions.nbytes

    def part(self, start: int, end: int) -> "Journeys":
        """The rows from ``start`` to before ``end``, without copying."""
        rows = slice(start, end)
        return Journeys(self.subject[rows], self.at[rows], self.steps[rows], self.dimensions[:, rows], self.ordered)

    def in_order(self) -> "Journeys":
        """The same events by subject, time and arrival."""
        if self.ordered:
            return self
        order = chronological(self.subject, self.at)
        return Journeys(self.subject[order], self.at[order], self.steps[order], self.dimensions[:, order], True)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events a question is about: those from ``start_us`` to before ``end_us`` that pass ``where`` and a step."""

    start_us: int
    end_us: int
    where: Filter
    steps: Sequence[Filter]
    by: Sequence[str]


def step_bits(steps: int) -> np.dtype[np.unsignedinteger]:
    """The smallest type with a bit for each of at most 31 steps."""
    return np.min_scalar_type((1 << steps) - 1) if steps else np.dtype(np.uint8)


def gathered(
    runs: Sequence[EventRun],
    tail: Journeys | None,
    asked: Selection,
    coding: Coding,
    work: Callable[[Journeys], T],
    share: int = 1,
) -> list[T]:
    """What ``work`` makes of the events of the selection, a range of subjects at a time, small enough to be quick.

    It is given all that is selected of these subjects, in the order of subject, time and arrival; the ranges follow
    each other, but are worked on side by side. Runs are in that order each; of simultaneous events those of an
    earlier run came first, those of ``tail`` last, which was selected already.
    """
    large = max((place for place, run in enumerate(runs) if run.size > SMALL // share), default=-1) + 1
    selectors = [_Selector(run, asked, coding) for run in runs]
    late = [select(0, select.run.size) for select in selectors[large:]]
    if tail is not None:
        late.append(tail.in_order())
    rest = _merged(late) if late else None
    parts = [run.subject for run in runs[:large]] + ([Ascending.of(rest.subject)] if rest else [])
    cuts = cuts_of(parts, share)

    def range_of_subjects(place: int) -> T:
        extents = [(cut[place], cut[place + 1]) for cut in cuts]
        found = [select(*rows) for select, rows in zip(selectors[:large], extents, strict=False)]
        if rest is not None:
            found.append(rest.part(*extents[-1]))
        return work(_merged(found))

    return each(range_of_subjects, range(len(cuts[0]) - 1))


def scattered(
    runs: Sequence[EventRun],
    tail: Journeys | None,
    asked: Selection,
    coding: Coding,
    work: Callable[[Journeys], T],
) -> list[T]:
    """What ``work`` makes of the same events, where it does not matter which of a subject's it is given together.

    It is given a range of subjects of one run at a time, which saves bringing those of several runs in order.
    """
    selectors, step = [_Selector(run, asked, coding) for run in runs], max(1, SMALL)
    pieces = [
        (select, start, min(start + step, select.run.size))
        for select in selectors
        for start in range(0, select.run.size, step)
    ]
    found = each(lambda piece: work(piece[0](piece[1], piece[2])), pieces)
    return found if tail is None else [*found, work(tail.in_order())]


narrow = partial(gathered, share=4)
"""The same in smaller ranges, for work on so much that what two of them take meanwhile counts."""


def cuts_of(parts: Sequence[Ascending], share: int = 1) -> list[list[int]]:
    """Where to cut ascending columns, so that what lies between the same cuts is of the same few subjects."""
    longest = max(parts, key=lambda part: part.size)
    rows = max(1, SMALL // share * longest.size // max(1, sum(part.size for part in parts)))
    bounds = np.unique(longest.every(rows))
    return [[0, *part.places(bounds), part.size] for part in parts]


class _Selector:
    """A selection made ready for one run."""

    def __init__(self, run: EventRun, asked: Selection, coding: Coding) -> None:
        self.run = run
        self.asked = asked
        self.where = bound(asked.where, run.coded, coding)
        self.steps = [bound(step, run.coded, coding) for step in asked.steps]
        self.looked_at = columns_of(*asked.steps) or frozenset()

    def __call__(self, start: int, end: int) -> Journeys:
        """The events selected from some rows of the run."""
        run = self.run.part(start, end)
        found = both(run.moments.within(self.asked.start_us, self.asked.end_us), self.where(run))
        if isinstance(found, np.ndarray) and np.count_nonzero(found) < found.size // _SPARSE:
            # A month of which a few days are asked for: steps are looked for among their events alone.
            rows = np.flatnonzero(found)
            steps = self._steps(run.chosen(rows, self.looked_at))
            taking = np.flatnonzero(steps)
            rows, steps = rows[taking], steps[taking]
        else:
            steps = self._steps(run)
            rows = np.flatnonzero(both(found, steps != 0))
            steps = steps[rows]
        dimensions = np.zeros((len(self.asked.by), rows.size), np.int32)
        for place, name in enumerate(self.asked.by):
            column = run.coded.get(name)
            if column is not None:
                dimensions[place] = column.values(rows)
        return Journeys(run.subject[rows], run.moments.microseconds(rows), steps, dimensions, True)

    def _steps(self, run: EventColumns) -> NDArray[np.unsignedinteger]:
        """The steps that each row qualifies for, as bits."""
        steps = np.zeros(run.subject.size, step_bits(len(self.steps)))
        for place, step in enumerate(self.steps):
            steps |= np.multiply(step(run), steps.dtype.type(1 << place), dtype=steps.dtype)
        return steps


def joined(parts: Sequence[Journeys], *, ordered: bool) -> Journeys:
    """The rows of all parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return Journeys(
        np.concatenate([part.subject for part in parts]),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.dimensions for part in parts], axis=1),
        ordered,
    )


def _merged(parts: Sequence[Journeys]) -> Journeys:
    filled = [part for part in parts if part.subject.size]
    if len(filled) < 2:
        return filled[0] if filled else parts[0]
    return joined(filled, ordered=False).in_order()


def chronological(subject: NDArray[np.signedinteger[Any]], at: NDArray[np.int64]) -> NDArray[np.intp]:
    """The order of rows by subject, time and place; quick where they are sorted in long runs already."""
    if not subject.size:
        return np.empty(0, np.intp)
    low, first = np.int64(subject.min()), at.min()
    bits = int(at.max() - first).bit_length()
    if bits + int(subject.max() - low).bit_length() > _KEY_BITS:
        return np.lexsort((at, subject))
    key = subject - low
    key <<= bits
    key -= first
    key += at
    # A stable sort of plain numbers, which finds sorted runs and merges them.
    return np.argsort(key, kind="stable")
