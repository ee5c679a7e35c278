"""How sure value and return are: intervals from resampling the subjects.

The percentile method of the nonparametric bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 13), with all of a subject's calls and conversions drawn together, as they depend on each other. Where subjects
are more than BUNDLES they are thrown together at random into so many bundles, which are drawn instead: what varies
between them is the same in sum.
"""

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution_bootstrap import resampled
from resolvers.analysis.attribution_models import WHOLE
from resolvers.analysis.attribution_sales import UNIT
from resolvers.analysis.estimates import LEVEL, Interval
from resolvers.analysis.numbering import Codes, Ints
from resolvers.analysis.roi_tally import Tally

Floats = NDArray[np.float64]

BUNDLES = 4_000
METHOD = "percentile bootstrap over subjects"

_SEED = 1_993
_BLOCK = 1 << 16
"""Touches that are added up at a time, for the memory that it takes."""
_COST, _VALUE, _CONVERSIONS = range(3)
_TAIL = 100 * (1 - float(LEVEL)) / 2


class Resamples:
    """Cost, value and conversions of each row, and of all together in a last one, in each resample."""

    def __init__(self, sums: Floats) -> None:
        self._sums = sums
        """By measure, row and resample."""

    @classmethod
    def of(cls, tally: Tally, shares: Ints, resamples: int) -> "Resamples | None":
        """None where none are asked for, and of fewer than two subjects."""
        sums = _by_subject(tally, shares)
        if not resamples or sums.shape[1] < 2:
            return None
        found = resampled(sums, resamples).reshape(3, tally.rows, resamples)
        return cls(np.concatenate([found, found.sum(axis=1, keepdims=True)], axis=1))

    def value(self, row: int) -> Interval | None:
        return _interval(self._sums[_VALUE, row])

    def conversions(self, row: int) -> Interval | None:
        return _interval(self._sums[_CONVERSIONS, row])

    def net(self, row: int) -> Interval | None:
        return _interval(self._sums[_VALUE, row] - self._sums[_COST, row])

    def roi(self, row: int) -> Interval | None:
        return self._ratio(self._sums[_VALUE, row] - self._sums[_COST, row], self._sums[_COST, row])

    def margin(self, row: int) -> Interval | None:
        return self._ratio(self._sums[_VALUE, row] - self._sums[_COST, row], self._sums[_VALUE, row])

    def cost_per_conversion(self, row: int) -> Interval | None:
        return self._ratio(self._sums[_COST, row], self._sums[_CONVERSIONS, row])

    def break_even_conversions(self, row: int) -> Interval | None:
        return self._ratio(self._sums[_COST, row] * self._sums[_CONVERSIONS, row], self._sums[_VALUE, row])

    @staticmethod
    def _ratio(numerator: Floats, denominator: Floats) -> Interval | None:
        """None where some resample has nothing to divide by: the end of the interval is open then."""
        return _interval(numerator / denominator) if np.all(denominator > 0) else None


def _interval(found: Floats) -> Interval:
    low, high = np.percentile(found, [_TAIL, 100 - _TAIL], method="linear").tolist()
    return Interval(Decimal(f"{low:.9g}"), Decimal(f"{high:.9g}"), LEVEL, METHOD)


def _by_subject(tally: Tally, shares: Ints) -> Floats:
    """What each subject, or bundle of them, adds to the measures of each row."""
    calls, paths = tally.found.calls, tally.found.paths
    bundles, bundle_of = _bundles(tally)
    shape = tally.rows, bundles
    cost, value, conversions = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    nobody = 0
    for part, row in zip(calls, tally.of_call, strict=True):
        column = bundle_of[part.subject]
        # Calls of nobody are each drawn by themselves.
        unknown = np.flatnonzero(part.subject == 0)
        column[unknown] = bundle_of[bundle_of.size - 1 - nobody - np.arange(unknown.size)]
        nobody += unknown.size
        cost += _table(row, column, part.cost.approximate(part.size) / UNIT, shape)
    for start in range(0, tally.of_touch.size, _BLOCK):
        touches = slice(start, start + _BLOCK)
        credited = tally.of_touch[touches] < tally.rows
        row, of = tally.of_touch[touches][credited], tally.conversion[touches][credited]
        column, part_of = bundle_of[paths.subject[of]], shares[touches][credited] / WHOLE
        value += _table(row, column, part_of * (tally.amounts.part(of).approximate(of.size) / UNIT), shape)
        conversions += _table(row, column, part_of, shape)
    return np.concatenate([cost, value, conversions])


def _bundles(tally: Tally) -> tuple[int, Codes]:
    """How many bundles there are, and that of each subject's code; after them those of the calls of nobody."""
    calls, paths = tally.found.calls, tally.found.paths
    highest = max(int(column.max(initial=0)) for column in (paths.subject, *(part.subject for part in calls)))
    present = np.zeros(highest + 1, np.bool_)
    for part in calls:
        present[part.subject] = True
    for start in range(0, tally.of_touch.size, _BLOCK):
        touches = slice(start, start + _BLOCK)
        present[paths.subject[tally.conversion[touches][tally.of_touch[touches] < tally.rows]]] = True
    present[0] = False
    nobody = sum(int(np.count_nonzero(part.subject == 0)) for part in calls)
    place = np.append(np.cumsum(present, dtype=np.int32) - 1 + nobody, np.arange(nobody, dtype=np.int32))
    known = nobody + int(np.count_nonzero(present))
    bundled = (np.random.default_rng(_SEED).permutation(known) % BUNDLES).astype(np.int32)
    return min(known, BUNDLES), bundled[place] if known else place


def _table(row: NDArray[np.integer], column: NDArray[np.integer], entries: Floats, shape: tuple[int, int]) -> Floats:
    """The sums of what lies at each place of a table."""
    rows, columns = shape
    sums = np.bincount(row.astype(np.int64) * columns + column, entries, rows * columns)
    return sums.reshape(shape).astype(np.float64, copy=False)
