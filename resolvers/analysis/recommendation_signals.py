"""Detectors of personas that return more, of churn that gathers somewhere, and of days that cost too much."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from resolvers.analysis.estimates import Estimate, Unit, estimate
from resolvers.analysis.filters import having
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.recommendation_basis import ENOUGH, Basis, rounded, scaled
from resolvers.analysis.recommendation_statistics import ALPHA, Range, Sums, difference_of_shares, sum_of_sales
from resolvers.analysis.recommendations import ChurnMeasure, Evidence, Finding, Kind, MetricMeasure, key

LEAST_ORDERS = 30
"""Orders of a persona, and of all others, below which their returns are not compared."""
RETURN_MARGIN = 1.25
"""How many times the return of all others a persona's is at least."""
LEAST_CHURNED = 5
CHURN_MARGIN = 0.02
"""By how much the churn of a group is above that of all others at least."""
DAYS_BEFORE = 28
LEAST_DAYS = 14
"""Days with a cost before a day below which it is not judged."""
SCORE = 3.5
"""Robust standard deviations from the median: Iglewicz and Hoaglin's bound for outliers (1993)."""
LEAST_RISE = 0.2
_LIKE_NORMAL = 1.4826
"""MAD times this is the standard deviation of a normal distribution."""
_LIKE_NORMAL_MEAN = 1.2533
"""The same for the mean absolute deviation; and the median's standard error over the mean's."""
_FLOOR = 0.05
"""The least spread, as a share of the median: days that never varied do not make each cent an outlier."""
_MORE, _YIELD = 0.2, 0.5
_MONTH = 30


@dataclass(frozen=True, slots=True)
class PersonaFigures:
    """What a persona brought in (amounts of its orders), cost, and how many customers it has."""

    persona: str
    sales: Sums
    spend: Decimal
    customers: int


def personas_worth_more(figures: Sequence[PersonaFigures], basis: Basis) -> Iterator[Finding]:
    """Personas that return more of what is spent on them than all others do, so that more may be spent.

    The returns are compared by their ratio, whose logarithm is about normal (delta method, the compound Poisson's
    variance Σx²/(Σx)² of each sum); personas on whom nothing was spent are left out.
    """
    known = [one for one in figures if one.spend > 0 and one.sales.total > 0]
    judged = [one for one in known if len(known) > 1 and one.sales.n >= LEAST_ORDERS]
    for one in judged:
        rest = [other for other in known if other is not one]
        sales = _together(rest)
        spend = sum((other.spend for other in rest), Decimal(0))
        if sales.n < LEAST_ORDERS:
            continue
        ratio = _ratio(one.sales, one.spend, sales, spend, ALPHA / len(judged))
        expected = _worth(one, basis)
        if ratio.low > RETURN_MARGIN and expected.value is not None and expected.value > 0:
            yield _persona(one, sales, spend, expected, basis)


def _together(figures: Sequence[PersonaFigures]) -> Sums:
    return Sums(
        sum(one.sales.n for one in figures),
        sum((one.sales.total for one in figures), Decimal(0)),
        sum((one.sales.squares for one in figures), Decimal(0)),
    )


def _ratio(a: Sums, spent_a: Decimal, b: Sums, spent_b: Decimal, alpha: float) -> Range:
    value = log(float((a.total / spent_a) / (b.total / spent_b)))
    error = sqrt(float(a.squares / a.total**2 + b.squares / b.total**2))
    half = float(ndtri(1 - alpha / 2)) * error
    return Range(exp(value), exp(value - half), exp(value + half))


def _return(sales: Sums, spend: Decimal) -> Range:
    unit = float(sales.squares / sales.total)
    return scaled(sum_of_sales(float(sales.total), unit), 1 / float(spend))


def _worth(one: PersonaFigures, basis: Basis) -> Estimate:
    returned, more = _return(one.sales, one.spend), _MORE * float(one.spend)
    gain = Range(*(more * (_YIELD * part - 1) for part in (returned.value, returned.low, returned.high)))
    definition = "Revenue less spend in 30 days of a fifth more spend, if it returned half of what is spent now does."
    return basis.money(gain, one.sales.n, definition, "Garwood, scaled to amounts")


def _persona(one: PersonaFigures, rest: Sums, spent: Decimal, expected: Estimate, basis: Basis) -> Finding:
    said, method = "Revenue divided by spend.", "Garwood, scaled to amounts"
    where = having(persona=one.persona)
    return Finding(
        key=key(Kind.PERSONA_SPEND, one.persona),
        kind=Kind.PERSONA_SPEND,
        severity=basis.severity(expected),
        title=f"Persona {one.persona} returns more of what is spent than the others",
        action=f"Move some spend to {one.persona}, a little at a time: the next unit returns less than the last.",
        about=(DimensionValue("persona", one.persona),),
        expected=expected,
        evidence=(
            Evidence("Return", basis.ratio(_return(one.sales, one.spend), one.sales.n, said, method)),
            Evidence("Return of all others", basis.ratio(_return(rest, spent), rest.n, said, method)),
            Evidence("Revenue of a customer", _each(one.sales.total, one.customers, "Revenue per customer.", basis)),
            Evidence("Cost of a customer", _each(one.spend, one.customers, "Spend per customer.", basis)),
        ),
        measures=(MetricMeasure("revenue", where), MetricMeasure("acquisition_spend", where)),
    )


