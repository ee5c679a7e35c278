"""From walks to the answer of a funnel: counts, rates, times and groups."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.estimates import Estimate, Unit, estimate, quotient, share
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.funnel_kernel import FunnelWalk, Ints
from resolvers.analysis.funnels import FunnelAnswer, FunnelDefinition, FunnelGroup, StepAnswer, TimeToConvert
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Period

_STEP_RATE = "Subjects that reached this step, divided by those that reached the step before."
_OVERALL_RATE = "Subjects that reached this step, divided by those that reached the first step."
_DROP_OFF = "Subjects that did not come from the step before to this one, divided by those that reached the former."
_CONVERSION = "Subjects that reached the last step, divided by those that reached the first."

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_LADDER = (
    *(0.0, 1.0, 5.0, 15.0, 30.0),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 15, 30)),
    *(hours * _HOUR for hours in (1, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Breakdown:
    """One dimension of the events that were walked: event i has the value ``values[codes[i]]``."""

    dimension: str
    codes: NDArray[np.integer]
    values: Sequence[str | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """The groups of a breakdown: ``slot`` numbers each walk's, those not shown coming last as one."""

    keys: tuple[tuple[DimensionValue, ...], ...]
    slot: Ints
    count: int


def answer(
    definition: FunnelDefinition,
    period: Period,
    walk: FunnelWalk,
    *,
    as_of: datetime,
    explain: Explanation,
    by: Sequence[Breakdown] = (),
    top: int = 20,
    previous: tuple[Period, FunnelWalk] | None = None,
) -> FunnelAnswer:
    """The answer from the walk of a period and, to compare, from that of a previous one.

    With ``by``, subjects are grouped by the dimensions of their entry event: the ``top`` groups with the most
    entries (of equals the first by value, no value last), the others as one.
    """
    size = len(definition.steps)
    counts = _Counts(_reached(walk.depth, size), previous and _reached(previous[1].depth, size), as_of)
    groups = _grouped(walk, by, top)
    return FunnelAnswer(
        definition=definition,
        period=period,
        steps=_steps(definition, counts),
        conversion=_conversion(counts),
        time_to_convert=_time_to_convert(definition.window, walk.seconds),
        groups=tuple(_group_answers(definition, walk, groups, as_of)),
        group_count=groups.count,
        as_of=as_of,
        explain=explain,
        previous_period=previous and previous[0],
    )


def _reached(depth: Ints, size: int) -> list[int]:
    """How many walks reached each step."""
    counts: list[int] = np.bincount(depth, minlength=size + 1)[::-1].cumsum()[::-1].tolist()
    return counts[1:]


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many subjects reached each step, now and in the previous period."""

    now: list[int]
    before: list[int] | None
    as_of: datetime

    def share(self, parts: Callable[[list[int]], tuple[int, int]], definition: str) -> Estimate:
        """What ``parts`` picks, a part and its whole, as a share."""
        previous = None if self.before is None else quotient(*map(Decimal, parts(self.before)))
        return share(*parts(self.now), as_of=self.as_of, definition=definition, previous=previous)


def _steps(definition: FunnelDefinition, counts: _Counts) -> tuple[StepAnswer, ...]:
    rest = (_step(index, step.name, counts) for index, step in enumerate(definition.steps[1:], start=1))
    return (_entry_step(definition.steps[0].name, counts), *rest)


def _step(index: int, name: str, counts: _Counts) -> StepAnswer:
    return StepAnswer(
        index=index,
        name=name,
        count=counts.now[index],
        dropped=counts.now[index - 1] - counts.now[index],
        step_rate=counts.share(lambda reached: (reached[index], reached[index - 1]), _STEP_RATE),
        overall_rate=counts.share(lambda reached: (reached[index], reached[0]), _OVERALL_RATE),
        drop_off=counts.share(lambda reached: (reached[index - 1] - reached[index], reached[index - 1]), _DROP_OFF),
    )


def _entry_step(name: str, counts: _Counts) -> StepAnswer:
    entered = counts.now[0]

    def certain(part: int, definition: str) -> Estimate:
        return estimate(
            quotient(Decimal(part), Decimal(entered)),
            n=entered,
            as_of=counts.as_of,
            definition=definition,
            unit=Unit.RATIO,
            numerator=Decimal(part),
            denominator=Decimal(entered),
        )

    return StepAnswer(
        index=0,
        name=name,
        count=entered,
        dropped=0,
        step_rate=certain(entered, _STEP_RATE),
        overall_rate=certain(entered, _OVERALL_RATE),
        drop_off=certain(0, _DROP_OFF),
    )


def _conversion(counts: _Counts) -> Estimate:
    return counts.share(lambda reached: (reached[-1], reached[0]), _CONVERSION)


def _time_to_convert(window: timedelta, seconds: NDArray[np.float64]) -> TimeToConvert:
    converted = seconds[~np.isnan(seconds)]
    longest = window.total_seconds()
    edges = (*(edge for edge in _LADDER if edge < longest), longest)
    median, p90 = np.percentile(converted, [50, 90], method="linear") if converted.size else (None, None)
    return TimeToConvert(
        converters=converted.size,
        mean=_microseconds(converted.mean()) if converted.size else None,
        median=_microseconds(median),
        p90=_microseconds(p90),
        edges=edges,
        histogram=tuple(np.histogram(converted, bins=edges)[0].tolist()),
    )


def _microseconds(seconds: float | None) -> Decimal | None:
    """Seconds to the microsecond, which is as exact as the events' times are."""
    return None if seconds is None else quotient(Decimal(round(seconds * 1e6)), Decimal(1_000_000))


