"""Experiments of public data against what scipy, statsmodels and gbstats make of them."""

import csv
import gzip
import json
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resolvers.analysis.experiment_bayes import of_effect, of_shares
from resolvers.analysis.experiment_cuped import Adjusted, Theta, cuped
from resolvers.analysis.experiment_power import Formula, means_size, shares_power, shares_size, whole
from resolvers.analysis.experiment_probabilities import PValue, two_sided
from resolvers.analysis.experiment_sequential import always
from resolvers.analysis.experiment_srm import mismatch
from resolvers.analysis.experiment_statistics import Arm, PairedArm, Share
from resolvers.analysis.experiment_tests import Comparison, Method, Refusal, two_proportions, welch
from resolvers.analysis.multiplicity import benjamini_hochberg, holm

SHARED = Path(__file__).resolve().parents[4] / "shared"
RULES = (
    "A_standard_clean",
    "B_first_exposure_any_conversion",
    "C_exclude_multi_variant_users",
    "D_naive_rows",
)

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository"),
]


def reference(name: str) -> Any:
    return json.loads((SHARED / "reference" / f"{name}.json").read_text())


def rows(path: str) -> list[dict[str, str]]:
    with (gzip.open if path.endswith(".gz") else open)(SHARED / path, "rt", newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def near(value: float, relative: float = 1e-9) -> Any:
    return pytest.approx(value, rel=relative)


def of_moments(units: int, mean: str, variance: str) -> Arm:
    """The sums behind a mean and an unbiased variance."""
    centre = Fraction(mean)
    return Arm(units, units * centre, (units - 1) * Fraction(variance) + units * centre**2)


def compared(found: Comparison | Refusal) -> Comparison:
    assert isinstance(found, Comparison), found
    return found


def welch_of(row: dict[str, str]) -> Comparison:
    arms = (of_moments(int(row[f"n_{arm}"]), row[f"mean_{arm}"], row[f"var_{arm}"]) for arm in ("c", "t"))
    return compared(welch(*arms))


@pytest.mark.parametrize("rule", RULES)
def test_udacity(rule: str) -> None:
    everything = reference("udacity_ab")
    said, other = everything["scipy_statsmodels"][rule], everything["gbstats_0.8.0"][rule]
    test = said["test"]
    control, treatment = Share(test["n_a"], test["x_a"]), Share(test["n_b"], test["x_b"])
    found = compared(two_proportions(control, treatment))
    assert found.method is Method.TWO_PROPORTION_Z_POOLED
    assert (found.effect, found.statistic, found.p.value) == (
        near(test["diff"]),
        near(test["z_pooled"]),
        near(test["p_pooled"]),
    )
    assert found.unpooled_p is not None
    assert (found.unpooled_z, found.unpooled_p.value) == (near(test["z_unpooled"]), near(test["p_unpooled"]))
    assert [found.low, found.high] == near(test["ci95_diff"]["newcomb"])
    assert found.lift is not None
    relative = other["relative"]
    assert (found.lift.value, found.lift.p.value) == (
        near(test["rel_lift"]),
        near(relative["ttest"]["p"]),
    )
    assert [found.lift.low, found.lift.high] == near(relative["ttest"]["ci"])
    units = control.units + treatment.units
    for effect, error, asked in (
        (found.effect, found.error, other["absolute"]),
        (found.lift.value, found.lift.error, relative),
    ):
        sequence = always(effect, error, units)
        assert sequence is not None
        assert [sequence.low, sequence.high] == near(asked["sequential_tuning5000"]["ci"])
        assert sequence.p.value == near(asked["sequential_tuning5000"]["p"])
    chances, beta = of_shares(control, treatment), test["bayes_uniform_prior"]
    assert chances.to_win == near(beta["chance_b_beats_a"], 1e-6)
    assert (chances.loss_of_treatment, chances.loss_of_control) == (
        near(beta["expected_loss_choose_b"], 1e-6),
        near(beta["expected_loss_choose_a"], 1e-6),
    )
    normal = of_effect(found.effect, found.error)
    assert normal is not None
    flat = other["absolute"]["bayes_flat"]
    assert normal.to_win == near(flat["ctw"])
    assert [normal.loss_of_control, normal.loss_of_treatment] == near(flat["risk_ctrl_trt"])
    ratio = mismatch([control.units, treatment.units], [1, 1])
    assert ratio is not None
    assert ratio.p.value == near(said["srm"]["p"])


def test_all_final_looks_of_asos() -> None:
    looks, others = rows("reference/asos_final_looks.csv"), rows("reference/asos_final_looks_gbstats.csv")
    assert len(looks) == 381
    said = reference("asos")
    family: dict[str, list[tuple[dict[str, str], Comparison]]] = defaultdict(list)
    for row, other in zip(looks, others, strict=True):
        found = welch_of(row)
        assert found.lift is not None
        for value, name in (
            (found.effect, "diff"),
            (found.error, "se"),
            (found.statistic, "t"),
            (found.freedom, "df"),
            (found.p.value, "p"),
            (found.low, "ci_lo"),
            (found.high, "ci_hi"),
            (found.lift.value, "rel_lift"),
            (found.lift.error, "rel_se"),
        ):
            assert value == pytest.approx(float(row[name]), rel=1e-8, abs=_slack(name, row)), (row, name)
        sequence = always(found.effect, found.error, int(row["n_c"]) + int(row["n_t"]))
        assert sequence is not None
        assert sequence.p.value == pytest.approx(float(other["seq_abs_p"]), rel=1e-6, abs=1e-300)
        assert sequence.low == pytest.approx(float(other["seq_abs_ci_lo"]), rel=1e-7, abs=1e-9)
        chances = of_effect(found.effect, found.error)
        assert chances is not None
        assert chances.to_win == pytest.approx(float(other["ctw"]), rel=1e-6, abs=1e-12)
        ratio = mismatch([int(row["n_c"]), int(row["n_t"])], [1, 1])
        assert ratio is not None
        assert ratio.p.value == pytest.approx(float(row["srm_p"]), rel=1e-8, abs=1e-300)
        family[row["metric_id"]].append((row, found))
    counts: dict[str, dict[str, int]] = {"raw": {}, "holm": {}, "bh": {}}
    for metric, members in family.items():
        logs = [found.p.log10 * log(10) for _, found in members]
        for column, name, adjusted in (("holm", "holm", holm(logs)), ("fdr_bh", "bh", benjamini_hochberg(logs))):
            values = [PValue.of(natural).value for natural in adjusted]
            assert values == pytest.approx([float(row[column]) for row, _ in members], rel=1e-7, abs=1e-300)
            counts[name][metric] = sum(value < 0.05 for value in values)
        counts["raw"][metric] = sum(found.p.value < 0.05 for _, found in members)
    told = said["scipy_statsmodels"]
    assert counts["raw"] == told["significant_raw_0.05"]
    assert counts["holm"] == told["significant_holm_0.05"]
    assert counts["bh"] == told["significant_bh_0.05"]
    srm = [mismatch([int(row["n_c"]), int(row["n_t"])], [1, 1]) for row, _ in family["1"]]
    assert sum(one is not None and one.unlikely for one in srm) == told["srm_p_lt_0.001_metric1"]
    # The twelfth has p .00058, which is nothing at any look.
    assert sum(one is not None and one.suspicious for one in srm) == 11


def _slack(name: str, row: dict[str, str]) -> float:
    """What lies near 0 is a difference of means that the table rounds to twelve digits."""
    mean = 1e-11 * abs(float(row["mean_c"]))
    t = mean / float(row["se"])
    p = float(row["p"]) * abs(float(row["t"])) * t
    slack = {"diff": mean, "ci_lo": mean, "ci_hi": mean, "t": t, "p": p, "rel_lift": 1e-11}
    return max(slack.get(name, 0.0), 1e-300)


def test_every_look_of_asos_fools_a_fixed_horizon_and_no_sequence() -> None:
    said = reference("asos")
    fixed, sequential, last_fixed, last_sequential = set(), set(), {}, {}
    arms: set[tuple[str, str]] = set()
    for row in rows("data/asos_experiments/asos_digital_experiments_dataset.csv.gz"):
        if row["metric_id"] != "1" or "" in (row["variance_c"], row["variance_t"]):
            continue
        arm = row["experiment_id"], row["variant_id"]
        arms.add(arm)
        sides = (
            of_moments(int(float(row[f"count_{side}"])), row[f"mean_{side}"], row[f"variance_{side}"]) for side in "ct"
        )
        found = welch(*sides)
        if isinstance(found, Refusal):
            continue
        units = int(float(row["count_c"])) + int(float(row["count_t"]))
        sequence = always(found.effect, found.error, units)
        assert sequence is not None
        if found.p.value < 0.05:
            fixed.add(arm)
        if sequence.p.value < 0.05:
            sequential.add(arm)
        last_fixed[arm], last_sequential[arm] = found.p.value < 0.05, sequence.p.value < 0.05
    told = said["scipy_statsmodels"]["peeking_metric1"]
    assert len(arms) == told["of"]
    assert len(fixed) == told["ever_p_lt_0.05"]
    assert sum(last_fixed.values()) == told["final_p_lt_0.05"]
    assert len(sequential) == said["gbstats_0.8.0"]["sequential_metric1_any_look_p_lt_0.05"]
    assert sum(last_sequential.values()) == said["gbstats_0.8.0"]["final_seq_p_lt_0.05_metric1"]


def paired(values: list[tuple[Decimal, Decimal]]) -> PairedArm:
    """Sums over (covariate, value)."""
    return PairedArm(
        len(values),
        sum(x for x, _ in values),
        sum(x * x for x, _ in values),
        sum(y for _, y in values),
        sum(y * y for _, y in values),
        sum(x * y for x, y in values),
    )


def single(text: str) -> Decimal:
    """The number of single precision that the text was printed from, which is what others computed with."""
    return Decimal(float(np.float32(text)))


def assert_cuped(arms: list[PairedArm], said: dict[str, Any]) -> None:
    for theta, name in (
        (Theta.TOTAL_COVARIANCE, "theta_pooled_total_cov"),
        (Theta.WITHIN_ARM, "theta_pooled_within_arm"),
    ):
        found, asked = cuped(*arms, theta_from=theta), said[name]
        assert isinstance(found, Adjusted)
        assert found.theta == near(asked["theta"])
        assert found.variance_cut == near(asked["variance_reduction_vs_unadj"], 1e-8)
        assert found.control.mean == near(asked["mean_a"])
        assert found.treatment.variance == near(asked["var_b"])
        assert found.comparison.effect == near(asked["diff"])
        assert (found.comparison.freedom, found.comparison.p.value) == (near(asked["df"]), near(asked["p"]))
        assert [found.comparison.low, found.comparison.high] == near(asked["ci95"])


@pytest.mark.parametrize("covariate", ["re75", "re74"])
def test_job_training(covariate: str) -> None:
    said = reference("nsw")["scipy_statsmodels"]
    data = rows("data/nsw_experiment/nsw_mixtape.csv.gz")
    arms = [
        paired([(single(row[covariate]), single(row["re78"])) for row in data if float(row["treat"]) == arm])
        for arm in (0, 1)
    ]
    plain, asked = compared(welch(arms[0].values, arms[1].values)), said["welch_re78"]
    assert (plain.effect, plain.statistic, plain.freedom) == (
        near(asked["diff"]),
        near(asked["t"]),
        near(asked["df"]),
    )
    assert (plain.p.value, plain.p.log10) == (near(asked["p"]), near(asked["p_sf_log10"]))
    assert [plain.low, plain.high] == near(asked["ci95"])
    assert plain.lift is not None
    assert (plain.lift.value, plain.lift.error) == (near(asked["rel_lift"]), near(asked["rel_se_delta"]))
    assert_cuped(arms, said[f"cuped_{covariate}"])


def test_a_shop_split_by_chance() -> None:
    said = reference("online_retail")["duckdb_pandas"]["aa_cuped"]
    before: dict[str, Decimal] = defaultdict(Decimal)
    after: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows("data/online_retail/online_retail.csv.gz"):
        quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
        if row["CustomerID"] and row["InvoiceNo"][:1] != "C" and quantity > 0 and price > 0:
            (before if row["InvoiceDate"] < "2011-06-09" else after)[row["CustomerID"]] += quantity * price
    halves: tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]] = [], []
    for who, spent in before.items():
        halves[int(sha256(str(int(float(who))).encode()).hexdigest(), 16) % 2].append((spent, after[who]))
    assert len(halves[0]) + len(halves[1]) == said["n"]
    arms = [paired(half) for half in halves]
    plain, asked = compared(welch(arms[0].values, arms[1].values)), said["raw"]["unadjusted"]
    assert (plain.statistic, plain.p.value) == (near(asked["t"]), near(asked["p"]))
    assert_cuped(arms, said["raw"])
    # Each value capped at the 99th percentile of both halves (type 7).
    capped = said["winsor_99"]
    caps = [percentile([pair[place] for half in halves for pair in half], Fraction(99, 100)) for place in (0, 1)]
    assert [float(cap) for cap in caps] == [near(capped["cap_x"]), near(capped["cap_y"])]
    arms = [paired([(min(x, caps[0]), min(y, caps[1])) for x, y in half]) for half in halves]
    plain, asked = compared(welch(arms[0].values, arms[1].values)), capped["unadjusted"]
    assert (plain.effect, plain.p.value) == (near(asked["diff"]), near(asked["p"]))
    assert_cuped(arms, capped)


