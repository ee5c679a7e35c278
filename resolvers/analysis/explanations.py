"""How an answer came about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Source(Enum):
    """What an answer was read from."""

    ROLLUPS = "rollups"
    JOURNEYS = "journeys"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Explanation:
    """How an answer came about, for whoever wonders why it took so long."""

    source: Source
    rows: int = field(compare=False)
    """Rows read: of rollups, or events."""
    milliseconds: float = field(compare=False)
    """Time that reading took; of journeys also that of walking them, which is done meanwhile."""
    tail: int = field(compare=False, default=0)
    """Of the events those that journeys did not hold yet, and which came from the log."""


def dearest(explanations: Sequence[Explanation]) -> Explanation:
    """The one that tells most about what an answer cost; there must be one."""
    return max(explanations, key=lambda one: (one.source is Source.LOG, one.rows))
