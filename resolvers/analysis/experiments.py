"""Experiments: what one is, as values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import blake2b

from resolvers.analysis.experiment_phases import Phase
from resolvers.analysis.filters import EVERYTHING, Filter, in_segments
from resolvers.analysis.metrics import MONEY_FIELDS, Direction

_KEPT = 2
"""Which sense what is kept of units has; another one has all of it made anew."""
WHOLE = 10_000
"""Shares of traffic, weights and holdouts are whole numbers of this many parts."""


class Status(Enum):
    """Where an experiment is in its life."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"


class Step(Enum):
    """What can be done to an experiment."""

    UPDATE = "update"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    ARCHIVE = "archive"


POSSIBLE: dict[Status, tuple[Step, ...]] = {
    Status.DRAFT: (Step.UPDATE, Step.START, Step.ARCHIVE),
    Status.RUNNING: (Step.UPDATE, Step.PAUSE, Step.COMPLETE),
    Status.PAUSED: (Step.UPDATE, Step.RESUME, Step.COMPLETE),
    Status.COMPLETED: (Step.UPDATE, Step.ARCHIVE),
}
"""What can be done in each status; nothing to an archived experiment."""


class MetricRole(Enum):
    """What an experiment looks at a metric for."""

    GOAL = "goal"
    SECONDARY = "secondary"
    GUARDRAIL = "guardrail"


class MultipleExposures(Enum):
    """What becomes of a unit that was shown more than one variant."""

    FIRST = "first"
    EXCLUDE = "exclude"


class Tally(Enum):
    """How a unit's events become its number."""

    ANY = "any"
    """1 where there is one, else 0."""
    COUNT = "count"
    SUM = "sum"
    ORDERS = "orders"
    """Distinct orders; an event without an order id is one by itself."""
    STEPS = "steps"
    """1 where each step happened after the one before, else 0."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that each unit has.

    Of the events that pass ``where`` and carry ``field``, if there is one; SUM is of that field. ``steps`` are those of
    STEPS, in order.
    """

    tally: Tally
    where: Filter = EVERYTHING
    field: str | None = None
    steps: tuple[Filter, ...] = ()

    @property
    def share(self) -> bool:
        """Whether it is 0 or 1."""
        return self.tally in (Tally.ANY, Tally.STEPS)


@dataclass(frozen=True, slots=True)
class UnitMetric:
    """What is reckoned of each unit: ``value``, and ``per`` for the quotient of two sums.

    Events count from the first exposure on, for ``window``. ``cap`` is the most that a unit's value counts as,
    ``cap_at`` the quantile (0..1) of all units' values that is so. ``before`` is how long before the first exposure the
    value is reckoned as a covariate.
    """

    value: Measure
    window: timedelta
    per: Measure | None = None
    cap: Decimal | None = None
    cap_at: Decimal | None = None
    before: timedelta | None = None

    @property
    def share(self) -> bool:
        """Whether its mean is a share of the units."""
        return self.per is None and self.value.share

    def filters(self) -> Iterator[Filter]:
        """What an event must pass one of to matter."""
        for measure in (self.value, self.per):
            if measure is not None:
                yield from measure.steps or (measure.where,)


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse a guardrail may become: a share of the control's value, or as much of the metric's unit."""

    value: Decimal
    absolute: bool = False

    def of(self, control: float) -> float:
        """It in the metric's unit, where the control comes to that much."""
        return float(self.value) if self.absolute else float(self.value) * abs(control)


@dataclass(frozen=True, slots=True)
class ExperimentMetric:
    """A metric as an experiment looks at it.

    ``metric`` is the slug of the catalogue that ``of`` follows from, None where ``of`` was given. ``margin`` is a
    guardrail's, None where it was given none.
    """

    slug: str
    role: MetricRole
    direction: Direction
    of: UnitMetric
    metric: str | None = None
    margin: Margin | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the things compared; ``weight`` is in parts of 10,000."""

    key: str
    name: str
    weight: int
    control: bool = False


@dataclass(frozen=True, slots=True)
class ExclusiveGroup:
    """A span of a group's places (parts of 10,000): only units in it may take part."""

    name: str
    first: int
    parts: int


