"""How sure credits are: intervals from resampling the conversions.

The percentile method of the nonparametric bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 13): as many conversions as there are, each with its path, are drawn with replacement and credited, again and
again; the interval lies between the quantiles of what comes out. The draws are the same each time.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from resolvers.analysis.attribution import Model
from resolvers.analysis.attribution_models import WHOLE
from resolvers.analysis.attribution_paths import Ints, Paths
from resolvers.analysis.estimates import LEVEL
from resolvers.errors import BadInput

MOST_RESAMPLES = 2_000
MOST_WORK = 200_000_000
"""The most draws and credits of touches that are computed for one answer."""

_SEED = 1_993
_HELD = 1 << 21
"""Draws that are held at once."""

Sums = NDArray[np.float64] | csr_array[np.float64]
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


def intervals(
    paths: Paths, row: NDArray[np.integer], rows: int, direct: int | None, shares: Mapping[Model, Ints], resamples: int
) -> dict[Model, Bounds]:
    """The lower and upper ends of the credits of ``rows`` rows under each model, at the level of all intervals.

    ``row`` is the row of each touch and ``shares`` what it gets of its conversion; ``direct`` is the row of conversions
    without a touch. Raises BadInput where this takes more than MOST_WORK.
    """
    drawn = paths.touches.size
    work = drawn + len(shares) * row.size
    if resamples * work > MOST_WORK:
        raise BadInput(
            f"There are too many conversions to resample so often; ask for at most {MOST_WORK // work:,} resamples.",
            field="resamples",
        )
    if not drawn or not shares:
        return {model: (np.zeros(rows), np.zeros(rows)) for model in shares}
    found = resampled(_credits(paths, row, rows, direct, list(shares.values())), resamples)
    tail = 100 * (1 - float(LEVEL)) / 2
    low, high = np.percentile(found, [tail, 100 - tail], axis=1, method="linear").reshape(2, len(shares), rows)
    return {model: (low[place], high[place]) for place, model in enumerate(shares)}


def resampled(sums: Sums, resamples: int) -> NDArray[np.float64]:
    """What each row of ``sums`` adds up to in each of so many resamples of its columns, each as many as there are.

    A column is one of what is drawn, and what it holds is what it adds to each row.
    """
    rows, drawn = sums.shape
    random = np.random.default_rng(_SEED)
    found = np.empty((rows, resamples))
    step = max(1, _HELD // drawn)
    for start in range(0, resamples, step):
        some = min(step, resamples - start)
        times = np.empty((some, drawn))
        for place in range(some):
            times[place] = np.bincount(random.integers(drawn, size=drawn), minlength=drawn)
        found[:, start : start + step] = sums @ times.T
    return found


def _credits(
    paths: Paths, row: NDArray[np.integer], rows: int, direct: int | None, shares: Sequence[Ints]
) -> csr_array[np.float64]:
    """What each row gets, one model after the other, from each conversion."""
    conversion = np.repeat(np.arange(paths.touches.size), paths.touches)
    untouched = np.flatnonzero(paths.touches == 0) if direct is not None else np.empty(0, np.intp)
    at, of, credit = [], [], []
    for place, parts in enumerate(shares):
        at += [row + place * rows, np.full(untouched.size, (direct or 0) + place * rows)]
        of += [conversion, untouched]
        credit += [parts / WHOLE, np.ones(untouched.size)]
    places = np.concatenate(at).astype(np.int64), np.concatenate(of)
    return coo_array((np.concatenate(credit), places), shape=(len(shares) * rows, paths.touches.size)).tocsr()
