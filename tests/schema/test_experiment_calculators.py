"""The calculators of experiments: figures, sentences, and what cannot be planned with."""

from typing import Any

import pytest
from scipy import stats

from resolvers.context import Role
from resolvers.errors import BadInput, Forbidden
from tests.schema.conftest import answer, execute, failure

SHARE = "metric: {share: {baseline: 0.1}}, effect: {relative: 0.1}"
MEAN = "metric: {mean: {deviation: 20}}, effect: {absolute: 10}"


async def ask(name: str, arguments: str, fields: str) -> dict[str, Any]:
    shown: dict[str, Any] = (await answer(f"{{{name}({arguments}) {{{fields}}}}}", role=Role.VIEWER))[name]
    return shown


async def size(arguments: str) -> dict[str, Any]:
    return await ask("sampleSize", arguments, "control treatment total power alpha formula meaning")


# Before rounding, statsmodels and closed forms have 14,744.10, 14,748.05 and 14,750.79.
@pytest.mark.parametrize(
    ("formula", "units", "name"),
    [("ARCSINE", 14_745, "arcsine"), ("UNPOOLED", 14_749, "unpooled"), ("POOLED", 14_751, "Fleiss")],
)
async def test_the_size_of_two_shares(formula: str, units: int, name: str) -> None:
    found = await size(f"metric: {{share: {{baseline: 0.1, formula: {formula}}}}}, effect: {{absolute: 0.01}}")
    assert (found["control"], found["treatment"], found["total"]) == (units, units, 2 * units)
    assert found["power"] == pytest.approx(0.8, abs=1e-4)
    assert found["power"] >= 0.8
    assert name in found["formula"]


async def test_an_answer_says_what_it_means() -> None:
    found = await size(SHARE)
    assert found["meaning"] == (
        "It takes 14,751 units in the control and 14,751 in the treatment, 29,502 in all, for a rise from 10 % to 11 % "
        "to be found in 80 % of experiments, at α 0.05, two-sided."
    )
    rough = await size("metric: {share: {baseline: 0.001}}, effect: {absolute: 0.5}")
    assert "rough guide" in rough["meaning"]
    fall = await size("metric: {mean: {deviation: 20, baseline: -50}}, effect: {relative: -0.02}")
    assert "a fall of the mean from -50 to -51" in fall["meaning"]


async def test_the_size_of_two_means() -> None:
    # 63.77 by statsmodels, of an effect of half a deviation.
    found = await size(MEAN)
    assert (found["control"], found["total"]) == (64, 128)
    assert found["power"] == pytest.approx(0.8014596, abs=1e-7)
    relative = await size("metric: {mean: {deviation: 20, baseline: 100}}, effect: {relative: 0.1}")
    assert relative["control"] == 64


async def test_arms_of_several_sizes_and_several_comparisons() -> None:
    alike = await size(f"{SHARE}, treatments: 3, comparisons: 3")
    assert alike["alpha"] == pytest.approx(0.05 / 3)
    assert alike["total"] == 4 * alike["control"]
    assert alike["control"] == (await size(f"{SHARE}, alpha: {0.05 / 3}"))["control"]
    fewer = await size(f"{SHARE}, ratio: 0.25")
    assert fewer["treatment"] == pytest.approx(fewer["control"] / 4, abs=1)
    assert fewer["total"] > 29_502


async def test_power_effect_and_duration_agree_with_the_size() -> None:
    power = await ask("power", f"{SHARE}, units: 14751", "power total meaning")
    assert power["power"] == (await size(SHARE))["power"]
    assert power["total"] == 29_502
    few = await ask("power", f"{MEAN}, units: 20", "power meaning")
    cut, centre = stats.t.isf(0.025, 38), 0.5 * 10**0.5
    assert few["power"] == pytest.approx(stats.nct.sf(cut, 38, centre) + stats.nct.cdf(-cut, 38, centre), abs=1e-9)
    assert "33.79 % of experiments" in few["meaning"]
    effect = await ask(
        "detectableEffect", "metric: {share: {baseline: 0.1}}, units: 14751", "absolute relative reached"
    )
    assert effect["absolute"] == pytest.approx(0.01, rel=1e-4)
    assert effect["relative"] == pytest.approx(10 * effect["absolute"])
    assert effect["reached"] == pytest.approx(0.1 + effect["absolute"])
    mean = await ask("detectableEffect", 'metric: {mean: {deviation: 20}}, units: "64"', "absolute relative reached")
    assert mean["absolute"] == pytest.approx(10, rel=0.01)
    assert (mean["relative"], mean["reached"]) == (None, None)
    days = "days weeks daysOfWholeWeeks formula meaning size {total}"
    lasts = await ask("experimentDuration", f"{SHARE}, unitsPerDay: 1000, traffic: 0.5", days)
    assert (lasts["days"], lasts["weeks"], lasts["daysOfWholeWeeks"]) == (60, 9, 63)
    assert lasts["size"]["total"] == 29_502
    assert "9 whole weeks, 63 days" in lasts["meaning"]


