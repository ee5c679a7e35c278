"""The metrics of an experiment, from the sums over its units: in all, by day and by group, corrected for how many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from resolvers.analysis.estimates import Unit
from resolvers.analysis.experiment_answers import (
    EffectSeries,
    ExperimentEffect,
    ExperimentGroup,
    ExperimentMetricAnswer,
    ExperimentSegment,
)
from resolvers.analysis.experiment_cells import BY_DAY, BY_DIMENSION, BY_SEGMENT, Arms, Cells, UnitSums, together
from resolvers.analysis.experiment_effects import Judged, Measured
from resolvers.analysis.experiment_effects import corrected as corrected_effects
from resolvers.analysis.experiment_tests import Refusal
from resolvers.analysis.experiments import Experiment, MetricRole, MultipleExposures
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue

_DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class ResultsQuestion:
    """What is asked of an experiment; ``phase`` None is all of them, ``by`` one of its breakdowns."""

    phase: int | None
    multiple: MultipleExposures
    by: str | None = None
    top: int = 20
    over_time: bool = False
    segments: tuple[int, ...] = ()
    filtered: bool = False
    """Whether only exposures count that were chosen for this question."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the value of a metric is."""

    unit: Unit
    definition: str


@dataclass(frozen=True, slots=True)
class AskedSegment:
    """A segment that results are broken down by, and the instant that its members are of."""

    id: int
    name: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Material:
    """What results are made of: the sums, the names of the dimension's values by code, the caps of metrics by place,
    the segments that are asked about.
    """

    cells: Cells
    names: Mapping[int, str]
    caps: Mapping[int, Decimal]
    described: Sequence[Described]
    currency: str
    timezone: str
    as_of: datetime
    explain: Explanation
    segments: Sequence[AskedSegment] = ()


@dataclass(frozen=True, slots=True)
class Reckoned:
    """The effects of a metric, for how many tests they were corrected, and what they were before."""

    effects: Sequence[ExperimentEffect]
    family: int
    judged: Sequence[Judged]


