"""Customers without a contract: what is known of their purchases, and the models fitted to it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis import bgnbd, gamma_gamma
from resolvers.analysis.bgnbd import BgNbd, Floats, Purchases
from resolvers.analysis.diagnoses import Diagnosis, Finding
from resolvers.analysis.estimates import Quality
from resolvers.analysis.gamma_gamma import GammaGamma

Rows = NDArray[np.intp] | NDArray[np.bool_]

FEWEST_CUSTOMERS, FEWEST_RETURNING = 100, 30
"""Below these many customers, or customers who bought again, nothing is fitted."""
MOST_FITTED = 10_000
_STAYS = 0.99
"""A mean P(alive) of those who bought again above which the model says that nobody ever leaves."""
_LEAVES = 0.01
"""A mean probability to leave below which it says the same."""
_DEPENDS = 0.3
"""A correlation of spend and frequency above which Gamma-Gamma does not hold."""
WEEK = 7.0


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """Customers as columns: times of ``purchases`` in weeks, days as they were given.

    Purchases of one day are one. As both models have it, the first is counted neither among the repeats nor in
    ``mean``, the amount of a repeat purchase on average; 0 where there was none.
    """

    subject: NDArray[np.int32]
    purchases: Purchases
    mean: Floats
    first_day: NDArray[np.int64]
    last_day: NDArray[np.int64]

    def rows(self, rows: Rows) -> "Customers":
        """Some of them."""
        return Customers(
            self.subject[rows], self.purchases.rows(rows), self.mean[rows], self.first_day[rows], self.last_day[rows]
        )


def customers(subject: NDArray[np.int32], day: NDArray[np.int64], amount: Floats, end_day: int) -> Customers:
    """The customers at the end of the day before ``end_day``, from a row for each subject and day with a purchase."""
    order = np.lexsort((day, subject))
    subject, day, amount = subject[order], day[order], amount[order]
    fresh = np.ones(subject.size, np.bool_)
    fresh[1:] = subject[1:] != subject[:-1]
    starts = np.flatnonzero(fresh)
    ends = starts + np.diff(np.append(starts, subject.size)) - 1
    repeats = (ends - starts).astype(np.float64)
    spent = np.bincount(np.cumsum(fresh) - 1, amount, starts.size) - amount[starts]
    mean = np.divide(spent, repeats, out=np.zeros(starts.size), where=repeats > 0)
    known = Purchases(repeats, (day[ends] - day[starts]) / WEEK, (end_day - 1 - day[starts]) / WEEK)
    return Customers(subject[starts], known, mean, day[starts], day[ends])


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The models that fit; None where there is too little to fit one to."""

    quality: Quality
    findings: tuple[Finding, ...]
    buying: BgNbd | None = None
    n: int = 0
    spending: GammaGamma | None = None
    spenders: int = 0
    constant: float | None = None
    """What everybody spends, where all spend the same."""
    stays: bool = False
    """Whether the model says that nobody ever leaves."""


@dataclass(frozen=True, slots=True)
class Holdout:
    """How the model foretold the last days of the history, fitted to what was before them."""

    days: int
    n: int
    predicted: float
    """Purchases foretold of all customers."""
    actual: int
    mean_absolute_error: float
    """Purchases of a customer."""
    predicted_by_decile: tuple[float, ...]
    """Mean foretold of each tenth of the customers, least likely to buy first."""
    actual_by_decile: tuple[float, ...]


def fitted(known: Customers) -> Fitted:
    """Fit both models to customers, and judge what came of it."""
    n, again = known.subject.size, known.purchases.repeats > 0
    returning = int(again.sum())
    if n < FEWEST_CUSTOMERS or returning < FEWEST_RETURNING:
        needed = f"at least {FEWEST_CUSTOMERS} and {FEWEST_RETURNING} are needed"
        message = f"{n} customers, of whom {returning} bought again; {needed}."
        return Fitted(Quality.INSUFFICIENT, (Finding(Diagnosis.TOO_FEW_SUBJECTS, message),))
    sample = known.rows(_sample(n))
    buying = bgnbd.fit(sample.purchases)
    paying = sample.rows(sample.purchases.repeats > 0)
    findings, stays = _buying_findings(buying, paying.purchases)
    if float(np.ptp(paying.mean)) <= 1e-9 * float(paying.mean.max()):
        findings.append(
            Finding(Diagnosis.CONSTANT_SPEND, "All purchases are worth the same; that is what is expected.")
        )
        return Fitted(
            Quality.LOW, tuple(findings), buying, sample.subject.size, constant=float(paying.mean[0]), stays=stays
        )
    spending = gamma_gamma.fit(paying.purchases.repeats, paying.mean)
    findings += _spending_findings(spending, paying)
    quality = Quality.LOW if findings else Quality.SUFFICIENT
    return Fitted(quality, tuple(findings), buying, sample.subject.size, spending, paying.subject.size, stays=stays)


