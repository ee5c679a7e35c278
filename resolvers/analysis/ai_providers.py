"""Providers and models of AI side by side: what they cost, how fast and how reliable they are, what comes of them."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from resolvers.analysis.differences import Difference
from resolvers.analysis.estimates import Estimate, Money
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Period
from resolvers.analysis.roi import RoiDefinition

BINS = 10
"""Bins of equal width that confidences are told in."""


@dataclass(frozen=True, slots=True)
class ConfidenceCalibration:
    """Confidences (scores of 0..1) held against success, of the ``n`` calls that say both.

    The columns have a place for each tenth of 0..1, its lower end included, of the last also its upper one.
    """

    n: int
    predicted: tuple[float | None, ...]
    """The mean confidence in each bin."""
    observed: tuple[float | None, ...]
    """The share of successes in each bin."""
    counts: tuple[int, ...]
    expected_error: float | None
    """Σ counts/n · |observed - predicted|: the expected calibration error of Naeini, Cooper and Hauskrecht,
    "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015."""
    brier: float | None
    """The mean of (confidence - success)²: G. W. Brier, Monthly Weather Review 78 (1950)."""


@dataclass(frozen=True, slots=True)
class AiServiceFigures:
    """Some AI interactions; a ratio over nothing has no value."""

    calls: int
    unpriced: int
    cost: Estimate
    cost_per_call: Estimate
    cost_per_1k_tokens: Estimate
    latency_p50: Estimate
    latency_p95: Estimate
    latency_p99: Estimate
    success: Estimate
    calibration: ConfidenceCalibration
    conversion_rate: Estimate
    value: Estimate
    value_per_call: Estimate


@dataclass(frozen=True, slots=True)
class AiServiceGroup(AiServiceFigures):
    """The AI interactions of one combination of dimension values, and how far it is from the best.

    A difference is this group less the best, None of the best itself and where nothing is the best.
    """

    keys: tuple[DimensionValue, ...]
    other: bool
    cost_per_call_difference: Difference | None
    latency_difference: Difference | None
    success_difference: Difference | None
    conversion_difference: Difference | None


@dataclass(frozen=True, slots=True)
class AiProvidersAnswer(AiServiceFigures):
    """The answer to one comparison; money in ``currency``, the tenant's.

    The best are places in ``groups``, of those shown with enough behind them; None without any.
    """

    definition: RoiDefinition
    period: Period
    previous_period: Period | None
    currency: str
    groups: tuple[AiServiceGroup, ...]
    group_count: int
    cheapest: int | None
    fastest: int | None
    most_successful: int | None
    most_converting: int | None
    unconverted: tuple[Money, ...]
    unconverted_cost: tuple[Money, ...]
    caution: str
    explain: Explanation = field(compare=False)
    as_of: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of some calls: how many subjects they served, how many of these converted, what value is owed."""

    subjects: int
    converted: int
    value: Decimal