class MetricResults:
    """The metrics of an experiment; ``days`` is how long units have come so far."""

    def __init__(self, of: Experiment, asked: ResultsQuestion, material: Material, days: float) -> None:
        self.of = of
        self.asked = asked
        self.material = material
        self.cells = material.cells
        definition = of.definition
        self.measured = [
            Measured(one, told.unit, told.definition, material.currency, definition, days, material.as_of)
            for one, told in zip(definition.metrics, material.described, strict=True)
        ]

    def judged(self) -> list[tuple[Judged, ...]]:
        """Each metric over all units, before any correction."""
        return [one.effects(self.cells.arms(place)) for place, one in enumerate(self.measured)]

    def corrected(
        self, parts: Sequence[Sequence[tuple[Judged, ...]]], *, early: bool
    ) -> dict[tuple[int, int], "Reckoned"]:
        """By part and metric: the effects, how many tests their family has, and what they were before.

        Goals are one family over all parts, secondary metrics another; a guardrail is held to its own interval, as
        correcting it would only make harm harder to see. ``early`` is whether what holds at any look decides.
        """
        found = {}
        for role in MetricRole:
            places = [
                (part, place)
                for part in range(len(parts))
                for place, one in enumerate(self.of.definition.metrics)
                if one.role is role
            ]
            families = [[place] for place in places] if role is MetricRole.GUARDRAIL else [places]
            for family in families:
                judged = [one for part, place in family for one in parts[part][place]]
                effects, size = corrected_effects(judged, role, float(self.of.definition.alpha), early=early)
                given = iter(effects)
                for part, place in family:
                    own = parts[part][place]
                    found[part, place] = Reckoned([next(given) for _ in own], size, list(own))
        return found

    def told(self, place: int, arms: Arms, reckoned: "Reckoned", *, series: bool = True) -> ExperimentMetricAnswer:
        """What became of a metric."""
        one = self.measured[place]
        return ExperimentMetricAnswer(
            slug=one.metric.slug,
            role=one.metric.role,
            definition=one.definition,
            arms=one.arms(arms),
            effects=tuple(reckoned.effects),
            family=reckoned.family,
            cap=self.material.caps.get(place, one.metric.of.cap),
            series=self._series(place) if series and self.asked.over_time else (),
        )

    def _series(self, place: int) -> tuple[EffectSeries, ...]:
        """How each effect came about, day of first exposure by day."""
        days = sorted(self.cells.values(BY_DAY))
        variants = self.of.definition.variants
        reached: list[Arms] = []
        so_far: Arms = [UnitSums() for _ in variants]
        for day in days:
            so_far = together([so_far, self.cells.arms(place, BY_DAY, day)])
            reached.append(so_far)
        at = tuple(self.midnight(day) for day in days)
        return tuple(
            self._course(place, number, at, reached) for number, variant in enumerate(variants) if not variant.control
        )

    def _course(self, place: int, number: int, at: tuple[datetime, ...], reached: Sequence[Arms]) -> EffectSeries:
        one, control = self.measured[place], self.of.definition.control
        tests = [one.compared(arms[control], arms[number]) for arms in reached]
        known = [None if isinstance(test, Refusal) else test for test in tests]
        looks = [
            None if test is None else one.sequence(test, arms[control], arms[number])
            for test, arms in zip(known, reached, strict=True)
        ]
        lifts = [None if test is None else test.lift for test in known]
        return EffectSeries(
            variant=self.of.definition.variants[number].key,
            at=at,
            units=tuple(arms[number].units for arms in reached),
            value=tuple(one.value(arms[number]) for arms in reached),
            control=tuple(one.value(arms[control]) for arms in reached),
            effect=tuple(None if test is None else test.effect for test in known),
            low=tuple(None if test is None else test.low for test in known),
            high=tuple(None if test is None else test.high for test in known),
            p_value=tuple(None if test is None else test.p.value for test in known),
            lift=tuple(None if lift is None else lift.value for lift in lifts),
            lift_low=tuple(None if lift is None else lift.low for lift in lifts),
            lift_high=tuple(None if lift is None else lift.high for lift in lifts),
            sequential_low=tuple(None if look is None else look.low for look in looks),
            sequential_high=tuple(None if look is None else look.high for look in looks),
            sequential_p_value=tuple(None if look is None else look.p.value for look in looks),
        )

    def midnight(self, day: int) -> datetime:
        """When a day since 1970 begins in the tenant's time zone."""
        local = datetime.combine(_EPOCH + day * _DAY, datetime.min.time(), ZoneInfo(self.material.timezone))
        return local.astimezone(UTC)

    def groups(self, *, early: bool) -> tuple[tuple[ExperimentGroup, ...], int]:
        """Results by value of the dimension, those of most units first, corrected over all that are shown."""
        if self.asked.by is None:
            return (), 0
        cut = BY_DIMENSION + self.of.definition.breakdowns.index(self.asked.by)
        values = self.cells.values(cut)
        values = [value for value in values if sum(self.cells.units(cut, value))]
        shown, rest = values[: self.asked.top], values[self.asked.top :]
        metrics = range(len(self.measured))
        arms = [[self.cells.arms(place, cut, value) for place in metrics] for value in shown]
        if rest:
            arms.append([together([self.cells.arms(place, cut, value) for value in rest]) for place in metrics])
        told = self._parts(arms, early=early)
        keys = [(DimensionValue(self.asked.by, self.material.names.get(value)),) for value in shown]
        found = [
            ExperimentGroup(
                keys=keys[part] if part < len(shown) else (),
                other=part >= len(shown),
                units=sum(arm.units for arm in of[0]) if of else 0,
                metrics=told[part],
            )
            for part, of in enumerate(arms)
        ]
        return tuple(found), len(values)

    def segments(self, *, early: bool) -> tuple[ExperimentSegment, ...]:
        """Results among the members of each segment, corrected over all that are asked about."""
        asked = self.material.segments
        metrics = range(len(self.measured))
        arms = [[self.cells.arms(place, BY_SEGMENT, part) for place in metrics] for part in range(len(asked))]
        told = self._parts(arms, early=early)
        return tuple(
            ExperimentSegment(
                segment=one.id,
                name=one.name,
                members_as_of=one.as_of,
                units=sum(self.cells.units(BY_SEGMENT, part)),
                metrics=told[part],
            )
            for part, one in enumerate(asked)
        )

    def _parts(self, arms: Sequence[Sequence[Arms]], *, early: bool) -> list[tuple[ExperimentMetricAnswer, ...]]:
        """Each metric in each part of the units, corrected over all parts."""
        effects = self.corrected(
            [[one.effects(of) for one, of in zip(self.measured, part, strict=True)] for part in arms], early=early
        )
        return [
            tuple(self.told(place, of, effects[number, place], series=False) for place, of in enumerate(part))
            for number, part in enumerate(arms)
        ]
