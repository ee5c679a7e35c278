"""What AI caused, by the experiment that decided by chance who had it."""

from decimal import Decimal
from typing import Any

import pytest

from tests.client import Client
from tests.factories import event
from tests.gateway.test_experiments import METRICS, START, VARIANTS, bought, crowd, started

PERIOD = '{from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
ROI = f"""aiRoi(experiment: "button", period: {PERIOD}) {{
  evidence evidenceReason cost {{ value }} value {{ value interval {{ low high }} }} net {{ value interval {{ low }} }}
  incremental {{ value low high experiment }} }}"""
RESULTS = """experimentResults(experiment: "button") { plannedEndReached units { variant units } metrics { slug
  effects { effect interval { low high } sequentialInterval { low high } } } }"""
REVENUE = METRICS[1] | {"role": "GOAL"}


def call(subject: str) -> dict[str, Any]:
    dimensions = {"provider": "openai", "model": "made-up", "experiment": "button", "variant": "bold"}
    return event(
        kind="AI_INTERACTION", name="chat", subject=subject, occurredAt=START, cost="0.5", dimensions=dimensions
    )


@pytest.mark.parametrize("planned", [True, False])
async def test_the_value_is_the_effect_times_the_treated(client: Client, planned: bool) -> None:
    await started(client, metrics=[REVENUE], minimumEffect="3" if planned else "0.05")
    calls = [call(f"bold{n}") for n in range(40)]
    await client.ingest(*crowd(200, 200, 40, 90), *calls, bought("bold3", "25"))
    results = (await client.ask(f"{{ {RESULTS} }}"))["experimentResults"]
    assert results["plannedEndReached"] is planned
    (effect,) = results["metrics"][0]["effects"]
    interval = effect["interval" if planned else "sequentialInterval"]
    found = (await client.ask(f"{{ {ROI} }}"))["aiRoi"]
    assert found["evidence"] == "CAUSAL"
    assert "the experiment button measured" in found["evidenceReason"]
    assert found["incremental"]["experiment"] == "button"
    told = [Decimal(found["incremental"][name]) for name in ("value", "low", "high")]
    assert told == [Decimal(one) * 200 for one in (effect["effect"], interval["low"], interval["high"])]
    # (90 * 10 + 25 - 40 * 10) / 200 a subject, 200 of them.
    assert told[0] == Decimal(525)
    assert Decimal(found["value"]["value"]) == told[0]
    assert Decimal(found["cost"]["value"]) == 20
    assert Decimal(found["net"]["value"]) == 505
    attributed = ROI.replace('experiment: "button", ', "")
    plain = (await client.ask(f"{{ {attributed} }}"))["aiRoi"]
    assert (plain["evidence"], plain["incremental"]) == ("CORRELATIONAL", None)


async def refusal(client: Client) -> tuple[str, str]:
    (error,) = (await client.send(f"{{ {ROI} }}"))["errors"]
    return error["extensions"]["code"], error["message"]


async def test_what_an_experiment_cannot_tell_is_refused(client: Client, stranger: Client) -> None:
    code, _ = await refusal(client)
    assert code == "NOT_FOUND"
    await started(client, metrics=METRICS[:1])
    assert await refusal(client) == (
        "BAD_USER_INPUT",
        "None of its metrics is money per exposed subject; add one, such as `revenue`, and ask again.",
    )
    assert (await refusal(stranger))[0] == "NOT_FOUND"
    await started(stranger, metrics=[REVENUE], variants=[*VARIANTS, {"key": "third", "weight": "0"}])
    assert "several treatments" in (await refusal(stranger))[1]


async def test_nothing_is_caused_before_anybody_was_exposed(client: Client) -> None:
    await started(client, metrics=[REVENUE])
    code, message = await refusal(client)
    assert (code, message.startswith("It cannot tell yet.")) == ("BAD_USER_INPUT", True)
    await client.ingest(*crowd(400, 200, 40, 60))
    assert "not as large as their weights" in (await refusal(client))[1]
