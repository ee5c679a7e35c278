"""What a benchmark tells: ratios of two things measured in turns, and whether they reach what they should."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

Side = Callable[[], Awaitable[float]]
"""Measures one of the things that are compared, once."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a figure should come to: at least, or at most, ``bound``."""

    bound: float
    at_least: bool = True

    def met(self, value: float) -> bool:
        """Whether ``value`` is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True)
class Ratio:
    """One line of the summary: a ratio's median and extremes over the rounds, or a plain figure with its ``unit``."""

    name: str
    values: tuple[float, ...]
    """One a round."""
    reach: Reach | None
    """None for what stands beside a ratio to explain it."""
    detail: str
    """What was measured on either side, in absolute figures."""
    unit: str = ""

    @classmethod
    def of(cls, name: str, over: Sequence[float], under: Sequence[float], reach: Reach | None, detail: str) -> "Ratio":
        """The ratios of figures measured in the same rounds."""
        return cls(name, tuple(a / b for a, b in zip(over, under, strict=True)), reach, detail)

    @property
    def median(self) -> float:
        """The figure that is judged."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Whether the reach is met."""
        if self.reach is None:
            return "beside"
        return "met" if self.reach.met(self.median) else "missed"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that could not be measured, and why."""

    name: str
    reason: str


Line = Ratio | Skipped


async def in_turns(rounds: int, tick: Callable[[], None], *sides: Side) -> list[list[float]]:
    """What each side measures in each of the rounds, the sides taking turns; a first round only warms up."""
    measured: list[list[float]] = [[] for _ in sides]
    for turn in range(-1, rounds):
        for side, figures in zip(sides, measured, strict=True):
            figure = await side()
            if turn >= 0:
                figures.append(figure)
        tick()
    return measured


def thousands(rate: Sequence[float]) -> str:
    """The median of rates, to read: ``41.2 k/s``."""
    return f"{median(rate) / 1e3:.1f} k/s"


def milliseconds(seconds: Sequence[float]) -> str:
    """The median of times, to read: ``41.2 ms``."""
    return f"{median(seconds) * 1e3:.3g} ms"
