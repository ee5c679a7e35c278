"""From walks to the answer of a funnel: counts, rates, times and groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from resolvers.analysis.estimates import Estimate, Unit, estimate, quotient, share
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.funnel_columns import NEVER, Ints
from resolvers.analysis.funnel_groups import Breakdown, Groups, grouped, slots_like
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
from resolvers.analysis.periods import Granularity, Period, epoch_us

_STEP_RATE = "Those that reached this step, divided by those that reached the required step before."
_OVERALL_RATE = "Those that reached this step, divided by those that reached the first step."
_DROP_OFF = (
    "Those that did not come from the required step before to this one, divided by those that reached the former."
)
_CONVERSION = "Those that reached the last step, divided by those that reached the first."


@dataclass(frozen=True, slots=True)
class Buckets:
    """Where the buckets of a series begin, in the order of time."""

    granularity: Granularity
    timezone: str
    at: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """The walks of an earlier period, to compare with, and the same dimensions of them."""

    period: Period
    walk: FunnelWalk
    by: Sequence[Breakdown] = ()


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
    previous: Earlier | None = None,
) -> FunnelAnswer:
    """The answer from the walk of a period and, to compare, from that of a previous one.

    With ``by``, walks are grouped by these dimensions: the ``top`` groups with the most entries (of equals the first
    by value, no value last), the others as one. Groups are compared with those of the same values before.
    """
    before = None if previous is None else _reached(previous.walk)
    (outcome,) = _outcomes(definition, walk, np.zeros(walk.depth.size, np.int64), 1)
    shown = outcome.steps(definition, as_of, before)
    groups = grouped(by, walk.depth.size, top)
    return FunnelAnswer(
        definition=definition,
        period=period,
        steps=shown,
        conversion=outcome.conversion(as_of, before),
        time_to_convert=outcome.time_to_convert,
        biggest_leak=_biggest_leak(shown),
        series=_series(walk, buckets),
        groups=tuple(_group_answers(definition, walk, groups, as_of, previous)),
        group_count=groups.count,
        as_of=as_of,
        explain=explain,
        previous_period=None if previous is None else previous.period,
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
    reached = _reached_by_slot(walk, slot, count)
    times = list[list[TimeToConvert]]()
    for step, taken in zip(definition.steps[1:], walk.taken, strict=True):
        longest = definition.window if step.within is None else min(step.within, definition.window)
        times.append(times_to_convert(longest, taken.waited_us, slot[taken.walk], count))
    converted = walk.taken[-1].walk
    took_us = np.rint(walk.seconds[converted] * 1e6).astype(np.int64)
    for place, whole in enumerate(times_to_convert(definition.window, took_us, slot[converted], count)):
        yield _Outcome(reached[place], [found[place] for found in times], whole)


def _reached_by_slot(walk: FunnelWalk, slot: Ints, count: int) -> list[list[int]]:
    """How many of each slot's walks reached each step."""
    steps = [np.arange(walk.depth.size), *(taken.walk for taken in walk.taken)]
    counts = [np.bincount(slot[walks], minlength=count).tolist() for walks in steps]
    return [list(reached) for reached in zip(*counts, strict=True)]


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


def _group_answers(
    definition: FunnelDefinition, walk: FunnelWalk, groups: Groups, as_of: datetime, previous: Earlier | None
) -> Iterator[FunnelGroup]:
    shown = len(groups.keys)
    if not shown:
        return
    outcomes = _outcomes(definition, walk, groups.slot, shown + (groups.count > shown))
    before = None
    if previous is not None:
        slots = slots_like(groups.keys, previous.by, previous.walk.depth.size)
        before = _reached_by_slot(previous.walk, slots, shown + 1)
    for slot, outcome in enumerate(outcomes):
        earlier = None if before is None else before[slot]
        yield FunnelGroup(
            keys=groups.keys[slot] if slot < shown else (),
            other=slot == shown,
            steps=outcome.steps(definition, as_of, earlier),
            conversion=outcome.conversion(as_of, earlier),
            time_to_convert=outcome.time_to_convert,
        )
