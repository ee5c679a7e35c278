"""Conversions with AI's help and without: how often, how dear, and how far apart."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from resolvers.analysis.differences import Difference
from resolvers.analysis.estimates import Estimate, Money
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Period

CAUTION = (
    "Nobody was kept from AI at random. Who uses AI is often keener from the start, and who is there for longer has "
    "more time both to use it and to convert; either makes the assisted look better than AI made them. Compare like "
    "with like by dimensions, look at the adjusted difference, and let an experiment decide what AI causes."
)


@dataclass(frozen=True, slots=True)
class AssistanceDefinition:
    """What is asked: which conversions, helped by which AI interactions, up to ``lookback`` before them."""

    conversion: Filter
    interaction: Filter
    lookback: timedelta


@dataclass(frozen=True, slots=True)
class AssistanceArm:
    """The subjects, or the conversions, on one side."""

    rate: Estimate
    """Subjects who converted, of all on this side."""
    conversions: int
    value: Decimal
    value_per_conversion: Estimate
    value_per_subject: Estimate


@dataclass(frozen=True, slots=True)
class AssistanceFigures:
    """Both sides, and the assisted less the unassisted; None where a side has nobody."""

    assisted: AssistanceArm
    unassisted: AssistanceArm
    rate_difference: Difference | None
    value_per_conversion_difference: Difference | None
    value_per_subject_difference: Difference | None


@dataclass(frozen=True, slots=True)
class AssistanceGroup(AssistanceFigures):
    """The subjects whose last events of the period that carry one have the same values."""

    keys: tuple[DimensionValue, ...]
    other: bool


@dataclass(frozen=True, slots=True)
class AiAssistanceAnswer(AssistanceFigures):
    """The answer to one comparison; money in ``currency``, the tenant's."""

    definition: AssistanceDefinition
    period: Period
    previous_period: Period | None
    currency: str
    adjusted_difference: Difference | None
    """The difference of the rates within groups; None without a breakdown, and where no group has both sides."""
    groups: tuple[AssistanceGroup, ...]
    group_count: int
    caution: str
    unconverted: tuple[Money, ...]
    explain: Explanation = field(compare=False)
    as_of: datetime = field(compare=False)
