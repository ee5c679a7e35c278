"""The intervals that detectors decide by, at any level: of differences of shares and of means, and of sums of money."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import sqrt

from scipy.special import gammaincinv, ndtri, stdtrit

ALPHA = 0.05
"""The error that all tests of one detector together may make."""


@dataclass(frozen=True, slots=True)
class Range:
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sums:
    """How many values there are, their sum and that of their squares."""

    n: int
    total: Decimal
    squares: Decimal

    def __sub__(self, other: "Sums") -> "Sums":
        """What is left without a part."""
        return Sums(self.n - other.n, self.total - other.total, self.squares - other.squares)

    @property
    def mean(self) -> float:
        """The mean; there must be a value."""
        return float(self.total / self.n)

    @property
    def variance(self) -> float:
        """The sample variance, from exact fractions: a difference of large sums would lose its digits otherwise."""
        scatter = self.n * Fraction(self.squares) - Fraction(self.total) ** 2
        return max(0.0, float(scatter / (self.n * (self.n - 1)))) if self.n > 1 else 0.0


def difference_of_shares(a: int, m: int, b: int, n: int, alpha: float = ALPHA) -> Range:
    """a/m - b/n with Newcombe's hybrid score interval, for m and n of at least 1.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17
    (1998), method 10.
    """
    p, q = a / m, b / n
    p_low, p_high = _wilson(a, m, alpha)
    q_low, q_high = _wilson(b, n, alpha)
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    return Range(p - q, low, high)


def _wilson(k: int, n: int, alpha: float) -> tuple[float, float]:
    z = float(ndtri(1 - alpha / 2))
    centre, half = (k + z * z / 2) / (n + z * z), z * sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return centre - half, centre + half


def difference_of_means(a: Sums, b: Sums, alpha: float = ALPHA) -> Range:
    """mean(a) - mean(b) with Welch's interval, for two values or more in each.

    B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34 (1947).
    """
    parts = [a.variance / a.n, b.variance / b.n]
    error, value = sum(parts), a.mean - b.mean
    if not error:
        return Range(value, value, value)
    freedom = error**2 / (parts[0] ** 2 / (a.n - 1) + parts[1] ** 2 / (b.n - 1))
    half = float(stdtrit(freedom, 1 - alpha / 2)) * sqrt(error)
    return Range(value, value - half, value + half)


def sum_of_sales(total: float, unit: float, alpha: float = ALPHA) -> Range:
    """A sum of amounts that come at random, with an interval of what is to be expected.

    ``unit`` is Σx² / Σx of such amounts: total / unit is taken for a Poisson count, whose exact interval (Garwood 1936)
    is scaled back; the compound Poisson's variance is matched so. Fay and Feuer's interval with equal weights.
    """
    count = total / unit
    low = unit * float(gammaincinv(count, alpha / 2)) if count else 0.0
    return Range(total, low, unit * float(gammaincinv(count + 1, 1 - alpha / 2)))
