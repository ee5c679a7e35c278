"""How sure credits are: intervals from resampling what they are made of, the same draws each time.

The percentile method of the bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13): the
interval lies between the quantiles of what the credits come to in the resamples.

- Of models that credit a conversion by its own path, conversions are drawn (the nonparametric bootstrap): as many as
  there are, each with its path, with replacement.
- Of Markov chains the steps are drawn (a parametric bootstrap). Given how often each state was left, the steps from it
  are a multinomial of their own, apart from those of others (Anderson and Goodman, "Statistical inference about Markov
  chains", Annals of Mathematical Statistics 28, 1957; Billingsley, "Statistical methods in Markov chains", Annals of
  Mathematical Statistics 32, 1961): each is drawn as often as it was left, by the frequencies there are. This takes the
  chain to hold, which is what the model does. The conversions that are shared out stay as many as they are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from resolvers.analysis.attribution import Model
from resolvers.analysis.attribution_markov import chain, effects_of
from resolvers.analysis.attribution_models import WHOLE
from resolvers.analysis.attribution_paths import Ints, Paths, Transitions
from resolvers.analysis.estimates import LEVEL
from resolvers.errors import BadInput

MOST_RESAMPLES = 2_000
MOST_WORK = 200_000_000
"""The most draws and credits of touches that are computed for one answer."""
MOST_STATES = 50
"""The most values that a Markov chain is resampled with: each resample takes their number to the third power."""

_SEED = 1_993
_HELD = 1 << 21
"""Draws that are held at once."""
_HELD_STEPS = 1 << 19
"""Steps of Markov chains that are held at once."""

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
    if not drawn or not shares:
        return {model: (np.zeros(rows), np.zeros(rows)) for model in shares}
    work = drawn + len(shares) * row.size
    if resamples * work > MOST_WORK:
        raise BadInput(
            f"There are too many conversions to resample so often; ask for at most {MOST_WORK // work:,} resamples.",
            field="resamples",
        )
    found = resampled(_credits(paths, row, rows, direct, list(shares.values())), resamples)
    low, high = _between(found, axis=1).reshape(2, len(shares), rows)
    return {model: (low[place], high[place]) for place, model in enumerate(shares)}


def chain_intervals(
    transitions: Transitions, codes: NDArray[np.int32], row: NDArray[np.integer], rows: int, shared: int, resamples: int
) -> Bounds | None:
    """The same of MARKOV, which shares out ``shared`` conversions; ``row`` is that of each of ``codes``.

    What is drawn without any conversion says nothing of whom to credit, and is left out. None if that is all, and with
    more than MOST_STATES values.
    """
    if codes.size > MOST_STATES:
        return None
    if not shared:
        return np.zeros(rows), np.zeros(rows)
    effects = resampled_effects(chain(transitions, codes), resamples)
    whole = effects.sum(axis=1, keepdims=True)
    known = whole[:, 0] > 0
    if not known.any():
        return None
    into = np.zeros((codes.size, rows))
    into[np.arange(codes.size), row] = shared
    low, high = _between(effects[known] / whole[known] @ into, axis=0)
    return low, high


def resampled_effects(counts: Ints, resamples: int) -> NDArray[np.float64]:
    """The removal effects of each value in each of so many resamples of a chain, a row each."""
    left = counts.sum(axis=1)
    frequencies = counts / left[:, None]
    random = np.random.default_rng(_SEED)
    step = max(1, _HELD_STEPS // counts.size)
    parts = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate(
        [effects_of(random.multinomial(left, frequencies, (some, left.size)).astype(np.float64)) for some in parts]
    )


def _between(found: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Between what most resamples lie, at the level of all intervals."""
    tail = 100 * (1 - float(LEVEL)) / 2
    return np.percentile(found, [tail, 100 - tail], axis=axis, method="linear")


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
