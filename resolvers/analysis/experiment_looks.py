"""When results are looked at: before what was planned is there, as it is, or afterwards; and what can be believed then.

A test of a fixed horizon holds for one look, at a moment that does not depend on what is seen. So it is one look,
whoever looks and when: at the planned sample, which are the units that had come by the end of the day on which runtime,
sample and power were there. Whoever goes on and looks again (optional continuation) adds units to what is shown, and to
what holds at any look, but not to that test; else each further look would be another chance to find what is not there:
P. Armitage, C. K. McPherson, B. C. Rowe, "Repeated Significance Tests on Accumulating Data", Journal of the Royal
Statistical Society A 132 (1969). Which day it is depends on how many came and on the control's value, not on effects.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from resolvers.analysis.experiment_answers import PlannedEffect
from resolvers.analysis.experiment_cells import BY_DAY, Arms, Cells
from resolvers.analysis.experiment_decisions import Goal, Guard
from resolvers.analysis.experiment_effects import Judged, decimal, interval_of
from resolvers.analysis.experiment_metric_results import Reckoned
from resolvers.analysis.experiment_tests import Comparison


@dataclass(frozen=True, slots=True)
class Sample:
    """The planned sample, where units came after it: the last day of it, and the sums over its units."""

    day: int
    cells: Cells
    """In the cut by day, all as of the day 0."""

    @property
    def units(self) -> int:
        return sum(self.cells.units(BY_DAY))

    def arms(self, metric: int) -> Arms:
        """The arms of a metric, by its place."""
        return self.cells.arms(metric, BY_DAY)


def beside(
    judged: Sequence[Judged],
    planned: Sequence[tuple[Comparison | None, float | None]],
    level: float,
    *,
    decides: bool,
) -> tuple[Judged, ...]:
    """Effects with what they are in the planned sample beside; by which, and its margin, each is judged if it
    ``decides``.
    """
    found = []
    for one, (test, margin) in zip(judged, planned, strict=True):
        told = None
        if test is not None:
            told = PlannedEffect(
                decimal(test.effect),
                interval_of(test.low, test.high, level, test.interval),
                test.p.value,
                test.p.log10,
            )
        one = replace(one, effect=replace(one.effect, planned=told))
        found.append(replace(one, decisive=test, margin=margin) if decides else one)
    return tuple(found)


def with_harm(reckoned: Reckoned, always: Reckoned) -> Reckoned:
    """Guardrails by the planned sample, and broken as well where they are by what holds at any look."""
    effects = [
        replace(effect, guard=Guard.BROKEN) if seen.guard is Guard.BROKEN else effect
        for effect, seen in zip(reckoned.effects, always.effects, strict=True)
    ]
    return replace(reckoned, effects=effects)


def since(goals: Sequence[Goal], always: Sequence[Goal]) -> tuple[list[Goal], list[Goal]]:
    """Of what holds at any look: the goals that are worse, and those that are better without being so as planned."""
    worse = [one for one in always if one.significant and one.better is False]
    known = {(one.name, one.variant) for one in goals if one.significant}
    better = [one for one in always if one.significant and one.better and (one.name, one.variant) not in known]
    return worse, better
