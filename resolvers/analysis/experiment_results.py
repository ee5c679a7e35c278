"""The results of an experiment, from the sums over its units."""

from collections.abc import Sequence
from datetime import timedelta

from resolvers.analysis.estimates import share
from resolvers.analysis.experiment_answers import (
    ExperimentAnswer,
    ExperimentEffect,
    ExperimentUnits,
    ExperimentWarning,
    SampleRatio,
    UncountedUnits,
    WarningCode,
)
from resolvers.analysis.experiment_decisions import (
    MOST_EXPOSED_TWICE,
    Circumstances,
    Goal,
    Guard,
    Guarded,
    Verdict,
    Weakest,
    decided,
)
from resolvers.analysis.experiment_effects import POWER, Judged
from resolvers.analysis.experiment_metric_results import Material, MetricResults, Reckoned, ResultsQuestion
from resolvers.analysis.experiment_phases import Phase
from resolvers.analysis.experiment_srm import Mismatch, mismatch
from resolvers.analysis.experiment_units import Uncounted
from resolvers.analysis.experiments import Experiment, MetricRole, Status

_DAY = timedelta(days=1)
_UNCOUNTED = {
    Uncounted.LEFT_OUT: "left out by its condition",
    Uncounted.UNKNOWN_VARIANT: "of no variant of the experiment",
    Uncounted.BEFORE_START: "before the start",
    Uncounted.AFTER_END: "after the end",
}


def results(of: Experiment, asked: ResultsQuestion, material: Material) -> ExperimentAnswer:
    """The answer; of an experiment that has started."""
    return _Results(of, asked, material).answer()


