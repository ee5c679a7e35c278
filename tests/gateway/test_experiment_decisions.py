"""What experiments come to: shipped, rolled back, distrusted; in whatever currency they are paid."""

from typing import Any

import pytest

from tests.client import Client
from tests.gateway.test_experiments import (
    METRICS,
    RESULTS,
    START,
    UPDATE,
    VARIANTS,
    bought,
    crowd,
    shown,
    started,
    step,
)

GOAL = METRICS[:1]


async def decided(client: Client) -> dict[str, Any]:
    return dict((await client.ask(f"{{ {RESULTS} }}"))["experimentResults"])


async def test_what_is_better_is_shipped(client: Client) -> None:
    await started(client, metrics=GOAL)
    await client.ingest(*crowd(600, 600, 120, 200))
    found = await decided(client)
    assert (found["decision"], found["ship"], found["plannedEndReached"]) == ("SHIP", "bold", True)
    assert found["why"] == "conversion_rate is significantly better in bold."
    assert found["warnings"] == []
    assert found["metrics"][0]["effects"][0]["power"] > 0.8


@pytest.mark.parametrize(
    ("margin", "lost", "decision", "guard"),
    [
        (None, None, "SHIP", "NOT_BROKEN"),
        # A tenth of the 1 in 600 who asked for their money back in the control.
        ({"relative": "0.1"}, 1 / 6_000, "KEEP_RUNNING", "OPEN"),
        ({"absolute": "0.001"}, 0.001, "KEEP_RUNNING", "OPEN"),
        ({"absolute": "0.02"}, 0.02, "SHIP", "HOLDS"),
    ],
)
async def test_a_margin_has_to_be_shown_to_be_kept(
    client: Client, margin: dict[str, str] | None, lost: float | None, decision: str, guard: str
) -> None:
    guardrail = {name: part for name, part in METRICS[2].items() if name != "margin"}
    given = guardrail if margin is None else guardrail | {"margin": margin}
    await started(client, metrics=[*GOAL, given])
    refunds = [bought(f"{variant}0") | {"name": "refund"} for variant in ("plain", "bold")]
    await client.ingest(*crowd(600, 600, 120, 200), *refunds)
    found = await decided(client)
    (effect,) = found["metrics"][1]["effects"]
    assert (found["decision"], effect["guard"]) == (decision, guard)
    assert effect["margin"] is None if lost is None else float(effect["margin"]) == pytest.approx(lost)
    assert found["metrics"][0]["effects"][0]["margin"] is None


async def test_an_absolute_margin_counts_where_the_control_has_nothing_of_it(client: Client) -> None:
    crashes = {"slug": "crashes", "role": "GUARDRAIL", "value": {"count": {"name": ["crash"]}}, "upIsGood": False}
    relative = crashes | {"slug": "relative", "margin": {"relative": "0.9"}}
    await started(client, metrics=[*GOAL, crashes | {"margin": {"absolute": "0.1"}}, relative])
    crashed = [bought(f"bold{n}") | {"kind": "PRODUCT", "name": "crash"} for n in range(6)]
    await client.ingest(*crowd(600, 600, 120, 200), *crashed)
    found = await decided(client)
    (absolute,), (of_nothing,) = (one["effects"] for one in found["metrics"][1:])
    assert (absolute["guard"], absolute["margin"]) == ("HOLDS", "0.1")
    assert (of_nothing["guard"], of_nothing["margin"]) == ("BROKEN", "0")


async def test_all_of_one_variant_and_none_of_the_other_is_defined_at_any_look(client: Client) -> None:
    await started(client, metrics=GOAL, sequential=True)
    await client.ingest(*crowd(10, 10, 10, 0))
    few = await decided(client)
    (effect,) = few["metrics"][0]["effects"]
    assert (effect["effect"], effect["lift"], effect["undefined"]) == ("-1", "-1", None)
    assert 0.05 < effect["sequentialPValue"] < 1
    assert not effect["significant"]
    lift = await client.ask(
        '{ experimentResults(experiment: "button", overTime: true) { metrics { effects { liftInterval { low }'
        " sequentialInterval { low high method } } series { lift liftLow sequentialLow sequentialPValue } } } }"
    )
    (told,) = lift["experimentResults"]["metrics"]
    assert told["effects"][0]["liftInterval"] is None
    interval = told["effects"][0]["sequentialInterval"]
    assert interval["method"] == "Asymptotic confidence sequence"
    assert float(interval["low"]) < -1 < 0 < float(interval["high"])
    assert (told["series"][0]["lift"], told["series"][0]["liftLow"]) == ([-1], [None])
    assert told["series"][0]["sequentialPValue"] == [effect["sequentialPValue"]]
    more = [shown(f"more{variant}{n}", variant) for n in range(90) for variant in ("plain", "bold")]
    await client.ingest(*more, *(bought(f"moreplain{n}") for n in range(90)))
    many = await decided(client)
    assert many["metrics"][0]["effects"][0]["significant"]
    assert many["decision"] == "ROLL_BACK"


async def test_what_harms_is_rolled_back_at_once(client: Client) -> None:
    worse = METRICS[2] | {"value": {"converts": {"name": ["crash"]}}, "margin": {"relative": "0.1"}}
    await started(client, metrics=[*GOAL, worse])
    crashes = [bought(f"bold{n}") | {"kind": "PRODUCT", "name": "crash"} for n in range(60)]
    await client.ingest(*crowd(200, 200, 20, 22), *crashes)
    found = await decided(client)
    assert found["metrics"][1]["effects"][0]["guard"] == "BROKEN"
    assert found["decision"] == "ROLL_BACK"
    assert "refunded" in found["why"]


