"""What recurring revenue is told as: levels, movements and the ratios that are made of them."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from resolvers.analysis.estimates import Estimate, Money
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.mrr import Movement, Tally
from resolvers.analysis.periods import Granularity, Period
from resolvers.analysis.subscriptions import decimal


@dataclass(frozen=True, slots=True)
class MrrMovements:
    """MRR of a period: ``ending = start + new + expansion + reactivation - contraction - churn``, exactly.

    The counts are of movements: a customer who goes through one twice counts twice. They add up likewise:
    ``customers = customers_at_start + new_customers + reactivated_customers - churned_customers``.
    """

    start: Decimal
    new: Decimal
    expansion: Decimal
    contraction: Decimal
    churn: Decimal
    reactivation: Decimal
    ending: Decimal
    customers_at_start: int
    new_customers: int
    expanded_customers: int
    contracted_customers: int
    churned_customers: int
    reactivated_customers: int
    customers: int


@dataclass(frozen=True, slots=True)
class MrrSeries:
    """The same over time, as columns of one length, in ``currency``."""

    granularity: Granularity
    timezone: str
    currency: str
    at: tuple[datetime, ...]
    start: tuple[Decimal, ...]
    new: tuple[Decimal, ...]
    expansion: tuple[Decimal, ...]
    contraction: tuple[Decimal, ...]
    churn: tuple[Decimal, ...]
    reactivation: tuple[Decimal, ...]
    ending: tuple[Decimal, ...]
    customers_at_start: tuple[int, ...]
    new_customers: tuple[int, ...]
    expanded_customers: tuple[int, ...]
    contracted_customers: tuple[int, ...]
    churned_customers: tuple[int, ...]
    reactivated_customers: tuple[int, ...]
    customers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MrrFigures:
    """Levels, movements and what follows from them; a ratio over nothing has no value."""

    mrr: Estimate
    arr: Estimate
    customers: int
    growth: Estimate
    gross_churn: Estimate
    net_churn: Estimate
    gross_retention: Estimate
    net_retention: Estimate
    customer_churn: Estimate
    arpu: Estimate
    lifetime_value: Estimate
    quick_ratio: Estimate
    movements: MrrMovements
    previous_movements: MrrMovements | None
    series: MrrSeries


@dataclass(frozen=True, slots=True)
class MrrGroup(MrrFigures):
    """Recurring revenue of the subscriptions with the same values in the dimensions broken down by."""

    keys: tuple[DimensionValue, ...]
    other: bool


@dataclass(frozen=True, slots=True)
class RecurringRevenue(MrrFigures):
    """Recurring revenue of a period, in the tenant's currency."""

    period: Period
    previous_period: Period | None
    groups: tuple[MrrGroup, ...]
    group_count: int
    unconverted: tuple[Money, ...]
    """MRR at the end of the period of subscriptions that cannot be converted, which everything above leaves out."""
    as_of: datetime = field(compare=False)
    explain: Explanation = field(compare=False)


@dataclass(frozen=True, slots=True)
class AcquiredGroup(MrrGroup):
    """A group, and what its new customers cost by the spend that carries its values."""

    acquisition_cost: Estimate
    payback: Estimate


@dataclass(frozen=True, slots=True)
class RecurringRevenueAnswer(RecurringRevenue):
    """The same, and what its new customers cost."""

    groups: tuple[AcquiredGroup, ...]
    acquisition_cost: Estimate
    payback: Estimate


_AMOUNTS = {kind: kind.name.lower() for kind in Movement}
_COUNTS = {
    Movement.NEW: "new_customers",
    Movement.EXPANSION: "expanded_customers",
    Movement.CONTRACTION: "contracted_customers",
    Movement.CHURN: "churned_customers",
    Movement.REACTIVATION: "reactivated_customers",
}


def told(tally: Tally) -> MrrMovements:
    """The movements of all of a tally's buckets."""
    whole = tally.whole()
    moved: dict[str, Any] = {name: decimal(whole.moved[kind][0]) for kind, name in _AMOUNTS.items()}
    moved |= {name: whole.counts[kind][0] for kind, name in _COUNTS.items()}
    return MrrMovements(
        start=decimal(whole.start[0]),
        ending=decimal(whole.ending[0]),
        customers_at_start=whole.customers_at_start[0],
        customers=whole.customers[0],
        **moved,
    )


def series(tally: Tally, starts: tuple[datetime, ...], granularity: Granularity, zone: str, currency: str) -> MrrSeries:
    """The tally's buckets, which begin at ``starts``, as columns."""
    moved: dict[str, Any] = {name: tuple(map(decimal, tally.moved[kind])) for kind, name in _AMOUNTS.items()}
    moved |= {name: tally.counts[kind] for kind, name in _COUNTS.items()}
    return MrrSeries(
        granularity=granularity,
        timezone=zone,
        currency=currency,
        at=starts,
        start=tuple(map(decimal, tally.start)),
        ending=tuple(map(decimal, tally.ending)),
        customers_at_start=tally.customers_at_start,
        customers=tally.customers,
        **moved,
    )
