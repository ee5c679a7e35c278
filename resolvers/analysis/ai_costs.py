"""What AI costs, and which calls nobody knows the cost of."""

from dataclasses import dataclass, field
from datetime import datetime

from resolvers.analysis.estimates import Estimate, Money
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import MetricGroup, Series
from resolvers.analysis.periods import Period

MOST_UNPRICED = 20
"""How many models without a price are listed."""


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """A model some of whose calls have no cost; ``other`` sums up the models that are not listed."""

    provider: str | None
    model: str | None
    other: bool
    calls: int


@dataclass(frozen=True, slots=True)
class Unpriced:
    """The calls of a period, those without a cost, and whose these are: most calls first."""

    calls: int
    unpriced: int
    models: tuple[UnpricedModel, ...]
    model_count: int


@dataclass(frozen=True, slots=True)
class AiCostAnswer:
    """The answer to one question about what AI costs, in the tenant's currency."""

    period: Period
    previous_period: Period | None
    cost: Estimate
    series: Series
    groups: tuple[MetricGroup, ...]
    group_count: int
    calls: int
    unpriced: int
    unpriced_models: tuple[UnpricedModel, ...]
    unpriced_model_count: int
    unconverted: tuple[Money, ...]
    explain: Explanation = field(compare=False)
    as_of: datetime = field(compare=False)