async def test_variants_that_are_not_as_large_as_they_should_be_are_not_believed(client: Client) -> None:
    await started(client, metrics=GOAL)
    await client.ingest(*crowd(400, 200, 40, 60))
    found = await decided(client)
    assert found["decision"] == "INVALID"
    assert found["sampleRatio"]["suspicious"]
    assert found["warnings"][0]["code"] == "SAMPLE_RATIO_MISMATCH"


@pytest.mark.parametrize(("sequential", "decision"), [(True, "SHIP"), (False, "KEEP_RUNNING")])
async def test_who_looks_early_waits_unless_it_holds_at_any_look(
    client: Client, sequential: bool, decision: str
) -> None:
    await started(client, metrics=GOAL, sequential=sequential, minimumEffect="0.05")
    await client.ingest(*crowd(300, 300, 30, 120))
    found = await decided(client)
    assert not found["plannedEndReached"]
    assert found["decision"] == decision
    if not sequential:
        assert found["why"].startswith(
            "A change of conversion_rate by 5 % would be found in 5.5 % of experiments, not in 80 %"
        )
    assert found["warnings"][0]["code"] == "PEEKING"
    assert found["warnings"][0]["message"].startswith("The planned runtime, sample or power is not reached")


async def test_money_of_another_currency_counts_at_its_rate(client: Client) -> None:
    await started(client, metrics=METRICS[1:2])
    euros = bought("bold0") | {"amount": "100", "currency": "EUR", "id": "e"}
    await client.ingest(*crowd(4, 4, 2, 2), euros)
    before = await decided(client)
    assert [arm["estimate"]["value"] for arm in before["metrics"][0]["arms"]] == ["5", "5"]
    rate = {"date": f"{START:%Y-%m-%d}", "base": "EUR", "currency": "USD", "rate": "1.25"}
    done = await client.ask(
        "mutation ($input: SetExchangeRatesInput!) { setExchangeRates(input: $input) { __typename } }",
        input={"rates": [rate]},
    )
    assert done["setExchangeRates"]["__typename"] == "SetExchangeRatesPayload"
    after = await decided(client)
    assert [arm["estimate"]["value"] for arm in after["metrics"][0]["arms"]] == ["5", "36.25"]


async def test_weights_of_zero_get_nobody(client: Client) -> None:
    variants = [*VARIANTS, {"key": "later", "weight": "0"}]
    made = await started(client, metrics=GOAL, variants=variants)
    await client.ingest(*crowd(100, 100, 10, 10))
    found = await decided(client)
    assert found["sampleRatio"] == {"pValue": 1.0, "suspicious": False, "freedom": 1}
    assert found["metrics"][0]["family"] == 1
    assert found["metrics"][0]["effects"][1]["undefined"] == "Both arms need a unit."
    await client.ingest(shown("odd", "later"))
    told = await client.ask(
        '{ experimentResults(experiment: "button") { warnings { code } sampleRatio { unexpected suspicious method } } }'
    )
    ratio = {"unexpected": 1, "suspicious": False, "method": "CHI_SQUARED"}
    assert told["experimentResults"]["sampleRatio"] == ratio
    assert {"code": "UNEXPECTED_VARIANT"} in told["experimentResults"]["warnings"]
    named = await client.ask(UPDATE, input={"id": made, "name": "Other name"})
    assert named["updateExperiment"]["experiment"]["name"] == "Other name"


@pytest.mark.parametrize(("buyers", "decision"), [(120, "SHIP"), (34, "ROLL_BACK")])
async def test_what_is_completed_early_is_decided_by_what_holds_at_any_look(
    client: Client, buyers: int, decision: str
) -> None:
    made = await started(client, metrics=GOAL, minimumRuntime="366d", minimumEffect="0.05")
    await client.ingest(*crowd(300, 300, 30, buyers))
    assert (await decided(client))["decision"] == "KEEP_RUNNING"
    await step(client, "complete", made)
    found = await decided(client)
    assert found["decision"] == decision
    assert found["why"].endswith("It was completed early, so only what holds at any look counts.")
    assert [one["code"] for one in found["warnings"]] == ["PEEKING"]
    assert found["warnings"][0]["message"].startswith("It was completed before the planned runtime")


async def test_p_values_too_small_for_a_float_have_their_logarithms(client: Client) -> None:
    await started(client, metrics=GOAL, sequential=True)
    await client.ingest(*crowd(1_600, 1_600, 16, 1_584))
    names = ("unpooled", "sequential", "holm", "benjaminiHochberg")
    told = {"pValue": "log10P"} | {f"{name}PValue": f"{name}Log10P" for name in names}
    asked = f"metrics {{ effects {{ {' '.join([*told, *told.values()])} }} }}"
    found = (await client.ask(f'{{ experimentResults(experiment: "button") {{ {asked} }} }}'))["experimentResults"]
    (effect,) = found["metrics"][0]["effects"]
    for value, logarithm in told.items():
        assert effect[value] == 0
        assert effect[logarithm] < -400
    assert effect["holmLog10P"] == effect["benjaminiHochbergLog10P"] == pytest.approx(effect["sequentialLog10P"])