@dataclass(frozen=True, slots=True)
class ExperimentDefinition:
    """What is tried, on whom, and by which numbers it is judged.

    ``targeting`` says whom it is for, ``where`` which exposures count. ``traffic`` is in parts of 10,000.
    ``breakdowns`` are dimensions of the first exposure by which results are kept.
    """

    name: str
    variants: tuple[Variant, ...]
    metrics: tuple[ExperimentMetric, ...]
    hypothesis: str = ""
    targeting: Filter = EVERYTHING
    traffic: int = WHOLE
    group: ExclusiveGroup | None = None
    holdout: str | None = None
    where: Filter = EVERYTHING
    breakdowns: tuple[str, ...] = ()
    multiple: MultipleExposures = MultipleExposures.FIRST
    minimum_runtime: timedelta = timedelta(days=7)
    minimum_sample: int = 100
    minimum_effect: Decimal = Decimal("0.05")
    alpha: Decimal = Decimal("0.05")
    sequential: bool = False
    """Whether significance is by what holds at any look, else by what holds at the planned end."""

    @property
    def control(self) -> int:
        """The place of the control among the variants."""
        return next(place for place, variant in enumerate(self.variants) if variant.control)

    def filters(self) -> Iterator[Filter]:
        """Whatever it asks of subjects and of events."""
        yield self.targeting
        yield self.where
        for metric in self.metrics:
            yield from metric.of.filters()


@dataclass(frozen=True, slots=True)
class Scheme:
    """What decides the units of an experiment and what is reckoned of each.

    ``starts`` are those of the phases; a unit is of the phase in which it was first exposed. ``end`` is when exposures
    cease to count. Days of exposure are those of ``timezone``, money is in ``currency``.
    """

    experiment_id: int
    key: str
    variants: tuple[str, ...]
    starts: tuple[datetime, ...]
    end: datetime | None
    where: Filter
    metrics: tuple[UnitMetric, ...]
    breakdowns: tuple[str, ...]
    currency: str
    timezone: str

    @property
    def money(self) -> bool:
        """Whether any metric is about money, so that exchange rates matter."""
        parts = [part for metric in self.metrics for part in (metric.value, metric.per) if part is not None]
        return any(part.field in MONEY_FIELDS for part in parts)

    @property
    def segments(self) -> bool:
        """Whether it matters who is in a segment."""
        return bool(in_segments(self.where, *(part for metric in self.metrics for part in metric.filters())))

    @property
    def edition(self) -> str:
        """What it has to be for what was kept to be right still; later phases and the end are added to that."""
        kept = (_KEPT, self.key, self.variants, self.starts[:1], self.where, self.metrics, self.breakdowns)
        return blake2b(repr((*kept, self.currency, self.timezone)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as it is kept; ``phases`` are those it had, the present one last, none of a draft."""

    id: int
    key: str
    """What exposures carry in the dimension ``experiment``; variants' keys are what they carry in ``variant``."""
    salt: str
    """What its units are drawn with: fixed for good."""
    status: Status
    definition: ExperimentDefinition
    phases: tuple[Phase, ...]
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    archived_at: datetime | None = None

    @property
    def possible(self) -> tuple[Step, ...]:
        """What can be done to it now."""
        return () if self.archived_at is not None else POSSIBLE[self.status]

    def scheme(self, currency: str, timezone: str) -> Scheme:
        """How its units are reckoned; of one that has started."""
        definition = self.definition
        return Scheme(
            experiment_id=self.id,
            key=self.key,
            variants=tuple(variant.key for variant in definition.variants),
            starts=tuple(phase.started_at for phase in self.phases),
            end=self.completed_at,
            where=definition.where,
            metrics=tuple(metric.of for metric in definition.metrics),
            breakdowns=definition.breakdowns,
            currency=currency,
            timezone=timezone,
        )


@dataclass(frozen=True, slots=True)
class Holdout:
    """A share of all subjects (parts of 10,000) that takes part in none of the experiments that name it."""

    name: str
    parts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """All that a tenant has of experiments."""

    experiments: Mapping[str, Experiment]
    """By key, archived ones too."""
    holdouts: Mapping[str, int]
    """The share of each, in parts of 10,000."""
