"""The ratios of recurring revenue: growth, churn, retention and what a customer is worth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from resolvers.analysis.clocks import midnight, zone
from resolvers.analysis.estimates import CONTEXT, Estimate, Unit, estimate, quotient, share
from resolvers.analysis.mrr_answers import MrrMovements
from resolvers.analysis.periods import Period

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1) // _MICROSECOND
_SHOWN = Decimal("0.000001")
"""An MRR is rounded to 12 decimal places at most, and a year's twelvefold is told to 6, where no rounding is left."""

Fraction = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What ratios depend on beside the movements."""

    months: Decimal
    """How long the period is."""
    cost_per_customer: Decimal
    """What a customer costs a month, in the tenant's currency."""
    currency: str
    as_of: datetime


def ratios(now: MrrMovements, before: MrrMovements | None, given: Circumstances) -> dict[str, Estimate]:
    """The estimates of MrrFigures by name; ``before`` is what the period compared with was told as."""
    found = {name: _level(name, now, before, given) for name in _LEVELS}
    found |= {name: _ratio(name, now, before, given) for name in _RATIOS}
    previous = None if before is None else _lost_customers(before)
    found["customer_churn"] = share(
        now.churned_customers,
        now.customers_at_start,
        as_of=given.as_of,
        definition="Churned customers divided by customers at the start.",
        previous=previous,
    )
    found["lifetime_value"] = estimate(
        _lifetime_value(now, given),
        n=now.customers,
        as_of=given.as_of,
        definition="ARPU less the monthly cost of a customer, divided by the customer churn of a month.",
        unit=Unit.MONEY,
        currency=given.currency,
        previous=None if before is None else _lifetime_value(before, given),
    )
    return found


def acquisition(
    now: MrrMovements, before: MrrMovements | None, spent: Estimate, given: Circumstances
) -> dict[str, Estimate]:
    """What a new customer cost (CAC) and after how many months that is earned, from what was ``spent``."""
    cost = estimate(
        _cost(now, spent.value),
        n=now.new_customers,
        as_of=given.as_of,
        definition="Costs of touchpoints and of spend, divided by new customers.",
        unit=Unit.MONEY,
        currency=given.currency,
        numerator=spent.value,
        denominator=Decimal(now.new_customers),
        previous=None if before is None else _cost(before, spent.previous),
    )
    payback = estimate(
        _payback(now, spent.value, given),
        n=now.new_customers,
        as_of=given.as_of,
        definition="Acquisition cost, divided by ARPU less the monthly cost of a customer.",
        unit=Unit.MONTHS,
        previous=None if before is None else _payback(before, spent.previous, given),
    )
    return {"acquisition_cost": cost, "payback": payback}


def _cost(now: MrrMovements, spent: Decimal | None) -> Decimal | None:
    return None if spent is None else quotient(spent, Decimal(now.new_customers))


def _payback(now: MrrMovements, spent: Decimal | None, given: Circumstances) -> Decimal | None:
    """CAC / (ARPU - cost); None without either, and where a customer brings in no more than it costs."""
    cost, arpu = _cost(now, spent), _arpu(now)
    if cost is None or arpu is None or arpu <= given.cost_per_customer:
        return None
    return quotient(cost, CONTEXT.subtract(arpu, given.cost_per_customer))


def _added(*amounts: Decimal) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = CONTEXT.add(total, amount)
    return total


def _lost(now: MrrMovements) -> Decimal:
    return _added(now.churn, now.contraction)


def _lost_net(now: MrrMovements) -> Decimal:
    return _added(_lost(now), -now.expansion, -now.reactivation)


_RATIOS: Mapping[str, tuple[str, Callable[[MrrMovements], Fraction]]] = {
    "growth": (
        "MRR at the end minus MRR at the start, divided by MRR at the start.",
        lambda now: (_added(now.ending, -now.start), now.start),
    ),
    "gross_churn": (
        "Churn plus contraction, divided by MRR at the start.",
        lambda now: (_lost(now), now.start),
    ),
    "net_churn": (
        "Churn plus contraction minus expansion minus reactivation, divided by MRR at the start.",
        lambda now: (_lost_net(now), now.start),
    ),
    "gross_retention": (
        "1 minus gross churn: MRR at the start less churn and contraction, divided by MRR at the start.",
        lambda now: (_added(now.start, -_lost(now)), now.start),
    ),
    "net_retention": (
        "1 minus net churn: MRR at the end without new, divided by MRR at the start.",
        lambda now: (_added(now.start, -_lost_net(now)), now.start),
    ),
    "quick_ratio": (
        "New plus expansion, divided by churn plus contraction.",
        lambda now: (_added(now.new, now.expansion), _lost(now)),
    ),
}
_LEVELS: Mapping[str, tuple[str, Callable[[MrrMovements], Decimal | None]]] = {
    "mrr": (
        "What all subscriptions pay at the end of the period, each amount brought to a month.",
        lambda now: now.ending,
    ),
    "arr": ("12 times MRR.", lambda now: CONTEXT.multiply(now.ending, Decimal(12)).quantize(_SHOWN, context=CONTEXT)),
    "arpu": ("MRR divided by customers, both at the end of the period.", lambda now: _arpu(now)),
}


def _arpu(now: MrrMovements) -> Decimal | None:
    return quotient(now.ending, Decimal(now.customers))


def _lost_customers(now: MrrMovements) -> Decimal | None:
    return quotient(Decimal(now.churned_customers), Decimal(now.customers_at_start))


def _lifetime_value(now: MrrMovements, given: Circumstances) -> Decimal | None:
    """(ARPU - cost) / churn a month; None without customers at the start or the end, and where none was lost."""
    arpu, churn = _arpu(now), _lost_customers(now)
    if arpu is None or churn is None:
        return None
    margin = CONTEXT.subtract(arpu, given.cost_per_customer)
    return quotient(CONTEXT.multiply(margin, given.months), churn)


def _level(name: str, now: MrrMovements, before: MrrMovements | None, given: Circumstances) -> Estimate:
    definition, value = _LEVELS[name]
    quotient_of = (now.ending, Decimal(now.customers)) if name == "arpu" else (None, None)
    return estimate(
        value(now),
        n=now.customers,
        as_of=given.as_of,
        definition=definition,
        unit=Unit.MONEY,
        currency=given.currency,
        numerator=quotient_of[0],
        denominator=quotient_of[1],
        previous=None if before is None else value(before),
    )


def _ratio(name: str, now: MrrMovements, before: MrrMovements | None, given: Circumstances) -> Estimate:
    definition, fraction = _RATIOS[name]
    numerator, denominator = fraction(now)
    return estimate(
        quotient(numerator, denominator),
        n=now.customers_at_start,
        as_of=given.as_of,
        definition=definition,
        unit=Unit.RATIO,
        numerator=numerator,
        denominator=denominator,
        previous=None if before is None else quotient(*fraction(before)),
    )


def months_in(period: Period, timezone: str) -> Decimal:
    """How many months long a period is: whole months of the local calendar where it is that, else days times 12/365."""
    local = zone(timezone)
    start, end = (instant.astimezone(local).date() for instant in (period.start, period.end))
    whole = midnight(start, local) == period.start and midnight(end, local) == period.end
    if whole and start.day == end.day:
        return Decimal(12 * (end.year - start.year) + end.month - start.month)
    days = CONTEXT.divide(Decimal((period.end - period.start) // _MICROSECOND), Decimal(_DAY))
    return CONTEXT.divide(CONTEXT.multiply(days, Decimal(12)), Decimal(365))
