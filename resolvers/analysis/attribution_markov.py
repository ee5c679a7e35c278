"""Markov chains over paths: how many conversions would be lost without a value, by linear algebra, never simulated.

Paths are taken as walks of a first-order chain from a start over the values to one of two ends, converted or lost; the
probability of a step is how often it was taken among all steps from there. The removal effect of a value is the share
of conversions that are lost if every step to it leads to the lost end instead (Anderl, Becker, von Wangenheim and
Schumann, "Mapping the customer journey", International Journal of Research in Marketing 33, 2016).
"""

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution_paths import CONVERTED, LOST, START, Ints, Transitions

Codes = NDArray[np.int32]
Floats = NDArray[np.float64]

_FINE = float(1 << 60)


def removal_effects(transitions: Transitions, codes: Codes) -> Floats:
    """The removal effect of each of ``codes``, ascending, which are all values on the paths; 0 to 1, and 0 without any
    conversion."""
    return effects_of(chain(transitions, codes).astype(np.float64))


def chain(transitions: Transitions, codes: Codes) -> Ints:
    """How often each of ``codes``, and last the start, was left for each of them, the lost end and the converted one.

    Steps from a value to itself change no removal effect and are left out.
    """
    size = codes.size
    counts = np.zeros((size + 1, size + 2), np.int64)
    of, to = transitions.source, transitions.target
    source = np.where(of == START, size, np.searchsorted(codes, of))
    target = np.select([to == LOST, to == CONVERTED], [size, size + 1], np.searchsorted(codes, to))
    counts[source, target] = transitions.count
    np.fill_diagonal(counts[:size, :size], 0)
    return counts


def effects_of(counts: Floats) -> Floats:
    """The removal effects in each of any number of chains, whose steps the last two axes count as ``chain`` does; 0
    where nothing converts.

    With N the fundamental matrix of the chain, the walk visits value c with probability h = N[start, c] / N[c, c] and
    converts from there with probability v = (N r)[c], r being the direct steps to the converted end. All walks but
    those through c go on as before, so that the effect is h v / p, where p is the probability of converting at all.
    """
    size = counts.shape[-1] - 2
    if not size:
        return np.zeros((*counts.shape[:-2], 0))
    steps = _ended(counts)
    steps /= steps.sum(axis=-1, keepdims=True)
    start = steps[..., size, :size]
    fundamental = np.linalg.inv(np.eye(size) - steps[..., :size, :size])
    converting = np.matvec(fundamental, steps[..., :size, size + 1])
    visiting = np.vecmat(start, fundamental) / np.diagonal(fundamental, axis1=-2, axis2=-1)
    whole = np.vecdot(start, converting)[..., None]
    effects: Floats = np.divide(visiting * converting, whole, out=np.zeros_like(visiting), where=whole > 0)
    return effects


def _ended(counts: Floats) -> Floats:
    """The same chains with an end to each walk: from where no step leads on to a conversion, all are lost at once.

    No effect changes by it; and a chain that is drawn by chance may go round for ever.
    """
    size = counts.shape[-1] - 2
    leading = counts[..., :size, size + 1] > 0
    while True:
        further = leading | (np.matvec(counts[..., :size, :size], leading.astype(np.float64)) > 0)
        if np.array_equal(further, leading):
            break
        leading = further
    ended = counts.copy()
    ended[..., :size, :][~leading] = 0
    ended[..., :size, size][~leading] = 1
    return ended


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
