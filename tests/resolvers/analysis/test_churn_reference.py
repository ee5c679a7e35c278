"""Survival and the risk model on a public telecom sample, against what lifelines and scikit-learn say of it."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from resolvers.analysis.logistic import Bools, Floats, Separation, fit
from resolvers.analysis.survival import kaplan_meier, log_rank
from resolvers.analysis.validation import auc, out_of_fold, validated

SHARED = Path(__file__).resolve().parents[4] / "shared"

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository"),
]


class Telco(NamedTuple):
    rows: list[dict[str, str]]
    tenure: Floats
    churned: Bools
    expected: dict[str, Any]


@pytest.fixture(scope="module")
def telco() -> Telco:
    with gzip.open(SHARED / "data/telco/Telco-Customer-Churn.csv.gz", "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    expected = json.loads((SHARED / "reference/telco.json").read_text())["lifelines_sklearn"]
    tenure = np.array([float(row["tenure"]) for row in rows])
    return Telco(rows, tenure, np.array([row["Churn"] == "Yes" for row in rows]), expected)


def test_survival_of_all(telco: Telco) -> None:
    curve = kaplan_meier(telco.tenure, telco.churned)
    expected = telco.expected["km_all"]
    for time, survival in expected["S"].items():
        assert curve.survival_at(float(time)) == pytest.approx(survival, abs=1e-12)
    twelve = int(np.flatnonzero(curve.at == 12)[0])
    assert [curve.low[twelve], curve.high[twelve]] == pytest.approx(expected["ci95_loglog_at_12"], abs=1e-9)
    assert curve.median is None
    assert curve.restricted_mean(72) == pytest.approx(telco.expected["rmst_72"], abs=1e-9)


def test_eleven_rows_without_tenure_are_at_risk_at_zero_only(telco: Telco) -> None:
    curve = kaplan_meier(telco.tenure, telco.churned)
    assert (curve.at[0], curve.at_risk[0], curve.events[0], curve.censored[0]) == (0, 7043, 0, 11)
    assert (curve.at_risk[1], curve.events[1], curve.censored[1]) == (7032, 380, 233)


@pytest.mark.parametrize("contract", ["Month-to-month", "One year", "Two year"])
def test_survival_by_contract(telco: Telco, contract: str) -> None:
    rows = np.array([row["Contract"] == contract for row in telco.rows])
    curve = kaplan_meier(telco.tenure[rows], telco.churned[rows])
    expected = telco.expected["by_contract"][contract]
    for time, survival in expected["S"].items():
        assert curve.survival_at(float(time)) == pytest.approx(survival, abs=1e-12)
    assert curve.median == (None if expected["median"] == "inf" else expected["median"])


def test_contracts_and_payments_are_told_apart(telco: Telco) -> None:
    for column, key in (("Contract", "logrank_contract"), ("PaymentMethod", "logrank_echeck_vs_rest")):
        values = np.array([row[column] for row in telco.rows])
        group = np.unique(values, return_inverse=True)[1]
        if column == "PaymentMethod":
            group = (values == "Electronic check").astype(np.int64)
        found = log_rank(telco.tenure, telco.churned, group)
        assert found is not None
        assert found.statistic == pytest.approx(telco.expected[key]["chi2"], rel=1e-10)
        if telco.expected[key]["p"]:
            assert found.p == pytest.approx(telco.expected[key]["p"], rel=1e-6)
        else:
            # With two degrees of freedom the probability is exp(-χ²/2).
            assert 0 < found.p < 1e-307
            assert found.log10_p == pytest.approx(-found.statistic / 2 / np.log(10), rel=1e-12)


def features(telco: Telco) -> Floats:
    """Numbers as they are, every other column as one column for each of its values."""
    numbers = {"tenure", "MonthlyCharges", "TotalCharges", "SeniorCitizen"}
    columns = [np.array([float(row[name].strip() or 0) for row in telco.rows]) for name in sorted(numbers)]
    for name in telco.rows[0]:
        if name not in numbers | {"customerID", "Churn"}:
            values = np.array([row[name] for row in telco.rows])
            columns += [(values == value).astype(np.float64) for value in np.unique(values)]
    return np.column_stack(columns)


def test_a_risk_model_beats_tenure_alone(telco: Telco) -> None:
    found = validated(out_of_fold(features(telco), telco.churned), telco.churned)
    expected = telco.expected["baseline_logistic_C1"]
    assert found.auc.value >= 0.84
    assert found.auc.value == pytest.approx(expected["roc_auc"], abs=2e-3)
    assert found.auc.low > telco.expected["baseline_tenure_only"]["roc_auc"]
    assert found.brier == pytest.approx(expected["brier"], abs=1e-3)
    assert found.top_decile_precision == pytest.approx(expected["top_decile_precision"], abs=0.02)
    assert found.calibration.slope == pytest.approx(1, abs=0.1)
    assert found.calibration.intercept == pytest.approx(0, abs=0.05)


def test_tenure_alone(telco: Telco) -> None:
    alone = auc(-telco.tenure, telco.churned)
    assert alone.value == pytest.approx(telco.expected["baseline_tenure_only"]["roc_auc"], abs=1e-9)


def test_the_whole_sample_converges_without_separation(telco: Telco) -> None:
    found = fit(features(telco), telco.churned)
    assert found.converged
    assert found.separation is Separation.NONE
