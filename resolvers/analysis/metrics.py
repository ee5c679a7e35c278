"""Metrics: what each aggregates and how its aggregates become an answer."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from resolvers.analysis.estimates import Estimate, Money, Unit, estimate, quotient, share, student
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter, names_in
from resolvers.analysis.periods import Granularity, Period
from resolvers.analysis.series import Column, Number, exact

MONEY_FIELDS = ("amount", "cost")
_IN_CURRENCY = (*MONEY_FIELDS, "order", "customer")


class Aggregate(Enum):
    """What a statistic does over the events it selects."""

    COUNT = "count"
    SUM = "sum"
    SUM_OF_SQUARES = "sum_of_squares"
    DISTINCT = "distinct"
    QUANTILE = "quantile"


@dataclass(frozen=True, slots=True)
class Statistic:
    """One aggregate over the events that pass ``where`` and, if there is a ``field``, carry it.

    ``field`` is a column of Event (``amount``, ``cost``, ``duration_ms``, ``success``, ``subject`` …), ``order`` or
    ``customer``; None for COUNT of the events themselves. ``amount`` and ``cost`` are there only where they
    are in the tenant's currency, or there is a rate to convert them by, whatever the aggregate. ``subject`` is there
    unless empty. ``order`` is the order of an event that carries ``amount``: its ``order_id``, or the event itself
    where it has none; ``customer`` is the subject of such an event. ``q`` is the quantile, 0..1,
    linear interpolation between closest ranks (Hyndman and Fan's type 7).
    """

    aggregate: Aggregate
    where: Filter
    field: str | None = None
    q: float | None = None
    names: tuple[str, ...] = dataclasses.field(init=False, repr=False, compare=False)
    """The names of events that ``where`` names."""
    _hash: int = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", names_in(self.where))
        # It is looked up many times a question, and a filter is a tree.
        object.__setattr__(self, "_hash", hash((self.aggregate, self.where, self.field, self.q)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def in_currency(self) -> bool:
        """Whether it is taken over money, or over who and what it is of."""
        return self.field in _IN_CURRENCY


class Form(Enum):
    """How a metric's statistics become its value."""

    TOTAL = "total"
    """``numerator`` itself, 0 over nothing; ``denominator``, if there is one, counts the observations."""
    RATIO = "ratio"
    """numerator / denominator, a share of 0..1 with a Wilson interval."""
    MEAN = "mean"
    """numerator / denominator, the average of so many; an interval if ``squares`` is there."""
    QUANTILE = "quantile"
    """``numerator`` itself, with ``denominator`` the number of observations."""


class Direction(Enum):
    """Which way is good."""

    UP = "up"
    DOWN = "down"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Metric:
    """One declaration of the catalogue."""

    slug: str
    title: str
    definition: str
    """One sentence that says how the number is computed."""
    unit: Unit
    direction: Direction
    form: Form
    numerator: Statistic
    denominator: Statistic | None = None
    squares: Statistic | None = None
    dimensions: tuple[str, ...] = ()
    """Dimensions by which it can be broken down."""


@dataclass(frozen=True, slots=True)
class Series:
    """A metric over time, as columns of one length: ``at[i]`` is the start of bucket i.

    It holds what the values are told from; each column is made when it is asked for.
    """

    granularity: Granularity
    timezone: str
    at: tuple[datetime, ...]
    form: Form
    numerator: Column
    denominator: Column | None = None

    @property
    def value(self) -> tuple[float | None, ...]:
        """The floats nearest to the values; None where there is none."""
        above, below = self.numerator, self.denominator
        if self.form is Form.QUANTILE:
            return tuple([None if value is None else float(value) for value in above.values])
        if not above.whole or not (below is None or below.whole):
            return tuple([None if value is None else float(value) for value in self.exact])
        # Whole numbers divide to the nearest float, however large they are.
        unit = 10**above.places
        if below is None or self.form is Form.TOTAL:
            return tuple([part / unit for part in above.values])
        part_unit = 10**below.places
        parts = zip(above.values, below.values, strict=True)
        return tuple([part * part_unit / (whole * unit) if whole else None for part, whole in parts])

    @property
    def exact(self) -> tuple[Decimal | None, ...]:
        """The values, quotients carried to 28 digits."""
        return tuple([value for value, _ in self._points()])

    @property
    def n(self) -> tuple[int, ...]:
        """How many observations stand behind each."""
        counts = self.numerator if self.denominator is None and self.form is Form.TOTAL else self.denominator
        if counts is not None and counts.whole and not counts.places:
            return counts.values  # type: ignore[return-value]  # whole
        return tuple([n for _, n in self._points()])

    def _points(self) -> list[tuple[Decimal | None, int]]:
        above = self.numerator.decimals()
        below = (None,) * len(above) if self.denominator is None else self.denominator.decimals()
        counted = self.denominator is not None
        return [_value(self.form, *parts, counted=counted) for parts in zip(above, below, strict=True)]


@dataclass(frozen=True, slots=True)
class DimensionValue:
    """A dimension and the value it has in a group; None where the events carry none."""

    dimension: str
    value: str | None


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """A metric among the events of one combination of dimension values; ``other`` sums up the rest."""

    keys: tuple[DimensionValue, ...]
    other: bool
    estimate: Estimate
    series: Series


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """The answer to one metric question."""

    metric: Metric
    period: Period
    previous_period: Period | None
    estimate: Estimate
    series: Series
    groups: tuple[MetricGroup, ...]
    """Largest first; empty unless a breakdown was asked for."""
    group_count: int
    """How many groups there are in all, shown or summed up under ``other``."""
    unconverted: tuple[Money, ...]
    """Money that no exchange rate is known for, which the value leaves out; only for metrics of money."""
    explain: Explanation


Statistics = Mapping[str, Number | None]
"""What the store found, under ``numerator``, ``denominator`` and ``squares``; None and absent are nothing."""


def value_of(metric: Metric, statistics: Statistics) -> tuple[Decimal | None, int]:
    """A metric's value and how many observations stand behind it."""
    numerator = _decimal(statistics.get("numerator"))
    denominator = _decimal(statistics.get("denominator"))
    return _value(metric.form, numerator, denominator, counted=metric.denominator is not None)


def _value(
    form: Form, numerator: Decimal | None, denominator: Decimal | None, *, counted: bool
) -> tuple[Decimal | None, int]:
    n = int(denominator or 0)
    match form:
        case Form.TOTAL:
            value = Decimal(0) if numerator is None else numerator
            return value, n if counted else int(value)
        case Form.QUANTILE:
            return numerator, n
        case Form.RATIO | Form.MEAN:
            return (quotient(numerator or Decimal(0), denominator) if denominator else None), n


def finish(
    metric: Metric, statistics: Statistics, previous: Statistics | None, currency: str, as_of: datetime
) -> Estimate:
    """The estimate of a metric from its statistics, and from those of the previous period where it is
    compared.

    ``currency`` is the tenant's. A share has a Wilson interval, a mean one of Student's where ``squares`` are
    given; totals are exact, and quantiles have none.
    """
    value, n = value_of(metric, statistics)
    before = None if previous is None else value_of(metric, previous)[0]
    numerator = _decimal(statistics.get("numerator"))
    if metric.form is Form.RATIO:
        return share(int(numerator or 0), n, as_of=as_of, definition=metric.definition, previous=before)
    squares = _decimal(statistics.get("squares"))
    parted = metric.form is Form.MEAN
    return estimate(
        value,
        n=n,
        as_of=as_of,
        definition=metric.definition,
        unit=metric.unit,
        currency=currency,
        numerator=numerator if parted else None,
        denominator=Decimal(n) if parted else None,
        interval=student(n, numerator, squares) if parted and numerator is not None and squares is not None else None,
        previous=before,
    )


def _decimal(number: Number | None) -> Decimal | None:
    return None if number is None else exact(number)
