"""What AI caused, where an experiment decided by chance who had it."""

from decimal import Decimal

from resolvers.analysis.estimates import CONTEXT, Unit
from resolvers.analysis.experiment_answers import ExperimentAnswer, ExperimentMetricAnswer
from resolvers.analysis.experiments import MetricRole
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import IncrementalValue
from resolvers.context import Context
from resolvers.errors import BadInput
from resolvers.experiment_results import Asking, experiment_results
from resolvers.experiments import experiment

_FIELD = "experiment"


async def incremental(context: Context, key: str) -> IncrementalValue:
    """What the treatment of an experiment added to the value of its units, all in all.

    The difference in money per exposed subject, times the subjects of the treatment; its interval is of a
    fixed horizon where these are the planned sample, and before and after it one that holds at any look. Raises
    NotFound, and BadInput where the experiment cannot tell.
    """
    of = await experiment(context, key)
    per_unit = {one.slug for one in of.definition.metrics if one.of.per is None}
    # A period bounds nothing here: results are of all units.
    found = await experiment_results(context, Asking(key), Question(PeriodRequest(last="1h")))
    if len(found.units) != 2:
        raise BadInput("It has several treatments; an experiment with one says what AI adds.", field=_FIELD)
    if found.sample_ratio is not None and found.sample_ratio.suspicious:
        raise BadInput(
            "Its arms are not as large as their weights say, so no effect can be believed: see experimentResults.",
            field=_FIELD,
        )
    return _value(found, _money(found, per_unit))


def _money(found: ExperimentAnswer, per_unit: set[str]) -> ExperimentMetricAnswer:
    """The metric of money per exposed subject; the goal, where several are."""
    metrics = [
        one
        for one in found.metrics
        if one.slug in per_unit and any(arm.estimate.unit is Unit.MONEY for arm in one.arms)
    ]
    if not metrics:
        raise BadInput(
            "None of its metrics is money per exposed subject; add one, such as `revenue`, and ask again.", field=_FIELD
        )
    return min(metrics, key=lambda one: one.role is not MetricRole.GOAL)


def _value(found: ExperimentAnswer, metric: ExperimentMetricAnswer) -> IncrementalValue:
    (effect,) = metric.effects
    sample = found.planned_sample
    # Of all units; so once some came after the planned sample, it takes the interval that holds at any look again.
    interval = effect.interval if sample is not None and not sample.later else effect.sequential_interval
    if effect.effect is None or interval is None:
        why = effect.undefined or "Too few subjects have been exposed."
        raise BadInput(f"It cannot tell yet. {why}", field=_FIELD)
    units = Decimal(next(one.units for one in found.units if one.variant == effect.variant))
    value, low, high = (CONTEXT.multiply(end, units) for end in (effect.effect, interval.low, interval.high))
    return IncrementalValue(value, low, high, found.experiment)