def _sample(n: int) -> NDArray[np.intp]:
    """Which customers are fitted to; by a fixed seed: the same data, the same sample."""
    if n <= MOST_FITTED:
        return np.arange(n)
    return np.sort(np.random.default_rng(n).permutation(n)[:MOST_FITTED])


def _buying_findings(buying: BgNbd, returning: Purchases) -> tuple[list[Finding], bool]:
    """What is wrong with the model of purchases, and whether it says that nobody ever leaves."""
    found = []
    alive = float(buying.probability_alive(returning).mean())
    stays = alive > _STAYS or buying.dropout < _LEAVES
    if stays:
        message = (
            f"Mean P(alive) of those who bought again {alive:.4f}, chance to leave after a purchase "
            f"{buying.dropout:.4f}: the data show nobody leaving, so P(alive) says nothing."
        )
        found.append(Finding(Diagnosis.NO_DROPOUT, message))
    if buying.at_bound:
        found.append(Finding(Diagnosis.UNDETERMINED, "A parameter of the purchases ran to the end of its range."))
    if not buying.converged:
        found.append(
            Finding(Diagnosis.NOT_CONVERGED, "Different starts of the purchases' fit ended at different places.")
        )
    return found, stays


def _spending_findings(spending: GammaGamma, paying: Customers) -> list[Finding]:
    found = []
    if spending.mean is None:
        message = f"q = {spending.q:.2f}: of customers not known yet the expected spend is infinite."
        found.append(Finding(Diagnosis.INFINITE_SPEND, message))
    if spending.at_bound:
        found.append(Finding(Diagnosis.UNDETERMINED, "A parameter of the spend ran to the end of its range."))
    if not spending.converged:
        found.append(Finding(Diagnosis.NOT_CONVERGED, "Different starts of the spend's fit ended at different places."))
    repeats = paying.purchases.repeats
    if float(np.ptp(repeats)) > 0:
        correlation = float(np.corrcoef(repeats, paying.mean)[0, 1])
        if abs(correlation) > _DEPENDS:
            message = f"Spend and frequency are correlated ({correlation:.2f}), which the model takes for independent."
            found.append(Finding(Diagnosis.SPEND_DEPENDS_ON_FREQUENCY, message))
    return found


def foretold(fitted: Fitted, known: Customers, days: float) -> tuple[Floats | None, Floats | None, Floats | None]:
    """Expected purchases, P(alive) and expected value of each customer, None where the models say nothing."""
    if fitted.buying is None:
        return None, None, None
    count = fitted.buying.expected_purchases(known.purchases, days / WEEK)
    alive = None if fitted.stays else fitted.buying.probability_alive(known.purchases)
    if fitted.constant is not None:
        return count, alive, count * fitted.constant
    if fitted.spending is None or fitted.spending.mean is None:
        return count, alive, None
    return count, alive, count * fitted.spending.expected_amount(known.purchases.repeats, known.mean)


def held_out(
    subject: NDArray[np.int32], day: NDArray[np.int64], amount: Floats, cutoff_day: int, days: float
) -> Holdout | None:
    """The last third of the history, at most as long as the horizon, foretold from what was before it."""
    span = cutoff_day - int(day.min())
    held = int(min(max(days, 1), span / 3))
    if held < 1:
        return None
    edge = cutoff_day - held
    before = day < edge
    past = customers(subject[before], day[before], amount[before], edge)
    again = past.purchases.repeats > 0
    if past.subject.size < FEWEST_CUSTOMERS or int(again.sum()) < FEWEST_RETURNING:
        return None
    model = bgnbd.fit(past.rows(_sample(past.subject.size)).purchases)
    predicted = model.expected_purchases(past.purchases, held / WEEK)
    place = np.searchsorted(past.subject, subject[~before])
    known = (place < past.subject.size) & (past.subject[np.minimum(place, past.subject.size - 1)] == subject[~before])
    actual = np.bincount(place[known], minlength=past.subject.size)
    parts = np.array_split(np.argsort(predicted, kind="stable"), 10)
    return Holdout(
        days=held,
        n=past.subject.size,
        predicted=float(predicted.sum()),
        actual=int(actual.sum()),
        mean_absolute_error=float(np.abs(predicted - actual).mean()),
        predicted_by_decile=tuple(float(predicted[part].mean()) for part in parts),
        actual_by_decile=tuple(float(actual[part].mean()) for part in parts),
    )
