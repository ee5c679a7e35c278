"""What goes with converting: the values of the entry event, each held against all other entries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

from resolvers.analysis.estimates import CONTEXT, FEW, LEVEL, RARE, Estimate, Interval, Unit, estimate, quotient, share
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.funnel_groups import Breakdown
from resolvers.analysis.funnels import FunnelDefinition
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.multiplicity import benjamini_hochberg, probability
from resolvers.analysis.periods import Period

ALPHA = Decimal("0.05")
"""The share of false discoveries that is put up with."""

_Z = float(ndtri((1 + float(LEVEL)) / 2))
_RATE = "Subjects that entered with this value and converted, divided by those that entered with it."
_RATE_WITHOUT = "Subjects that entered without this value and converted, divided by those that entered without it."
_ODDS_RATIO = (
    "Odds of converting with the value, divided by the odds without it, 0.5 added to each of the four counts "
    "(Haldane and Anscombe)."
)


@dataclass(frozen=True, slots=True)
class Association:
    """A value of the entry event, and how conversion goes with it.

    ``rate`` and ``rate_without`` are shares (Wilson), ``odds_ratio`` has Woolf's interval. ``p_value`` is two-sided
    of the hypothesis that the odds ratio is 1 (Wald, of its logarithm); ``adjusted_p`` is that after Benjamini and
    Hochberg over all values tested, both floats that are never 0. The logarithms are common ones.
    """

    key: DimensionValue
    entered: int
    converted: int
    rate: Estimate
    rate_without: Estimate
    odds_ratio: Estimate
    p_value: float
    log10_p: float
    adjusted_p: float
    log10_adjusted_p: float
    significant: bool
    """Whether ``adjusted_p`` is at most ``ALPHA``."""


@dataclass(frozen=True, slots=True)
class FunnelCorrelationAnswer:
    """What goes with converting; of subjects that are not assigned at random it proves no cause."""

    definition: FunnelDefinition
    period: Period
    previous_period: Period | None
    entered: int
    converted: int
    associations: tuple[Association, ...]
    """The significant ones first, each by the distance of its odds ratio from 1 on the scale of logarithms."""
    tested: int
    """How many values were tested, shown or not."""
    untested: int
    """How many were not, for lack of subjects."""
    as_of: datetime = field(compare=False)
    explain: Explanation = field(compare=False)


@dataclass(frozen=True, slots=True)
class FunnelCorrelationAnswers:
    """Several answers, read together."""

    answers: tuple[FunnelCorrelationAnswer, ...]


def correlations(
    definition: FunnelDefinition,
    period: Period,
    crossed: "Crossed",
    *,
    top: int,
    as_of: datetime,
    explain: Explanation,
    previous: "tuple[Period, Crossed] | None" = None,
) -> FunnelCorrelationAnswer:
    """The ``top`` values that go most with converting, or with not converting.

    A value is tested if at least ``FEW`` subjects entered with it and as many without it, and if among all at least
    ``RARE`` converted and as many did not. B. Woolf, "On estimating the relation between blood group and disease",
    Annals of Human Genetics 19 (1955); Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", Journal of
    the Royal Statistical Society B 57 (1995).

    Values are compared with what was true of the same ones in the ``previous`` period.
    """
    tables = [table for table in crossed.tables.values() if table.sufficient]
    earlier, before = previous or (None, None)
    adjusted = benjamini_hochberg([table.log_p for table in tables])
    found = [table.association(q, as_of, before) for table, q in zip(tables, adjusted, strict=True)]
    order = sorted(range(len(found)), key=lambda place: (not found[place].significant, -abs(tables[place].log_odds)))
    return FunnelCorrelationAnswer(
        definition=definition,
        period=period,
        previous_period=earlier,
        entered=crossed.entered,
        converted=crossed.successes,
        associations=tuple(found[place] for place in order[:top]),
        tested=len(tables),
        untested=len(crossed.tables) - len(tables),
        as_of=as_of,
        explain=explain,
    )


def tables(columns: Sequence[Breakdown], converted: NDArray[np.bool_]) -> list["Table"]:
    """A table for each value that somebody entered with, of some dimensions of walks, and which of these converted."""
    return [table for column in columns for table in _tables(column, converted)]


def _tables(column: Breakdown, converted: NDArray[np.bool_]) -> Iterator["Table"]:
    with_value = np.bincount(column.codes, minlength=len(column.values)).tolist()
    of_these = np.bincount(column.codes[converted], minlength=len(column.values)).tolist()
    successes = int(converted.sum())
    for value, size, hits in zip(column.values, with_value, of_these, strict=True):
        if size:
            yield Table(DimensionValue(column.dimension, value), hits, size, successes, converted.size)


@dataclass(frozen=True, slots=True)
class Table:
    """Of ``entered`` subjects ``size`` have the value; ``successes`` converted, ``hits`` of them with it."""

    key: DimensionValue
    hits: int
    size: int
    successes: int
    entered: int

    @property
    def sufficient(self) -> bool:
        enough = min(self.size, self.entered - self.size) >= FEW
        return enough and min(self.successes, self.entered - self.successes) >= RARE

    @property
    def _cells(self) -> tuple[float, float, float, float]:
        """Converted and not with the value, then without it, each with 0.5 more."""
        misses, others = self.size - self.hits, self.successes - self.hits
        return self.hits + 0.5, misses + 0.5, others + 0.5, self.entered - self.size - others + 0.5

    @property
    def log_odds(self) -> float:
        a, b, c, d = self._cells
        return log(a * d / (b * c))

    @property
    def _error(self) -> float:
        return sqrt(sum(1 / cell for cell in self._cells))

    @property
    def log_p(self) -> float:
        """The natural logarithm of the p-value, which itself may be too small for a float."""
        return min(0.0, log(2) + float(log_ndtr(-abs(self.log_odds) / self._error)))

    @property
    def rate(self) -> Decimal | None:
        """Of those with the value the share that converted."""
        return quotient(Decimal(self.hits), Decimal(self.size))

    @property
    def rate_without(self) -> Decimal | None:
        """Of those without the value the share that converted."""
        return quotient(Decimal(self.successes - self.hits), Decimal(self.entered - self.size))

    @property
    def odds_ratio(self) -> Decimal | None:
        """None where too few are there to be tested."""
        return exponential(self.log_odds) if self.sufficient else None

    def association(self, log_adjusted: float, as_of: datetime, before: "Crossed | None" = None) -> Association:
        """What a table that is tested says, held against the same value before."""
        earlier = None if before is None else before.table(self.key)
        low, high = (exponential(self.log_odds + side * _Z * self._error) for side in (-1, 1))
        odds_ratio = estimate(
            exponential(self.log_odds),
            n=self.entered,
            as_of=as_of,
            definition=_ODDS_RATIO,
            unit=Unit.RATIO,
            interval=Interval(low, high, LEVEL, "Woolf logit"),
            previous=None if earlier is None else earlier.odds_ratio,
            successes=self.successes,
        )
        adjusted = probability(log_adjusted)
        return Association(
            key=self.key,
            entered=self.size,
            converted=self.hits,
            rate=share(
                self.hits, self.size, as_of=as_of, definition=_RATE, previous=None if earlier is None else earlier.rate
            ),
            rate_without=share(
                self.successes - self.hits,
                self.entered - self.size,
                as_of=as_of,
                definition=_RATE_WITHOUT,
                previous=None if earlier is None else earlier.rate_without,
            ),
            odds_ratio=odds_ratio,
            p_value=probability(self.log_p),
            log10_p=self.log_p / log(10),
            adjusted_p=adjusted,
            log10_adjusted_p=log_adjusted / log(10),
            significant=adjusted <= ALPHA,
        )


@dataclass(frozen=True, slots=True)
class Crossed:
    """Values, each held against what is asked of all: of ``entered`` subjects ``successes`` did."""

    tables: Mapping[DimensionValue, Table]
    entered: int
    successes: int

    @classmethod
    def of(cls, tables: Sequence[Table], entered: int, successes: int) -> "Crossed":
        """From the tables of all values that anybody had."""
        return cls({table.key: table for table in tables}, entered, successes)

    def table(self, key: DimensionValue) -> Table:
        """That of one value, which may be nobody's."""
        return self.tables.get(key) or Table(key, 0, 0, self.successes, self.entered)


def exponential(power: float) -> Decimal:
    """e to the power, to the digits that floats leave sure, however small it is."""
    if power > -600:
        return Decimal(f"{exp(power):.12g}")
    return CONTEXT.create_decimal(f"{CONTEXT.exp(Decimal(power)):.6g}")
