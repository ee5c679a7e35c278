"""From subjects and conversions to the comparison of the assisted with the unassisted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ai_assistance import AssistanceArm
from resolvers.analysis.ai_assistance_kernel import Observed
from resolvers.analysis.attribution_sales import PLACES, UNIT, Sales, amounts_of
from resolvers.analysis.attribution_statistics import money
from resolvers.analysis.differences import Difference, of_means, of_shares
from resolvers.analysis.estimates import LEVEL, Estimate, Interval, Unit, estimate, quotient, share, student
from resolvers.analysis.experiment_probabilities import critical
from resolvers.analysis.experiment_statistics import Arm, Share
from resolvers.analysis.numbering import Codes
from resolvers.analysis.roi_tally import EXACT

UNASSISTED, ASSISTED = 0, 1


@dataclass(frozen=True, slots=True)
class Side:
    """Plain numbers of one side; amounts and their squares in 1/UNIT and its square."""

    subjects: int
    converted: int
    conversions: int
    value: int
    conversion_squares: int
    subject_value: int
    """What the subjects of this side brought in, by whichever conversions."""
    subject_squares: int

    @property
    def rate(self) -> Share:
        return Share(self.subjects, self.converted)

    @property
    def per_conversion(self) -> Arm:
        return Arm(self.conversions, Fraction(self.value, UNIT), Fraction(self.conversion_squares, UNIT**2))

    @property
    def per_subject(self) -> Arm:
        return Arm(self.subjects, Fraction(self.subject_value, UNIT), Fraction(self.subject_squares, UNIT**2))


Sides = tuple[Side, Side]
"""The unassisted, then the assisted."""


def sides(found: Observed, sales: Sales, row_of: Codes, rows: int) -> list[Sides]:
    """Both sides of each of ``rows`` rows, and of all together in a last one; ``row_of`` a combination is its row."""
    bought = found.conversions
    units = amounts_of(bought, sales).units(bought.at.size)
    row = row_of[found.group]
    person, conversion = 2 * row + found.assisted, 2 * row[bought.person] + bought.assisted
    of_person = _sums(bought.person, units, found.group.size)
    columns = (
        np.bincount(person, minlength=2 * rows).tolist(),
        np.bincount(person[found.converted], minlength=2 * rows).tolist(),
        np.bincount(conversion, minlength=2 * rows).tolist(),
        _sums(conversion, units, 2 * rows).tolist(),
        _sums(conversion, units * units, 2 * rows).tolist(),
        _sums(person, of_person, 2 * rows).tolist(),
        _sums(person, of_person * of_person, 2 * rows).tolist(),
    )
    cells = [list(cell) for cell in zip(*columns, strict=True)]
    whole = [[sum(cell[part] for cell in cells[side::2]) for part in range(len(columns))] for side in (0, 1)]
    told = [Side(*cell) for cell in [*cells, *whole]]
    return list(zip(told[::2], told[1::2], strict=True))


def _sums(place: NDArray[np.integer], amounts: NDArray[Any], size: int) -> NDArray[Any]:
    found = np.zeros(size, object)
    np.add.at(found, place, amounts)
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """How sides are told."""

    currency: str
    as_of: datetime

    def figures(self, now: Sides, before: Sides | None) -> dict[str, Any]:
        """The fields of AssistanceFigures."""
        without, helped = now
        return {
            "assisted": self._arm(helped, None if before is None else before[ASSISTED]),
            "unassisted": self._arm(without, None if before is None else before[UNASSISTED]),
            "rate_difference": of_shares(helped.rate, without.rate),
            "value_per_conversion_difference": of_means(helped.per_conversion, without.per_conversion),
            "value_per_subject_difference": of_means(helped.per_subject, without.per_subject),
        }

    def _arm(self, now: Side, before: Side | None) -> AssistanceArm:
        return AssistanceArm(
            rate=share(
                now.converted,
                now.subjects,
                as_of=self.as_of,
                definition="Subjects on this side with a conversion in the period, divided by all on this side.",
                previous=None if before is None else quotient(Decimal(before.converted), Decimal(before.subjects)),
            ),
            conversions=now.conversions,
            value=money(now.value),
            value_per_conversion=self._mean(
                (now.conversions, now.value, now.conversion_squares),
                None if before is None else (before.conversions, before.value),
                "Mean amount of the conversions on this side, those without an amount counting 0.",
            ),
            value_per_subject=self._mean(
                (now.subjects, now.subject_value, now.subject_squares),
                None if before is None else (before.subjects, before.subject_value),
                "What the subjects on this side brought in in the period, divided by all on this side.",
            ),
        )

    def _mean(self, now: tuple[int, int, int], before: tuple[int, int] | None, definition: str) -> Estimate:
        n, total = now[0], money(now[1])
        squares = Decimal(now[2]).scaleb(-2 * PLACES, EXACT)
        return estimate(
            quotient(total, Decimal(n)),
            n=n,
            as_of=self.as_of,
            definition=definition,
            unit=Unit.MONEY,
            currency=self.currency,
            numerator=total,
            denominator=Decimal(n),
            interval=student(n, total, squares) if n else None,
            previous=None if before is None else quotient(money(before[1]), Decimal(before[0])),
        )


def adjusted(strata: Sequence[Sides]) -> Difference | None:
    """The difference of the rates within strata, weighed by the Mantel-Haenszel method; None where none has both sides.

    Weights n₁n₀/(n₁ + n₀); variance of S. Greenland and J. M. Robins, "Estimation of a common effect parameter from
    sparse follow-up data", Biometrics 41 (1985).
    """
    weights = effect = variance = 0.0
    for without, helped in strata:
        n, m, a, b = helped.subjects, without.subjects, helped.converted, without.converted
        if n and m:
            weights += n * m / (n + m)
            effect += (a * m - b * n) / (n + m)
            variance += (a * (n - a) * m**3 + b * (m - b) * n**3) / (n * m * (n + m) ** 2)
    if not weights:
        return None
    value, half = effect / weights, critical(float(LEVEL)) * sqrt(variance) / weights
    if not half:
        return Difference(_sure(value), None, "Within groups there is no variance to hold the difference against.")
    return Difference(
        _sure(value), Interval(_sure(value - half), _sure(value + half), LEVEL, "Mantel-Haenszel, Wald"), None
    )


def _sure(number: float) -> Decimal:
    return Decimal(f"{number:.12g}")