def _each(total: Decimal, customers: int, definition: str, basis: Basis) -> Estimate:
    return estimate(
        rounded(float(total) / customers) if customers else None,
        n=customers,
        as_of=basis.as_of,
        definition=definition,
        unit=Unit.MONEY,
        currency=basis.currency,
        numerator=total,
        denominator=Decimal(customers),
    )


@dataclass(frozen=True, slots=True)
class ChurnFigures:
    """How many of a group's customers churned, of how many at the start that paid ``mrr`` together."""

    dimension: str
    value: str
    churned: int
    customers: int
    mrr: Decimal
    all_churned: int
    all_customers: int


def churn_concentrations(figures: Sequence[ChurnFigures], basis: Basis) -> Iterator[Finding]:
    """Groups whose customers churn more than all others, for sure and by ``CHURN_MARGIN`` at least."""
    judged = [
        one
        for one in figures
        if one.customers >= ENOUGH // 2
        and one.all_customers - one.customers >= ENOUGH // 2
        and one.churned >= LEAST_CHURNED
    ]
    for one in judged:
        churned, others = max(0, one.all_churned - one.churned), one.all_customers - one.customers
        more = difference_of_shares(one.churned, one.customers, churned, others, ALPHA / len(judged))
        if more.low > 0 and more.value >= CHURN_MARGIN:
            yield _churn(one, churned, others, basis)


def _churn(one: ChurnFigures, churned: int, others: int, basis: Basis) -> Finding:
    more = difference_of_shares(one.churned, one.customers, churned, others)
    definition = "MRR that would not have been lost in 30 days, had as few churned as of all others."
    expected = basis.money(scaled(more, float(one.mrr)), one.customers, definition, "Newcombe")
    said = "Customers who churned, of those at the start."
    return Finding(
        key=key(Kind.CHURN_CONCENTRATION, one.dimension, one.value),
        kind=Kind.CHURN_CONCENTRATION,
        severity=basis.severity(expected),
        title=f"Customers of {one.dimension} {one.value} churn more than others",
        action=f"Ask those who left why, and look first after the customers of {one.dimension} {one.value}.",
        about=(DimensionValue(one.dimension, one.value),),
        expected=expected,
        evidence=(
            Evidence("Churn", basis.share(one.churned, one.customers, said)),
            Evidence("Churn of all others", basis.share(churned, others, said)),
        ),
        measures=(ChurnMeasure(having(**{one.dimension: one.value})),),
    )


def cost_anomaly(
    day: date, costs: Sequence[Decimal], by_model: Mapping[str, Sequence[Decimal]], basis: Basis
) -> Iterator[Finding]:
    """The AI cost of the last of ``costs``, that of ``day``, where it is far above that of the days before.

    Far: more than ``SCORE`` robust standard deviations above the median, and ``LEAST_RISE`` of it. Where most days are
    alike the mean absolute deviation stands in for the MAD, as Iglewicz and Hoaglin advise.
    """
    *before, last = map(float, costs)
    known = np.array(before[-DAYS_BEFORE:])
    if np.count_nonzero(known) < LEAST_DAYS:
        return
    median, spread = _usual(known)
    if median <= 0 or last - median <= max(SCORE * spread, LEAST_RISE * median):
        return
    error = float(ndtri(1 - ALPHA / 2)) * _LIKE_NORMAL_MEAN * spread / sqrt(known.size)
    rise = Range(last - median, last - median - error, last - median + error)
    definition = "What 30 more days like this one would cost above the median day."
    expected = basis.money(scaled(rise, _MONTH), known.size, definition, "Normal, of the median")
    usual = basis.money(
        Range(median, median - error, median + error), known.size, "Median cost of a day.", "Normal, of the median"
    )
    model = max(by_model, key=lambda name: _rise(by_model[name]), default=None)
    yield Finding(
        key=key(Kind.COST_ANOMALY, day),
        kind=Kind.COST_ANOMALY,
        severity=basis.severity(expected),
        title=f"AI cost of {day} is far above the usual",
        action="Find out what changed that day" + (f", first with {model}." if model is not None else "."),
        about=() if model is None else (DimensionValue("model", model),),
        expected=expected,
        evidence=(Evidence(f"Cost of {day}", _cost(costs[-1], basis)), Evidence("Usual cost of a day", usual)),
        measures=(MetricMeasure("ai_cost", having() if model is None else having(model=model)),),
    )


def _rise(costs: Sequence[Decimal]) -> float:
    """How far the last cost is above the median of those before."""
    *before, last = map(float, costs)
    return last - float(np.median(before[-DAYS_BEFORE:]))


def _usual(values: NDArray[np.float64]) -> tuple[float, float]:
    """The median and a robust standard deviation."""
    median = float(np.median(values))
    apart = np.abs(values - median)
    spread = _LIKE_NORMAL * float(np.median(apart)) or _LIKE_NORMAL_MEAN * float(np.mean(apart))
    return median, max(spread, _FLOOR * abs(median))


def _cost(cost: Decimal, basis: Basis) -> Estimate:
    return estimate(
        cost,
        n=1,
        as_of=basis.as_of,
        definition="Sum of the known costs of AI interactions of the day.",
        unit=Unit.MONEY,
        currency=basis.currency,
    )
