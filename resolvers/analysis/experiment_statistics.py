"""What an arm of an experiment comes to: sums that add up, finished into means and variances without losing digits.

Sums are exact (whole numbers, decimals or fractions), and so are the differences of large ones that a variance is made
of; only the quotient becomes a float. Variances are unbiased, over n - 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

Exact = int | Decimal | Fraction


def exact(value: Exact) -> Fraction:
    """The value as a fraction."""
    return Fraction(value)


@dataclass(frozen=True, slots=True)
class Arm:
    """Units and the sums of a value over them, Σx and Σx²; a unit without the value counts with 0."""

    units: int
    total: Exact
    squares: Exact

    @property
    def mean(self) -> float:
        """Σx / n; there has to be a unit."""
        return float(exact(self.total) / self.units)

    @property
    def variance(self) -> float:
        """Of a unit; there have to be two of them."""
        return _scatter(self.units, self.total, self.total, self.squares)


@dataclass(frozen=True, slots=True)
class Share:
    """Units, and how many of them did it."""

    units: int
    successes: int

    @property
    def mean(self) -> float:
        return self.successes / self.units


@dataclass(frozen=True, slots=True)
class PairedArm:
    """Units and the sums of two values over them: Σx, Σx², Σy, Σy², Σxy.

    Of a ratio y is above and x below; of an adjusted mean y is the value and x what was known of the unit before.
    """

    units: int
    x: Exact
    x_squares: Exact
    y: Exact
    y_squares: Exact
    products: Exact

    @property
    def values(self) -> Arm:
        """The value y alone."""
        return Arm(self.units, self.y, self.y_squares)

    @property
    def others(self) -> Arm:
        """The value x alone."""
        return Arm(self.units, self.x, self.x_squares)

    @property
    def covariance(self) -> float:
        """Of x and y, of a unit; there have to be two of them."""
        return _scatter(self.units, self.x, self.y, self.products)

    @property
    def ratio(self) -> float:
        """Σy / Σx; Σx must not be 0."""
        return float(exact(self.y) / exact(self.x))

    @property
    def ratio_variance(self) -> float:
        """Of the ratio, times n: (σy² - 2 r σxy + r² σx²) / μx², to the first order.

        A. Deng and others, "Applying the Delta Method in Metric Analytics", KDD 2018, section 2.
        """
        ratio, below = exact(self.y) / exact(self.x), exact(self.x) / self.units
        # Σ(y - r x)² is the same sum, and cancels in exact numbers only.
        squares = exact(self.y_squares) - 2 * ratio * exact(self.products) + ratio**2 * exact(self.x_squares)
        return float(squares / (self.units - 1) / below**2)

    def adjusted(self, theta: Fraction, centre: Fraction) -> Arm:
        """The values y - θ (x - centre)."""
        n, x, y = self.units, exact(self.x), exact(self.y)
        squares = (
            exact(self.y_squares)
            + theta**2 * (exact(self.x_squares) - 2 * centre * x + n * centre**2)
            - 2 * theta * (exact(self.products) - centre * y)
        )
        return Arm(n, y - theta * (x - n * centre), squares)


def pooled(arms: Sequence[PairedArm]) -> PairedArm:
    """All units as one arm."""
    return PairedArm(
        sum(arm.units for arm in arms),
        *(
            sum((exact(getattr(arm, name)) for arm in arms), Fraction())
            for name in ("x", "x_squares", "y", "y_squares", "products")
        ),
    )


def scatter(units: int, one: Exact, other: Exact, products: Exact) -> Fraction:
    """Σ(x - x̄)(y - ȳ), from Σx, Σy and Σxy."""
    return exact(products) - exact(one) * exact(other) / units


def _scatter(units: int, one: Exact, other: Exact, products: Exact) -> float:
    return float(scatter(units, one, other, products) / (units - 1))
