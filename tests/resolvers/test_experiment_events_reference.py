"""More public experiments sent as events: one with what was known before, and a look at a large one."""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from resolvers.analysis.experiments import ExperimentDefinition, Measure, Step, Tally, UnitMetric, Variant
from resolvers.analysis.filters import Filter, NameIs
from resolvers.context import Context, Principal
from resolvers.experiment_changes import create_experiment, take_step
from resolvers.experiment_upkeep import fold_experiments
from tests.resolvers.test_experiment_reference import SHARED, WINDOW, asked, metric, near, reference, rows, send

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository"),
]


def single(text: str) -> str:
    """The number in single precision, as its publishers kept it, to the twelve places that an amount may have."""
    return f"{Decimal(float(np.float32(text))):.12f}"


def training() -> Iterable[dict[str, Any]]:
    """The people of a job training, drawn in 1976: what they earned the year before, and two years after."""
    drawn = datetime(1976 + 40, 1, 1, tzinfo=UTC)
    for number, row in enumerate(rows("nsw_experiment/nsw_mixtape.csv.gz")):
        variant = "trained" if row["treat"] == "1" else "not"
        common = {"subject": f"p{number}", "dimensions": {"experiment": "training", "variant": variant}}
        yield {"id": f"x{number}", "kind": "EXPOSURE", "occurredAt": drawn.isoformat(), **common}
        for column, later in (("re75", -100), ("re78", 100)):
            at = (drawn + timedelta(days=later)).isoformat()
            paid = {"kind": "CONVERSION", "name": "earned", "amount": single(row[column]), "occurredAt": at}
            yield {"id": f"{column}-{number}", **paid, "subject": f"p{number}"}


async def test_a_job_training_with_what_was_earned_before(context: Context, principal: Principal) -> None:
    earned = UnitMetric(Measure(Tally.SUM, NameIs(("earned",)), "amount"), WINDOW, before=WINDOW)
    definition = ExperimentDefinition(
        name="Training",
        # As many as were drawn for each.
        variants=(Variant("not", "Not", 5_843, control=True), Variant("trained", "Trained", 4_157)),
        metrics=(metric("earned", earned),),
    )
    made = await create_experiment(context, "training", definition)
    await take_step(context, made.id, Step.START, at=datetime(2015, 6, 1, tzinfo=UTC))
    await send(context, list(training()))
    expected = reference("nsw")["scipy_statsmodels"]
    plain, adjusted = (expected[name] for name in ("welch_re78", "cuped_re75"))
    adjusted = adjusted["theta_pooled_total_cov"]
    from_log = await asked(context, "training")
    assert await fold_experiments(context.services.database, context.services.memory, principal.tenant_id) == 445
    for found in (from_log, await asked(context, "training")):
        (effect,) = found.metrics[0].effects
        assert [one.units for one in found.units] == [plain["n_a"], plain["n_b"]]
        assert (float(effect.effect or 0), effect.statistic) == (near(plain["diff"]), near(plain["t"]))
        assert effect.p_value == near(plain["p"])
        assert effect.cuped is not None
        assert effect.cuped.theta == near(adjusted["theta"])
        assert (float(effect.cuped.effect), effect.cuped.p_value) == (near(adjusted["diff"]), near(adjusted["p"]))
        assert effect.cuped.variance_cut == near(adjusted["variance_reduction_vs_unadj"])


def clothes(look: dict[str, str]) -> Iterable[dict[str, Any]]:
    """A look at a shop's experiment, whose metric 1 is 0 or 1 of everybody: its mean says of how many it is 1."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    for variant in "ct":
        count, mean = int(look[f"n_{variant}"]), float(look[f"mean_{variant}"])
        for number in range(count):
            common = {"subject": f"{variant}{number}", "dimensions": {"experiment": "clothes", "variant": variant}}
            at = start + timedelta(days=float(look["t_days"])) * (number / count)
            yield {"id": f"x{variant}{number}", "kind": "EXPOSURE", "occurredAt": at.isoformat(), **common}
            if number < round(mean * count):
                later = (at + timedelta(hours=1)).isoformat()
                yield {
                    "id": f"c{variant}{number}",
                    "kind": "CONVERSION",
                    "name": "bought",
                    "occurredAt": later,
                } | common


async def test_a_last_look_at_a_shop_s_experiment(context: Context, principal: Principal) -> None:
    with (SHARED / "reference" / "asos_final_looks.csv").open(newline="") as lines:
        looks = [row for row in csv.DictReader(lines) if row["metric_id"] == "1"]
    # The smallest: events of each of its 69,123 people.
    look = min(looks, key=lambda row: int(row["n_c"]))
    bought: Filter = NameIs(("bought",))
    definition = ExperimentDefinition(
        name="Clothes",
        variants=(Variant("c", "Control", 5_000, control=True), Variant("t", "Treatment", 5_000)),
        # As a number, which is held to Welch's test, as the reference is, and as a share.
        metrics=(
            metric("times", UnitMetric(Measure(Tally.COUNT, bought), WINDOW)),
            metric("share", UnitMetric(Measure(Tally.ANY, bought), WINDOW)),
        ),
    )
    made = await create_experiment(context, "clothes", definition)
    await take_step(context, made.id, Step.START, at=datetime(2020, 1, 1, tzinfo=UTC))
    await send(context, list(clothes(look)))
    await fold_experiments(context.services.database, context.services.memory, principal.tenant_id)
    found = await asked(context, "clothes")
    assert [one.units for one in found.units] == [int(look["n_c"]), int(look["n_t"])]
    (times,), (share,) = found.metrics[0].effects, found.metrics[1].effects
    effect = [float(look[name]) for name in ("diff", "rel_lift")]
    assert [float(times.effect or 0), float(times.lift or 0)] == near(effect, 1e-8)  # type: ignore[arg-type]
    # The shop's variances are those of all, over n; what is had from a sample is over n - 1.
    stated = [
        (float(look[f"mean_{of}"]), sqrt(float(look[f"var_{of}"]) * n / (n - 1)), n)
        for of, n in (("t", int(look["n_t"])), ("c", int(look["n_c"])))
    ]
    test = stats.ttest_ind_from_stats(*stated[0], *stated[1], equal_var=False)
    assert [times.statistic, times.p_value] == near([test.statistic, test.pvalue], 1e-7)  # type: ignore[arg-type]
    for told in (times, share):
        assert told.interval is not None
        assert [told.p_value, float(told.interval.low), float(told.interval.high)] == near(
            [float(look[name]) for name in ("p", "ci_lo", "ci_hi")],  # type: ignore[arg-type]
            1e-3,
        )
    assert found.sample_ratio is not None
    assert found.sample_ratio.p_value == near(float(look["srm_p"]), 1e-8)
