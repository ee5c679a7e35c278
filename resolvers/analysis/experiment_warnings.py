"""What is to be minded when an experiment's results are read."""

from collections.abc import Mapping

from resolvers.analysis.experiment_answers import ExperimentWarning, PlannedSample, WarningCode
from resolvers.analysis.experiment_cells import Cells
from resolvers.analysis.experiment_decisions import MOST_EXPOSED_TWICE
from resolvers.analysis.experiment_srm import Mismatch
from resolvers.analysis.experiment_units import Uncounted

_UNCOUNTED = {
    Uncounted.LEFT_OUT: "left out by its condition",
    Uncounted.UNKNOWN_VARIANT: "of no variant of the experiment",
    Uncounted.BEFORE_START: "before the start",
    Uncounted.AFTER_END: "after the end",
}


def warnings(
    cells: Cells, ratio: Mismatch | None, sample: PlannedSample | None, *, over: bool, filtered: bool
) -> tuple[ExperimentWarning, ...]:
    """Each code at most once; ``sample`` is None before the plan is fulfilled."""
    told = _mismatched(ratio) | _uncounted(cells) | _peeked(cells, sample, over=over)
    if filtered:
        told[WarningCode.FILTERED] = (
            "Only exposures that pass `where` count here. Nothing corrects for how many filters somebody tries, and "
            "one by what a variant itself changes misleads; `by` and `bySegments` correct for all groups they tell."
        )
    return tuple(ExperimentWarning(code, message) for code, message in told.items())


def _mismatched(ratio: Mismatch | None) -> dict[WarningCode, str]:
    found = {}
    if ratio is not None and ratio.suspicious:
        message = "Sample ratio mismatch: the variants are not as large as their weights say."
        found[WarningCode.SAMPLE_RATIO_MISMATCH] = message
    elif ratio is not None and ratio.unlikely:
        found[WarningCode.SAMPLE_RATIO_DOUBTFUL] = (
            f"The sizes of the variants would be unlikely (p {ratio.p.value:.2g}) if this were the only look at them; "
            f"for whoever looks as they come they are no mismatch yet (p {ratio.always.value:.2g})."
        )
    if ratio is not None and ratio.unexpected:
        found[WarningCode.UNEXPECTED_VARIANT] = (
            f"{ratio.unexpected:,} subjects were shown a variant whose weight is 0: something else than the experiment "
            "assigns them."
        )
    return found


def _uncounted(cells: Cells) -> dict[WarningCode, str]:
    found = {}
    if cells.shown and cells.multiple / cells.shown > MOST_EXPOSED_TWICE:
        found[WarningCode.MULTIPLE_EXPOSURES] = (
            f"{cells.multiple:,} of {cells.shown:,} subjects were shown several variants, more than 1 %."
        )
    uncounted: Mapping[Uncounted, int] = {why: units for why, units in cells.uncounted.items() if units}
    if uncounted:
        reasons = ", ".join(f"{units:,} {_UNCOUNTED[why]}" for why, units in uncounted.items())
        found[WarningCode.UNCOUNTED_EXPOSURES] = (
            f"{sum(uncounted.values()):,} subjects have exposures of which none counts, by their first: {reasons}."
        )
    return found


def _peeked(cells: Cells, sample: PlannedSample | None, *, over: bool) -> dict[WarningCode, str]:
    if not cells.shown:
        return {}
    if sample is not None and sample.later:
        return {
            WarningCode.LATE_LOOK: (
                f"{sample.later:,} subjects came after the planned sample of {sample.units:,}: p-values of a fixed "
                "horizon over all of them mislead whoever goes on until they please. `planned` tells those of the "
                "planned sample, and the sequential ones hold at any look."
            )
        }
    if sample is not None:
        return {}
    if over:
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
