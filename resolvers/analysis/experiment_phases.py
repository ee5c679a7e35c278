"""Phases of experiments: times during which units were assigned alike, and the pauses in them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from resolvers.analysis.filters import Filter


@dataclass(frozen=True, slots=True)
class Phase:
    """A time during which units were assigned alike; ``weights`` in parts of 10,000, as the variants are ordered.

    During ``pauses``, each from an instant to another, or to whatever ends it where that is None, none were.
    """

    number: int
    started_at: datetime
    weights: tuple[int, ...]
    traffic: int
    targeting: Filter
    pauses: tuple[tuple[datetime, datetime | None], ...] = ()

    def paused(self, at: datetime) -> "Phase":
        """The phase with a pause that begins then."""
        return replace(self, pauses=(*self.pauses, (at, None)))

    def resumed(self, at: datetime) -> "Phase":
        """The phase whose pause, if it is in one, ends then."""
        if not self.pauses or self.pauses[-1][1] is not None:
            return self
        return replace(self, pauses=(*self.pauses[:-1], (self.pauses[-1][0], at)))

    def running(self, end: datetime) -> timedelta:
        """For how long units were assigned from its start to ``end``."""
        still = sum(
            (max(timedelta(0), min(until or end, end) - since) for since, until in self.pauses if since < end),
            timedelta(0),
        )
        return max(timedelta(0), end - self.started_at) - still
