"""Service level objectives: which share of events has to be good, and what is counted of them.

Terms and rules are those of "The Site Reliability Workbook" (B. Beyer, N. R. Murphy, D. K. Rensin, K. Kawahara and
S. Thorne, editors; O'Reilly 2018), chapter 5, "Alerting on SLOs", its sixth approach: multiwindow, multi-burn-rate
alerts.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum

from resolvers.analysis.filters import All, Filter, MeasureIs, Op
from resolvers.analysis.metrics import Aggregate, Direction, Form, Metric, Statistic

PERIOD = timedelta(days=30)
"""The time that an error budget is for; it ends now, and moves on with it."""


class Severity(Enum):
    """How soon somebody has to look."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class BurnRule:
    """The budget burns too fast: at ``factor`` times the rate that uses it up in ``PERIOD``, or more.

    It has to in the ``long`` window, so that it is worth a look, and in the ``short`` one, so that it still goes on.
    """

    severity: Severity
    long: timedelta
    short: timedelta
    factor: Decimal

    def reachable(self, objective: Decimal) -> bool:
        """Whether the rate can come to the factor at all: where every event is bad, it is 1 / (1 - objective)."""
        return self.factor * (1 - objective) <= 1


RULES = (
    BurnRule(Severity.PAGE, timedelta(hours=1), timedelta(minutes=5), Decimal("14.4")),
    BurnRule(Severity.PAGE, timedelta(hours=6), timedelta(minutes=30), Decimal(6)),
    BurnRule(Severity.TICKET, timedelta(hours=24), timedelta(hours=2), Decimal(3)),
    BurnRule(Severity.TICKET, timedelta(days=3), timedelta(hours=6), Decimal(1)),
)
"""Those of the book: 2 % of the budget in an hour, 5 % in six, 10 % in a day or in three."""
WINDOWS = tuple(sorted({window for rule in RULES for window in (rule.long, rule.short)}))
"""Every window that a rule looks at, the shortest first."""


def reaches(severity: Severity, objective: Decimal) -> bool:
    """Whether some rule of a severity can fire with this objective."""
    return any(rule.reachable(objective) for rule in RULES if rule.severity is severity)


@dataclass(frozen=True, slots=True)
class SloDefinition:
    """That a share of at least ``objective`` of the events of a metric, of those that pass ``where``, is good.

    Of a share the metric itself says which events are good: those it counts where more is better (``good`` is UP), or
    the others. Of a quantile the good ones have a value of at most ``threshold``, or of at least that where ``good``
    is UP.
    """

    key: str
    title: str
    metric: str
    """Its slug."""
    good: Direction
    """UP or DOWN."""
    threshold: Decimal | None
    """In the metric's unit; None of a share."""
    objective: Decimal
    """Above 0 and below 1."""
    where: Filter
    minimum_events: int
    """A rule is silent where its long window has fewer."""
    absent_after: timedelta
    """After how long without an event there is no data."""
    cost_per_bad_event: Decimal | None
    """In the tenant's currency; None where nobody said."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many events there were, and how many of them were bad."""

    total: int
    bad: int


@dataclass(frozen=True, slots=True)
class Indicator:
    """What is counted for an SLO: all its ``events``, and ``some`` of them, which are the good ones or the bad ones."""

    events: Statistic
    some: Statistic
    some_are_good: bool

    @property
    def statistics(self) -> tuple[Statistic, Statistic]:
        """Both, in the order in which ``tally`` takes them."""
        return self.events, self.some

    @property
    def additive(self) -> bool:
        """Whether the counts of two spans of time add up to those of both; people are counted once in each."""
        return all(one.aggregate is Aggregate.COUNT for one in self.statistics)

    def tally(self, events: int, some: int) -> Tally:
        """What the counts come to."""
        return Tally(events, max(events - some, 0) if self.some_are_good else some)


def indicator(of: Metric, good: Direction, threshold: Decimal | None) -> Indicator | None:
    """What an SLO on a metric counts; None where a metric tells no events good and bad: totals and means do not.

    A ``threshold`` is of quantiles, and shares have none: None without one, or with one, where it is not so.
    """
    assert of.denominator is not None or of.form is Form.TOTAL
    if of.denominator is None or (of.form is Form.QUANTILE) is (threshold is None):
        return None
    match of.form:
        case Form.RATIO:
            return Indicator(of.denominator, of.numerator, good is Direction.UP)
        case Form.QUANTILE:
            field, where = of.numerator.field or "", of.numerator.where
            within = MeasureIs(field, Op.GTE if good is Direction.UP else Op.LTE, threshold)
            return Indicator(of.denominator, Statistic(Aggregate.COUNT, All((where, within))), True)
        case _:
            return None
