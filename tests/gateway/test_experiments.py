"""Experiments as their users meet them: from draft to decision, over HTTP and WebSocket."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client import Client
from tests.factories import event

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
VARIANTS = [{"key": "plain", "weight": "0.5", "control": True}, {"key": "bold", "weight": "0.5"}]
METRICS: list[dict[str, Any]] = [
    {"metric": "conversion_rate", "minimumEffect": None},
    {"metric": "revenue", "role": "SECONDARY", "covariate": "7d"},
    {
        "slug": "refunded",
        "role": "GUARDRAIL",
        "value": {"converts": {"name": ["refund"]}},
        "upIsGood": False,
        "margin": "0.5",
    },
]
for one in METRICS:
    one.pop("minimumEffect", None)
CREATE = """mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { __typename
  ... on ExperimentPayload { experiment { id key salt status possible } } ... on InvalidInput { field message } } }"""


async def created(client: Client, **given: Any) -> dict[str, Any]:
    made = await client.ask(
        CREATE, input={"key": "button", "variants": VARIANTS, "metrics": METRICS, "minimumEffect": "0.5"} | given
    )
    assert made["createExperiment"]["__typename"] == "ExperimentPayload", made
    return dict(made["createExperiment"]["experiment"])


async def step(client: Client, name: str, experiment_id: str, more: str = "") -> dict[str, Any]:
    field = f"{name}Experiment"
    answer = await client.ask(
        f"""mutation ($id: ID!) {{ {field}(input: {{id: $id {more}}}) {{ __typename
          ... on ExperimentPayload {{ experiment {{ status possible phases {{ number weights }} }} }}
          ... on IllegalStep {{ message possible code }} ... on InvalidInput {{ field message }}
          ... on NotFound {{ field }} }} }}""",
        id=experiment_id,
    )
    return dict(answer[field])


async def started(client: Client, **given: Any) -> str:
    made = await created(client, **given)
    assert (await step(client, "start", made["id"], f', at: "{START.isoformat()}"'))[
        "__typename"
    ] == "ExperimentPayload"
    return str(made["id"])


def shown(subject: str, variant: str, at: datetime = START + HOUR, **more: Any) -> dict[str, Any]:
    dimensions = {"experiment": "button", "variant": variant} | more
    return event(kind="EXPOSURE", name="exposure", subject=subject, occurredAt=at, dimensions=dimensions)


def bought(subject: str, amount: str = "10", at: datetime = START + 2 * HOUR) -> dict[str, Any]:
    return event(kind="CONVERSION", name="purchase", subject=subject, occurredAt=at, amount=amount, currency="USD")


def crowd(plain: int, bold: int, buys_plain: int, buys_bold: int) -> list[dict[str, Any]]:
    """So many of each variant, the first of whom buy."""
    found = []
    for variant, people, buyers in (("plain", plain, buys_plain), ("bold", bold, buys_bold)):
        found += [shown(f"{variant}{n}", variant, channel="email" if n % 2 else "ads") for n in range(people)]
        found += [bought(f"{variant}{n}") for n in range(buyers)]
    return found


RESULTS = """experimentResults(experiment: "button") {
  units { variant units expected } sampleRatio { pValue suspicious freedom } multiple { value } outside
  decision why ship plannedEndReached warnings
  metrics { slug role family arms { variant estimate { value unit n } }
    effects { variant method effect lift pValue log10P cuped { theta } significant holmPValue chanceToWin guard power
      undefined sequentialPValue interval { low high method } } }
  explain { source tail } }"""


async def test_a_whole_life(client: Client) -> None:
    made = await created(client, hypothesis="People see it.")
    assert made["status"] == "DRAFT"
    assert made["salt"] == "button"
    assert made["possible"] == ["UPDATE", "START", "ARCHIVE"]
    for name in ("pause", "resume", "complete"):
        refused = await step(client, name, made["id"])
        assert refused["__typename"] == "IllegalStep"
        assert refused["possible"] == ["update", "start", "archive"]
    early = await client.ask('{ assignment(experiment: "button", subject: "ann") { variant reason phase } }')
    assert early["assignment"] == {"variant": None, "reason": "NOT_RUNNING", "phase": None}
    assert (await step(client, "start", made["id"], f', at: "{START.isoformat()}"'))["experiment"][
        "status"
    ] == "RUNNING"
    assert (await step(client, "start", made["id"]))["__typename"] == "IllegalStep"
    assert (await step(client, "pause", made["id"]))["experiment"]["possible"] == ["UPDATE", "RESUME", "COMPLETE"]
    paused = await client.ask('{ assignment(experiment: "button", subject: "ann") { reason } }')
    assert paused["assignment"] == {"reason": "NOT_RUNNING"}
    await step(client, "resume", made["id"], ', reason: "All is well."')
    await client.ingest(*crowd(200, 200, 20, 60))
    found = (await client.ask(f"{{ {RESULTS} }}"))["experimentResults"]
    assert [one["units"] for one in found["units"]] == [200, 200]
    assert found["sampleRatio"] == {"pValue": 1.0, "suspicious": False, "freedom": 1}
    goal, revenue, guardrail = found["metrics"]
    assert [arm["estimate"]["value"] for arm in goal["arms"]] == ["0.1", "0.3"]
    assert [arm["estimate"]["value"] for arm in revenue["arms"]] == ["1", "3"]
    (effect,) = goal["effects"]
    assert effect["method"] == "TWO_PROPORTION_Z_POOLED"
    assert float(effect["effect"]) == pytest.approx(0.2)
    assert float(effect["lift"]) == pytest.approx(2)
    assert effect["significant"]
    assert effect["pValue"] < 1e-6
    assert effect["chanceToWin"] > 0.999
    assert revenue["effects"][0]["cuped"] is None or revenue["effects"][0]["cuped"]["theta"] == 0
    assert guardrail["effects"][0]["guard"] in ("OPEN", "HOLDS")
    assert (found["decision"], found["explain"]["source"]) == ("KEEP_RUNNING", "LOG")
    over = await step(client, "complete", made["id"])
    assert over["experiment"]["possible"] == ["UPDATE", "ARCHIVE"]
    assert (await step(client, "archive", made["id"]))["experiment"]["possible"] == []
    assert (await step(client, "archive", made["id"]))["possible"] == []
    listed = await client.ask(
        "{ experiments { edges { node { key } } } all: experiments(archived: true) { edges { node { key } } } }"
    )
    assert (listed["experiments"]["edges"], len(listed["all"]["edges"])) == ([], 1)
    history = await client.ask('{ experimentChanges(experiment: "button") { number action reason keyId changed } }')
    done = [one["action"] for one in reversed(history["experimentChanges"])]
    assert done == [None, "START", "PAUSE", "RESUME", "COMPLETE", "ARCHIVE"]
    assert history["experimentChanges"][2]["reason"] == "All is well."
    assert history["experimentChanges"][2]["changed"] == {"status": {"from": "paused", "to": "running"}}