class _Results:
    def __init__(self, of: Experiment, asked: ResultsQuestion, material: Material) -> None:
        self.of = of
        self.asked = asked
        self.material = material
        self.cells = material.cells
        weights = zip(of.definition.variants, self._phases()[-1].weights, strict=True)
        self.drawn = {variant.key for variant, weight in weights if weight}
        self.days = self._days()
        self.metrics = MetricResults(of, asked, material, self.days)

    def _days(self) -> float:
        """How long units were assigned in the phases asked about; time that goes on counts by whole minutes.

        So time alone does not make it another answer each time somebody looks.
        """
        minute = self.material.as_of.replace(second=0, microsecond=0)
        last = minute if self.of.completed_at is None else min(minute, self.of.completed_at)
        ends = [min(last, phase.started_at) for phase in self.of.phases[1:]] + [last]
        spans = [phase.running(end) for phase, end in zip(self.of.phases, ends, strict=True)]
        return sum((spans[phase.number - 1] for phase in self._phases()), timedelta(0)) / _DAY

    def _phases(self) -> list[Phase]:
        return [phase for phase in self.of.phases if self.asked.phase in (None, phase.number)]

    def answer(self) -> ExperimentAnswer:
        units = self.cells.units()
        ratio = self._mismatch(units)
        judged = self.metrics.judged()
        planned = self._planned(units, judged)
        early = self.of.definition.sequential or not planned
        corrected = self.metrics.corrected([judged], early=early)
        reckoned = [corrected[0, place] for place in range(len(judged))]
        verdict = self._verdict(units, ratio, reckoned, planned, early)
        groups, count = self.metrics.groups(early=early)
        return ExperimentAnswer(
            experiment=self.of.key,
            status=self.of.status,
            phase=self.asked.phase,
            multiple_exposures=self.asked.multiple,
            units=tuple(
                ExperimentUnits(variant.key, found, ratio.expected[place] if ratio else None)
                for place, (variant, found) in enumerate(zip(self.of.definition.variants, units, strict=True))
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
            planned_end_reached=planned,
            decision=verdict.decision,
            why=verdict.why,
            ship=verdict.variant,
            warnings=self._warnings(ratio, planned),
            metrics=tuple(self.metrics.told(place, self.cells.arms(place), one) for place, one in enumerate(reckoned)),
            groups=groups,
            group_count=count,
            segments=self.metrics.segments(early=early),
            as_of=self.material.as_of,
            explain=self.material.explain,
        )

    def _mismatch(self, units: Sequence[int]) -> Mismatch | None:
        """Against the weights of the phase; over several phases that weighed alike."""
        weights = {phase.weights for phase in self._phases()}
        return mismatch(units, next(iter(weights))) if len(weights) == 1 else None

    def _planned(self, units: Sequence[int], judged: Sequence[Sequence[Judged]]) -> bool:
        """Whether runtime, sample and the power of every goal are what was planned, of variants that get units."""
        reached = self._least(units) >= self.of.definition.minimum_sample and self.days >= self._fewest_days
        return reached and all((effect.power or 0.0) >= POWER for _, effect in self._goals(judged))

    def _goals(self, judged: Sequence[Sequence[Judged]]) -> list[tuple[str, ExperimentEffect]]:
        """The goals of variants that get units."""
        return [
            (metric.slug, one.effect)
            for metric, effects in zip(self.of.definition.metrics, judged, strict=True)
            if metric.role is MetricRole.GOAL
            for one in effects
            if one.effect.variant in self.drawn
        ]

    def _weakest(self, judged: Sequence[Sequence[Judged]]) -> Weakest | None:
        slug, effect = min(self._goals(judged), key=lambda one: one[1].power or 0.0, default=(None, None))
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
        self, units: Sequence[int], ratio: Mismatch | None, reckoned: Sequence[Reckoned], planned: bool, early: bool
    ) -> Verdict:
        definition = self.of.definition
        goals, guards = [], []
        for metric, one in zip(definition.metrics, reckoned, strict=True):
            for effect, was in zip(one.effects, one.judged, strict=True):
                if effect.variant not in self.drawn:
                    continue
                if metric.role is MetricRole.GUARDRAIL:
                    guards.append(Guarded(metric.slug, effect.variant, effect.guard or Guard.OPEN))
                elif metric.role is MetricRole.GOAL:
                    goals.append(_goal(metric.slug, effect, was, early=early))
        at = Circumstances(
            units=sum(units),
            fewest_units=definition.minimum_sample,
            least_arm=self._least(units),
            days=self.days,
            fewest_days=self._fewest_days,
            mismatched=ratio is not None and ratio.suspicious,
            exposed_twice=self.cells.multiple / self.cells.shown if self.cells.shown else 0.0,
            planned_end_reached=planned,
            sequential=definition.sequential,
            over=self.of.status is Status.COMPLETED,
            weakest=self._weakest([one.judged for one in reckoned]),
            phase=self.asked.phase if len(self.of.phases) > 1 else None,
        )
        return decided(goals, guards, at)

    def _warnings(self, ratio: Mismatch | None, planned: bool) -> tuple[ExperimentWarning, ...]:
        told = self._mismatched(ratio) | self._uncounted() | self._peeked(planned)
        return tuple(ExperimentWarning(code, message) for code, message in told.items())

    def _mismatched(self, ratio: Mismatch | None) -> dict[WarningCode, str]:
        found = {}
        if ratio is not None and ratio.suspicious:
            message = "Sample ratio mismatch: the variants are not as large as their weights say."
            found[WarningCode.SAMPLE_RATIO_MISMATCH] = message
        elif ratio is not None and ratio.unlikely:
            found[WarningCode.SAMPLE_RATIO_DOUBTFUL] = (
                f"The sizes of the variants would be unlikely (p {ratio.p.value:.2g}) if this were the only look at "
                f"them; for whoever looks as they come they are no mismatch yet (p {ratio.always.value:.2g})."
            )
        if ratio is not None and ratio.unexpected:
            found[WarningCode.UNEXPECTED_VARIANT] = (
                f"{ratio.unexpected:,} subjects were shown a variant whose weight is 0: something else than the "
                "experiment assigns them."
            )
        return found

    def _uncounted(self) -> dict[WarningCode, str]:
        found = {}
        if self.cells.shown and self.cells.multiple / self.cells.shown > MOST_EXPOSED_TWICE:
            found[WarningCode.MULTIPLE_EXPOSURES] = (
                f"{self.cells.multiple:,} of {self.cells.shown:,} subjects were shown several variants, more than 1 %."
            )
        uncounted = {why: units for why, units in self.cells.uncounted.items() if units}
        if uncounted:
            reasons = ", ".join(f"{units:,} {_UNCOUNTED[why]}" for why, units in uncounted.items())
            found[WarningCode.UNCOUNTED_EXPOSURES] = (
                f"{sum(uncounted.values()):,} subjects have exposures of which none counts, by their first: {reasons}."
            )
        return found

    def _peeked(self, planned: bool) -> dict[WarningCode, str]:
        if planned or not self.cells.shown:
            return {}
        if self.of.status is Status.COMPLETED:
            message = (
                "It was completed before the planned runtime, sample or power was reached: p-values of a fixed horizon "
                "mislead where somebody chose when to stop; the sequential ones hold."
            )
        else:
            message = (
                "The planned runtime, sample or power is not reached: p-values of a fixed horizon that are read early "
                "mislead; the sequential ones hold at any look."
            )
        return {WarningCode.PEEKING: message}


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
