"""Public experiments sent as events, and what the gateway makes of them against independent tools."""

import csv
import gzip
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from resolvers.analysis import filters
from resolvers.analysis.events import Kind
from resolvers.analysis.experiment_answers import ExperimentAnswer
from resolvers.analysis.experiments import (
    ExperimentDefinition,
    ExperimentMetric,
    Measure,
    MetricRole,
    MultipleExposures,
    Step,
    Tally,
    UnitMetric,
    Variant,
)
from resolvers.analysis.filters import All, DimensionIs, Filter, NameIs, Op, PropertyIs
from resolvers.analysis.metrics import Direction
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Principal
from resolvers.events import ingest
from resolvers.experiment_changes import create_experiment, take_step, update_experiment
from resolvers.experiment_results import Asking, experiment_results
from resolvers.experiment_upkeep import fold_experiments

RETAIL = "online_retail/online_retail.csv.gz"
SHARED = Path(__file__).resolve().parents[3] / "shared"
WINDOW = timedelta(days=366)

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository"),
]


def reference(name: str) -> Any:
    return json.loads((SHARED / "reference" / f"{name}.json").read_text())


def rows(path: str) -> list[dict[str, str]]:
    with gzip.open(SHARED / "data" / path, "rt", newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def near(value: float, relative: float = 1e-9) -> Any:
    return pytest.approx(value, rel=relative)


async def send(context: Context, events: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(events), 10_000):
        receipt = await ingest(context, events[start : start + 10_000])
        assert not receipt.rejected


async def asked(context: Context, key: str, multiple: MultipleExposures | None = None) -> ExperimentAnswer:
    context.renew()
    return await experiment_results(context, Asking(key, multiple=multiple), Question(PeriodRequest(last="1h")))


def metric(slug: str, of: UnitMetric) -> ExperimentMetric:
    return ExperimentMetric(slug, MetricRole.SECONDARY, Direction.UP, of)


def fitting() -> Filter:
    """Rows that say the same in group and landing page."""
    pairs = (("control", "old_page"), ("treatment", "new_page"))
    return filters.Any(
        tuple(
            All((DimensionIs("variant", Op.IN, (group,)), PropertyIs(("landing_page",), Op.IN, (page,))))
            for group, page in pairs
        )
    )


def landing_page() -> Iterable[dict[str, Any]]:
    for number, row in enumerate(rows("udacity_ab/ab_data.csv.gz")):
        common = {
            "subject": row["user_id"],
            "occurredAt": row["timestamp"].replace(" ", "T") + "Z",
            "dimensions": {"experiment": "landing", "variant": row["group"]},
            "properties": {"landing_page": row["landing_page"]},
        }
        yield {"id": f"x{number}", "kind": "EXPOSURE", **common}
        if row["converted"] == "1":
            yield {"id": f"c{number}", "kind": "CONVERSION", "name": "converted", **common}


async def test_a_landing_page_by_each_rule(context: Context, principal: Principal) -> None:
    converted: Filter = NameIs(("converted",))
    definition = ExperimentDefinition(
        name="Landing page",
        variants=(Variant("control", "Old", 5_000, control=True), Variant("treatment", "New", 5_000)),
        metrics=(metric("converted", UnitMetric(Measure(Tally.ANY, converted), WINDOW)),),
    )
    made = await create_experiment(context, "landing", definition)
    await take_step(context, made.id, Step.START, at=datetime(2017, 1, 1, tzinfo=UTC))
    await send(context, list(landing_page()))
    expected = reference("udacity_ab")["scipy_statsmodels"]
    database, memory = context.services.database, context.services.memory
    assert await fold_experiments(database, memory, principal.tenant_id) == 290_584
    holds(await asked(context, "landing"), expected["B_first_exposure_any_conversion"])
    once = await asked(context, "landing", MultipleExposures.EXCLUDE)
    holds(once, expected["C_exclude_multi_variant_users"])
    assert once.multiple.numerator == expected["raw"]["users_in_both_groups"]
    # Rows whose page is not that of their group neither expose nor convert.
    paired = UnitMetric(Measure(Tally.ANY, All((converted, fitting()))), WINDOW)
    await update_experiment(context, made.id, {"where": fitting(), "metrics": (metric("converted", paired),)})
    await fold_experiments(database, memory, principal.tenant_id)
    clean = await asked(context, "landing")
    holds(clean, expected["A_standard_clean"])
    (effect,) = clean.metrics[0].effects
    test = expected["A_standard_clean"]["test"]
    assert effect.interval is not None
    assert [float(effect.interval.low), float(effect.interval.high)] == near(test["ci95_diff"]["newcomb"])
    assert effect.unpooled_p_value == near(test["p_unpooled"])
    assert effect.chance_to_win == pytest.approx(test["bayes_uniform_prior"]["chance_b_beats_a"], abs=1e-6)
    assert float(effect.expected_loss or 0) == near(test["bayes_uniform_prior"]["expected_loss_choose_b"], 1e-6)


def holds(found: ExperimentAnswer, expected: dict[str, Any]) -> None:
    """Counts exactly, tests to nine digits."""
    test = expected["test"]
    (converted,) = found.metrics
    counts = [(arm.estimate.numerator, arm.estimate.n) for arm in converted.arms]
    assert counts == [(test["x_a"], test["n_a"]), (test["x_b"], test["n_b"])]
    (effect,) = converted.effects
    assert (effect.statistic, effect.p_value) == (near(test["z_pooled"]), near(test["p_pooled"]))
    assert found.sample_ratio is not None
    assert found.sample_ratio.p_value == near(expected["srm"]["p"])


def shop() -> Iterable[dict[str, Any]]:
    """Orders of the shop, and an exposure of each customer that had one before the split, by an arm drawn of its id."""
    split = datetime(2011, 6, 9, tzinfo=UTC)
    orders: dict[tuple[str, str, str], Decimal] = {}
    for row in rows(RETAIL):
        if (
            row["CustomerID"]
            and row["InvoiceNo"][:1] != "C"
            and min(int(row["Quantity"]), Decimal(row["UnitPrice"])) > 0
        ):
            key = (str(int(float(row["CustomerID"]))), row["InvoiceNo"], row["InvoiceDate"])
            orders[key] = orders.get(key, Decimal(0)) + int(row["Quantity"]) * Decimal(row["UnitPrice"])
    known = set()
    for number, ((customer, invoice, date), amount) in enumerate(orders.items()):
        at = datetime.fromisoformat(date).replace(tzinfo=UTC)
        if at < split:
            known.add(customer)
        common = {"subject": customer, "occurredAt": at.isoformat(), "orderId": invoice}
        yield {"id": f"o{number}", "kind": Kind.CONVERSION.name, "name": "purchase", "amount": str(amount), **common}
    for customer in known:
        variant = "ab"[int(sha256(customer.encode()).hexdigest(), 16) % 2]
        shown = {"experiment": "placebo", "variant": variant}
        yield {
            "id": customer,
            "kind": "EXPOSURE",
            "subject": customer,
            "occurredAt": split.isoformat(),
            "dimensions": shown,
        }


async def test_a_placebo_with_what_was_known_before(context: Context, principal: Principal) -> None:
    bought = Measure(Tally.SUM, NameIs(("purchase",)), "amount")
    definition = ExperimentDefinition(
        name="Placebo",
        variants=(Variant("a", "A", 5_000, control=True), Variant("b", "B", 5_000)),
        metrics=(
            metric("revenue", UnitMetric(bought, WINDOW, before=WINDOW)),
            metric("capped", UnitMetric(bought, WINDOW, cap_at=Decimal("0.99"), before=WINDOW)),
        ),
    )
    made = await create_experiment(context, "placebo", definition)
    await take_step(context, made.id, Step.START, at=datetime(2011, 6, 1, tzinfo=UTC))
    await send(context, list(shop()))
    await fold_experiments(context.services.database, context.services.memory, principal.tenant_id)
    found = await asked(context, "placebo")
    expected = reference("online_retail")["duckdb_pandas"]["aa_cuped"]
    assert [one.units for one in found.units] == expected["srm"]["observed"]
    assert found.metrics[1].cap == near(Decimal(str(expected["winsor_99"]["cap_y"])), Decimal("1e-12"))  # type: ignore[arg-type]
    for answer, part in zip(found.metrics, ("raw", "winsor_99"), strict=True):
        (effect,), (plain, adjusted) = (
            answer.effects,
            (expected[part][name] for name in ("unadjusted", "theta_pooled_total_cov")),
        )
        assert float(effect.effect or 0) == near(plain["diff"])
        assert (effect.statistic, effect.p_value) == (near(plain["t"]), near(plain["p"]))
        assert effect.cuped is not None
        assert effect.cuped.theta == near(adjusted["theta"])
        assert effect.cuped.variance_cut == near(adjusted["variance_reduction_vs_unadj"])
        assert float(effect.cuped.effect) == near(adjusted["diff"])
        assert effect.cuped.p_value == near(adjusted["p"])