def _grouped(walk: FunnelWalk, by: Sequence[Breakdown], top: int) -> _Groups:
    if not by or not walk.entry.size:
        return _Groups((), np.zeros(walk.entry.size, np.int64), 0)
    group = np.zeros(walk.entry.size, np.int64)
    for column in by:
        combined = group * len(column.values) + column.codes[walk.entry]
        # Numbered anew after each dimension, so that the product of many cannot overflow.
        group = _numbered(combined)
    size = np.bincount(group)
    example = np.empty(size.size, np.int64)
    example[group] = np.arange(group.size)
    shown = min(top, size.size)
    candidates = np.flatnonzero(size >= np.partition(size, -shown)[-shown])
    keys = {
        int(code): tuple(
            DimensionValue(column.dimension, column.values[column.codes[walk.entry[example[code]]]]) for column in by
        )
        for code in candidates
    }
    ranked = sorted(keys, key=lambda code: (-size[code], [(key.value is None, key.value) for key in keys[code]]))[
        :shown
    ]
    slots = np.full(size.size, shown)
    slots[ranked] = np.arange(shown)
    return _Groups(tuple(keys[code] for code in ranked), slots[group], size.size)


def _numbered(values: Ints) -> Ints:
    """The values as numbers from 0 in the same order, without gaps."""
    highest = int(values.max())
    if highest > 4 * values.size:
        return np.unique(values, return_inverse=True)[1]
    present = np.zeros(highest + 1, np.bool_)
    present[values] = True
    return (np.cumsum(present) - 1)[values]


def _group_answers(
    definition: FunnelDefinition, walk: FunnelWalk, groups: _Groups, as_of: datetime
) -> Iterator[FunnelGroup]:
    shown = len(groups.keys)
    # Slots are few: sorted as small numbers they take one pass.
    order = np.argsort(groups.slot.astype(np.min_scalar_type(shown)), kind="stable")
    ends = np.cumsum(np.bincount(groups.slot, minlength=shown))
    for slot in range(shown + (groups.count > shown)):
        members = order[0 if slot == 0 else ends[slot - 1] : ends[slot]]
        counts = _Counts(_reached(walk.depth[members], len(definition.steps)), None, as_of)
        yield FunnelGroup(
            keys=groups.keys[slot] if slot < shown else (),
            other=slot == shown,
            steps=_steps(definition, counts),
            conversion=_conversion(counts),
            time_to_convert=_time_to_convert(definition.window, walk.seconds[members]),
        )
