"""The plain numbers that a comparison of providers is made of, from calls as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from resolvers.analysis.ai_measures import AiMeasures
from resolvers.analysis.ai_providers import BINS, ConfidenceCalibration
from resolvers.analysis.attribution_sales import PLACES, UNIT
from resolvers.analysis.attribution_statistics import money
from resolvers.analysis.estimates import Interval, student
from resolvers.analysis.experiment_statistics import Arm, Share
from resolvers.analysis.numbering import Codes
from resolvers.analysis.roi_tally import EXACT, Tally

QUANTILES = (50, 95, 99)
"""Percentiles of the duration, interpolated linearly between closest ranks (Hyndman and Fan's type 7)."""

_EDGES = np.arange(1, BINS) / BINS


@dataclass(frozen=True, slots=True)
class Plain:
    """The plain numbers of some calls, money in the currency asked for."""

    calls: int
    cost_units: int
    """What they cost, in 1/UNIT."""
    costs: int
    """Calls whose cost is known in the currency."""
    cost_squares: int
    priced: int
    """Calls with a cost in any currency."""
    tokens: int
    """Those of calls with a cost in any currency."""
    latencies: tuple[float | None, ...]
    timed: int
    successes: int
    said: int
    """Calls that say whether they succeeded."""
    calibration: ConfidenceCalibration

    @property
    def cost(self) -> Decimal:
        return money(self.cost_units)

    @property
    def costing(self) -> Arm:
        return Arm(self.costs, Fraction(self.cost_units, UNIT), Fraction(self.cost_squares, UNIT**2))

    @property
    def cost_interval(self) -> Interval | None:
        """That of the mean cost."""
        squares = Decimal(self.cost_squares).scaleb(-2 * PLACES, EXACT)
        return student(self.costs, self.cost, squares) if self.costs else None

    @property
    def succeeding(self) -> Share:
        return Share(self.said, self.successes)


def plains(tally: Tally, row_of: Codes) -> list[Plain]:
    """The calls of each row, and of all together in a last one; ``row_of`` is the row of each combination."""
    sums = np.zeros((5, tally.rows), object)
    for calls, row in tally.calls():
        counts = (row, row[calls.known], row[calls.priced])
        numbers = [np.bincount(of, minlength=tally.rows).tolist() for of in counts]
        sums += np.array([calls.summed(row, tally.rows), calls.squared(row, tally.rows), *numbers], object)
    measures = tally.found.measures
    of_measure = [row_of[part.group].astype(np.min_scalar_type(tally.rows)) for part in measures]
    found = [
        # A row is let go of before the next one is looked up.
        _plain(
            of_row, [part.chosen(np.flatnonzero(row == place)) for part, row in zip(measures, of_measure, strict=True)]
        )
        for place, of_row in enumerate(sums.T.tolist())
    ]
    return [*found, _plain(sums.sum(axis=1).tolist(), measures)]


def _plain(sums: Sequence[int], measures: Sequence[AiMeasures]) -> Plain:
    units, squares, calls, known, priced = sums
    duration = np.concatenate([np.empty(0), *(part.duration[~np.isnan(part.duration)] for part in measures)])
    quantiles = (
        np.percentile(duration, QUANTILES, method="linear", overwrite_input=True).tolist()
        if duration.size
        else [None] * 3
    )
    return Plain(
        calls=calls,
        cost_units=units,
        costs=known,
        cost_squares=squares,
        priced=priced,
        tokens=sum(int(part.tokens.sum(dtype=np.int64)) for part in measures),
        latencies=tuple(quantiles),
        timed=duration.size,
        successes=sum(int(np.count_nonzero(part.success == 1)) for part in measures),
        said=sum(int(np.count_nonzero(part.success >= 0)) for part in measures),
        calibration=calibration(measures),
    )


def calibration(measures: Sequence[AiMeasures]) -> ConfidenceCalibration:
    """Confidences held against success, of the calls that say both."""
    counts, scores, successes, squares = np.zeros(BINS, np.int64), np.zeros(BINS), np.zeros(BINS), 0.0
    for part in measures:
        both = ~np.isnan(part.score) & (part.success >= 0)
        score, good = part.score[both], part.success[both].astype(np.float64)
        tenth = np.searchsorted(_EDGES, score, side="right")
        counts += np.bincount(tenth, minlength=BINS)
        scores += np.bincount(tenth, score, BINS)
        successes += np.bincount(tenth, good, BINS)
        squares += float(((score - good) ** 2).sum())
    n = int(counts.sum())
    with np.errstate(invalid="ignore"):
        predicted, observed = scores / counts, successes / counts
    return ConfidenceCalibration(
        n=n,
        predicted=tuple(map(_sure, predicted.tolist())),
        observed=tuple(map(_sure, observed.tolist())),
        counts=tuple(counts.tolist()),
        expected_error=_sure(float(np.abs(successes - scores).sum() / n)) if n else None,
        brier=_sure(squares / n) if n else None,
    )


def _sure(number: float) -> float | None:
    """The digits that do not depend on the order in which floats were added up; None for none."""
    return None if np.isnan(number) else float(f"{number:.9g}")
