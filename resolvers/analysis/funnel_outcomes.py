"""What became of subjects at a step of a funnel, and of whom which is true."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.funnel_columns import Ints
from resolvers.analysis.funnel_kernel import FunnelWalk
from resolvers.analysis.funnels import FunnelDefinition


class Outcome(Enum):
    """What became of a subject at a step: it REACHED it, or DROPPED out between the required step before and it."""

    REACHED = "reached"
    DROPPED = "dropped"


def left_at(
    definition: FunnelDefinition, walk: FunnelWalk, subject: NDArray[np.int32], step: int, outcome: Outcome
) -> NDArray[np.int32]:
    """Who has an outcome at a step, ascending; ``subject[i]`` is whose walk i is."""
    reached = _takers(walk, step)
    if outcome is Outcome.REACHED:
        return np.unique(subject[reached])
    before = max(index for index in range(step) if not definition.steps[index].optional)
    # Who got through in one walk did not drop out, whatever happened in another.
    return np.setdiff1d(subject[_takers(walk, before)], subject[reached])


def _takers(walk: FunnelWalk, step: int) -> Ints:
    return walk.taken[step - 1].walk if step else np.arange(walk.depth.size)
