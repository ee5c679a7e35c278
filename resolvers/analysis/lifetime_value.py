"""Lifetime value: what customers without a contract will buy within a horizon, by BG/NBD times Gamma-Gamma."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.bgnbd import Floats
from resolvers.analysis.customers import Customers, Fitted, Holdout, customers, fitted, foretold, held_out
from resolvers.analysis.diagnoses import Finding
from resolvers.analysis.estimates import Estimate, Money, Quality, Unit, estimate
from resolvers.analysis.explanations import Explanation

MOST_RANKED = 5_000
_SHARES = tuple(place / 10 for place in range(11))
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """BG/NBD as fitted, times in weeks."""

    n: int
    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    converged: bool


@dataclass(frozen=True, slots=True)
class SpendModel:
    """Gamma-Gamma as fitted, amounts in the tenant's currency."""

    n: int
    p: float
    q: float
    v: float
    log_likelihood: float
    converged: bool


@dataclass(frozen=True, slots=True)
class LifetimeValueAnswer:
    """What the customers of a moment will buy within the horizon after it."""

    cutoff: datetime
    horizon: timedelta
    customers: int
    returning: int
    """Those who bought on at least two days."""
    quality: Quality
    findings: tuple[Finding, ...]
    value: Estimate
    purchases: Estimate
    probability_alive: Estimate
    shares: tuple[float, ...]
    quantiles: tuple[Decimal | None, ...]
    purchase_model: PurchaseModel | None
    spend_model: SpendModel | None
    holdout: Holdout | None
    unconverted: tuple[Money, ...]
    explain: Explanation
    as_of: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class RankedCustomer:
    """A customer (by its code) and what is foretold of it; None where a model says nothing."""

    subject: int
    score: float
    """By what the list is ordered: the expected value, or the expected purchases where there is none."""
    purchases: int
    """Days on which it has bought."""
    first_day: int
    last_day: int
    expected_purchases: float
    probability_alive: float | None
    expected_value: Decimal | None


@dataclass(frozen=True, slots=True)
class LifetimeValues:
    """An answer, and the most valuable customers, the most valuable first."""

    answer: LifetimeValueAnswer
    ranked: tuple[RankedCustomer, ...]


def valued(
    subject: NDArray[np.int32],
    day: NDArray[np.int64],
    amount: Floats,
    *,
    cutoff_day: int,
    cutoff: datetime,
    horizon: timedelta,
    currency: str,
    unconverted: tuple[Money, ...],
    as_of: datetime,
    explain: Explanation,
) -> LifetimeValues:
    """What follows from purchases, given as one row for each subject and day; days count from any one of them."""
    known = customers(subject, day, amount, cutoff_day)
    models = fitted(known)
    days = horizon / timedelta(days=1)
    count, alive, value = foretold(models, known, days)
    said = _Said(models.quality, known.subject.size, currency, as_of)
    answer = LifetimeValueAnswer(
        cutoff=cutoff,
        horizon=horizon,
        customers=known.subject.size,
        returning=int((known.purchases.repeats > 0).sum()),
        quality=models.quality,
        findings=models.findings,
        value=said.of(value, "Sum of the expected values of all customers within the horizon.", Unit.MONEY),
        purchases=said.of(count, "Sum of the expected purchases of all customers within the horizon.", Unit.COUNT),
        probability_alive=said.of(alive, "Mean probability that a customer will still buy at all.", Unit.RATIO),
        shares=_SHARES,
        quantiles=(None,) * len(_SHARES) if value is None else tuple(map(_money, np.quantile(value, _SHARES))),
        purchase_model=_purchase_model(models),
        spend_model=_spend_model(models),
        holdout=None if models.buying is None else held_out(subject, day, amount, cutoff_day, days),
        unconverted=unconverted,
        explain=explain,
        as_of=as_of,
    )
    return LifetimeValues(answer, _ranked(known, count, alive, value))


def _ranked(
    known: Customers, count: Floats | None, alive: Floats | None, value: Floats | None
) -> tuple[RankedCustomer, ...]:
    if count is None:
        return ()
    score = count if value is None else value
    order = np.lexsort((known.subject, -score))[:MOST_RANKED]
    return tuple(
        RankedCustomer(
            subject=int(known.subject[row]),
            score=float(score[row]),
            purchases=int(known.purchases.repeats[row]) + 1,
            first_day=int(known.first_day[row]),
            last_day=int(known.last_day[row]),
            expected_purchases=float(count[row]),
            probability_alive=None if alive is None else float(alive[row]),
            expected_value=None if value is None else _money(value[row]),
        )
        for row in order
    )


@dataclass(frozen=True, slots=True)
class _Said:
    quality: Quality
    n: int
    currency: str
    as_of: datetime

    def of(self, each: Floats | None, definition: str, unit: Unit) -> Estimate:
        """The sum over all customers, or their mean for a share; no value where nothing is foretold of each."""
        number = None
        if each is not None:
            total = float(each.mean() if unit is Unit.RATIO else each.sum())
            number = _money(total) if unit is Unit.MONEY else Decimal(f"{total:.12g}")
        made = estimate(number, n=self.n, as_of=self.as_of, definition=definition, unit=unit, currency=self.currency)
        return made if made.quality is Quality.INSUFFICIENT else replace(made, quality=self.quality)


def _money(value: float) -> Decimal:
    """An expected amount, which nobody knows to more than a cent."""
    return Decimal(f"{value:.12g}").quantize(_CENT)


def _purchase_model(models: Fitted) -> PurchaseModel | None:
    model = models.buying
    if model is None:
        return None
    return PurchaseModel(models.n, model.r, model.alpha, model.a, model.b, model.log_likelihood, model.converged)


def _spend_model(models: Fitted) -> SpendModel | None:
    model = models.spending
    if model is None:
        return None
    return SpendModel(models.spenders, model.p, model.q, model.v, model.log_likelihood, model.converged)
