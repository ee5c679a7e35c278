"""Revenue: what was earned in a period, from the amounts of conversions."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from resolvers.analysis.estimates import CONTEXT, Estimate, Money, Unit, change, estimate
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Granularity, Period


@dataclass(frozen=True, slots=True)
class RevenueSeries:
    """Revenue over time, as columns of one length, in ``currency``."""

    granularity: Granularity
    timezone: str
    currency: str
    at: tuple[datetime, ...]
    total: tuple[Decimal, ...]
    recurring: tuple[Decimal, ...]
    one_time: tuple[Decimal, ...]
    orders: tuple[int, ...]
    customers: tuple[int, ...]
    refunds: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class RevenueGroup:
    """Revenue of one combination of dimension values, told as that of everything; ``other`` sums up the rest."""

    keys: tuple[DimensionValue, ...]
    other: bool
    total: Money
    recurring: Money
    one_time: Money
    refunds: Money
    net: Money
    orders: int
    customers: int
    average_order_value: Estimate
    growth: Estimate
    series: RevenueSeries


@dataclass(frozen=True, slots=True)
class RevenueAnswer:
    """Revenue of a period: ``total = recurring + one_time = net + refunds``, exactly, in the tenant's currency."""

    period: Period
    previous_period: Period
    total: Money
    recurring: Money
    one_time: Money
    refunds: Money
    net: Money
    orders: int
    customers: int
    average_order_value: Estimate
    growth: Estimate
    """(total - previous total) / |previous total|; its value is None where the previous total is 0."""
    series: RevenueSeries
    groups: tuple[RevenueGroup, ...]
    """Those with most revenue first, ``other`` last; none unless a breakdown was asked for."""
    group_count: int
    unconverted: tuple[Money, ...]
    as_of: datetime = field(compare=False)
    explain: Explanation = field(compare=False)


def growth(total: Decimal, previous: Decimal, orders: int, as_of: datetime) -> Estimate:
    """How revenue grew against the previous period; ``orders`` of this period stand behind it."""
    return estimate(
        change(total, previous),
        n=orders,
        as_of=as_of,
        definition="Revenue minus revenue of the previous period, divided by the latter's size.",
        unit=Unit.RATIO,
        numerator=CONTEXT.subtract(total, previous),
        denominator=previous.copy_abs(),
    )
