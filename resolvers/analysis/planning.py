"""Which way a question is answered: from what is kept of the log where that holds all it asks for, else from it."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise

import numpy as np

from resolvers.analysis.clocks import midnight, zone
from resolvers.analysis.columns import columns_of
from resolvers.analysis.event_columns import FLAGS
from resolvers.analysis.filters import All, Any, DimensionIs, Filter, FlagIs, InSegment, KindIs, NameIs, Not, Op, leaves
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.rollup_spans import Pieces

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL_DAY = (1 << 24) - 1
"""The hours of a day, each a bit, the lowest the first."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """A period in three kinds of spans (UTC) without overlap: none of them is cut by a bucket.

    ``days`` are whole days and ``hours`` whole hours. ``ragged`` hours are those that the period or a bucket begins or
    ends within: only the log knows what lies on either side.
    """

    days: tuple[Period, ...]
    hours: tuple[Period, ...]
    ragged: tuple[Period, ...]
    edges: tuple[datetime, ...]
    """Where the period and its buckets begin and end."""


@dataclass(frozen=True, slots=True)
class Part:
    """Hours of one day (counted from 1970, UTC) that lie in one bucket; the hours are bits, the lowest the first."""

    day: int
    hours: int
    bucket: int


@dataclass(frozen=True, slots=True)
class RaggedPart:
    """What lies from an instant to before another one, within an hour of a day (as above) and within a bucket."""

    start: datetime
    end: datetime
    day: int
    bucket: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How a question is answered from what is kept: of one dimension, or of none, narrowed by a condition on classes.

    ``dimension`` is that of the breakdown, of ``values``, or of both; ``values`` are those asked for, None where any
    value will do, or none.
    """

    cuts: Cuts
    dimension: str | None
    values: tuple[str, ...] | None
    where: Filter
    members: Filter | None = None
    """A condition on segments alone, where there is one: sums hold nothing of it, sets of subjects do."""


def plan_of(where: Filter, period: Period, buckets: Sequence[datetime], by: Sequence[str]) -> Plan | None:
    """How what is kept answers this question; None where it cannot. Of dimensions it holds one at a time."""
    members, rest = by_members(where)
    parts = _conjunction(rest)
    narrowing = [part for part in parts if isinstance(part, DimensionIs)]
    classes = All(tuple(part for part in parts if part not in narrowing))
    dimensions = {*by, *(part.dimension for part in narrowing)}
    if len(narrowing) > 1 or len(dimensions) > 1 or not _of_classes(classes):
        return None
    if any(part.op is not Op.IN for part in narrowing):
        return None
    cuts = cuts_of(period, tuple(buckets))
    if cuts is None:
        return None
    values = narrowing[0].values if narrowing else None
    return Plan(cuts, next(iter(dimensions), None), values, classes, members)


def by_members(where: Filter) -> tuple[Filter | None, Filter]:
    """The part of a condition that is on segments alone, which all events of a subject pass or none, and the rest."""
    parts = _conjunction(where)
    members = tuple(dict.fromkeys(part for part in parts if _of_segments(part)))
    return All(members) if members else None, All(tuple(part for part in parts if part not in members))


@lru_cache(maxsize=256)
def cuts_of(period: Period, buckets: tuple[datetime, ...]) -> Cuts | None:
    """The spans of a period; None where most of its hours are ragged."""
    cuts = sorted({period.start, period.end, *buckets})
    ragged_hours = sorted({_floor(cut, _HOUR) for cut in cuts if cut != _floor(cut, _HOUR)})
    if 2 * len(ragged_hours) * _HOUR > period.end - period.start:
        return None
    ragged = [Period(max(hour, period.start), min(hour + _HOUR, period.end)) for hour in ragged_hours]
    whole = list(_between(period, ragged))
    cut_days = {_floor(cut, _DAY) for cut in cuts if cut != _floor(cut, _DAY)}
    days: list[Period] = []
    hours: list[Period] = []
    for span in whole:
        for start, end in pairwise(_midnights(span)):
            uncut = end - start == _DAY and start not in cut_days
            (days if uncut else hours).append(Period(start, end))
    return Cuts(tuple(_joined(days)), tuple(_joined(hours)), tuple(ragged), tuple(cuts))


@lru_cache(maxsize=256)
def dated(instants: tuple[datetime, ...], timezone: str) -> tuple[datetime, ...] | None:
    """The midnights of a zone as those (UTC) of the same dates; None where one of them is none there."""
    local = zone(timezone)
    days = [instant.astimezone(local).date() for instant in instants]
    if any(midnight(day, local) != instant for day, instant in zip(days, instants, strict=True)):
        return None
    return tuple([datetime.combine(day, time.min, UTC) for day in days])


