"""A metric of an experiment from its sums: each variant's value, and how it stands against the control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import inf, log, sqrt
from typing import Any

from resolvers.analysis.estimates import Estimate, Interval, Unit, estimate, quotient, share, student
from resolvers.analysis.experiment_answers import CupedEffect, ExperimentArm, ExperimentEffect
from resolvers.analysis.experiment_bayes import Chances, of_effect, of_shares
from resolvers.analysis.experiment_cells import Arms, UnitSums
from resolvers.analysis.experiment_cuped import Adjusted, cuped
from resolvers.analysis.experiment_decisions import guard
from resolvers.analysis.experiment_power import means_power, means_size, shares_power, shares_size, whole
from resolvers.analysis.experiment_probabilities import PValue
from resolvers.analysis.experiment_sequential import Always, always, error_of_means, error_of_ratios, error_of_shares
from resolvers.analysis.experiment_tests import Comparison, Refusal, ratios, two_proportions, welch
from resolvers.analysis.experiments import ExperimentDefinition, ExperimentMetric, MetricRole
from resolvers.analysis.metrics import Direction
from resolvers.analysis.multiplicity import benjamini_hochberg, holm

POWER = 0.8
"""With which chance the least effect that is worth finding is to be found."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric, what its value is, and how it is judged; ``days`` is how long units have come so far."""

    metric: ExperimentMetric
    unit: Unit
    definition: str
    currency: str
    of: ExperimentDefinition
    days: float
    as_of: datetime

    @property
    def level(self) -> float:
        return float(1 - self.of.alpha)

    def arms(self, arms: Arms) -> tuple[ExperimentArm, ...]:
        """The value of each variant."""
        variants = [variant.key for variant in self.of.variants]
        return tuple(ExperimentArm(key, self._estimate(arm)) for key, arm in zip(variants, arms, strict=True))

    def _estimate(self, arm: UnitSums) -> Estimate:
        of = self.metric.of
        if of.share:
            return share(int(arm.x), arm.units, as_of=self.as_of, definition=self.definition)
        below = arm.y if of.per is not None else Decimal(arm.units)
        return estimate(
            quotient(arm.x, below),
            n=arm.units,
            as_of=self.as_of,
            definition=self.definition,
            unit=self.unit,
            currency=self.currency,
            numerator=arm.x,
            denominator=below,
            interval=student(arm.units, arm.x, arm.xx) if of.per is None else None,
        )

    def value(self, arm: UnitSums) -> float | None:
        """The value of a variant; None where it is divided by nothing."""
        below = arm.y if self.metric.of.per is not None else arm.units
        return float(arm.x / below) if below else None

    def compared(self, control: UnitSums, treatment: UnitSums) -> Comparison | Refusal:
        """The test of a fixed horizon."""
        of = self.metric.of
        if of.per is not None:
            return ratios(control.ratio, treatment.ratio, self.level)
        if of.share:
            return two_proportions(control.share, treatment.share, self.level)
        return welch(control.mean, treatment.mean, self.level)

    def sequence(
        self, of: Comparison, control: UnitSums, treatment: UnitSums, adjusted: Adjusted | None = None
    ) -> Always | None:
        """What holds at any look, of a comparison of two variants."""
        if adjusted is not None:
            cautious = error_of_means(adjusted.control, adjusted.treatment)
        elif self.metric.of.per is not None:
            cautious = error_of_ratios(control.ratio, treatment.ratio)
        elif self.metric.of.share:
            cautious = error_of_shares(control.share, treatment.share)
        else:
            cautious = error_of_means(control.mean, treatment.mean)
        return always(of.effect, max(of.error, cautious), control.units + treatment.units, self.level)

    def effects(self, arms: Arms) -> tuple["Judged", ...]:
        """Each variant but the control against it, before any correction."""
        place = self.of.control
        others = [
            (variant.key, arm) for variant, arm in zip(self.of.variants, arms, strict=True) if not variant.control
        ]
        return tuple(self._judged(key, arms[place], arm) for key, arm in others)

    def decisive(self, arms: Arms) -> list[tuple[Comparison | None, float | None]]:
        """Of each variant but the control the test of a fixed horizon that decides, None where nothing is defined; and
        what may be lost of the metric.
        """
        control = arms[self.of.control]
        others = [arm for variant, arm in zip(self.of.variants, arms, strict=True) if not variant.control]
        return [(self._decisive(control, arm), self._margin(control)) for arm in others]

    def _decisive(self, control: UnitSums, treatment: UnitSums) -> Comparison | None:
        plain = self.compared(control, treatment)
        if isinstance(plain, Refusal):
            return None
        adjusted = self._adjusted(control, treatment)
        return plain if adjusted is None else adjusted.comparison

    def _judged(self, variant: str, control: UnitSums, treatment: UnitSums) -> "Judged":
        plain = self.compared(control, treatment)
        if isinstance(plain, Refusal):
            return Judged(
                ExperimentEffect(variant, undefined=plain.reason), None, None, self._margin(control), self._up
            )
        adjusted = self._adjusted(control, treatment)
        decisive = plain if adjusted is None else adjusted.comparison
        sequence = self.sequence(decisive, control, treatment, adjusted)
        chances = self._chances(control, treatment, decisive, adjusted is not None)
        more = self._missing(control, treatment, adjusted)
        if adjusted is not None:
            more["cuped"] = _cuped(adjusted, self.level)
        if sequence is not None:
            interval = interval_of(sequence.low, sequence.high, self.level, "Asymptotic confidence sequence")
            more |= {"sequential_interval": interval, **_probability("sequential", sequence.p)}
        if chances is not None:
            loss = decimal(chances.loss_of_treatment if self._up else chances.loss_of_control)
            more |= {"chance_to_win": chances.to_win if self._up else 1 - chances.to_win, "expected_loss": loss}
        return Judged(self._told(variant, plain, more), decisive, sequence, self._margin(control), self._up)

    def _margin(self, control: UnitSums) -> float | None:
        """What may be lost of the metric, in its unit."""
        return None if self.metric.margin is None else self.metric.margin.of(self.value(control) or 0.0)

    @property
    def _up(self) -> bool:
        return self.metric.direction is not Direction.DOWN

    def _adjusted(self, control: UnitSums, treatment: UnitSums) -> Adjusted | None:
        if self.metric.of.before is None:
            return None
        found = cuped(control.paired, treatment.paired, level=self.level)
        return None if isinstance(found, Refusal) else found

    def _chances(
        self, control: UnitSums, treatment: UnitSums, decisive: Comparison, is_adjusted: bool
    ) -> Chances | None:
        if self.metric.of.share and not is_adjusted:
            return of_shares(control.share, treatment.share)
        return of_effect(decisive.effect, decisive.error)

    def _told(self, variant: str, plain: Comparison, more: Mapping[str, Any]) -> ExperimentEffect:
        lift, lift_interval = plain.lift, None
        if lift is not None and lift.low is not None and lift.high is not None:
            lift_interval = interval_of(lift.low, lift.high, self.level, "Delta method")
        return ExperimentEffect(
            variant,
            method=plain.method,
            effect=decimal(plain.effect),
            interval=interval_of(plain.low, plain.high, self.level, plain.interval),
            lift=None if lift is None else decimal(lift.value),
            lift_interval=lift_interval,
            statistic=plain.statistic,
            p_value=plain.p.value,
            log10_p=plain.p.log10,
            **({} if plain.unpooled_p is None else _probability("unpooled", plain.unpooled_p)),
            **more,
        )

    def _missing(self, control: UnitSums, treatment: UnitSums, adjusted: Adjusted | None) -> dict[str, Any]:
        """The power that the least effect worth finding has now, and what is missing of it; nothing if undefined."""
        base, alpha = self.value(control) or 0.0, float(self.of.alpha)
        step = float(self.of.minimum_effect) * abs(base)
        ratio = treatment.units / control.units
        if not step or min(control.units, treatment.units) < 2:
            return {}
        if self.metric.of.share and adjusted is None:
            other = base + step if base + step < 1 else base - step
            if not 0 < other < 1:
                return {}
            power = shares_power(base, other, alpha=alpha, units=control.units, ratio=ratio)
            needed = shares_size(base, other, alpha=alpha, power=POWER, ratio=ratio)
        else:
            deviation = self._deviation(control, adjusted)
            if not deviation:
                return {}
            power = means_power(step, deviation, alpha=alpha, units=control.units, ratio=ratio)
            needed = means_size(step, deviation, alpha=alpha, power=POWER, ratio=ratio)
        missing = self.days * (needed / control.units - 1)
        planned = self.of.minimum_runtime / timedelta(days=1) - self.days
        return {"power": power, "units_needed": whole(needed), "days_to_go": max(0.0, missing, planned)}

    def _deviation(self, control: UnitSums, adjusted: Adjusted | None) -> float:
        if adjusted is not None:
            return sqrt(max(0.0, adjusted.control.variance))
        if self.metric.of.per is not None:
            return sqrt(max(0.0, control.ratio.ratio_variance))
        return sqrt(max(0.0, control.mean.variance))


