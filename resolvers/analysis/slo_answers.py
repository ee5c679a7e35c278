"""How a service level objective stands, as it is told."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Period
from resolvers.analysis.slos import Severity, SloDefinition


class SloState(Enum):
    """How an SLO stands, the most urgent first."""

    PAGE = "page"
    TICKET = "ticket"
    NO_DATA = "no_data"
    LOW_TRAFFIC = "low_traffic"
    HEALTHY = "healthy"


class SloRuleState(Enum):
    """What a rule says."""

    FIRING = "firing"
    QUIET = "quiet"
    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True)
class SloWindow:
    """What happened within the last ``length``."""

    length: timedelta
    total: int
    bad: int
    burn_rate: Decimal | None
    """The share of bad events divided by that which the objective allows; None without events."""
    cost: Decimal | None
    """What the bad events cost; None where nobody said what one does."""


@dataclass(frozen=True, slots=True)
class SloRule:
    """A rule, and what it says now."""

    severity: Severity
    long: timedelta
    short: timedelta
    factor: Decimal
    long_burn_rate: Decimal | None
    short_burn_rate: Decimal | None
    reachable: bool
    state: SloRuleState


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """The bad events that the objective allows in the period, and what became of them."""

    total: int
    bad: int
    allowed: Decimal
    """(1 - objective) × total."""
    consumed: Decimal | None
    """bad / allowed, a share; more than 1 where it is used up, None without events."""
    remaining: Decimal | None
    """1 - consumed; below 0 where it is used up."""
    present: SloWindow | None
    """What happens now: the shortest of the long windows that has events enough; None where none has."""
    exhausted_at: datetime | None
    """When it will be used up if it burns on as in ``present``; None where it is used up, or will not be."""
    cost: Decimal | None
    allowed_cost: Decimal | None
    """What the allowed ones would cost."""


@dataclass(frozen=True, slots=True)
class SloGroup:
    """The events of the period that carry the same values; ``other`` are those of all groups not shown."""

    keys: tuple[DimensionValue, ...]
    other: bool
    total: int
    bad: int
    burn_rate: Decimal | None
    share: Decimal | None
    """Of all bad events; None where there are none."""
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class SloAnswer:
    """How an SLO stands at the end of ``period``, which is that of the minute that is running."""

    definition: SloDefinition
    state: SloState
    message: str
    """Why, in a sentence without its full stop."""
    period: Period
    currency: str
    windows: tuple[SloWindow, ...]
    """The shortest first."""
    rules: tuple[SloRule, ...]
    budget: ErrorBudget
    groups: tuple[SloGroup, ...]
    """Most events first, ``other`` last; none unless a breakdown was asked for."""
    group_count: int
    explain: Explanation = field(compare=False)
    as_of: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class SloAnswers:
    """Several answers, read together."""

    answers: tuple[SloAnswer, ...]
