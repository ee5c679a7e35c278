"""The plain numbers that a comparison of providers is made of, from calls as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ai_measures import AiMeasures
from resolvers.analysis.ai_providers import BINS, ConfidenceCalibration
from resolvers.analysis.attribution_sales import PLACES, UNIT
from resolvers.analysis.attribution_statistics import money
from resolvers.analysis.estimates import Interval, student
from resolvers.analysis.experiment_statistics import Arm, Share
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


def plains(tally: Tally) -> list[Plain]:
    """The calls of each row, which have measures, and of all together in a last one."""
    sums = np.zeros((5, tally.rows), object)
    for calls, row in tally.calls():
        counts = (row, row[calls.known], row[calls.priced])
        numbers = [np.bincount(of, minlength=tally.rows).tolist() for of in counts]
        sums += np.array([calls.summed(row, tally.rows), calls.squared(row, tally.rows), *numbers], object)
    measures = [(calls.measures, row) for calls, row in tally.calls() if calls.measures is not None]
    found = [
        # A row is let go of before the next one is looked up.
        _plain(of_row, [part.chosen(np.flatnonzero(row == place)) for part, row in measures])
        for place, of_row in enumerate(sums.T.tolist())
    ]
    return [*found, _plain(sums.sum(axis=1).tolist(), [part for part, _ in measures])]


def _plain(sums: Sequence[int], measures: Sequence[AiMeasures]) -> Plain:
    units, squares, calls, known, priced = sums
    durations = [np.empty(0, np.float32), *(part.duration[~np.isnan(part.duration)] for part in measures)]
    duration = np.concatenate(durations)
    del durations
    return Plain(
        calls=calls,
        cost_units=units,
        costs=known,
        cost_squares=squares,
        priced=priced,
        tokens=sum(int(part.tokens.sum(dtype=np.int64)) for part in measures),
        latencies=tuple(_quantiles(duration)),
        timed=duration.size,
        successes=sum(int(np.count_nonzero(part.success == 1)) for part in measures),
        said=sum(int(np.count_nonzero(part.success >= 0)) for part in measures),
        calibration=calibration(measures),
    )


def _quantiles(numbers: NDArray[np.floating]) -> list[float | None]:
    """QUANTILES of some numbers, whose order is lost; None of none."""
    if not numbers.size:
        return [None] * len(QUANTILES)
    last = numbers.size - 1
    places = [divmod(last * percent / 100, 1) for percent in QUANTILES]
    bounds = [(int(below), min(int(below) + 1, last)) for below, _ in places]
    numbers.partition(sorted({place for pair in bounds for place in pair}))
    # They may be held in half the room that a float takes, in which they are not to be reckoned with.
    values = [(float(numbers[low]), float(numbers[high])) for low, high in bounds]
    return [low + (high - low) * part for (low, high), (_, part) in zip(values, places, strict=True)]


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
