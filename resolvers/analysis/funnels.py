"""Funnels: how many subjects reach each of an ordered list of steps within a window, and how fast."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from resolvers.analysis.estimates import Estimate
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Period


class Entry(Enum):
    """Which first-step event starts a subject's clock.

    FIRST: only the subject's first one in the period. ANY: each one is tried and the farthest reached counts.
    """

    FIRST = "first"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Step:
    """A step: the events that pass ``where``, under a name to show."""

    name: str
    where: Filter


@dataclass(frozen=True, slots=True)
class FunnelDefinition:
    """What is asked of a funnel: 2 to 20 steps, within ``window`` of the entry."""

    steps: tuple[Step, ...]
    window: timedelta
    entry: Entry


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """One step's outcome; ``index`` 0 is the entry.

    ``step_rate`` = count / the step before, ``overall_rate`` = count / the first step (Wilson intervals);
    ``drop_off`` = 1 - step_rate, ``dropped`` = the step before - count. The first step is held against
    itself, 1 by definition and so without an interval.
    """

    index: int
    name: str
    count: int
    dropped: int
    step_rate: Estimate
    overall_rate: Estimate
    drop_off: Estimate


@dataclass(frozen=True, slots=True)
class TimeToConvert:
    """Time from entry to last step in seconds, over converters only; None without a converter.

    Median and p90 interpolate linearly between closest ranks (Hyndman and Fan's type 7). ``histogram`` counts
    converters between consecutive ``edges`` (one more edge than counts): each from its edge to just before
    the next, the last up to and including the window. The edges depend on the window alone, so that groups
    and periods compare.
    """

    converters: int
    mean: Decimal | None
    median: Decimal | None
    p90: Decimal | None
    edges: tuple[float, ...]
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FunnelGroup:
    """The funnel among subjects whose entry event has these dimension values.

    ``other`` sums up all groups that did not fit; it has no ``keys``.
    """

    keys: tuple[DimensionValue, ...]
    other: bool
    steps: tuple[StepAnswer, ...]
    conversion: Estimate
    time_to_convert: TimeToConvert


@dataclass(frozen=True, slots=True)
class FunnelAnswer:
    """The answer to one funnel question; ``conversion`` is last step / first step.

    With a previous period, the rates of ``steps`` and ``conversion`` carry their previous values.
    """

    definition: FunnelDefinition
    period: Period
    steps: tuple[StepAnswer, ...]
    conversion: Estimate
    time_to_convert: TimeToConvert
    groups: tuple[FunnelGroup, ...]
    """Most entries first, ``other`` last; empty unless a breakdown was asked for."""
    group_count: int
    """How many groups there are in all, shown or summed up under ``other``."""
    as_of: datetime = field(compare=False)
    explain: Explanation = field(compare=False)
    previous_period: Period | None = None
