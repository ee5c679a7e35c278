"""How an answer came about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Source(Enum):
    """What an answer was read from, the cheapest first."""

    ROLLUPS = "rollups"
    PRESENCE = "presence"
    UNITS = "units"
    JOURNEYS = "journeys"
    LOG = "log"


_COST = {source: place for place, source in enumerate(Source)}


@dataclass(frozen=True, slots=True)
class Explanation:
    """How an answer came about, for whoever wonders why it took so long."""

    source: Source
    rows: int = field(compare=False)
    """Rows read: rollups, sets of a day, or events."""
    milliseconds: float = field(compare=False)
    """Time that reading took; of journeys also that of walking them, which is done meanwhile."""
    tail: int = field(compare=False, default=0)
    """Of the rows the events that came from the log beside what is kept of it."""


def dearest(explanations: Sequence[Explanation]) -> Explanation:
    """The one that tells most about what an answer cost; there must be one."""
    return max(explanations, key=lambda one: (_COST[one.source], one.rows))