def percentile(values: list[Decimal], share: Fraction) -> Decimal:
    """Between the two values on either side of place (n - 1) times the share, in proportion."""
    ordered, place = sorted(values), (len(values) - 1) * share
    low = int(place)
    part = Decimal((place - low).numerator) / Decimal((place - low).denominator)
    return ordered[low] + part * (ordered[min(low + 1, len(values) - 1)] - ordered[low])


def test_power() -> None:
    said = reference("power")["statsmodels_and_closed_forms"]
    names = {
        Formula.ARCSINE: "arcsine_h_statsmodels_NormalIndPower",
        Formula.UNPOOLED: "unpooled",
        Formula.POOLED: "pooled_avg_fleiss",
    }
    for row in said["two_proportions"]:
        for formula, name in names.items():
            size = shares_size(
                row["baseline"], row["p2"], alpha=row["alpha_two_sided"], power=row["power"], formula=formula
            )
            assert abs(whole(size) - whole(row["n_per_arm"][name])) <= 1
            assert size == near(row["n_per_arm"][name], 1e-8)
    powers = {
        Formula.POOLED: "statsmodels_power_proportions_2indep",
        Formula.ARCSINE: "NormalIndPower_arcsine",
        Formula.UNPOOLED: "unpooled_two_sided",
    }
    for row in said["power_at_n"]:
        for formula, name in powers.items():
            assert shares_power(row["p1"], row["p2"], alpha=0.05, units=row["n_per_arm"], formula=formula) == near(
                row[name]
            )
    for row in said["t_test"]:
        assert means_size(row["d"], 1, alpha=0.05, power=row["power"]) == near(row["n_per_arm"], 1e-6)


