"""Numbers that describe themselves: a value with what it was computed from and how far it can be trusted.

Divisions are carried to 28 significant digits of Decimal; nothing here turns money into a float.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from enum import Enum
from fractions import Fraction
from math import sqrt
from statistics import NormalDist

from scipy.special import stdtrit

CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow])
"""In which quotients are rounded."""

LEVEL = Decimal("0.95")
"""The confidence level of every interval."""

FEW = 30
"""Below this many observations an estimate is of LOW quality."""

RARE = 5
"""Below this many successes, or failures, a share is of LOW quality."""

_UPPER = float((1 + LEVEL) / 2)
_Z = NormalDist().inv_cdf(_UPPER)


class Unit(Enum):
    """What one of a value is."""

    COUNT = "count"
    MONEY = "money"
    RATIO = "ratio"
    MILLISECONDS = "milliseconds"
    SECONDS = "seconds"
    MONTHS = "months"


class Quality(Enum):
    """How much stands behind an estimate.

    INSUFFICIENT: no value, or no observation. LOW: fewer than ``FEW`` observations or, for a share, fewer
    than ``RARE`` successes or failures. SUFFICIENT: all else.
    """

    SUFFICIENT = "sufficient"
    LOW = "low"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency (ISO 4217)."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval: with probability ``level`` its procedure covers the true value."""

    low: Decimal
    high: Decimal
    level: Decimal
    method: str
    """The formula's name, e.g. ``Wilson score``."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number and its circumstances.

    ``value`` is None where it is undefined (a ratio over nothing), never 0 instead. ``change`` is relative to
    ``previous``: (value - previous) / |previous|; None without a previous value or where that is 0.
    """

    value: Decimal | None
    unit: Unit
    n: int
    """How many observations stand behind the value."""
    as_of: datetime = field(compare=False)
    """The instant at which the answer was read from the log."""
    definition: str
    quality: Quality
    currency: str | None = None
    """Set exactly where ``unit`` is MONEY."""
    numerator: Decimal | None = None
    denominator: Decimal | None = None
    interval: Interval | None = None
    previous: Decimal | None = None
    change: Decimal | None = None


def quotient(numerator: Decimal, denominator: Decimal) -> Decimal | None:
    """numerator / denominator, None over 0."""
    return CONTEXT.divide(numerator, denominator) if denominator else None


def change(value: Decimal | None, previous: Decimal | None) -> Decimal | None:
    """(value - previous) / |previous|; None where either is missing or ``previous`` is 0."""
    if value is None or previous is None:
        return None
    return quotient(CONTEXT.subtract(value, previous), previous.copy_abs())


def against(now: Estimate, previous: Decimal | None) -> Estimate:
    """An estimate held against a previous value."""
    return replace(now, previous=previous, change=change(now.value, previous))


def wilson(successes: int, n: int) -> Interval:
    """The Wilson score interval of a share, for ``0 <= successes <= n`` and ``n >= 1``.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), without continuity correction.
    """
    square = _Z * _Z
    centre = (successes + square / 2) / (n + square)
    half = _Z * sqrt(successes * (n - successes) / n + square / 4) / (n + square)
    low = Decimal(0) if successes == 0 else _rounded(centre - half)
    high = Decimal(1) if successes == n else _rounded(centre + half)
    return Interval(low, high, LEVEL, "Wilson score")


def student(n: int, total: Decimal, squares: Decimal) -> Interval | None:
    """Student's t interval of a mean from n, Σx and Σx².

    mean ± t(n-1) √(s²/n) with s² = (n Σx² - (Σx)²) / (n (n-1)), taken in exact fractions: the difference of
    two large sums would lose every digit of a small variance otherwise. None where it is undefined or says
    nothing: below two observations and without variance.
    """
    if n < 2:
        return None
    scatter = n * Fraction(squares) - Fraction(total) ** 2
    if scatter <= 0:
        return None
    error = scatter / (n * n * (n - 1))
    deviation = quotient(Decimal(error.numerator), Decimal(error.denominator))
    mean = quotient(total, Decimal(n))
    assert deviation is not None
    assert mean is not None
    half = CONTEXT.multiply(Decimal(float(stdtrit(n - 1, _UPPER))), CONTEXT.sqrt(deviation))
    return Interval(CONTEXT.subtract(mean, half), CONTEXT.add(mean, half), LEVEL, "Student t")


def estimate(
    value: Decimal | None,
    *,
    n: int,
    as_of: datetime,
    definition: str,
    unit: Unit,
    currency: str | None = None,
    numerator: Decimal | None = None,
    denominator: Decimal | None = None,
    interval: Interval | None = None,
    previous: Decimal | None = None,
    successes: int | None = None,
) -> Estimate:
    """A value with its change against ``previous`` and its quality; for a share, ``successes`` of ``n``."""
    return Estimate(
        value=value,
        unit=unit,
        n=n,
        as_of=as_of,
        definition=definition,
        quality=_quality(value, n, successes),
        currency=currency if unit is Unit.MONEY else None,
        numerator=numerator,
        denominator=denominator,
        interval=interval,
        previous=previous,
        change=change(value, previous),
    )


def share(
    successes: int,
    n: int,
    *,
    as_of: datetime,
    definition: str,
    previous: Decimal | None = None,
) -> Estimate:
    """``successes`` of ``n`` as a share of 0..1 with its Wilson interval; without a value where ``n`` is 0.

    There is no interval where the two are not of one population (more successes than observations).
    """
    return estimate(
        quotient(Decimal(successes), Decimal(n)),
        n=n,
        as_of=as_of,
        definition=definition,
        unit=Unit.RATIO,
        numerator=Decimal(successes),
        denominator=Decimal(n),
        interval=wilson(successes, n) if 0 <= successes <= n and n else None,
        previous=previous,
        successes=successes,
    )


def _quality(value: Decimal | None, n: int, successes: int | None) -> Quality:
    if value is None or n == 0:
        return Quality.INSUFFICIENT
    if n < FEW or (successes is not None and min(successes, n - successes) < RARE):
        return Quality.LOW
    return Quality.SUFFICIENT


def _rounded(value: float) -> Decimal:
    """The digits that a computation in floats leaves sure."""
    return Decimal(f"{value:.12g}")
