"""The plain numbers that a comparison of providers is made of, from calls as arrays."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ai_calls import AiCalls, AiMeasures
from resolvers.analysis.ai_providers import BINS, ConfidenceCalibration
from resolvers.analysis.attribution_sales import PLACES, UNIT
from resolvers.analysis.attribution_statistics import money
from resolvers.analysis.estimates import Interval, student
from resolvers.analysis.experiment_statistics import Arm, Share
from resolvers.analysis.roi_tally import EXACT

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


def plains(calls: AiCalls, measures: AiMeasures, row: NDArray[np.integer], rows: int) -> list[Plain]:
    """The calls of each row, and of all together in a last one; ``row`` is that of each call."""
    units, squares = (_with_whole(sums(row, rows)) for sums in (calls.summed, calls.squared))
    order = np.argsort(row, kind="stable")
    cuts = np.searchsorted(row[order], np.arange(rows + 1))
    chosen = [order[start:end] for start, end in pairwise(cuts.tolist())]

    def plain(of: NDArray[np.intp], cost: int, cost_squares: int) -> Plain:
        success, duration = measures.success[of], measures.duration[of]
        duration = duration[~np.isnan(duration)]
        priced = calls.priced[of]
        quantiles = np.percentile(duration, QUANTILES, method="linear").tolist() if duration.size else [None] * 3
        return Plain(
            calls=of.size,
            cost_units=cost,
            costs=int(np.count_nonzero(calls.known[of])),
            cost_squares=cost_squares,
            priced=int(np.count_nonzero(priced)),
            tokens=int(measures.tokens[of][priced].sum()),
            latencies=tuple(quantiles),
            timed=duration.size,
            successes=int(np.count_nonzero(success == 1)),
            said=int(np.count_nonzero(success >= 0)),
            calibration=calibration(measures.score[of], success),
        )

    return [plain(*of) for of in zip((*chosen, order), units, squares, strict=True)]


def _with_whole(sums: list[int]) -> list[int]:
    return [*sums, sum(sums)]


def calibration(score: NDArray[np.float64], success: NDArray[np.int8]) -> ConfidenceCalibration:
    """Confidences held against success, of the calls that say both."""
    both = ~np.isnan(score) & (success >= 0)
    score, good = score[both], success[both].astype(np.float64)
    tenth = np.searchsorted(_EDGES, score, side="right")
    counts, scores, successes = (np.bincount(tenth, weights, BINS) for weights in (None, score, good))
    n = score.size
    with np.errstate(invalid="ignore"):
        predicted, observed = scores / counts, successes / counts
    return ConfidenceCalibration(
        n=n,
        predicted=tuple(map(_sure, predicted.tolist())),
        observed=tuple(map(_sure, observed.tolist())),
        counts=tuple(counts.astype(np.int64).tolist()),
        expected_error=_sure(float(np.abs(successes - scores).sum() / n)) if n else None,
        brier=_sure(float(((score - good) ** 2).sum() / n)) if n else None,
    )


def _sure(number: float) -> float | None:
    """The digits that do not depend on the order in which floats were added up; None for none."""
    return None if np.isnan(number) else float(f"{number:.9g}")
