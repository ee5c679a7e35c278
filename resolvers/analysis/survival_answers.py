"""Answers about survival: how long subjects stay, by what they came with, and whether that differs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from resolvers.analysis.code_groups import Keys, having, named
from resolvers.analysis.estimates import FEW, RARE, Quality
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.spells import Durations, SpellKind
from resolvers.analysis.survival import Bools, Floats, LogRank, grouped, kaplan_meier, log_rank


@dataclass(frozen=True, slots=True)
class SurvivalSeries:
    """A Kaplan-Meier curve in columns: one row for each number of days after which somebody left, after day 0.

    ``low`` and ``high`` are None where no interval is defined.
    """

    at: tuple[float, ...]
    at_risk: tuple[int, ...]
    events: tuple[int, ...]
    censored: tuple[int, ...]
    """Of whom no more is known, from the row before to this one."""
    survival: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Survival:
    """How long some subjects stay."""

    n: int
    events: int
    """How many left."""
    quality: Quality
    median: float | None
    restricted_mean: float | None
    longest: float | None
    """Days until which the restricted mean reaches: the longest that is known of anybody."""
    series: SurvivalSeries


@dataclass(frozen=True, slots=True)
class SurvivalGroup:
    """The subjects whose first event carried the same values in the dimensions broken down by."""

    keys: tuple[DimensionValue, ...]
    other: bool
    survival: Survival
    previous: Survival | None


@dataclass(frozen=True, slots=True)
class SurvivalAnswer:
    """How long the subjects of a history stay."""

    cutoff: datetime
    previous_cutoff: datetime | None
    kind: SpellKind
    definition: str
    total: Survival
    previous: Survival | None
    """Of what is compared with; None too where stays were other ones then."""
    groups: tuple[SurvivalGroup, ...]
    group_count: int
    log_rank: LogRank | None
    explain: Explanation
    as_of: datetime = field(compare=False)


def survived(
    found: Durations,
    *,
    names: Sequence[str],
    top: int,
    texts: Mapping[int, str],
    cutoff: datetime,
    as_of: datetime,
    explain: Explanation,
    like: Sequence[Keys] | None = None,
) -> SurvivalAnswer:
    """The curves of all and of the ``top`` largest groups, or those of ``like``; ``texts`` are what codes stand for."""
    groups: list[SurvivalGroup] = []
    compared: LogRank | None = None
    largest: list[tuple[int, ...]] = []
    if names:
        keys = list(map(tuple, found.dimensions.T.tolist()))
        largest = [key for key, _ in sorted(Counter(keys).items(), key=lambda one: (-one[1], one[0]))]
        shown = largest[:top] if like is None else having(largest, like, names, texts)
        place = {key: number for number, key in enumerate(shown)}
        number = np.array([place.get(key, len(place)) for key in keys], np.int64)
        for key, rows in zip([*place, None], grouped(number, len(place) + 1), strict=True):
            if key is not None or rows.size:
                own = survival(found.days[rows], found.left[rows])
                groups.append(SurvivalGroup(named(key or (), names, texts), key is None, own, None))
        compared = log_rank(found.days, found.left, number)
    return SurvivalAnswer(
        cutoff=cutoff,
        previous_cutoff=None,
        kind=found.kind,
        definition=found.definition,
        total=survival(found.days, found.left),
        previous=None,
        groups=tuple(groups),
        group_count=len(largest),
        log_rank=compared,
        explain=explain,
        as_of=as_of,
    )


def compared(now: SurvivalAnswer, before: SurvivalAnswer) -> SurvivalAnswer:
    """An answer held against an earlier one, of the same groups; against no curves where that told of other stays."""
    nobody = survival(np.empty(0), np.empty(0, np.bool_))
    alike = now.definition == before.definition or not before.total.n
    groups = {group.keys: group.survival for group in before.groups}
    return replace(
        now,
        previous_cutoff=before.cutoff,
        previous=before.total if alike else None,
        groups=tuple(
            replace(group, previous=groups.get(group.keys, nobody) if alike else None) for group in now.groups
        ),
    )


def survival(days: Floats, left: Bools) -> Survival:
    """How long these subjects stay."""
    n, events = days.size, int(left.sum())
    curve = kaplan_meier(days, left)
    longest = float(days.max()) if n else None
    steps = np.flatnonzero(curve.events)
    gone = np.cumsum(curve.censored)[steps]
    return Survival(
        n=n,
        events=events,
        quality=_quality(n, events),
        median=curve.median,
        restricted_mean=None if longest is None else curve.restricted_mean(longest),
        longest=longest,
        series=SurvivalSeries(
            at=tuple(curve.at[steps].tolist()),
            at_risk=tuple(curve.at_risk[steps].tolist()),
            events=tuple(curve.events[steps].tolist()),
            censored=tuple(np.diff(gone, prepend=0).tolist()),
            survival=tuple(curve.survival[steps].tolist()),
            low=_defined(curve.low[steps]),
            high=_defined(curve.high[steps]),
        ),
    )


def _quality(n: int, events: int) -> Quality:
    if not n:
        return Quality.INSUFFICIENT
    return Quality.LOW if n < FEW or events < RARE else Quality.SUFFICIENT


def _defined(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