@dataclass(frozen=True, slots=True)
class Judged:
    """An effect before any correction, and what decides about it: the comparison, and its sequence that holds early.

    Where nothing is defined there is neither. ``margin`` is what a guardrail may lose, in the metric's unit; None where
    none was given.
    """

    effect: ExperimentEffect
    decisive: Comparison | None
    sequence: Always | None
    margin: float | None
    up: bool

    def log_p(self, *, early: bool) -> float | None:
        """The natural logarithm of the p-value that decides."""
        decides = self.sequence if early else self.decisive
        return None if decides is None else decides.p.log10 * log(10)

    def interval(self, *, early: bool) -> tuple[float, float]:
        """The interval that decides, turned so that up is good; without end where nothing is defined."""
        decides = self.sequence if early else self.decisive
        low, high = (-inf, inf) if decides is None else (decides.low, decides.high)
        return (low, high) if self.up else (-high, -low)


def corrected(
    family: Sequence[Judged], role: MetricRole, alpha: float, *, early: bool
) -> tuple[list[ExperimentEffect], int]:
    """The effects of one family of tests, adjusted for how many they are, and how many; the undefined tests nothing."""
    known = [one.log_p(early=early) for one in family]
    logs = [log_p for log_p in known if log_p is not None]
    adjusted = iter(zip(holm(logs), benjamini_hochberg(logs), strict=True))
    found = []
    for one, log_p in zip(family, known, strict=True):
        effect = one.effect
        if log_p is not None:
            by_holm, by_rate = next(adjusted)
            significant = by_holm < log(alpha)
            told = _probability("holm", PValue.of(by_holm)) | _probability("benjamini_hochberg", PValue.of(by_rate))
            effect = replace(effect, significant=significant, **told)
        if role is MetricRole.GUARDRAIL:
            stands = guard(*one.interval(early=early), one.margin, up_is_good=True)
            effect = replace(effect, guard=stands, margin=None if one.margin is None else decimal(one.margin))
        found.append(effect)
    return found, len(logs)


def decimal(value: float) -> Decimal:
    """The number by its shortest notation."""
    return Decimal(repr(float(value)))


def _probability(name: str, p: PValue) -> dict[str, Any]:
    """The fields of an effect that tell a p-value and its logarithm."""
    return {f"{name}_p_value": p.value, f"{name}_log10_p": p.log10}


def interval_of(low: float, high: float, level: float, method: str) -> Interval:
    """An interval by the shortest notation of its ends."""
    return Interval(decimal(low), decimal(high), Decimal(f"{level:.12g}"), method)


def _cuped(adjusted: Adjusted, level: float) -> CupedEffect:
    found = adjusted.comparison
    return CupedEffect(
        theta=adjusted.theta,
        variance_cut=adjusted.variance_cut,
        effect=decimal(found.effect),
        interval=interval_of(found.low, found.high, level, found.interval),
        p_value=found.p.value,
        log10_p=found.p.log10,
    )
