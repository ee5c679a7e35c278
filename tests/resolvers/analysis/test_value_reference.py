"""Purchase models on a public shop's log, against what the lifetimes package makes of it."""

import csv
import gzip
import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resolvers.analysis.bgnbd import log_likelihood
from resolvers.analysis.customers import Customers, customers, fitted, foretold
from resolvers.analysis.diagnoses import Diagnosis
from resolvers.analysis.estimates import Quality
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.lifetime_value import valued

SHARED = Path(__file__).resolve().parents[4] / "shared"

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository"),
]


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((SHARED / "reference/online_retail.json").read_text())
    return figures["lifetimes_0.11.3"]


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray[Any, Any], ...]:
    """Subject, day and exact amount of each day on which somebody bought, cancelled and free rows left out."""
    spent: defaultdict[tuple[int, int], Decimal] = defaultdict(Decimal)
    with gzip.open(SHARED / "data/online_retail/online_retail.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
            if row["CustomerID"] and not row["InvoiceNo"].startswith("C") and quantity > 0 and price > 0:
                day = date.fromisoformat(row["InvoiceDate"][:10]).toordinal()
                spent[int(float(row["CustomerID"])), day] += quantity * price
    subject, day = zip(*spent, strict=True)
    return np.array(subject, np.int32), np.array(day, np.int64), np.array([float(sum) for sum in spent.values()])


@pytest.fixture(scope="module")
def known(rows: tuple[np.ndarray[Any, Any], ...]) -> Customers:
    return customers(*rows, date(2011, 12, 10).toordinal())


def test_customers_are_summed_up_alike(known: Customers, expected: dict[str, Any]) -> None:
    assert known.purchases.repeats.mean() == pytest.approx(expected["mean_frequency"], rel=1e-12)
    assert known.purchases.recency.mean() == pytest.approx(expected["mean_recency"], rel=1e-12)
    assert known.purchases.age.mean() == pytest.approx(expected["mean_T"], rel=1e-12)
    assert (known.purchases.repeats > 0).sum() == expected["n_returning"]


def test_the_fit_is_at_least_as_likely_and_foretells_the_same(known: Customers, expected: dict[str, Any]) -> None:
    theirs = expected["fits"]["bgnbd_penalizer_0.0"]
    models = fitted(known)
    assert models.buying is not None
    least = log_likelihood(known.purchases, **theirs["params"])
    assert models.buying.log_likelihood >= least + 1e-9 * least
    assert models.buying.r == pytest.approx(theirs["params"]["r"], rel=1e-4)
    assert models.buying.alpha == pytest.approx(theirs["params"]["alpha"], rel=1e-4)
    total = models.buying.expected_purchases(known.purchases, 13).sum()
    assert total == pytest.approx(theirs["expected_purchases_next_13wk_total"], rel=1e-5)
    assert models.buying.probability_alive(known.purchases).mean() == pytest.approx(theirs["mean_p_alive"], abs=1e-6)


def test_the_degenerate_fit_is_said(known: Customers) -> None:
    models = fitted(known)
    assert Diagnosis.NO_DROPOUT in {finding.diagnosis for finding in models.findings}
    assert models.quality is Quality.LOW
    count, alive, value = foretold(models, known, 91)
    assert count is not None
    assert alive is None
    assert value is not None


def test_the_spend_of_returning_customers(known: Customers, expected: dict[str, Any]) -> None:
    theirs = expected["fits"]["gamma_gamma_penalizer_0.0"]
    found = fitted(known).spending
    assert found is not None
    assert (found.p, found.q, found.v) == pytest.approx((theirs["p"], theirs["q"], theirs["v"]), rel=1e-5)


def test_the_answer_holds_the_model_against_the_last_days(rows: tuple[np.ndarray[Any, Any], ...]) -> None:
    found = valued(
        *rows,
        cutoff_day=date(2011, 12, 10).toordinal(),
        cutoff=datetime(2011, 12, 10, tzinfo=UTC),
        horizon=timedelta(days=90),
        currency="GBP",
        unconverted=(),
        as_of=datetime(2012, 1, 1, tzinfo=UTC),
        explain=Explanation(Source.LOG, 0, 0.0),
    ).answer
    assert found.holdout is not None
    assert (found.customers, found.returning, found.holdout.days) == (4338, 2790, 90)
    # The autumn before Christmas sells more than the year before it foretells.
    assert 0.5 < found.holdout.predicted / found.holdout.actual < 1
    assert found.holdout.actual_by_decile[9] > 4 * found.holdout.actual_by_decile[0]