async def test_what_nothing_would_find_is_null() -> None:
    found = await ask(
        "detectableEffect", "metric: {share: {baseline: 0.5}}, units: 3", "absolute relative reached meaning"
    )
    assert (found["absolute"], found["relative"], found["reached"]) == (None, None, None)
    assert "not even a rise from 50 % to 100 %" in found["meaning"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ("metric: {share: {baseline: 1.1}}, effect: {relative: 0.1}", "metric.share.baseline"),
        ("metric: {share: {baseline: 0}}, effect: {absolute: 0.1}", "metric.share.baseline"),
        ("metric: {share: {baseline: 0.6}}, effect: {relative: 0.8}", "effect.relative"),
        ("metric: {share: {baseline: 0.6}}, effect: {absolute: -0.7}", "effect.absolute"),
        ("metric: {share: {baseline: 0.6}}, effect: {absolute: 0}", "effect.absolute"),
        ("metric: {share: {baseline: 0.6}}, effect: {absolute: 1e-20}", "effect.absolute"),
        ("metric: {share: {baseline: 0.6}}, effect: {absolute: 1e-9}", "effect"),
        ("metric: {share: {baseline: 1e-300}}, effect: {relative: 1}", "effect"),
        ("metric: {mean: {deviation: 0}}, effect: {absolute: 1}", "metric.mean.deviation"),
        ("metric: {mean: {deviation: 1e999}}, effect: {absolute: 1}", "metric.mean.deviation"),
        ("metric: {mean: {deviation: 1, baseline: -1e999}}, effect: {absolute: 1}", "metric.mean.baseline"),
        ("metric: {mean: {deviation: 1}}, effect: {relative: 1}", "effect.relative"),
        ("metric: {mean: {deviation: 1, baseline: 0}}, effect: {relative: 1}", "effect.relative"),
        ("metric: {mean: {deviation: 1}}, effect: {absolute: 5e-324}", "effect"),
        ("metric: {mean: {deviation: 1}}, effect: {absolute: 1e999}", "effect.absolute"),
        (f"{SHARE}, alpha: 0", "alpha"),
        (f"{SHARE}, alpha: 1", "alpha"),
        (f"{SHARE}, alpha: 0.6", "alpha"),
        (f"{SHARE}, power: 1", "power"),
        (f"{SHARE}, power: 0.05", "power"),
        (f"{SHARE}, ratio: 0", "ratio"),
        (f"{SHARE}, ratio: -1", "ratio"),
        (f"{SHARE}, treatments: 0", "treatments"),
        (f"{SHARE}, comparisons: 1001", "comparisons"),
    ],
)
async def test_what_cannot_be_planned_with_is_refused_by_field(arguments: str, field: str) -> None:
    error = (await failure(f"{{sampleSize({arguments}) {{total}}}}")).original_error
    assert isinstance(error, BadInput)
    assert error.field == field
    lasts = (await failure(f"{{experimentDuration({arguments}, unitsPerDay: 10) {{days}}}}")).original_error
    assert isinstance(lasts, BadInput)


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (f"power({SHARE}, units: 1)", "units"),
        (f"power({SHARE}, units: -5)", "units"),
        (f"power({SHARE}, units: 2.5)", "units"),
        (f"power({SHARE}, units: 1000000000001)", "units"),
        (f"power({SHARE}, units: 1000000000000, ratio: 10000)", "units"),
        (f"power({SHARE}, units: 10, ratio: 0.1)", "ratio"),
        (f"experimentDuration({SHARE}, unitsPerDay: 0)", "unitsPerDay"),
        (f"experimentDuration({SHARE}, unitsPerDay: 1e-300)", "unitsPerDay"),
        (f"experimentDuration({SHARE}, unitsPerDay: 9, traffic: 0)", "traffic"),
        (f"experimentDuration({SHARE}, unitsPerDay: 9, traffic: 1.01)", "traffic"),
    ],
)
async def test_units_days_and_traffic_are_refused_by_field(question: str, field: str) -> None:
    error = (await failure(f"{{{question} {{meaning}}}}")).original_error
    assert isinstance(error, BadInput)
    assert error.field == field


@pytest.mark.parametrize("metric", ["{}", "{share: {baseline: 0.1}, mean: {deviation: 1}}", "{share: null}"])
async def test_a_metric_is_one_of_both(metric: str) -> None:
    found = await execute(f"{{sampleSize(metric: {metric}, effect: {{relative: 0.1}}) {{total}}}}")
    assert found.errors is not None
    assert all("PlannedMetricInput" in error.message for error in found.errors)


@pytest.mark.parametrize("power", [0.050001, 0.8, 0.999999])
@pytest.mark.parametrize("alpha", [1e-6, 0.05])
@pytest.mark.parametrize("units", [2, 50, 10**12])
@pytest.mark.parametrize("metric", ["mean: {deviation: 1e-12}", "mean: {deviation: 1e12}", "share: {baseline: 1e-300}"])
async def test_effects_are_found_at_the_edges(metric: str, units: int, alpha: float, power: float) -> None:
    found = await ask(
        "detectableEffect",
        f"metric: {{{metric}}}, units: {units}, alpha: {alpha}, power: {power}, comparisons: 1000, ratio: 900",
        "absolute",
    )
    assert found["absolute"] is None or found["absolute"] > 0


async def test_a_key_that_only_sends_calculates_nothing() -> None:
    error = (await failure(f"{{sampleSize({SHARE}) {{total}}}}", role=Role.INGEST)).original_error
    assert isinstance(error, Forbidden)
