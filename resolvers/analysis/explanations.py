"""How an answer came about."""

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
    """Time in the database."""
