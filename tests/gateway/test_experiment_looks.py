"""Looks at results: before the planned sample is there, when it is, and by somebody who goes on."""

from datetime import timedelta
from typing import Any

import pytest

from tests.client import Client
from tests.gateway.test_experiments import METRICS, START, bought, shown, started, step

DAY = timedelta(days=1)
RESULTS = """experimentResults(experiment: "button") {
  units { units } decision why ship plannedEndReached plannedSample { through units later } warnings { code message }
  metrics { slug cap effects { effect pValue sequentialPValue holmPValue significant guard
    planned { effect pValue log10P interval { method } } } } }"""
PLAN = {"minimumSample": 100, "minimumRuntime": "2d", "minimumEffect": "0.5"}


def day(number: int, people: int, plain: int, bold: int, name: str = "purchase") -> list[dict[str, Any]]:
    """So many of each variant who came on a day, the first of whom do it."""
    at, found = START + number * DAY + DAY / 2, []
    for variant, buyers in (("plain", plain), ("bold", bold)):
        found += [shown(f"{variant}{number}-{n}", variant, at) for n in range(people)]
        found += [bought(f"{variant}{number}-{n}", at=at + DAY / 24) | {"name": name} for n in range(buyers)]
    return found


async def looked(client: Client) -> dict[str, Any]:
    return dict((await client.ask(f"{{ {RESULTS} }}"))["experimentResults"])


async def test_looks_before_at_and_after_the_planned_end(client: Client) -> None:
    await started(client, metrics=METRICS[:1], **PLAN)
    await client.ingest(*day(0, 50, 10, 14))
    early = await looked(client)
    assert (early["plannedEndReached"], early["plannedSample"]) == (False, None)
    assert [one["code"] for one in early["warnings"]] == ["PEEKING"]
    await client.ingest(*day(1, 400, 80, 100))
    there = await looked(client)
    assert there["plannedSample"] == {"through": None, "units": 900, "later": 0}
    assert (there["decision"], there["warnings"]) == ("ROLL_BACK", [])
    assert there["metrics"][0]["effects"][0]["planned"] is None

    # By all of them it would be significant now; nobody is to be shipped by having gone on.
    await client.ingest(*day(2, 400, 80, 120), *day(3, 400, 80, 110))
    late = await looked(client)
    (effect,) = late["metrics"][0]["effects"]
    assert effect["pValue"] < 0.01
    assert effect["planned"]["pValue"] == there["metrics"][0]["effects"][0]["pValue"] > 0.05
    assert effect["planned"]["effect"] == there["metrics"][0]["effects"][0]["effect"]
    assert effect["holmPValue"] == pytest.approx(effect["planned"]["pValue"])
    assert not effect["significant"]
    assert late["plannedSample"] == {"through": "2026-03-03T00:00:00Z", "units": 900, "later": 1600}
    assert late["decision"] == "ROLL_BACK"
    assert late["why"] == (
        "The planned sample is there and no goal is significantly better: keep what there was before. It is decided by "
        "its planned sample of 900 units: of the 1,600 that came later only harm counts that holds at any look. What "
        "holds at any look has come to show conversion_rate better in bold since: try it anew, in a sequential "
        "experiment, to ship it by that."
    )
    assert [one["code"] for one in late["warnings"]] == ["LATE_LOOK"]
    assert late["warnings"][0]["message"].startswith("1,600 subjects came after the planned sample of 900:")


async def test_what_the_planned_sample_showed_is_shipped_however_late_somebody_looks(client: Client) -> None:
    await started(client, metrics=METRICS[:1], **PLAN)
    await client.ingest(*day(1, 450, 90, 130), *day(2, 450, 90, 90))
    late = await looked(client)
    assert (late["decision"], late["ship"]) == ("SHIP", "bold")
    assert late["metrics"][0]["effects"][0]["pValue"] > 0.02
    # What its subjects do later counts; they are the same subjects.
    await client.ingest(*(bought(f"plain1-{n}", at=START + 3 * DAY) for n in range(90, 150)))
    again = await looked(client)
    assert again["plannedSample"]["units"] == 900
    assert again["decision"] == "ROLL_BACK"


async def test_harm_that_shows_afterwards_counts(client: Client) -> None:
    await started(client, metrics=METRICS[::2], **PLAN)
    await client.ingest(*day(1, 450, 90, 140), *day(2, 450, 90, 140))
    assert (await looked(client))["decision"] in {"SHIP", "KEEP_RUNNING"}
    await client.ingest(*day(3, 450, 0, 120, "refund"))
    late = await looked(client)
    assert late["metrics"][1]["effects"][0]["guard"] == "BROKEN"
    assert late["decision"] == "ROLL_BACK"
    assert late["why"].startswith("Every treatment does harm (bold: guardrail refunded is broken).")
    assert "only harm counts" in late["why"]


async def test_a_sequential_experiment_is_decided_by_all_at_any_look(client: Client) -> None:
    made = await started(client, metrics=METRICS[:1], sequential=True, **PLAN)
    await client.ingest(*day(1, 450, 90, 100), *day(2, 450, 60, 190))
    late = await looked(client)
    (effect,) = late["metrics"][0]["effects"]
    assert (late["decision"], effect["significant"]) == ("SHIP", True)
    assert effect["planned"]["pValue"] > 0.05
    assert [one["code"] for one in late["warnings"]] == ["LATE_LOOK"]
    assert "planned sample" not in late["why"]
    await step(client, "complete", made)
    assert (await looked(client))["decision"] == "SHIP"


async def test_values_of_the_planned_sample_are_capped_as_all_are(client: Client) -> None:
    revenue = {"metric": "revenue", "capAt": "0.95"}
    await started(client, metrics=[revenue], **PLAN | {"minimumEffect": "5"})
    people = [(variant, n) for variant in ("plain", "bold") for n in range(100)]
    first = [shown(f"{variant}1-{n}", variant, START + 1.5 * DAY) for variant, n in people]
    paid = [bought(f"{variant}1-{n}", str(10 + n % 7), START + 1.6 * DAY) for variant, n in people]
    whale = bought("bold1-3", "100000", START + 1.6 * DAY)
    await client.ingest(*first, *paid, whale)
    there = await looked(client)
    assert float(there["metrics"][0]["cap"]) < 20
    await client.ingest(*day(2, 10, 0, 0))
    late = await looked(client)
    assert late["metrics"][0]["cap"] == there["metrics"][0]["cap"]
    told = late["metrics"][0]["effects"][0]["planned"]
    assert told["effect"] == there["metrics"][0]["effects"][0]["effect"]
    assert told["pValue"] == there["metrics"][0]["effects"][0]["pValue"]
