"""The results of an experiment, from the sums over its units."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from resolvers.analysis.estimates import share
from resolvers.analysis.experiment_answers import (
    ExperimentAnswer,
    ExperimentEffect,
    ExperimentUnits,
    PlannedSample,
    SampleRatio,
    UncountedUnits,
)
from resolvers.analysis.experiment_cells import BY_DAY, Cells
from resolvers.analysis.experiment_decisions import (
    Circumstances,
    Goal,
    Guard,
    Guarded,
    Late,
    Verdict,
    Weakest,
    decided,
)
from resolvers.analysis.experiment_effects import POWER, Judged
from resolvers.analysis.experiment_looks import Sample, beside, since, with_harm
from resolvers.analysis.experiment_metric_results import Material, MetricResults, Reckoned, ResultsQuestion
from resolvers.analysis.experiment_phases import Phase
from resolvers.analysis.experiment_srm import Mismatch, mismatch
from resolvers.analysis.experiment_warnings import warnings
from resolvers.analysis.experiments import Experiment, MetricRole, Status

_DAY = timedelta(days=1)


class Results:
    """The results of an experiment that has started.

    Where its plan is fulfilled (``planned``) and units came after the ``last_planned_day``, the answer wants the sample
    up to that day.
    """

    def __init__(self, of: Experiment, asked: ResultsQuestion, material: Material) -> None:
        self.of = of
        self.asked = asked
        self.material = material
        self.cells = material.cells
        weights = zip(of.definition.variants, self._phases()[-1].weights, strict=True)
        self.drawn = {variant.key for variant, weight in weights if weight}
        self.days = self._days(material.as_of)
        self.metrics = MetricResults(of, asked, material, self.days)
        self.units = self.cells.units()
        self.judged = self.metrics.judged()
        self.planned = self._planned()
        """Whether runtime, sample and the power of every goal are what was planned, of variants that get units."""

    def _days(self, until: datetime) -> float:
        """How long units were assigned in the phases asked about; time that goes on counts by whole minutes.

        So time alone does not make it another answer each time somebody looks.
        """
        minute = until.replace(second=0, microsecond=0)
        last = minute if self.of.completed_at is None else min(minute, self.of.completed_at)
        ends = [min(last, phase.started_at) for phase in self.of.phases[1:]] + [last]
        spans = [phase.running(end) for phase, end in zip(self.of.phases, ends, strict=True)]
        return sum((spans[phase.number - 1] for phase in self._phases()), timedelta(0)) / _DAY

    def _phases(self) -> list[Phase]:
        return [phase for phase in self.of.phases if self.asked.phase in (None, phase.number)]

    def last_planned_day(self, by_day: Cells) -> int | None:
        """The day of the tenant's calendar by whose end the plan was fulfilled; None where no unit came after it."""
        days = sorted(by_day.values(BY_DAY))
        needed = max((effect.units_needed or 0 for _, effect in self._goals()), default=0)
        reached = [0] * len(self.units)
        for day in days[:-1]:
            reached = [sum(pair) for pair in zip(reached, by_day.units(BY_DAY, day), strict=True)]
            there = self._is_there(reached, self._days(self.metrics.midnight(day + 1)))
            if there and reached[self.of.definition.control] >= needed:
                return day
        return None

    def answer(self, sample: Sample | None = None) -> ExperimentAnswer:
        """The answer; raises nothing."""
        ratio = self._mismatch(self.units)
        sequential = self.of.definition.sequential
        early = sequential or not self.planned
        judged = self.judged
        if sample is not None:
            of_sample = [one.decisive(sample.arms(place)) for place, one in enumerate(self.metrics.measured)]
            level = float(1 - self.of.definition.alpha)
            pairs = zip(judged, of_sample, strict=True)
            judged = [beside(one, planned, level, decides=not sequential) for one, planned in pairs]
        reckoned = self._reckoned(judged, early=early)
        always = self._reckoned(self.judged, early=True) if sample is not None and not sequential else []
        if always:
            reckoned = [with_harm(one, seen) for one, seen in zip(reckoned, always, strict=True)]
        planned = self._planned_sample(sample)
        verdict = self._verdict(ratio, reckoned, always, planned)
        # Of groups no sample is kept by day: after the planned one, too, what holds at any look decides.
        apart = early or sample is not None
        groups, count = self.metrics.groups(early=apart)
        return ExperimentAnswer(
            experiment=self.of.key,
            status=self.of.status,
            phase=self.asked.phase,
            multiple_exposures=self.asked.multiple,
            units=tuple(
                ExperimentUnits(variant.key, found, ratio.expected[place] if ratio else None)
                for place, (variant, found) in enumerate(zip(self.of.definition.variants, self.units, strict=True))
            ),
            sample_ratio=None if ratio is None else _told(ratio),
            multiple=share(
                self.cells.multiple,
                self.cells.shown,
                as_of=self.material.as_of,
                definition="Subjects that were shown several variants, divided by all that were exposed.",
            ),
            uncounted=tuple(UncountedUnits(why, units) for why, units in self.cells.uncounted.items() if units),
            days=self.days,
            planned_end_reached=self.planned,
            planned_sample=planned,
            decision=verdict.decision,
            why=f"Among exposures that pass `where`: {verdict.why}" if self.asked.filtered else verdict.why,
            ship=verdict.variant,
            warnings=warnings(
                self.cells, ratio, planned, over=self.of.status is Status.COMPLETED, filtered=self.asked.filtered
            ),
            metrics=tuple(self.metrics.told(place, self.cells.arms(place), one) for place, one in enumerate(reckoned)),
            groups=groups,
            group_count=count,
            segments=self.metrics.segments(early=apart),
            as_of=self.material.as_of,
            explain=self.material.explain,
        )

    def _mismatch(self, units: Sequence[int]) -> Mismatch | None:
        """Against the weights of the phase; over several phases that weighed alike."""
        weights = {phase.weights for phase in self._phases()}
        return mismatch(units, next(iter(weights))) if len(weights) == 1 else None

    def _reckoned(self, judged: Sequence[Sequence[Judged]], *, early: bool) -> list[Reckoned]:
        corrected = self.metrics.corrected([list(map(tuple, judged))], early=early)
        return [corrected[0, place] for place in range(len(judged))]

    def _planned(self) -> bool:
        return self._is_there(self.units, self.days) and all(
            (effect.power or 0.0) >= POWER for _, effect in self._goals()
        )

    def _is_there(self, units: Sequence[int], days: float) -> bool:
        """Whether runtime and sample are what was planned."""
        return self._least(units) >= self.of.definition.minimum_sample and days >= self._fewest_days

    def _planned_sample(self, sample: Sample | None) -> PlannedSample | None:
        if not self.planned:
            return None
        if sample is None:
            return PlannedSample(None, sum(self.units), 0)
        return PlannedSample(self.metrics.midnight(sample.day + 1), sample.units, sum(self.units) - sample.units)

    def _goals(self) -> list[tuple[str, ExperimentEffect]]:
        """The goals of variants that get units."""
        return [
            (metric.slug, one.effect)
            for metric, effects in zip(self.of.definition.metrics, self.judged, strict=True)
            if metric.role is MetricRole.GOAL
            for one in effects
            if one.effect.variant in self.drawn
        ]

    def _weakest(self) -> Weakest | None:
        slug, effect = min(self._goals(), key=lambda one: one[1].power or 0.0, default=(None, None))
        if slug is None or effect is None:
            return None
        return Weakest(slug, effect.power, POWER, float(self.of.definition.minimum_effect), effect.days_to_go)

    @property
    def _fewest_days(self) -> float:
        return self.of.definition.minimum_runtime / _DAY

    def _least(self, units: Sequence[int]) -> int:
        """Units of the smallest variant that is to have some."""
        weights = self._phases()[-1].weights
        return min(found for found, weight in zip(units, weights, strict=True) if weight)

    def _verdict(
        self,
        ratio: Mismatch | None,
        reckoned: Sequence[Reckoned],
        always: Sequence[Reckoned],
        sample: PlannedSample | None,
    ) -> Verdict:
        definition = self.of.definition
        early = definition.sequential or not self.planned
        goals, guards = self._told_of(reckoned, early=early)
        worse, better = since(goals, self._told_of(always, early=True)[0])
        at = Circumstances(
            units=sum(self.units),
            fewest_units=definition.minimum_sample,
            least_arm=self._least(self.units),
            days=self.days,
            fewest_days=self._fewest_days,
            mismatched=ratio is not None and ratio.suspicious,
            exposed_twice=self.cells.multiple / self.cells.shown if self.cells.shown else 0.0,
            planned_end_reached=self.planned,
            sequential=definition.sequential,
            over=self.of.status is Status.COMPLETED,
            weakest=self._weakest(),
            phase=self.asked.phase if len(self.of.phases) > 1 else None,
            late=Late(sample.units, sample.later, tuple(better)) if always and sample is not None else None,
        )
        return decided([*goals, *worse], guards, at)

    def _told_of(self, reckoned: Sequence[Reckoned], *, early: bool) -> tuple[list[Goal], list[Guarded]]:
        """What the verdict is to know of goals and guardrails, of variants that get units."""
        goals, guards = [], []
        for metric, one in zip(self.of.definition.metrics, reckoned, strict=False):
            for effect, was in zip(one.effects, one.judged, strict=True):
                if effect.variant not in self.drawn:
                    continue
                if metric.role is MetricRole.GUARDRAIL:
                    guards.append(Guarded(metric.slug, effect.variant, effect.guard or Guard.OPEN))
                elif metric.role is MetricRole.GOAL:
                    goals.append(_goal(metric.slug, effect, was, early=early))
        return goals, guards


def _goal(slug: str, effect: ExperimentEffect, was: Judged, *, early: bool) -> Goal:
    if was.decisive is None:
        return Goal(slug, effect.variant, None, False, None)
    better = (was.decisive.effect > 0) is was.up if effect.significant else None
    return Goal(slug, effect.variant, better, effect.significant, was.interval(early=early))


def _told(ratio: Mismatch) -> SampleRatio:
    return SampleRatio(
        method=ratio.method,
        statistic=ratio.statistic,
        freedom=ratio.freedom,
        p_value=ratio.p.value,
        log10_p=ratio.p.log10,
        sequential_p_value=ratio.always.value,
        sequential_log10_p=ratio.always.log10,
        unexpected=ratio.unexpected,
        suspicious=ratio.suspicious,
    )
