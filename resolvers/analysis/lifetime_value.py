"""Lifetime value: what customers without a contract will buy within a horizon, by BG/NBD times Gamma-Gamma."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.bgnbd import Floats
from resolvers.analysis.code_groups import Keys
from resolvers.analysis.customers import Customers, Fitted, Holdout, customers, fitted, foretold, held_out
from resolvers.analysis.diagnoses import Finding
from resolvers.analysis.estimates import Estimate, Money, Quality, Unit, against, estimate
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.funnel_groups import Breakdown, Groups, grouped, slots_like

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
class LifetimeValueFigures:
    """What some customers will buy within the horizon."""

    customers: int
    returning: int
    """Those who bought on at least two days."""
    value: Estimate
    average_value: Estimate
    purchases: Estimate
    probability_alive: Estimate


@dataclass(frozen=True, slots=True)
class LifetimeValueGroup(LifetimeValueFigures):
    """The customers whose first purchase carried the same values."""

    keys: Keys
    other: bool


@dataclass(frozen=True, slots=True)
class LifetimeValueAnswer(LifetimeValueFigures):
    """What the customers of a moment will buy within the horizon after it."""

    cutoff: datetime
    previous_cutoff: datetime | None
    horizon: timedelta
    quality: Quality
    previous_quality: Quality | None
    findings: tuple[Finding, ...]
    groups: tuple[LifetimeValueGroup, ...]
    """Most customers first; by the models of all of them."""
    group_count: int
    shares: tuple[float, ...]
    quantiles: tuple[Decimal | None, ...]
    purchase_model: PurchaseModel | None
    spend_model: SpendModel | None
    holdout: Holdout | None
    unconverted: tuple[Money, ...]
    explain: Explanation
    as_of: datetime = field(compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Beginnings:
    """What the first purchase of subjects carried: ascending ``subject``, and the codes of each of some dimensions."""

    subject: NDArray[np.int32]
    codes: Mapping[str, NDArray[np.int32]]
    """By dimension; 0 for none."""
    texts: Mapping[int, str]
    """What the codes stand for."""

    def of(self, subjects: NDArray[np.int32]) -> list[Breakdown]:
        """The dimensions of some of the subjects."""
        place = np.searchsorted(self.subject, subjects)
        found = []
        for dimension, codes in self.codes.items():
            present, value = np.unique(codes[place], return_inverse=True)
            found.append(Breakdown(dimension, value, [self.texts.get(code) for code in present.tolist()]))
        return found


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
    beginnings: Beginnings | None = None,
    top: int = 0,
    like: Sequence[Keys] | None = None,
) -> LifetimeValues:
    """What follows from purchases, given as one row for each subject and day; days count from any one of them.

    Where ``beginnings`` are given, the ``top`` largest groups by them are told apart, or those of ``like``.
    """
    known = customers(subject, day, amount, cutoff_day)
    models = fitted(known)
    days = horizon / timedelta(days=1)
    count, alive, value = foretold(models, known, days)
    said = _Said(models.quality, currency, as_of, known, count, alive, value)
    breakdown = [] if beginnings is None else beginnings.of(known.subject)
    people = known.subject.size
    groups = grouped(breakdown, people, top)
    if like:
        groups = Groups(tuple(like), slots_like(like, breakdown, people), len(like) + 1)
    answer = LifetimeValueAnswer(
        **said.of(np.ones(people, np.bool_)),
        cutoff=cutoff,
        previous_cutoff=None,
        horizon=horizon,
        quality=models.quality,
        previous_quality=None,
        findings=models.findings,
        groups=tuple(_groups(said, groups)),
        group_count=groups.count,
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


def compared(now: LifetimeValueAnswer, before: LifetimeValueAnswer) -> LifetimeValueAnswer:
    """An answer held against an earlier one, of the same groups."""
    groups = {group.keys: group for group in before.groups}
    return replace(
        now,
        **_held_against(now, before),
        previous_cutoff=before.cutoff,
        previous_quality=before.quality,
        groups=tuple(replace(group, **_held_against(group, groups.get(group.keys))) for group in now.groups),
    )


def _held_against(now: LifetimeValueFigures, before: LifetimeValueFigures | None) -> dict[str, Any]:
    names = ("value", "average_value", "purchases", "probability_alive")
    return {
        name: against(getattr(now, name), None if before is None else getattr(before, name).value) for name in names
    }


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


def _groups(said: "_Said", groups: Groups) -> Iterator[LifetimeValueGroup]:
    shown = len(groups.keys)
    for slot in range(shown + (groups.count > shown)):
        keys = groups.keys[slot] if slot < shown else ()
        yield LifetimeValueGroup(**said.of(groups.slot == slot), keys=keys, other=slot == shown)


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What is foretold of each customer; None where the models say nothing."""

    quality: Quality
    currency: str
    as_of: datetime
    known: Customers
    count: Floats | None
    alive: Floats | None
    value: Floats | None

    def of(self, rows: NDArray[np.bool_]) -> dict[str, Any]:
        """The fields of LifetimeValueFigures of some customers."""
        some = {name: None if each is None else each[rows] for name, each in self._each().items()}
        mean = {name: None if each is None or not each.size else float(each.mean()) for name, each in some.items()}
        total = {name: None if each is None else float(each.sum()) for name, each in some.items()}
        n = int(rows.sum())
        return {
            "customers": n,
            "returning": int((self.known.purchases.repeats[rows] > 0).sum()),
            "value": self._estimate(
                total["value"], n, "Sum of the customers' expected values within the horizon.", Unit.MONEY
            ),
            "average_value": self._estimate(
                mean["value"], n, "Mean expected value of a customer within the horizon.", Unit.MONEY
            ),
            "purchases": self._estimate(
                total["count"], n, "Sum of the customers' expected purchases within the horizon.", Unit.COUNT
            ),
            "probability_alive": self._estimate(
                mean["alive"], n, "Mean probability that a customer will still buy at all.", Unit.RATIO
            ),
        }

    def _each(self) -> Mapping[str, Floats | None]:
        return {"count": self.count, "alive": self.alive, "value": self.value}

    def _estimate(self, found: float | None, n: int, definition: str, unit: Unit) -> Estimate:
        number = None
        if found is not None:
            number = _money(found) if unit is Unit.MONEY else Decimal(f"{found:.12g}")
        made = estimate(number, n=n, as_of=self.as_of, definition=definition, unit=unit, currency=self.currency)
        # Many customers do not make up for a model that is poor, nor a good model for few of them.
        return replace(made, quality=self.quality) if made.quality is Quality.SUFFICIENT else made


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
