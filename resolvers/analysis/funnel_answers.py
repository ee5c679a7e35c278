"""From walks to the answer of a funnel: counts, rates, times and groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.estimates import Estimate, Unit, estimate, quotient, share
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.funnel_columns import NEVER, Ints
from resolvers.analysis.funnel_kernel import FunnelWalk
from resolvers.analysis.funnel_times import times_to_convert
from resolvers.analysis.funnels import (
    FunnelAnswer,
    FunnelDefinition,
    FunnelGroup,
    FunnelSeries,
    StepAnswer,
    TimeToConvert,
)
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Granularity, Period, epoch_us

_STEP_RATE = "Those that reached this step, divided by those that reached the required step before."
_OVERALL_RATE = "Those that reached this step, divided by those that reached the first step."
_DROP_OFF = (
    "Those that did not come from the required step before to this one, divided by those that reached the former."
)
_CONVERSION = "Those that reached the last step, divided by those that reached the first."


@dataclass(frozen=True, slots=True, eq=False)
class Breakdown:
    """One dimension of the walks: walk i has the value ``values[codes[i]]``."""

    dimension: str
    codes: NDArray[np.integer]
    values: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Where the buckets of a series begin, in the order of time."""

    granularity: Granularity
    timezone: str
    at: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups of a breakdown: ``slot`` numbers each walk's, those not shown coming last as one."""

    keys: tuple[tuple[DimensionValue, ...], ...]
    slot: Ints
    count: int


def answer(
    definition: FunnelDefinition,
    period: Period,
    walk: FunnelWalk,
    *,
    buckets: Buckets,
    as_of: datetime,
    explain: Explanation,
    by: Sequence[Breakdown] = (),
    top: int = 20,
    previous: tuple[Period, FunnelWalk] | None = None,
) -> FunnelAnswer:
    """The answer from the walk of a period and, to compare, from that of a previous one.

    With ``by``, walks are grouped by these dimensions: the ``top`` groups with the most entries (of equals the first
    by value, no value last), the others as one.
    """
    (outcome,) = _outcomes(definition, walk, np.zeros(walk.depth.size, np.int64), 1)
    shown = outcome.steps(definition, as_of, previous and _reached(previous[1]))
    groups = grouped(by, walk.depth.size, top)
    return FunnelAnswer(
        definition=definition,
        period=period,
        steps=shown,
        conversion=outcome.conversion(as_of, previous and _reached(previous[1])),
        time_to_convert=outcome.time_to_convert,
        biggest_leak=_biggest_leak(shown),
        series=_series(walk, buckets),
        groups=tuple(_group_answers(definition, walk, groups, as_of)),
        group_count=groups.count,
        as_of=as_of,
        explain=explain,
        previous_period=previous and previous[0],
    )


