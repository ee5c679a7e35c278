"""How far a number is from another of its kind, with an interval."""

from dataclasses import dataclass
from decimal import Decimal

from resolvers.analysis.estimates import LEVEL, Interval
from resolvers.analysis.experiment_statistics import Arm, Share
from resolvers.analysis.experiment_tests import Comparison, Refusal, two_proportions, welch


@dataclass(frozen=True, slots=True)
class Difference:
    """One number less another; without an interval where there is none, ``reason`` saying why."""

    value: Decimal
    interval: Interval | None
    reason: str | None


def of_shares(one: Share, other: Share) -> Difference | None:
    """The difference of two shares with Newcombe's interval; None where one of them is over nothing."""
    if not (one.units and other.units):
        return None
    return _told(Decimal(f"{one.mean - other.mean:.12g}"), two_proportions(other, one))


def of_means(one: Arm, other: Arm) -> Difference | None:
    """The difference of two means with Welch's interval; None where one of them is over nothing."""
    if not (one.units and other.units):
        return None
    return _told(Decimal(f"{one.mean - other.mean:.12g}"), welch(other, one))


def _told(value: Decimal, found: Comparison | Refusal) -> Difference:
    if isinstance(found, Refusal):
        return Difference(value, None, found.reason)
    low, high = (Decimal(f"{end:.12g}") for end in (found.low, found.high))
    return Difference(value, Interval(low, high, LEVEL, found.interval), None)
