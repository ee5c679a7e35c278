"""One test among many: p-values adjusted for the family that they belong to, as natural logarithms.

Adjusted values keep the order of the input, ascend with it and never exceed 1.
"""

from collections.abc import Sequence
from math import exp, log
from sys import float_info


def probability(logarithm: float) -> float:
    """The p-value of a natural logarithm; at least the least normal float, so that none is told as 0."""
    return max(exp(min(logarithm, 0.0)), float_info.min)


def holm(logs: Sequence[float]) -> list[float]:
    """The family-wise error rate. S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
    Journal of Statistics 6 (1979)."""
    adjusted = [0.0] * len(logs)
    greatest = -float("inf")
    ranked = sorted(range(len(logs)), key=lambda place: logs[place])
    for rank, place in enumerate(ranked):
        greatest = max(greatest, logs[place] + log(len(logs) - rank))
        adjusted[place] = min(0.0, greatest)
    return adjusted


def benjamini_hochberg(logs: Sequence[float]) -> list[float]:
    """The false discovery rate. Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", Journal of the
    Royal Statistical Society B 57 (1995)."""
    adjusted = [0.0] * len(logs)
    least = 0.0
    ranked = sorted(range(len(logs)), key=lambda place: logs[place])
    for rank in range(len(ranked), 0, -1):
        place = ranked[rank - 1]
        least = min(least, logs[place] + log(len(logs) / rank))
        adjusted[place] = least
    return adjusted
