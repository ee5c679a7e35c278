"""Markov chains over paths: how many conversions would be lost without a value, by linear algebra, never simulated.

Paths are taken as walks of a first-order chain from a start over the values to one of two ends, converted or lost; the
probability of a step is how often it was taken among all steps from there. The removal effect of a value is the share
of conversions that are lost if every step to it leads to the lost end instead (Anderl, Becker, von Wangenheim and
Schumann, "Mapping the customer journey", International Journal of Research in Marketing 33, 2016).
"""

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution_paths import CONVERTED, START, Transitions

Floats = NDArray[np.float64]

_FINE = float(1 << 60)


def removal_effects(transitions: Transitions, codes: NDArray[np.int32]) -> Floats:
    """The removal effect of each of ``codes``, ascending, which are all values on the paths; 0 to 1, and 0 without any
    conversion.

    With N the fundamental matrix of the chain, the walk visits value c with probability h = N[start, c] / N[c, c] and
    converts from there with probability v = (N r)[c], r being the direct steps to the converted end. All walks but
    those through c go on as before, so that the effect is h v / p, where p is the probability of converting at all.
    Steps from a value to itself change neither h nor v and are left out.
    """
    size = codes.size
    inner = (transitions.source != START) & (transitions.target >= 0)
    counts = np.zeros((size + 1, size))
    place = np.searchsorted(codes, transitions.source[inner]), np.searchsorted(codes, transitions.target[inner])
    counts[place] = transitions.count[inner]
    np.fill_diagonal(counts[:size], 0)
    begins = (transitions.source == START) & (transitions.target >= 0)
    counts[size, np.searchsorted(codes, transitions.target[begins])] = transitions.count[begins]
    ends = transitions.target < 0
    leaving = np.zeros((size, 2))
    of, how = np.searchsorted(codes, transitions.source[ends]), transitions.target[ends] == CONVERTED
    leaving[of, how.astype(np.intp)] = transitions.count[ends]
    if not leaving[:, 1].any():
        return np.zeros(size)
    totals = counts[:size].sum(axis=1) + leaving.sum(axis=1)
    start = counts[size] / counts[size].sum()
    fundamental = np.linalg.inv(np.eye(size) - counts[:size] / totals[:, None])
    converting = fundamental @ (leaving[:, 1] / totals)
    visiting = start @ fundamental / np.diagonal(fundamental)
    effects: Floats = visiting * converting / (start @ converting)
    return effects


def shared(total: int, effects: Floats) -> list[int]:
    """What each value gets of a whole number, in proportion to its removal effect.

    What rounding down leaves over goes to the greatest; nothing to anybody where there is no effect.
    """
    # Multiplied by a power of two a float stays what it is.
    weights = [int(effect * _FINE) for effect in effects.tolist()]
    whole = sum(weights)
    if not whole:
        return [0] * effects.size
    shares = [total * weight // whole for weight in weights]
    shares[int(effects.argmax())] += total - sum(shares)
    return shares
