"""AI ROI: what AI interactions cost, what conversions are owed to them, and whether the one pays for the other."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from resolvers.analysis.attribution import Model
from resolvers.analysis.estimates import Estimate, Money
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Granularity, Period

MODELS = (
    Model.LINEAR,
    Model.FIRST_TOUCH,
    Model.LAST_TOUCH,
    Model.POSITION,
    Model.J_SHAPED,
    Model.INVERSE_J,
    Model.TIME_DECAY,
)
"""By which value is attributed: those that split each conversion by its own path, into parts that add up."""


class Evidence(Enum):
    """What kind of evidence the value stands on."""

    CAUSAL = "causal"
    CORRELATIONAL = "correlational"


@dataclass(frozen=True, slots=True)
class RoiDefinition:
    """What is asked: the value of which conversions, and how they are owed to AI interactions.

    An interaction counts up to and including ``lookback`` before the conversion. ``rivals`` are other events that
    share in the credit. ``half_life`` is that of TIME_DECAY.
    """

    conversion: Filter
    rivals: Filter | None
    model: Model
    lookback: timedelta
    half_life: timedelta
    resamples: int
    """How many resamples the intervals come from; 0 for none."""
    experiment: str | None = None
    """The key of an experiment whose treatment had AI: its effect is then the value of the total."""


@dataclass(frozen=True, slots=True)
class IncrementalValue:
    """What AI added to the value of a period, as an experiment measured it; money in the answer's currency."""

    value: Decimal
    low: Decimal
    high: Decimal
    experiment: str


@dataclass(frozen=True, slots=True)
class RoiSeries:
    """Cost and value over time, as columns of one length, money in ``currency``.

    A cost lies in the bucket of its interaction, a value in that of its conversion.
    """

    granularity: Granularity
    timezone: str
    currency: str
    at: tuple[datetime, ...]
    calls: tuple[int, ...]
    cost: tuple[Decimal, ...]
    conversions: tuple[Decimal, ...]
    value: tuple[Decimal, ...]
    roi: tuple[Decimal | None, ...]
    balance: tuple[Decimal, ...]
    """Value less cost, of all buckets up to and with this one."""


@dataclass(frozen=True, slots=True)
class RoiFigures:
    """What some AI interactions cost and earned; a ratio over nothing has no value."""

    calls: int
    unpriced: int
    """Of the calls those whose cost nobody knows: the cost leaves them out."""
    subjects: int
    cost: Estimate
    value: Estimate
    conversions: Estimate
    net: Estimate
    roi: Estimate
    margin: Estimate
    cost_per_conversion: Estimate
    break_even_conversions: Estimate
    shortfall: Decimal | None
    """The value that is missing to break even; 0 where it does."""
    payback_at: datetime | None
    """The first instant at which what was earned had reached what had been spent."""
    payback_seconds: Decimal | None
    """From the first cost of the period until then."""
    series: RoiSeries


@dataclass(frozen=True, slots=True)
class RoiGroup(RoiFigures):
    """The AI interactions with the same values in the dimensions broken down by."""

    keys: tuple[DimensionValue, ...]
    other: bool


@dataclass(frozen=True, slots=True)
class RoiAnswer(RoiFigures):
    """The answer to one question about AI ROI; money in ``currency``, the tenant's."""

    definition: RoiDefinition
    period: Period
    previous_period: Period | None
    currency: str
    evidence: Evidence
    evidence_reason: str
    incremental: IncrementalValue | None
    groups: tuple[RoiGroup, ...]
    """Those that cost most first; empty unless a breakdown was asked for."""
    group_count: int
    all_conversions: int
    """Conversions of the period, owed to AI or not."""
    all_value: Decimal
    """What they brought in."""
    unconverted: tuple[Money, ...]
    """Amounts of conversions in other currencies, which the value leaves out."""
    unconverted_cost: tuple[Money, ...]
    explain: Explanation = field(compare=False)
    as_of: datetime = field(compare=False)