def _reached(walk: FunnelWalk) -> list[int]:
    """How many walks reached each step."""
    return [walk.depth.size, *(taken.walk.size for taken in walk.taken)]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How many of some walks reached each step, and how long they took."""

    reached: list[int]
    times: list[TimeToConvert]
    """By step after the first, since the required step before."""
    time_to_convert: TimeToConvert

    def steps(
        self, definition: FunnelDefinition, as_of: datetime, before: list[int] | None = None
    ) -> tuple[StepAnswer, ...]:
        """The outcome of each step, compared with how many reached it before."""
        found = [_entry_step(definition.steps[0].name, self.reached[0], as_of)]
        last, rated = 0, _Rated(self.reached, before, as_of)
        for index, step in enumerate(definition.steps[1:], start=1):
            found.append(
                StepAnswer(
                    index=index,
                    name=step.name,
                    optional=step.optional,
                    count=self.reached[index],
                    dropped=self.reached[last] - self.reached[index],
                    step_rate=rated.share(index, last, _STEP_RATE),
                    overall_rate=rated.share(index, 0, _OVERALL_RATE),
                    drop_off=rated.share(index, last, _DROP_OFF, lost=True),
                    time_from_previous=self.times[index - 1],
                )
            )
            last = last if step.optional else index
        return tuple(found)

    def conversion(self, as_of: datetime, before: list[int] | None = None) -> Estimate:
        return _Rated(self.reached, before, as_of).share(-1, 0, _CONVERSION)


@dataclass(frozen=True, slots=True)
class _Rated:
    """How many reached each step, now and in the previous period."""

    now: list[int]
    before: list[int] | None
    as_of: datetime

    def share(self, step: int, base: int, definition: str, *, lost: bool = False) -> Estimate:
        """Those that reached one step, or did not, as a share of those that reached another."""

        def parts(reached: list[int]) -> tuple[int, int]:
            return reached[base] - reached[step] if lost else reached[step], reached[base]

        previous = None if self.before is None else quotient(*map(Decimal, parts(self.before)))
        return share(*parts(self.now), as_of=self.as_of, definition=definition, previous=previous)


def _outcomes(definition: FunnelDefinition, walk: FunnelWalk, slot: Ints, count: int) -> Iterator[_Outcome]:
    """The outcome of the walks of each slot."""
    reached = [np.bincount(slot, minlength=count).tolist()]
    times = list[list[TimeToConvert]]()
    for step, taken in zip(definition.steps[1:], walk.taken, strict=True):
        slots = slot[taken.walk]
        reached.append(np.bincount(slots, minlength=count).tolist())
        longest = definition.window if step.within is None else min(step.within, definition.window)
        times.append(times_to_convert(longest, taken.waited_us, slots, count))
    converted = walk.taken[-1].walk
    took_us = np.rint(walk.seconds[converted] * 1e6).astype(np.int64)
    for place, whole in enumerate(times_to_convert(definition.window, took_us, slot[converted], count)):
        yield _Outcome([counts[place] for counts in reached], [found[place] for found in times], whole)


def _entry_step(name: str, entered: int, as_of: datetime) -> StepAnswer:
    def certain(part: int, definition: str) -> Estimate:
        return estimate(
            quotient(Decimal(part), Decimal(entered)),
            n=entered,
            as_of=as_of,
            definition=definition,
            unit=Unit.RATIO,
            numerator=Decimal(part),
            denominator=Decimal(entered),
        )

    return StepAnswer(
        index=0,
        name=name,
        optional=False,
        count=entered,
        dropped=0,
        step_rate=certain(entered, _STEP_RATE),
        overall_rate=certain(entered, _OVERALL_RATE),
        drop_off=certain(0, _DROP_OFF),
        time_from_previous=None,
    )


def _biggest_leak(steps: Sequence[StepAnswer]) -> StepAnswer | None:
    worst = max((step for step in steps if not step.optional), key=lambda step: step.dropped)
    return worst if worst.dropped else None


def _series(walk: FunnelWalk, buckets: Buckets) -> FunnelSeries:
    starts = np.array([epoch_us(at) for at in buckets.at], np.int64)
    place = bucket_of(starts, walk.entry_us)
    counts = [np.bincount(place, minlength=starts.size).tolist()]
    counts += [np.bincount(place[taken.walk], minlength=starts.size).tolist() for taken in walk.taken]
    return FunnelSeries(
        granularity=buckets.granularity,
        timezone=buckets.timezone,
        at=buckets.at,
        conversion=tuple(last / first if first else None for first, last in zip(counts[0], counts[-1], strict=True)),
        counts=tuple(map(tuple, counts)),
    )


def bucket_of(starts: Ints, at: Ints) -> Ints:
    """The last of ascending ``starts`` that is not after each of ``at``, none of which is before the first.

    Buckets but the first are about as wide as each other: a table of cells no wider than these, each with one boundary
    at most, is quicker than a search.
    """
    if starts.size < 3:
        return np.searchsorted(starts, at, side="right") - 1
    width = np.diff(starts[1:]).min()
    cells = np.arange(starts[0], starts[-1] + width, width)
    place: Ints = (np.searchsorted(starts, cells, side="right") - 1)[
        np.minimum((at - starts[0]) // width, cells.size - 1)
    ]
    return place + (np.append(starts[1:], NEVER)[place] <= at)


def grouped(by: Sequence[Breakdown], walks: int, top: int) -> Groups:
    """The groups of ``walks`` by dimensions, the ``top`` largest shown."""
    group = np.zeros(walks, np.int64)
    if not by or not walks:
        return Groups((), group, 0)
    for column in by:
        # Numbered anew after each dimension, so that the product of many cannot overflow.
        group = _numbered(group * len(column.values) + column.codes)
    size = np.bincount(group)
    example = np.empty(size.size, np.int64)
    example[group] = np.arange(group.size)
    shown = min(top, size.size)
    candidates = np.flatnonzero(size >= np.partition(size, -shown)[-shown])
    keys = {
        int(code): tuple(DimensionValue(one.dimension, one.values[one.codes[example[code]]]) for one in by)
        for code in candidates
    }
    ranked = sorted(keys, key=lambda code: (-size[code], [(key.value is None, key.value) for key in keys[code]]))[
        :shown
    ]
    slots = np.full(size.size, shown)
    slots[ranked] = np.arange(shown)
    return Groups(tuple(keys[code] for code in ranked), slots[group], size.size)


def _numbered(values: Ints) -> Ints:
    """The values as numbers from 0 in the same order, without gaps."""
    highest = int(values.max())
    if highest > 4 * values.size:
        return np.unique(values, return_inverse=True)[1]
    present = np.zeros(highest + 1, np.bool_)
    present[values] = True
    return (np.cumsum(present) - 1)[values]


def _group_answers(
    definition: FunnelDefinition, walk: FunnelWalk, groups: Groups, as_of: datetime
) -> Iterator[FunnelGroup]:
    shown = len(groups.keys)
    if not shown:
        return
    outcomes = _outcomes(definition, walk, groups.slot, shown + (groups.count > shown))
    for slot, outcome in enumerate(outcomes):
        yield FunnelGroup(
            keys=groups.keys[slot] if slot < shown else (),
            other=slot == shown,
            steps=outcome.steps(definition, as_of),
            conversion=outcome.conversion(as_of),
            time_to_convert=outcome.time_to_convert,
        )
