"""Answers about survival: how long subjects stay, by what they came with, and whether that differs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

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


@dataclass(frozen=True, slots=True)
class SurvivalAnswer:
    """How long the subjects of a history stay."""

    cutoff: datetime
    kind: SpellKind
    definition: str
    total: Survival
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
) -> SurvivalAnswer:
    """The curves of all and of the ``top`` largest groups; ``texts`` are what the codes of dimensions stand for."""
    groups: list[SurvivalGroup] = []
    compared: LogRank | None = None
    largest: list[tuple[tuple[int, ...], int]] = []
    if names:
        keys = list(map(tuple, found.dimensions.T.tolist()))
        largest = sorted(Counter(keys).items(), key=lambda one: (-one[1], one[0]))
        place = {key: number for number, (key, _) in enumerate(largest[:top])}
        number = np.array([place.get(key, len(place)) for key in keys], np.int64)
        for key, rows in zip([*place, None], grouped(number, len(place) + 1), strict=True):
            if key is not None or rows.size:
                pairs = zip(names, key or (), strict=key is not None)
                named = tuple(DimensionValue(name, texts.get(code)) for name, code in pairs)
                groups.append(SurvivalGroup(named, key is None, survival(found.days[rows], found.left[rows])))
        compared = log_rank(found.days, found.left, number)
    return SurvivalAnswer(
        cutoff=cutoff,
        kind=found.kind,
        definition=found.definition,
        total=survival(found.days, found.left),
        groups=tuple(groups),
        group_count=len(largest),
        log_rank=compared,
        explain=explain,
        as_of=as_of,
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
