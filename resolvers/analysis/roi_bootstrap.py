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
from resolvers.analysis.numbering import Ints, ranks
from resolvers.analysis.roi_tally import Tally

Floats = NDArray[np.float64]

BUNDLES = 4_000
METHOD = "percentile bootstrap over subjects"

_SEED = 1_993
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
    credited = tally.of_touch < tally.rows
    of_conversion = tally.conversion[credited]
    amount = tally.amounts.approximate(paths.touches.size) / UNIT
    # Calls of nobody are each drawn by themselves.
    caller = np.where(calls.subject > 0, calls.subject, -1 - np.arange(calls.subject.size))
    place, known = ranks(np.concatenate([caller, paths.subject[of_conversion]]))
    bundled = np.random.default_rng(_SEED).permutation(known) % BUNDLES
    column, columns = bundled[place], min(known, BUNDLES)
    caller, buyer = column[: caller.size], column[caller.size :]
    part = shares[credited] / WHOLE
    touched = tally.of_touch[credited]
    shape = tally.rows, columns
    tables = [
        _table(tally.of_call, caller, calls.whole + calls.fraction / UNIT, shape),
        _table(touched, buyer, part * amount[of_conversion], shape),
        _table(touched, buyer, part, shape),
    ]
    return np.concatenate(tables)


def _table(row: NDArray[np.integer], column: NDArray[np.integer], entries: Floats, shape: tuple[int, int]) -> Floats:
    """The sums of what lies at each place of a table."""
    rows, columns = shape
    sums = np.bincount(row.astype(np.int64) * columns + column, entries, rows * columns)
    return sums.reshape(shape).astype(np.float64, copy=False)
