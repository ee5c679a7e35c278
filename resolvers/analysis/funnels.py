"""Funnels: how many subjects reach each of an ordered list of steps within a window, and how fast."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from resolvers.analysis.estimates import Estimate
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, Filter, numbered
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Granularity, Period


class Entry(Enum):
    """Which first-step event starts a subject's clock.

    FIRST: only the subject's first one in the period. ANY: each one is tried and the farthest reached counts.
    """

    FIRST = "first"
    ANY = "any"


class Order(Enum):
    """How the steps must follow each other.

    ORDERED: each after the one before, whatever lies between. STRICT: no other event of the question lies at a time
    between two steps. ANY: in any order; a step is reached once it and all required steps before it in the list are
    done.
    """

    ORDERED = "ordered"
    STRICT = "strict"
    ANY = "any"


class Effect(Enum):
    """What an excluded event does to a walk: CUT ends it there, REMOVE makes it void as if it had not begun."""

    CUT = "cut"
    REMOVE = "remove"


class Counting(Enum):
    """What is counted.

    SUBJECTS: each subject once. TOTALS: every walk, the next one from the first entry at a time after the one before
    was over by conversion, timeout or exclusion. SESSIONS: each session of a subject once, its steps all within it.
    """

    SUBJECTS = "subjects"
    TOTALS = "totals"
    SESSIONS = "sessions"


class Trait(Enum):
    """What an event carries beside dimensions and properties."""

    SESSION = "session"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Constant:
    """What must be the same in all steps: one of these; ``property`` leads into ``properties``."""

    dimension: str | None = None
    trait: Trait | None = None
    property: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step: the events that pass ``where``, under a name to show.

    An ``optional`` one may be left out. ``within`` is the longest time since the required step before it.
    """

    name: str
    where: Filter
    optional: bool = False
    within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Events that must not lie between the steps at ``after`` and ``before``, places from 0; None is the last."""

    where: Filter
    after: int = 0
    before: int | None = None
    effect: Effect = Effect.CUT


@dataclass(frozen=True, slots=True)
class FunnelDefinition:
    """What is asked of a funnel: 2 to 20 steps, within ``window`` of the entry.

    With ``strictly_later`` each required step is at a later time than the one before; else simultaneous events serve
    in any order. Each combination of the values of ``constant`` is a journey of its own, and what carries no value
    belongs to none.
    """

    steps: tuple[Step, ...]
    window: timedelta
    entry: Entry
    order: Order = Order.ORDERED
    strictly_later: bool = False
    exclusions: tuple[Exclusion, ...] = ()
    constant: tuple[Constant, ...] = ()
    counting: Counting = Counting.SUBJECTS

    def conditions(self) -> list[Filter]:
        """What an event must pass one of to matter: the steps, then the exclusions, then, in STRICT order, anything."""
        found = [step.where for step in self.steps] + [one.where for one in self.exclusions]
        return [*found, EVERYTHING] if self.order is Order.STRICT else found

    def numbered(self, numbers: Mapping[int | str, int]) -> "FunnelDefinition":
        """The same with each segment that it names by its number."""
        return replace(
            self,
            steps=tuple(replace(one, where=numbered(one.where, numbers)) for one in self.steps),
            exclusions=tuple(replace(one, where=numbered(one.where, numbers)) for one in self.exclusions),
        )


@dataclass(frozen=True, slots=True)
class TimeToConvert:
    """Time from one step to another in seconds, over those only that reached the latter; None without any.

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
class StepAnswer:
    """One step's outcome; ``index`` 0 is the entry.

    ``step_rate`` = count / the required step before, ``overall_rate`` = count / the first step (Wilson intervals);
    ``drop_off`` = 1 - step_rate, ``dropped`` = the required step before - count. The first step is held against
    itself, 1 by definition and so without an interval or a time.
    """

    index: int
    name: str
    optional: bool
    count: int
    dropped: int
    step_rate: Estimate
    overall_rate: Estimate
    drop_off: Estimate
    time_from_previous: TimeToConvert | None


@dataclass(frozen=True, slots=True)
class FunnelGroup:
    """The funnel among the walks that have these dimension values.

    ``other`` sums up all groups that did not fit; it has no ``keys``.
    """

    keys: tuple[DimensionValue, ...]
    other: bool
    steps: tuple[StepAnswer, ...]
    conversion: Estimate
    time_to_convert: TimeToConvert


@dataclass(frozen=True, slots=True)
class FunnelSeries:
    """A funnel by the time of entry, in columns: bucket i begins at ``at[i]``.

    ``counts[k][i]`` of those that entered in it reached step k; ``conversion[i]`` is last step / first, None
    without an entry.
    """

    granularity: Granularity
    timezone: str
    at: tuple[datetime, ...]
    conversion: tuple[float | None, ...]
    counts: tuple[tuple[int, ...], ...]


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
    biggest_leak: StepAnswer | None
    """The required step that most were lost before, of equals the first; None where none were lost."""
    series: FunnelSeries
    groups: tuple[FunnelGroup, ...]
    """Most entries first, ``other`` last; empty unless a breakdown was asked for."""
    group_count: int
    """How many groups there are in all, shown or summed up under ``other``."""
    as_of: datetime = field(compare=False)
    explain: Explanation = field(compare=False)
    previous_period: Period | None = None


@dataclass(frozen=True, slots=True)
class FunnelAnswers:
    """Several answers, read together."""

    answers: tuple[FunnelAnswer, ...]