@lru_cache(maxsize=256)
def ragged_parts_of(cuts: Cuts, buckets: tuple[datetime, ...]) -> tuple[RaggedPart, ...]:
    """The ragged hours, parted by bucket, in order; without buckets all is in the first."""
    found = []
    for span in cuts.ragged:
        within = [edge for edge in cuts.edges if span.start < edge < span.end]
        for start, end in pairwise([span.start, *within, span.end]):
            bucket = max(bisect_right(buckets, start) - 1, 0)
            found.append(RaggedPart(start, end, (start - _EPOCH) // _DAY, bucket))
    return tuple(found)


@lru_cache(maxsize=256)
def parts_of(cuts: Cuts, period: Period, buckets: tuple[datetime, ...]) -> tuple[Part, ...]:
    """Days and hours, parted by bucket, in order; without buckets all is in the first."""
    starts = buckets or (period.start,)
    found: dict[tuple[int, int], int] = {}
    for span in cuts.days:
        for day in range((span.start - _EPOCH) // _DAY, (span.end - _EPOCH) // _DAY):
            found[day, bisect_right(starts, _EPOCH + day * _DAY) - 1] = ALL_DAY
    for span in cuts.hours:
        for hour in range((span.start - _EPOCH) // _HOUR, (span.end - _EPOCH) // _HOUR):
            key = hour // 24, bisect_right(starts, _EPOCH + hour * _HOUR) - 1
            found[key] = found.get(key, 0) | 1 << hour % 24
    return tuple([Part(day, hours, bucket) for (day, bucket), hours in sorted(found.items())])


@lru_cache(maxsize=256)
def pieces_of(days: tuple[Period, ...], buckets: tuple[datetime, ...]) -> Pieces:
    """Whole days, parted by bucket, in order; without buckets all is in the first."""
    cuts = [(start - _EPOCH) // _DAY for start in buckets]
    found: list[tuple[int, int, int]] = []
    for span in days:
        first, end = (span.start - _EPOCH) // _DAY, (span.end - _EPOCH) // _DAY
        for start, stop in pairwise(sorted({first, end, *(cut for cut in cuts if first < cut < end)})):
            found.append((start, stop, max(bisect_right(buckets, _EPOCH + start * _DAY) - 1, 0)))
    first_days, ends, of = np.array(found, np.int64).reshape(-1, 3).T
    return Pieces(first_days, ends, of, max(len(buckets), 1))


@lru_cache(maxsize=1_024)
def in_rollups(statistic: Statistic) -> bool:
    """Whether rollups hold a statistic: they hold counts, sums and histograms, no sets of subjects or orders."""
    fields = {
        Aggregate.COUNT: (None, "amount", "cost", "duration_ms", *FLAGS),
        Aggregate.SUM: ("amount", "cost"),
        Aggregate.QUANTILE: ("duration_ms",),
    }
    return statistic.field in fields.get(statistic.aggregate, ()) and _of_classes(statistic.where)


@lru_cache(maxsize=1_024)
def in_presence(statistic: Statistic) -> bool:
    """Whether the sets of who and what was there, which are kept by day, hold a statistic."""
    fields = ("subject", "customer", "order")
    return statistic.aggregate is Aggregate.DISTINCT and statistic.field in fields and _of_classes(statistic.where)


def in_journeys(statistic: Statistic, where: Filter, period: Period) -> bool:
    """Whether journeys hold a statistic of events that pass ``where``, and are worth reading for it.

    They hold the events of somebody, and are read by the month: of a few hours the log has less to read.
    """
    distinct = statistic.aggregate is Aggregate.DISTINCT and statistic.field == "subject"
    return distinct and period.end - period.start >= _DAY and columns_of(where, statistic.where) is not None


def _conjunction(where: Filter) -> list[Filter]:
    if isinstance(where, All):
        return [leaf for part in where.of for leaf in _conjunction(part)]
    return [where]


def _of_classes(root: Filter) -> bool:
    """Whether events of one class pass or fail together."""
    match root:
        case All(of) | Any(of):
            return all(map(_of_classes, of))
        case Not(of):
            return _of_classes(of)
        case _:
            return isinstance(root, KindIs | NameIs | FlagIs)


def _of_segments(root: Filter) -> bool:
    """Whether a condition is on segments alone; no event of nobody passes it."""
    found = list(leaves(root))
    return bool(found) and all(isinstance(leaf, InSegment) for leaf in found)


def _floor(at: datetime, width: timedelta) -> datetime:
    return at - (at - _EPOCH) % width


def hour_before(at: datetime) -> datetime:
    """The last whole hour that is not after an instant."""
    return _floor(at, _HOUR)


def _between(period: Period, ragged: Sequence[Period]) -> Iterator[Period]:
    """What a period has beside the ragged hours, in order."""
    at = period.start
    for span in [*ragged, Period(period.end, period.end)]:
        if at < span.start:
            yield Period(at, span.start)
        at = span.end


def _midnights(span: Period) -> Iterator[datetime]:
    """The start of a span, the midnights within, and its end."""
    at = span.start
    while at < span.end:
        yield at
        at = _floor(at, _DAY) + _DAY
    yield span.end


def _joined(spans: Iterable[Period]) -> list[Period]:
    """The same spans, those that follow one another as one."""
    found: list[Period] = []
    for span in spans:
        if found and found[-1].end == span.start:
            found[-1] = Period(found[-1].start, span.end)
        else:
            found.append(span)
    return found
