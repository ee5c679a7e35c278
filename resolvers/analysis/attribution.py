"""Attribution: which touches deserve the credit for conversions, by several models side by side."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from resolvers.analysis.estimates import Money
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.periods import Period


class Model(Enum):
    """How the credit for a conversion is split among the touches that led to it."""

    FIRST_TOUCH = "first_touch"
    LAST_TOUCH = "last_touch"
    LINEAR = "linear"
    POSITION = "position"
    J_SHAPED = "j_shaped"
    INVERSE_J = "inverse_j"
    TIME_DECAY = "time_decay"
    MARKOV = "markov"
    SHAPLEY = "shapley"
    PARTICIPATION = "participation"


class Part(Enum):
    """What a row of an answer stands for.

    VALUE: touches with one value of the dimension, or with none. OTHER: all values that are not shown. DIRECT:
    conversions without a touch.
    """

    VALUE = "value"
    OTHER = "other"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class AttributionDefinition:
    """What is asked: which conversions, by which touches, of which dimension.

    A touch counts up to and including ``lookback`` before the conversion. ``half_life`` is that of TIME_DECAY. Without
    ``models`` it is all that the number of values allows.
    """

    conversion: Filter
    touch: Filter
    dimension: str
    lookback: timedelta
    half_life: timedelta
    models: tuple[Model, ...] | None = None
    resamples: int = 0
    """How many resamples the intervals of the credits come from; 0 for none."""


@dataclass(frozen=True, slots=True)
class AttributionValues:
    """The rows that credits are given to, as columns of one length; OTHER and DIRECT come last, where there are any.

    Of OTHER each number is the sum of its values'. None in ``cost`` where no cost is known, in ``spread`` where fewer
    than two models that sum up were asked for.
    """

    part: tuple[Part, ...]
    value: tuple[str | None, ...]
    touches: tuple[int, ...]
    """Touches that count."""
    conversions: tuple[int, ...]
    """Conversions with at least one such touch; of DIRECT all."""
    assisted: tuple[int, ...]
    """Conversions with such a touch whose last touch has another value."""
    cost: tuple[Decimal | None, ...]
    """Costs of touchpoints and spend with the value in the period."""
    spread: tuple[Decimal | None, ...]
    """The greatest credit less the least, over the models whose credits sum to the conversions."""


@dataclass(frozen=True, slots=True)
class ModelCredits:
    """What one model gives to each row, as columns in the order of the rows."""

    model: Model
    credit: tuple[Decimal, ...]
    """Conversions; but for PARTICIPATION they sum to all of them, exactly."""
    revenue: tuple[Decimal, ...]
    """Money; but for PARTICIPATION it sums to all revenue, exactly."""
    cost_per_credit: tuple[Decimal | None, ...]
    """cost / credit; None without a cost or credit."""
    roas: tuple[Decimal | None, ...]
    """revenue / cost; None without a cost or where it is 0."""
    previous_credit: tuple[Decimal, ...] | None
    """The same of the period compared with."""
    previous_revenue: tuple[Decimal, ...] | None
    low: tuple[Decimal, ...] | None
    """The lower ends of the credits' intervals; None where none were asked for, and for MARKOV of too many values."""
    high: tuple[Decimal, ...] | None
    """The upper ends."""
    removal_effect: tuple[float | None, ...] | None
    """MARKOV's: the share of conversions that would be lost without the value; None for OTHER and DIRECT."""


@dataclass(frozen=True, slots=True)
class Path:
    """A way to conversions: the values touched one after the other, repeats left out; none at all where direct."""

    values: tuple[str | None, ...]
    conversions: int
    revenue: Decimal


@dataclass(frozen=True, slots=True)
class PathStatistics:
    """What the paths to conversions look like.

    ``lengths[i]`` counts conversions with i touches, the last those with as many or more. Quantiles of the time from
    the first touch that counts to the conversion, in seconds, interpolate linearly between closest ranks (Hyndman and
    Fan's type 7); None where no conversion has a touch.
    """

    top: tuple[Path, ...]
    """Most conversions first; of equals the shorter, then by values."""
    lengths: tuple[int, ...]
    median_lag: Decimal | None
    p90_lag: Decimal | None


@dataclass(frozen=True, slots=True)
class AttributionAnswer:
    """The answer to one attribution question; money in ``currency``, the tenant's."""

    definition: AttributionDefinition
    period: Period
    previous_period: Period | None
    currency: str
    conversions: int
    direct: int
    """Of the conversions those without a touch."""
    lost: int
    """Journeys that led to no conversion."""
    revenue: Decimal
    cost: Decimal | None
    """All costs of touchpoints and spend in the period; None where no cost is known."""
    values: AttributionValues
    value_count: int
    """How many values there are in all, shown or summed up under OTHER."""
    models: tuple[ModelCredits, ...]
    paths: PathStatistics
    unconverted: tuple[Money, ...]
    """Amounts of the conversions that cannot be converted, which revenue leaves out."""
    unconverted_cost: tuple[Money, ...]
    explain: Explanation = field(compare=False)
    as_of: datetime = field(compare=False)