def test_edges() -> None:
    said = reference("edge_cases")["expected"]
    for row in said["z_two_sided_p_underflow"]:
        assert two_sided(row["z"]).log10 == near(float(row["log10_p"]), 1e-12)
    for row in said["t_two_sided_p"]:
        assert two_sided(row["t"], row["df"]).value == near(row["p"], 1e-12)
    for row in said["tiny_proportions"]:
        arms = Share(row["n_a"], row["x_a"]), Share(row["n_b"], row["x_b"])
        found = compared(two_proportions(*arms))
        assert [found.low, found.high] == pytest.approx(row["newcomb_ci"], rel=1e-9, abs=1e-15)
        if found.method is Method.FISHER_EXACT:
            assert found.p.value == near(row["fisher_p"])
        else:
            assert found.p.value == near(row["p_pooled"])
        chances, beta = of_shares(*arms), row["bayes"]
        assert chances.to_win == near(beta["chance_b_beats_a"], 1e-6)
        assert chances.loss_of_treatment == near(beta["expected_loss_choose_b"], 1e-6)
        assert chances.loss_of_control == near(beta["expected_loss_choose_a"], 1e-6)
    for row in said["welch_small"]:
        arms_of = [Arm(len(row[arm]), sum(map(int, row[arm])), sum(int(x) ** 2 for x in row[arm])) for arm in "ab"]
        one = welch(*arms_of)
        if row["t"] in ("nan", "inf"):
            assert isinstance(one, Refusal)
        else:
            assert (compared(one).statistic, compared(one).p.value) == (near(row["t"]), near(row["p"]))
    for row in said["srm"]:
        ratio = mismatch([int(count) for count in row["observed"]], row["weights"])
        assert ratio is not None
        assert (ratio.statistic, ratio.freedom) == (pytest.approx(row["chi2"], abs=1e-12), row["df"])
        assert ratio.p.value == near(row["p"])
    zero = said["srm_zero_weight_arm"]
    ratio = mismatch(zero["observed"], zero["weights"])
    assert ratio is not None
    assert (ratio.freedom, ratio.p.value) == (1, near(zero["p_df1"]))
    unequal = said["pooled_vs_unpooled_unequal_arms"]
    found = compared(two_proportions(Share(2_000, 20), Share(200, 10)))
    assert found.unpooled_p is not None
    assert (found.method, found.unpooled_p.value) == (Method.FISHER_EXACT, near(unequal["p_unpooled"]))
    assert (found.statistic, found.p.value) == (near(unequal["z_pooled"]), near(unequal["fisher_p"]))
